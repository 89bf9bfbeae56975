"""Graph text: what is written reads back the same, and mistakes name their line."""

import math

import numpy as np
import pytest

from converter.errors import ConvertError
from converter.graph import Graph, Node
from converter.graph.text import dump, node_text, parse

NET = """
x: float32[N,3,H,W] = input   # a picture
w: float32[8,3,3,3] = const
k: int64[2] = const [4, -1]
y = conv2d(Input=x, Filter=w, strides=[1, 2], padding_algorithm="SAME", groups=1)
z: float32[N,8,?1,?2] = relu(y); a, b = split(X=z, axis=1, num=2)
c = concat(X=[a, b], axis=1)
return c, `odd name`
`odd name` = scale(c, scale=0.5, bias=-inf)
"""


def test_reads_values_nodes_and_attributes():
    graph = parse(NET)
    assert graph.inputs == ["x"] and graph.outputs == ["c", "odd name"]
    assert graph.values["x"].shape == ("N", 3, "H", "W")
    assert graph.values["z"].shape == ("N", 8, "?1", "?2")
    assert graph.values["k"].data.tolist() == [4, -1]
    conv, relu, split, concat, scale = graph.nodes
    assert conv == Node("conv2d", {"Input": ["x"], "Filter": ["w"]}, {"Out": ["y"]},
                        {"strides": [1, 2], "padding_algorithm": "SAME", "groups": 1})
    assert relu.inputs == {"X": ["y"]}
    assert split.outputs == {"Out": ["a", "b"]}
    assert concat.inputs == {"X": ["a", "b"]}
    assert scale.attrs == {"scale": 0.5, "bias": -math.inf}


def test_dump_reads_back_the_same():
    graph = parse(NET)
    again = parse(dump(graph), constants={"w": graph.values["w"].data})
    assert dump(again) == dump(graph)
    assert again.nodes == graph.nodes
    assert np.array_equal(again.values["w"].data, graph.values["w"].data)


@pytest.mark.parametrize("value", [True, None, "a \"b\"\n\\", [1, [2.5, "x"]], 1e-05, -math.inf, [], -3])
def test_attributes_survive(value):
    graph = parse("x: float32[1] = input\ny = relu(x)\nreturn y")
    graph.nodes[0].attrs["a"] = value
    assert parse(dump(graph)).nodes[0].attrs["a"] == value


def test_other_output_slots():
    graph = parse("x: float32[1] = input\nh, State=s: float32[2] = rnn(x)\nreturn h, s")
    assert graph.nodes[0].outputs == {"Out": ["h"], "State": ["s"]}
    assert node_text(graph.nodes[0]) == "h, State=s = rnn(X=x)"
    assert parse(dump(graph)).nodes == graph.nodes


def test_pattern_has_free_inputs():
    graph = parse("s = sigmoid(x); y = elementwise_mul(x, s); return y", free_inputs=True)
    assert graph.inputs == ["x"]
    assert graph.nodes[1].inputs == {"X": ["x"], "Y": ["s"]}


def test_constants_come_from_the_caller_or_the_name():
    text = "w: float32[2] = const\ny = relu(w)\nreturn y"
    assert parse(text, {"w": np.float32([1, 2])}).values["w"].data.tolist() == [1, 2]
    assert np.array_equal(parse(text).values["w"].data, parse(text).values["w"].data)


@pytest.mark.parametrize("text, message", [
    ("y = relu(x)\nreturn y", "read before anything writes it"),
    ("x: float32[1] = input\ny = relu(x)", "no 'return'"),
    ("x: float33[1] = input\nreturn x", "line 1: unknown dtype 'float33'"),
    ("x: float32[1] = input\ny = relu(x\nreturn y", r"line 2: expected '\)'"),
    ("x: float32[1] = input\ny = relu(x, 3)\nreturn y", "line 2: the attribute 3 of relu needs a name"),
    ("k: int64[2] = const [1]\nreturn k", "k needs 2 numbers, got 1"),
    ("x: float32[1] = input\ny = $", "line 2: unexpected character '\\$'"),
    ("x: float32[1] = input\nx = relu(x)\nreturn x", "used twice"),
])
def test_mistakes_are_named(text, message):
    with pytest.raises(ConvertError, match=message):
        parse(text)


def test_empty_graph_dumps():
    assert dump(Graph(outputs=["a"])) == "return a\n"
