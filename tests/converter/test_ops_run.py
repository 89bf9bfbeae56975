"""evaluate() on whole graphs, and what it refuses."""

import numpy as np
import pytest

from converter.errors import ConvertError
from converter.graph import Node
from converter.ops import complete, evaluate, evaluate_node
from tests.converter.pass_helpers import graph_of

TEXT = """
    x: float32[N,3] = input
    z: float32[N,M] = input
    w: float32[3,2] = const [1, 2, 3, 4, 5, 6]
    a = matmul_v2(x, w)
    b = relu(a)
    y = reduce_sum(z, dim=[1], keep_dim=true)
    return b, y
"""


def feeds(rows: int = 2, others: int | None = None) -> dict[str, np.ndarray]:
    return {"x": np.ones((rows, 3), np.float32), "z": np.ones((others or rows, 5), np.float32)}


def test_computes_all_outputs_in_order():
    made = evaluate(graph_of(TEXT), feeds())
    assert list(made) == ["b", "y"]
    assert made["b"].tolist() == [[9, 12], [9, 12]]
    assert made["y"].tolist() == [[5], [5]]


def test_an_output_that_is_also_read_stays():
    graph = graph_of("x: float32[2] = input; a = exp(x); y = log(a); return a, y")
    made = evaluate(graph, {"x": np.zeros(2, np.float32)})
    assert made["a"].tolist() == [1, 1]


def test_float16_weights_are_computed_with_as_float32():
    graph = graph_of(TEXT)
    graph.values["w"].data = graph.values["w"].data.astype(np.float16)
    assert evaluate(graph, feeds())["b"].dtype == np.float32


@pytest.mark.parametrize(("given", "message"), [
    ({"x": np.ones((2, 3), np.float32)}, "missing inputs ['z']"),
    ({**feeds(), "q": np.ones(1)}, "unknown inputs ['q']"),
    ({**feeds(), "x": np.ones((2, 3))}, "x: input is float64, the model wants float32"),
    ({**feeds(), "x": np.ones((2, 4), np.float32)}, "x: dimension 1 of the input is 4, the model wants 3"),
    ({**feeds(), "x": np.ones(3, np.float32)}, "x: input has shape [3], the model wants ['N', 3]"),
    (feeds(2, 4), "z: dimension 0 of the input is 4, the model wants 2 (as in dimension 0 of x)"),
])
def test_wrong_feeds_are_named(given, message):
    with pytest.raises(ConvertError) as caught:
        evaluate(graph_of(TEXT), given)
    assert message in str(caught.value)


def test_a_node_that_cannot_be_computed_is_named():
    graph = graph_of("x: float32[N,K] = input; w: float32[3,2] = const; y = matmul_v2(x, w); return y")
    with pytest.raises(ConvertError, match=r"matmul_v2 \(y\): cannot be computed on"):
        evaluate(graph, {"x": np.ones((2, 4), np.float32)})


def test_an_unknown_operator_is_named():
    with pytest.raises(ConvertError, match=r"warp_drive \(y\): this operator is not supported"):
        evaluate_node(Node("warp_drive", {}, {"Out": ["y"]}), {})


@pytest.mark.parametrize(("node", "message"), [
    (Node("warp_drive", {}, {"Out": ["y"]}), "not supported"),
    (Node("relu", {"X": ["x"]}, {"Out": ["y"]}, {"alpha": 1.0}), "unknown attributes or inputs ['alpha']"),
    (Node("relu", {"X": ["x"], "Z": ["x"]}, {"Out": ["y"]}), "unknown attributes or inputs ['Z']"),
    (Node("relu", {}, {"Out": ["y"]}), "input 'X' is missing"),
    (Node("concat", {"X": []}, {"Out": ["y"]}), "input 'X' is missing"),
    (Node("cast", {"X": ["x"]}, {"Out": ["y"]}), "attribute 'out_dtype' is missing"),
])
def test_complete_refuses(node, message):
    with pytest.raises(ConvertError) as caught:
        complete(node)
    assert message in str(caught.value)


def test_defaults_are_not_shared_between_nodes():
    nodes = [Node("conv2d", {"Input": ["x"], "Filter": ["w"]}, {"Out": [name]}) for name in "ab"]
    for node in nodes:
        complete(node)
    nodes[0].attrs["strides"][0] = 7
    assert nodes[1].attrs["strides"] == [1, 1]


@pytest.mark.parametrize("text", [
    "x: float32[1,4,5,5] = input; w: float32[3,2,3,3] = const; y = conv2d(Input=x, Filter=w, groups=2); return y",
    "x: float32[1,4,2,2] = input; y = pool2d(x, ksize=[1, 1], strides=[9, 9], paddings=[0, 9, 0, 9]); return y",
    "x: float32[4,2] = input; i: int64[1] = const [7]; y = gather(x, Index=i); return y",
    'x: float32[4,2] = input; y = elementwise_add(x, x, fuse_activation="cube"); return y',
])
def test_operators_refuse_what_they_cannot_do(text):
    graph = graph_of(text)
    rng = np.random.default_rng(0)
    with pytest.raises(ConvertError):
        evaluate(graph, {"x": rng.standard_normal(graph.values["x"].shape).astype(np.float32)})
