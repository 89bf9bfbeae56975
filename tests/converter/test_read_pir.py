"""Paddle 3 programs: both ways of storing attributes, folded inputs, vectors, and clear refusals."""

import json
import math

import numpy as np
import pytest
from programs import Pir, small_pir

from converter.errors import ConvertError
from converter.graph.text import dump
from converter.ops import evaluate
from converter.read import read


def node_of(p: Pir, tmp_path, type: str):
    graph = read(p.save(tmp_path / "m"))
    return next(node for node in graph.nodes if node.type == type), graph


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_versions_read_alike(tmp_path, version):
    graph = read(small_pir(version).save(tmp_path / "m"))
    assert graph.inputs == ["x"] and graph.outputs == ["out"]
    assert graph.values["x"].shape == ("x.0", 3, "x.2", "x.3")
    conv, act = graph.nodes[:2]
    assert conv.type == "conv2d" and conv.attrs["paddings"] == [1, 1, 1, 1]
    assert act.attrs == {"alpha": 0.25}
    assert graph.meta["source"]["format"] == "pir" and graph.meta["source"]["version"] == version
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 6)).astype(np.float32)
    assert evaluate(graph, {"x": x})["out"].shape == (2, 4, 5, 6)


def test_the_hash_depends_on_program_and_weights(tmp_path):
    first = read(small_pir().save(tmp_path / "a")).meta["source"]["sha256"]
    assert read(small_pir().save(tmp_path / "b")).meta["source"]["sha256"] == first
    changed = small_pir()
    changed.params["conv.w"][0] += 1
    assert read(changed.save(tmp_path / "c")).meta["source"]["sha256"] != first


def test_tensor_inputs_become_attributes(tmp_path):
    p = Pir()
    x = p.data("x", [2, 6])
    y = p.op("reshape", [x, p.ints(3, -1)], [3, 4])
    y = p.op("scale", [y, p.full(2.0)], [3, 4], bias=1.0, bias_after_scale=True)
    y = p.op("clip", [y, p.full({"#": "0.a_f64", "VD": "-INF"}), p.full(5.0)], [3, 4])
    y = p.op("slice", [y, p.ints(0), p.ints(2)], [2, 4], axes=[0], infer_flags=[1], decrease_axis=[])
    y = p.op("sum", [y, p.ints(1)], [2], keepdim=False)
    p.fetch(y)
    graph = read(p.save(tmp_path / "m"))
    found = {node.type: node.attrs for node in graph.nodes}
    assert found["reshape2"] == {"shape": [3, -1]}
    assert found["scale"] == {"scale": 2.0, "bias": 1.0, "bias_after_scale": True}
    assert found["clip"] == {"min": -math.inf, "max": 5.0}
    assert found["slice"]["starts"] == [0] and found["slice"]["ends"] == [2]
    assert found["reduce_sum"] == {"dim": [1], "keep_dim": False, "reduce_all": False}
    x = np.arange(12, dtype=np.float32).reshape(2, 6)
    assert evaluate(graph, {"x": x})["out"].tolist() == [14.0, 20.0]


def test_vectors_are_unpacked(tmp_path):
    p = Pir()
    x = p.data("x", [1, 4])
    parts = p.vector("1.split_with_num", [x, p.full(1, "int32")], [[1, 2], [1, 2]], num=2)
    first, second = p.result([1, 2]), p.result([1, 2])
    p.add("0.split", [parts], [first, second], {})
    joined = p.vector("0.combine", [second["%"], first["%"]], [[1, 2], [1, 2]])
    p.fetch(p.op("concat", [joined, p.full(1, "int32")], [1, 4]))
    graph = read(p.save(tmp_path / "m"))
    out = evaluate(graph, {"x": np.float32([[1, 2, 3, 4]])})["out"]
    assert out.tolist() == [[3, 4, 1, 2]]


def test_slice_of_a_vector(tmp_path):
    p = Pir()
    parts = p.vector("1.split_with_num", [p.data("x", [1, 4]), p.full(1, "int32")], [[1, 2], [1, 2]], num=2)
    second = p.add("0.slice", [parts], [p.result([1, 2])], {"index": 1})
    p.fetch(p.op("relu", [second], [1, 2]))
    graph = read(p.save(tmp_path / "m"))
    assert evaluate(graph, {"x": np.float32([[1, 2, -3, 4]])})["out"].tolist() == [[0, 4]]


def test_operators_in_place_and_dropout(tmp_path):
    p = Pir()
    y = p.op("relu_", [p.data("x", [2])], [2])
    kept = p.op("dropout", [y, 0, p.full(0.25)], [2], is_test=True, mode="upscale_in_train", seed=0, fix_seed=False)
    p.fetch(kept, "kept")
    p.fetch(p.op("dropout", [y, 0, p.full(0.25)], [2], is_test=True, mode="downgrade_in_infer", seed=0,
                 fix_seed=False), "scaled")  # fmt: skip
    graph = read(p.save(tmp_path / "m"))
    out = evaluate(graph, {"x": np.float32([-1, 4])})
    assert out["kept"].tolist() == [0, 4] and out["scaled"].tolist() == [0, 3]
    assert all(node.type != "dropout" for node in graph.nodes)


def test_one_value_under_two_names(tmp_path):
    p = Pir()
    y = p.op("relu", [p.data("x", [2])], [2])
    p.fetch(y, "a")
    p.fetch(y, "b")
    out = evaluate(read(p.save(tmp_path / "m")), {"x": np.float32([-1, 2])})
    assert out["a"].tolist() == out["b"].tolist() == [0, 2]


def test_kernel_size_arrives_as_an_input(tmp_path):
    p = Pir()
    p.fetch(p.op("pool2d", [p.data("x", [1, 1, 4, 4]), p.ints(2, 2)], [1, 1, 2, 2], strides=[2, 2], paddings=[0, 0],
                 ceil_mode=False, exclusive=True, data_format="NCHW", pooling_type="max", global_pooling=False,
                 adaptive=False, padding_algorithm="EXPLICIT"))  # fmt: skip
    node, _ = node_of(p, tmp_path, "pool2d")
    assert node.attrs["ksize"] == [2, 2] and node.attrs["paddings"] == [0, 0, 0, 0]


def test_computed_shape_stays_an_input(tmp_path):
    p = Pir()
    x = p.data("x", [-1, 4])
    size = p.op("shape64", [x], [2], "int64")
    p.fetch(p.op("reshape", [x, size], [-1, -1]))
    node, graph = node_of(p, tmp_path, "reshape2")
    assert node.inputs["Shape"] and node.attrs == {"shape": []}
    assert evaluate(graph, {"x": np.ones((3, 4), np.float32)})["out"].shape == (3, 4)


def test_everything_unsupported_is_named_at_once(tmp_path):
    p = Pir()
    x = p.data("x", [2])
    for name in ("warp_drive", "warp_drive", "flux_capacitor"):
        x = p.op(name, [x], [2], power=3)
    p.fetch(p.op("relu", [x], [2], temper=1))
    with pytest.raises(ConvertError) as caught:
        read(p.save(tmp_path / "m"))
    text = str(caught.value)
    assert "pd_op.warp_drive × 2, first at pd_op.warp_drive (warp_drive_2)" in text
    assert "pd_op.flux_capacitor × 1" in text and "attributes ['temper'] are not known" in text
    graph = read(tmp_path / "m", strict=False)
    assert len(graph.meta["unsupported"]) == 3 and "warp_drive" in dump(graph)


def test_a_weight_of_a_dtype_that_cannot_be_read(tmp_path):
    p = Pir()
    p.fetch(p.op("relu", [p.data("x", [2], "bfloat16")], [2], "bfloat16"))
    with pytest.raises(ConvertError, match="dtype 0.t_bf16 is not supported"):
        read(p.save(tmp_path / "m"))


@pytest.mark.parametrize("change, message", [
    (lambda d: d["base_code"].update(version=9), "PIR version 9 is not supported"),
    (lambda d: d["base_code"].update(magic="pie"), "magic of a Paddle 3 program is"),
    (lambda d: d["program"]["regions"].clear(), "has 0 blocks"),
    (lambda d: d["program"]["regions"][0]["blocks"][0]["ops"].pop(0), "read before anything writes it"),
    (lambda d: d["program"]["regions"][0]["blocks"][0]["ops"][2].pop("I"), "malformed at operator 2: KeyError"),
    (lambda d: d["program"]["regions"][0]["blocks"][0]["ops"].pop(), "no outputs"),
])  # fmt: skip
def test_damaged_programs(tmp_path, change, message):
    folder = small_pir().save(tmp_path / "m")
    data = small_pir().json()
    change(data)
    (folder / "inference.json").write_text(json.dumps(data))
    with pytest.raises(ConvertError, match=message):
        read(folder)


def test_missing_and_truncated_files(tmp_path):
    folder = small_pir().save(tmp_path / "m")
    weights = (folder / "inference.pdiparams").read_bytes()
    (folder / "inference.pdiparams").write_bytes(weights[:-7])
    with pytest.raises(ConvertError, match="the weights end early: parameter 'conv.w'"):
        read(folder)
    (folder / "inference.pdiparams").unlink()
    with pytest.raises(ConvertError, match="inference.pdiparams are missing"):
        read(folder)
    (tmp_path / "elsewhere").write_bytes(weights)
    assert read(folder, params=tmp_path / "elsewhere").values["conv.w"].data.shape == (4, 3, 3, 3)
    text = (folder / "inference.json").read_text()
    (folder / "inference.json").write_text(text[: len(text) // 2])
    with pytest.raises(ConvertError, match="this is not JSON"):
        read(folder)
