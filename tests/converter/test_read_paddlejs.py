"""Old Paddle.js packages: what their converter did is undone, and gaps in them are named."""

import json

import numpy as np
import pytest

from converter.errors import ConvertError
from converter.ops import evaluate
from converter.read import read

W = np.arange(27, dtype=np.float32).reshape(1, 3, 3, 3) / 27
B = np.float32([-0.5])


def op(type, inputs, outputs, **attrs):
    return {"type": type, "inputs": inputs, "outputs": outputs, "attrs": attrs}


def package(folder, ops, weights=None, names=list, chunks=None, **top):
    """Write a package; names: list or dict, the two forms of vars."""
    weights = {"w": W, "b": B} if weights is None else weights
    entries = [{"name": name, "shape": list(data.shape), "persistable": True} for name, data in weights.items()]
    entries.append({"name": "connect_result", "shape": [1, 2]})
    entries.append({"name": "image", "shape": [3, 4, 4], "persistable": False})
    data = b"".join(weights[name].tobytes() for name in sorted(weights))
    folder.mkdir()
    for number, part in enumerate(chunks(data) if chunks else [data], 1):
        (folder / f"chunk_{number}.dat").write_bytes(part)
    listed = {entry["name"]: entry for entry in entries} if names is dict else entries
    (folder / "model.json").write_text(json.dumps({"vars": listed, "ops": ops, **top}))
    return folder


FEED = op("feed", {"X": ["feed"]}, {"Out": ["image"]})
FETCH = op("fetch", {"X": ["y"]}, {"Out": ["fetch"]})
CONV = {"strides": [1, 1], "paddings": [1, 1], "dilations": [1, 1], "groups": 1, "data_format": "AnyLayout"}


@pytest.mark.parametrize("names", [list, dict])
def test_vars_as_list_or_object_and_the_batch_left_out(tmp_path, names):
    conv = op("conv2d", {"Input": ["image"], "Filter": ["w"]}, {"Output": ["y"]}, **CONV)
    graph = read(package(tmp_path / "m", [FEED, conv, FETCH], {"w": W}, names))
    assert graph.values["image"].shape == (1, 3, 4, 4)
    assert graph.meta["source"]["format"] == "paddlejs"
    assert evaluate(graph, {"image": np.ones((1, 3, 4, 4), np.float32)})["y"].shape == (1, 1, 4, 4)


def test_early_fused_type_and_operators_out_of_order(tmp_path):
    fused = {"type": "conv2d-elementwise_add-leaky_relu", "inputs": {"Input": ["image"], "Filter": ["w"], "Y": ["b"]},
             "outputs": {"Output": ["y"]}, "sub-attrs": [CONV, {"axis": 1}, {"alpha": 0.5}]}  # fmt: skip
    graph = read(package(tmp_path / "m", [FETCH, fused, FEED]))
    assert [node.type for node in graph.nodes] == ["conv2d", "elementwise_add", "leaky_relu"]
    assert graph.nodes[2].attrs == {"alpha": 0.5} and graph.outputs == ["y"]


@pytest.mark.parametrize("attrs, type, expected", [
    ({"fuse_opt": {"hard_swish": {"threshold": 6.0, "scale": 6.0, "offset": 3.0}}}, "hard_swish", {"offset": 3.0}),
    ({"act_type": "relu6", "fuse_brelu_threshold": 4.0}, "relu6", {"threshold": 4.0}),
    ({"act_type": "leaky_relu", "leaky_relu_alpha": 0.1}, "leaky_relu", {"alpha": 0.1}),
    ({"act_type": "hard_swish", "hard_swish_threshold": 6.0, "hard_swish_scale": 6.0, "hard_swish_offset": 3.0},
     "hard_swish", {"scale": 6.0}),
    ({"fuse_opt": {"relu": {}}, "fuse_relu": True}, "relu", {}),
])  # fmt: skip
def test_activations_inside_operators(tmp_path, attrs, type, expected):
    conv = op("conv2d", {"Input": ["image"], "Filter": ["w"]}, {"Out": ["y"]}, **CONV, **attrs)
    graph = read(package(tmp_path / "m", [FEED, conv, FETCH], {"w": W}))
    assert [node.type for node in graph.nodes] == ["conv2d", type]
    assert expected.items() <= graph.nodes[1].attrs.items()
    assert graph.nodes[0].attrs["fuse_activation"] == ""


def test_relu6_without_a_threshold_takes_paddles(tmp_path):
    graph = read(package(tmp_path / "m", [FEED, op("relu6", {"X": ["image"]}, {"Out": ["y"]}), FETCH], {}))
    assert graph.nodes[0].attrs == {"threshold": 6.0}


def test_connected_outputs_are_separate_again(tmp_path):
    ops = [FEED, op("relu", {"X": ["image"]}, {"Out": ["a"]}), op("sigmoid", {"X": ["image"]}, {"Out": ["b"]}),
           op("connect", {"X": ["a", "b"]}, {"Out": ["connect_result"]}),
           op("fetch", {"X": ["connect_result"]}, {"Out": ["fetch"]})]  # fmt: skip
    assert read(package(tmp_path / "m", ops, {})).outputs == ["a", "b"]


def test_old_spellings(tmp_path):
    ops = [FEED, op("concat", {"X": ["image"], "Y": ["image"]}, {"Out": ["c"]}, axis=1),
           op("reshape2", {"X": ["c"]}, {"Out": ["r"], "XShape": ["s"]}, new_shape=[1, 96]),
           op("batchnorm", {"X": ["image"], **{slot: ["v"] for slot in ("Scale", "Bias", "Mean", "Variance")}},
              {"Y": ["y"]}, epsilon=1e-5)]  # fmt: skip
    fetches = [op("fetch", {"X": [name]}, {"Out": ["fetch"]}) for name in ("r", "y")]
    graph = read(package(tmp_path / "m", ops + fetches, {"v": np.ones(3, np.float32)}))
    assert [node.type for node in graph.nodes] == ["concat", "reshape2", "batch_norm"]
    assert graph.nodes[1].attrs == {"shape": [1, 96]} and graph.outputs == ["r", "y"]


@pytest.mark.parametrize("attrs, dim", [
    ({"axis": 2}, [2]), ({"axis": -1, "keep_dim": True}, [-1]), ({"axis": [2, 3]}, [2, 3]),
    ({"axis": 1, "dim": [3]}, [3]), ({"dim": [3]}, [3]), ({"axis": 0}, [0]),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["mean", "sum", "max"])
def test_reductions_over_one_axis(tmp_path, kind, attrs, dim):
    ops = [FEED, op(f"reduce_{kind}", {"X": ["image"]}, {"Out": ["y"]}, **attrs), FETCH]
    node = read(package(tmp_path / "m", ops, {})).nodes[0]
    assert node.attrs == {"dim": dim, "keep_dim": attrs.get("keep_dim", False), "reduce_all": False}


def test_a_detectors_last_step_is_the_result(tmp_path):
    """Two boxes that overlap and one that does not; postOps name their inputs as {name, shape}."""
    boxes = np.float32([[[0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]]])
    ops = [op("feed", {"X": ["feed"]}, {"Out": ["picture"]}),
           op("reshape2", {"X": ["picture"]}, {"Out": ["row"]}, shape=[1, 1, 3]),
           op("concat", {"X": ["none", "row"]}, {"Out": ["scores"]}, axis=1),
           op("connect", {"X": ["boxes", "scores"]}, {"Out": ["connect_result"]}),
           op("fetch", {"X": ["connect_result"]}, {"Out": ["fetch"]})]  # fmt: skip
    reads = {"BBoxes": {"name": "boxes", "shape": [1, 3, 4]}, "Scores": {"name": "scores", "shape": [1, 2, 3]}}
    last = {"type": "multiclass_nms", "inputs": reads, "outputs": {"Out": ["found"]},
            "attrs": {"score_threshold": 0.2, "nms_top_k": 10, "keep_top_k": 10, "nms_threshold": 0.5}}  # fmt: skip
    weights = {"boxes": boxes, "none": np.zeros((1, 1, 3), np.float32)}
    graph = read(package(tmp_path / "m", ops, weights, feedShape={"fc": 1, "fh": 1, "fw": 3}, postOps=[last]))
    assert graph.outputs == ["found"]
    found = evaluate(graph, {"picture": np.float32([0.5, 0.75, 0.25]).reshape(1, 1, 1, 3)})["found"]
    assert found.tolist() == [[1, 0.75, 1, 1, 10, 10], [1, 0.25, 20, 20, 30, 30]]


def test_an_empty_shape_is_one_element(tmp_path):
    ops = [FEED, op("elementwise_mul", {"X": ["image"], "Y": ["k"]}, {"Out": ["y"]}, axis=-1), FETCH]
    graph = read(package(tmp_path / "m", ops, {"k": np.float32(3).reshape(())}))
    assert graph.values["k"].data.tolist() == 3.0


def test_several_chunks(tmp_path):
    ops = [FEED, op("elementwise_mul", {"X": ["image"], "Y": ["k"]}, {"Out": ["y"]}, axis=-1), FETCH]
    k = np.arange(12, dtype=np.float32).reshape(3, 1, 4)
    folder = package(tmp_path / "m", ops, {"k": k}, chunks=lambda d: [d[i:i + 5] for i in range(0, 48, 5)], chunkNum=10)
    assert np.array_equal(read(folder).values["k"].data, k)
    (folder / "chunk_4.dat").unlink()
    with pytest.raises(ConvertError, match="chunks are missing: .* the package says 10"):
        read(folder)


@pytest.mark.parametrize("cut, top, message", [
    (lambda d: [d[:-4]], {}, "hold 108 bytes, the 2 weights need 112"),
    (lambda d: [d + b"1234"], {}, "hold 116 bytes"),
    (lambda d: [], {}, "chunks are missing"),
    (lambda d: [d], {"chunkNum": 2}, "the package says 2"),
])  # fmt: skip
def test_incomplete_weights(tmp_path, cut, top, message):
    conv = op("conv2d", {"Input": ["image"], "Filter": ["w"], "Bias": ["b"]}, {"Out": ["y"]}, **CONV)
    with pytest.raises(ConvertError, match=message):
        read(package(tmp_path / "m", [FEED, conv, FETCH], chunks=cut, **top))


@pytest.mark.parametrize("ops, message", [
    ([FEED, op("relu", {"X": ["ghost"]}, {"Out": ["y"]}), FETCH], r"nothing computes \['ghost'\]"),
    ([FEED, {"type": "relu"}, FETCH], "malformed: KeyError"),
    ([FEED, {"type": "conv2d-relu", "inputs": {}, "outputs": {"Out": ["y"]}, "sub-attrs": [{}]}, FETCH],
     "fuses 2 operators but has 1"),
    ([FEED, op("relu", {"X": ["image"]}, {"Out": ["y"]}, fuse_opt={"scale": {}, "tanh": {}}), FETCH],
     "whose order is lost"),
    ([FEED, op("rnn_cell", {"X": ["image"]}, {"Out": ["y"]}), FETCH], "rnn_cell × 1"),
])  # fmt: skip
def test_what_cannot_be_read(tmp_path, ops, message):
    with pytest.raises(ConvertError, match=message):
        read(package(tmp_path / "m", ops, {}))


def test_feed_shape_stands_in_for_a_missing_variable(tmp_path):
    feed = op("feed", {"X": ["feed"]}, {"Out": ["picture"]})
    folder = package(tmp_path / "m", [feed, op("relu", {"X": ["picture"]}, {"Out": ["y"]}), FETCH], {},
                     feedShape={"fc": 3, "fh": 8, "fw": 9})  # fmt: skip
    assert read(folder).values["picture"].shape == (1, 3, 8, 9)
