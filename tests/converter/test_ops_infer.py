"""Inferred shapes and dtypes against what Paddle computed, with sizes known and with sizes open."""

import json
from pathlib import Path

import numpy as np
import pytest

from converter.errors import ConvertError
from converter.graph import Graph, Node, Value
from converter.ops import REGISTRY, evaluate
from converter.ops.infer import infer
from converter.ops.infer_rules import RULES
from tests.converter.pass_helpers import graph_of

NOT_OPS = {"preprocess"}
BY_VALUE = {"where_index", "masked_select", "unique", "multiclass_nms", "multiclass_nms3", "matrix_nms", "ctc_align",
            "generate_proposals_v2", "distribute_fpn_proposals", "collect_fpn_proposals", "write_to_array", "nms"}
"""How much these make depends on the elements they are given."""
FILES = sorted(p for p in (Path(__file__).parent.parent / "cases").glob("*.json") if p.stem not in NOT_OPS)
CASES = [case for path in FILES for case in json.loads(path.read_text())]


def graph_for(case: dict, open_sizes: bool) -> tuple[Graph, dict[str, int]]:
    """One node; with open_sizes each dimension of each fed tensor is a symbol. Returns the sizes of the symbols."""
    graph, inputs, sizes = Graph(), {}, {}
    for slot, tensors in case["inputs"].items():
        inputs[slot] = [f"{slot}.{i}" for i in range(len(tensors))]
        for name, tensor in zip(inputs[slot], tensors, strict=True):
            shape = tuple(tensor["shape"])
            data = None
            if slot in case["const"]:
                data = np.zeros(shape, tensor["dtype"])
            else:
                graph.inputs.append(name)
                if open_sizes:
                    symbols = tuple(f"{name}.{i}" for i in range(len(shape)))
                    sizes.update(zip(symbols, shape, strict=True))
                    shape = symbols
            graph.add_value(Value(name, shape, tensor["dtype"], data))
    outputs = [f"out.{i}" for i in range(len(case["outputs"]["Out"]))]
    for name in outputs:
        graph.add_value(Value(name))
    graph.nodes.append(Node(case["op"], inputs, {"Out": outputs}, case["attrs"], case["name"]))
    graph.outputs = outputs
    return graph, sizes


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_known_sizes(case):
    graph, _ = graph_for(case, open_sizes=False)
    infer(graph)
    given = {"Shape", "ShapeTensor", "ShapeTensorList", "OutSize", "SizeTensor", "Scale", "StartsTensor", "Start"}
    computed = case["op"] in BY_VALUE or not given.isdisjoint(case["inputs"])
    for name, tensor in zip(graph.outputs, case["outputs"]["Out"], strict=True):
        value = graph.values[name]
        assert value.dtype == tensor["dtype"]
        assert len(value.shape) == len(tensor["shape"])
        assert computed or list(value.shape) == tensor["shape"]
        assert all(have == want for have, want in zip(value.shape, tensor["shape"], strict=True)
                   if isinstance(have, int))


@pytest.mark.parametrize("case", [c for c in CASES if c["op"] not in ("squeeze2", "split")],
                         ids=[c["name"] for c in CASES if c["op"] not in ("squeeze2", "split")])
def test_open_sizes(case):
    """What is claimed must hold: a number is the number, an input's symbol is that input's size."""
    graph, sizes = graph_for(case, open_sizes=True)
    infer(graph)
    for name, tensor in zip(graph.outputs, case["outputs"]["Out"], strict=True):
        for have, want in zip(graph.values[name].shape, tensor["shape"], strict=False):
            assert sizes.get(have, want) == want if isinstance(have, str) else have == want


def test_every_operator_has_a_rule():
    assert sorted(set(REGISTRY) - set(RULES)) == []


def test_a_second_walk_does_not_mix_up_symbols():
    """A value whose shape no rule gives keeps its rank; its sizes are new unknowns each time."""
    graph = graph_of("x: float32[N,M,1] = input; y: float32[?1,?2] = squeeze2(x, axes=[1]); z = relu(x); return y, z")
    for _ in range(2):
        infer(graph)
        assert len(graph.values["y"].shape) == 2
        assert not set(graph.values["y"].shape) & set(graph.values["z"].shape)


def test_an_unknown_rank_spreads_and_equals_nothing():
    graph = graph_of("""
        x: float32[2,6] = input
        s: int32[K] = input
        a = reshape2(x, Shape=s)
        b = relu(a)
        c = reshape2(x, Shape=s)
        y = elementwise_add(b, c)
        return y
    """)
    for _ in range(2):
        infer(graph)
        assert len({graph.values[name].shape for name in "abcy"}) == 4
    made = evaluate(graph, {"x": np.ones((2, 6), np.float32), "s": np.array([3, 4], np.int32)})
    assert made["y"].shape == (3, 4)


def test_the_same_formula_is_the_same_symbol():
    graph = graph_of("""
        x: float32[1,3,H,W] = input
        w: float32[4,3,3,3] = const
        p: float32[4,3,1,1] = const
        a = conv2d(Input=x, Filter=w, strides=[2, 2], paddings=[1, 1, 1, 1])
        b = conv2d(Input=x, Filter=p, strides=[2, 2])
        c = pool2d(x, ksize=[2, 2], strides=[2, 2])
        d = conv2d(Input=x, Filter=w, paddings=[1, 1, 1, 1])
        return a, b, c, d
    """)
    a, b, c, d = (graph.values[name].shape for name in "abcd")
    assert a == b
    assert a[2:] != c[2:]
    assert a[2] != a[3]
    assert d == (1, 4, "H", "W")


def test_reshape_cancels_symbols():
    graph = graph_of("x: float32[N,6,H,4] = input; y = reshape2(x, shape=[0, 24, -1]); return y")
    assert graph.values["y"].shape == ("N", 24, "H")


def test_elements_of_shapes_are_followed():
    graph = graph_of("""
        x: float32[N,3,4] = input
        s = shape(Input=x, out_dtype="int64")
        n = slice(Input=s, axes=[0], starts=[0], ends=[1])
        c = slice(Input=s, axes=[0], starts=[1], ends=[3])
        two: int64[2] = const [2, 2]
        d = elementwise_mul(c, two)
        e = scale(d, scale=1.0, bias=1.0)
        t = concat(X=[n, e], axis=0)
        return t
    """)
    contents = infer(graph)
    assert contents["t"] == ["N", 7, 9]
    assert graph.values["t"].shape == (3,)


@pytest.mark.parametrize("text", [
    "x: float32[2,3] = input; z: float32[4] = input; y = elementwise_add(x, z); return y",
    "x: float32[2,3] = input; z: float32[2,4] = input; y = concat(X=[x, z], axis=0); return y",
    "x: float32[2,3] = input; w: float32[4,5] = const; y = fc(Input=x, W=w); return y",
    "x: float32[2,3] = input; z: float32[4,5] = input; y = matmul_v2(x, z); return y",
    "x: float32[2,3] = input; y = reshape2(x, shape=[4, -1]); return y",
    "x: float32[1,3,2,2] = input; w: float32[4,3,5,5] = const; y = conv2d(Input=x, Filter=w); return y",
    "x: float32[2,5] = input; y, z = split(x, axis=1, num=2); return y, z",
    "x: float32[2,5] = input; y = softmax(x); z = reduce_sum(y, dim=[2]); return z",
])
def test_contradictions_are_refused(text):
    with pytest.raises(ConvertError):
        graph_of(text)
