"""Packages for the original Paddle.js runtime: the lowering keeps the numbers, the files say what that runtime needs,
and what it cannot run is refused by operator and node. The runtime itself is met in tests/runtime."""

import json
import re
from collections import Counter

import numpy as np
import pytest

from converter.__main__ import main
from converter.convert import convert
from converter.errors import ConvertError
from converter.graph.text import parse
from converter.ops import complete, evaluate
from converter.passes.paddlejs2 import fits_texture
from converter.read import read
from converter.write import paddlejs2, web
from tests.converter.paddlejs2_kit import all_cases, array, case_graph, lowered, net

# Least cases per operator that must come through; a rule that refuses too much shows here.
WRITTEN_AT_LEAST = {
    "conv2d": 60, "conv2d_transpose": 4, "pool2d": 20, "elementwise_add": 15, "elementwise_mul": 10, "softmax": 8,
    "matmul_v2": 8, "fc": 10, "transpose2": 4, "concat": 3, "reduce_mean": 6, "reduce_max": 6, "prelu": 2,
    "nearest_interp_v2": 3, "bilinear_interp_v2": 3, "pad3d": 3, "arg_max": 3, "pixel_shuffle": 1, "gelu": 1, "mish": 1,
    "layer_norm": 4, "instance_norm": 3, "group_norm": 3, "batch_norm": 2, "split": 3, "elu": 2, "exp": 2,
}  # fmt: skip


def graph_of(text, **constants):
    graph = parse(text, constants)
    for node in graph.nodes:
        complete(node)
    return graph


def package(graph, folder, shapes=None):
    """The package's model.json, written into folder."""
    paddlejs2.write(lowered(graph, shapes), folder)
    return json.loads((folder / "model.json").read_text())


def types(model):
    return [op["type"] for op in model["ops"]]


def refusal(text, shapes=None, **constants):
    with pytest.raises(ConvertError) as caught:
        lowered(graph_of(text, **constants), shapes)
    return str(caught.value)


def test_every_operator_case_is_computed_alike_or_refused():
    written, wrong = Counter(), []
    for case in all_cases():
        made = case_graph(case)
        if made is None:
            continue
        graph, picture = made
        try:
            graph = lowered(graph)
        except ConvertError as error:
            assert case["op"] in str(error) or "out0" in str(error) or "X0" in str(error), (case["name"], str(error))
            continue
        written[case["op"]] += 1
        shape = [int(size) for size in graph.values[graph.inputs[0]].shape]
        found = evaluate(graph, {graph.inputs[0]: picture.reshape(shape)})
        for got, tensor in zip(found.values(), case["outputs"]["Out"], strict=True):
            want = array(tensor)
            finite = np.isfinite(want)
            got = got.reshape(want.shape)
            limit = 2e-5 * max(1.0, float(np.ptp(want[finite]))) if finite.any() else 0
            if not np.array_equal(np.isfinite(got), finite) or np.abs(got - want)[finite].max(initial=0) > limit:
                wrong.append(case["name"])
    assert not wrong
    assert {op: written[op] for op, least in WRITTEN_AT_LEAST.items() if written[op] < least} == {}


def test_a_net_is_read_back_as_it_was(tmp_path):
    graph = net()
    feed = np.random.default_rng(1).uniform(-1, 1, (1, 3, 32, 40)).astype(np.float32)
    want = evaluate(graph, {"image": feed})
    package(graph, tmp_path)
    found = evaluate(read(tmp_path), {"image": feed})
    assert list(found) == list(want)
    for name, reference in want.items():
        assert np.abs(found[name] - reference).max() <= 1e-5, name


def test_the_file_says_what_the_runtime_has_no_default_for(tmp_path):
    model = package(net(), tmp_path)
    assert "format" not in model
    names = list(model["vars"])
    assert names == sorted(names)
    assert all(var["shape"] and len(var["shape"]) <= 4 and var["name"] == name for name, var in model["vars"].items())
    assert all("fuse_relu" in op["attrs"] and len(op["attrs"]["paddings"]) == 2
               for op in model["ops"] if op["type"].startswith("conv2d"))
    assert all(op["attrs"]["fuse_brelu_threshold"] == 6
               for op in model["ops"] if op["attrs"].get("act_type") == "relu6")
    assert [op["outputs"]["Out"] for op in model["ops"] if op["type"] == "feed"] == [["image"]]
    assert types(model).count("fetch") == 1
    assert types(model)[-2:] == ["connect", "fetch"]
    assert [output["name"] for output in model["multiOutputs"]] == ["scores", "maps"]
    joined = model["vars"]["connect_result"]["shape"]
    assert np.prod(joined) >= sum(np.prod(output["shape"]) for output in model["multiOutputs"])
    assert model["feedShape"] == {"fc": 3, "fh": 32, "fw": 40}
    assert "pad3d" in types(model)  # SAME with stride 2 is not symmetric
    assert not {"leaky_relu", "silu", "batch_norm", "squeeze2"} & set(types(model))


def test_weights_lie_by_name_in_float32(tmp_path):
    graph = lowered(net())
    sizes = paddlejs2.write(graph, tmp_path)
    model = json.loads((tmp_path / "model.json").read_text())
    numbers = np.frombuffer((tmp_path / "chunk_1.dat").read_bytes(), "<f4")
    at = 0
    for name, var in model["vars"].items():
        if not var["persistable"]:
            continue
        count = int(np.prod(var["shape"]))
        assert np.array_equal(numbers[at:at + count], graph.values[name].data.reshape(-1)), name
        at += count
    assert at == numbers.size == sizes["weight_bytes"] // 4


def test_large_weights_are_cut_every_four_megabytes(tmp_path):
    big = np.zeros((1100, 1000), np.float32)
    model = package(graph_of("x: float32[1,1,1,1100] = input\nw: float32[1100,1000] = const\n"
                             "y = fc(Input=x, W=w, in_num_col_dims=3)\nreturn y", w=big), tmp_path)
    assert model["chunkNum"] == 2
    assert [(tmp_path / f"chunk_{i}.dat").stat().st_size for i in (1, 2)] == [4194304, 4400000 - 4194304]


def test_a_net_without_weights_has_an_empty_chunk(tmp_path):
    model = package(graph_of("x: float32[1,3,4,4] = input\ny = relu(x)\nreturn y"), tmp_path)
    assert model["chunkNum"] == 1
    assert (tmp_path / "chunk_1.dat").stat().st_size == 0


def test_names_that_mean_something_there_are_changed(tmp_path):
    text = """
    `7`: float32[1,2,3,3] = input
    a_image = relu(`7`)
    `12` = sigmoid(a_image)
    b_packed = elementwise_mul(a_image, `12`)
    image = relu(b_packed)
    return image
    """
    model = package(graph_of(text), tmp_path)
    odd = [name for name in model["vars"] if name.isdigit() or name.endswith(("_packed", "_image"))]
    assert odd == []
    assert model["vars"]["image"]["shape"] == [1, 2, 3, 3]  # the input, not the result of that name
    assert model["ops"][-1]["inputs"]["X"] != ["image"]
    feed = np.random.default_rng(0).uniform(-1, 1, (1, 2, 3, 3)).astype(np.float32)
    (found,) = evaluate(read(tmp_path), {"image": feed}).values()
    positive = np.maximum(feed, 0)
    assert np.allclose(found, positive / (1 + np.exp(-positive)), atol=1e-6)


def test_an_input_with_two_readers_or_fewer_dimensions_gets_one_reader(tmp_path):
    text = "x: float32[N,6] = input\na = relu(x)\nb = sigmoid(x)\ny = elementwise_add(a, b)\nreturn y"
    model = package(graph_of(text), tmp_path)
    assert model["vars"]["image"]["shape"] == [1, 1, 1, 6]
    readers = [op["type"] for op in model["ops"] if ["image"] in op["inputs"].values()]
    assert readers == ["reshape2"]


def test_a_result_of_split_and_the_input_itself_pass_through_an_operator(tmp_path):
    model = package(graph_of("x: float32[1,4,2,2] = input\na, b = split(x, axis=1, num=2)\nreturn a, x"), tmp_path)
    makers = {name: op["type"] for op in model["ops"] for name in op["outputs"]["Out"]}
    assert [makers[output["name"]] for output in model["multiOutputs"]] == ["scale", "scale"]


@pytest.mark.parametrize(("text", "message"), [
    ("x: float32[1,3,8,8] = input\ny = erf(x)\nz = floor(y)\nreturn z", r"2 operators.*erf \(y\).*floor \(z\)"),
    ("x: float32[1,3,8,8] = input\ny = gelu(x)\nreturn y", r"gelu \(y\): the exact gelu needs erf"),
    ("x: float32[1,8,8,3] = input\ny = pool2d(x, ksize=[2, 2], data_format=\"NHWC\")\nreturn y", "channels last"),
    ("x: float32[1,3,7,7] = input\ny = pool2d(x, ksize=[3, 3], adaptive=true)\nreturn y", "windows of several sizes"),
    ("x: float32[1,3,1,6] = input\ny = pool2d(x, ksize=[2, 2], strides=[2, 2])\nreturn y",
     r"pool2d.*y.*windows of \[2, 2\] are larger than the \[1, 6\]"),
    ("x: float32[1,3,6,2] = input\ny = pool2d(x, ksize=[3, 3], strides=[2, 2], ceil_mode=true)\nreturn y",
     r"pool2d.*y.*are larger than the \[6, 2\]"),
    ("x: float32[1,3,1,6] = input\ny = pool2d(x, pooling_type=\"avg\", ksize=[2, 2], strides=[2, 2], "
     "exclusive=false)\nreturn y", "pool2d.*y.*cut at the border"),
    ("x: float32[1,5,4,4] = input\na, b = split(x, axis=1, sections=[2, 3])\nreturn a, b", r"unequal parts \[2, 3\]"),
    ("x: float32[1,3,5,5] = input\ny = nearest_interp_v2(x, scale=[2.3, 1.0])\nreturn y", "picks other pixels"),
    ("x: float32[1,3,8] = input\ny: float32[1,3,8] = input\nz = elementwise_add(x, y)\nreturn z", "takes one input"),
    ("x: float32[2,3,8,8] = input\ny = relu(x)\nreturn y", r"one float picture \[1, C, H, W\]"),
    ("x: float32[1,1,1,2,3] = input\ny = relu(x)\nreturn y", "one float picture"),
    ("x: int32[1,3,8,8] = input\ny = cast(x, out_dtype=\"float32\")\nreturn y", "whole numbers"),
    ("x: float32[1,3,4000,5000] = input\ny = relu(x)\nreturn y", r"fits no texture"),
])  # fmt: skip
def test_refuses_by_operator_and_node(text, message):
    assert re.search(message, refusal(text), re.S), refusal(text)


def test_open_sizes_must_be_said(tmp_path):
    text = "x: float32[N,3,H,W] = input\ny = relu(x)\nreturn y"
    assert "--input-shape x=1,3,SIZE,SIZE" in refusal(text)
    assert "does not fit" in refusal(text, {"x": (1, 4, 8, 8)})
    model = package(graph_of(text), tmp_path, {"x": (1, 3, 5, 6)})
    assert model["vars"]["image"]["shape"] == [1, 3, 5, 6]


def test_textures_are_laid_out_as_the_runtime_does():
    assert fits_texture((1, 64, 56, 56))
    assert fits_texture((1000, 2048))
    assert fits_texture((1, 1, 1, 100_000))
    assert not fits_texture((1, 1, 1, 100_003))  # a prime number of elements in one line
    assert not fits_texture((1, 3, 4096, 4096))


def test_the_command_line_writes_verifies_and_replaces_packages(tmp_path, capsys):
    source, out = tmp_path / "bundle", tmp_path / "package"
    source.mkdir()
    graph = net()
    graph.meta["name"] = "net"
    web.write(graph, source)
    for _ in range(2):  # the second time over the first
        assert main([str(source), "-o", str(out), "--target", "paddlejs2"]) == 0
    assert "worst error" in capsys.readouterr().out
    assert json.loads((out / "model.json").read_text())["converter"]["target"] == "paddlejs2"
    assert main([str(source), "-o", str(out), "--target", "paddlejs2", "--precision", "float16"]) == 1
    assert "float32 weights only" in capsys.readouterr().err


def test_preprocessing_is_told_in_the_words_of_the_original_runner(tmp_path):
    (tmp_path / "bundle").mkdir()
    web.write(net(), tmp_path / "bundle")

    def notes(**spec):
        spec = {"scale": 1 / 255, "mean": [0, 0.5, 0], "std": [1, 1, 0.25], **spec}
        report = convert(tmp_path / "bundle", tmp_path / "package", target="paddlejs2", preprocess=spec, verify=False)
        return " ".join(report.notes)

    assert '"mean": [0.0, 0.5, 0.0], "std": [1.0, 1.0, 0.25], "keepRatio": false' in notes()
    assert '"mean": [0.0, 0.5, 0.0], "std": [0.5, 0.5, 0.5], "bgr": true' in notes(
        scale=1, mean=[0, 127.5, 0], std=[127.5, 127.5, 127.5], channels="bgr")
    assert '"scale": 36' in notes(resize="short", size=[36, 36], crop=[32, 32])
    assert "cannot prepare" in notes(resize="fit")


def test_a_wrong_package_is_not_published(tmp_path, monkeypatch):
    (tmp_path / "bundle").mkdir()
    web.write(net(), tmp_path / "bundle")
    real = paddlejs2._kept
    monkeypatch.setitem(paddlejs2._ATTRS, "hard_sigmoid", lambda attrs: real("slope")(attrs) | {"offset": 0.4})
    with pytest.raises(ConvertError, match="does not compute what the model computes"):
        convert(tmp_path / "bundle", tmp_path / "package", target="paddlejs2")
    assert not (tmp_path / "package").exists()
