"""Lists that loops fill, as both formats spell them."""

import numpy as np
import pytest

from converter.errors import ConvertError
from converter.graph import Graph
from converter.ops import evaluate
from converter.ops.infer import infer
from converter.read import read
from converter.schema import paddle as proto
from tests.converter.programs import Legacy, Pir

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def legacy_list() -> Legacy:
    """while i < n: rows.append(x * i); then rows stacked, joined, rows[1], rows[:2], len(rows)."""
    p = Legacy()
    p.feed("x", [-1, 3])
    p.feed("n", [1], "int64")
    for name, shape, dtype in (("i", [1], "int64"), ("go", [1], "bool"), ("stacked", [-1, -1, 3], "float32"),
                               ("joined", [-1, -1], "float32"), ("second", [-1, 3], "float32"),
                               ("two", [-1, -1, 3], "float32"), ("count", [1], "int64"), ("one", [1], "int64")):
        p.var(name, shape, dtype)
    rows = p.block.vars.add(name=b"rows")
    rows.type.type = proto.TENSOR_ARRAY
    for name, value in (("i", 0.0), ("one", 1.0)):
        p.op("fill_constant", {}, {"Out": [name]}, shape=[1], dtype=3, value=value)
    p.op("less_than", {"X": ["i"], "Y": ["n"]}, {"Out": ["go"]})
    p.op("while", {"Condition": ["go"], "X": ["x", "n", "i"]}, {"Out": ["go", "i", "rows"], "StepScopes": ["s"]})
    main, loop = p.block, p.desc.blocks.add(idx=1, parent_idx=0)
    main.ops[-1].attrs.add(name="sub_block", type=8, block_idx=1)
    p.block = loop
    for name, shape, dtype in (("f", [1], "float32"), ("row", [-1, 3], "float32"), ("end", [1], "int64")):
        p.var(name, shape, dtype)
    p.op("cast", {"X": ["i"]}, {"Out": ["f"]}, in_dtype=3, out_dtype=5)
    p.op("elementwise_mul", {"X": ["x"], "Y": ["f"]}, {"Out": ["row"]}, axis=-1)
    p.op("lod_array_length", {"X": ["rows"]}, {"Out": ["end"]})
    p.op("write_to_array", {"X": ["row"], "I": ["end"]}, {"Out": ["rows"]})
    p.op("increment", {"X": ["i"]}, {"Out": ["i"]}, step=1.0)
    p.op("less_than", {"X": ["i"], "Y": ["n"]}, {"Out": ["go"]})
    p.block = main
    p.op("tensor_array_to_tensor", {"X": ["rows"]}, {"Out": ["stacked"], "OutIndex": ["z"]}, axis=1, use_stack=True)
    p.op("tensor_array_to_tensor", {"X": ["rows"]}, {"Out": ["joined"], "OutIndex": ["z"]}, axis=-1, use_stack=False)
    p.op("read_from_array", {"X": ["rows"], "I": ["one"]}, {"Out": ["second"]})
    p.op("slice", {"Input": ["rows"]}, {"Out": ["two"]}, axes=[0], starts=[0], ends=[2], decrease_axis=[])
    p.op("lod_array_length", {"X": ["rows"]}, {"Out": ["count"]})
    for name in ("stacked", "joined", "second", "two", "count"):
        p.fetch(name)
    return p


def pir_list(axis: int = -1) -> Pir:
    """The same; the list is written in place inside the loop."""
    p = Pir()

    def array(name, inputs, **attrs):
        out = p.result([-1, 3])
        out["TT"] = {"#": "1.t_dense_tensor_array", "D": [{"#": "0.t_f32"}, [-1, 3], "NCHW"]}
        return p.add(f"1.{name}", inputs, [out], attrs)

    x, n = p.data("x", [-1, 3]), p.data("n", [1], "int64")
    zero, one = p.full(0, "int64"), p.full(1, "int64")
    rows = array("create_array", [], dtype={"#": "1.a_dtype", "D": "Undefined(ALL_DTYPE)"})
    go = p.op("less_than", [zero, n], [1], "bool")
    outer, p.ops, i = p.ops, [], -1
    f = p.add("1.cast", [i], [p.result([1])], {"dtype": {"#": "1.a_dtype", "D": "float32"}})
    row = p.op("multiply", [x, f], [-1, 3])
    array("array_write_", [rows, row, p.op("array_length", [rows], [1], "int64")])
    step = p.op("scale", [i, p.full(1)], [1], "int64", bias=1.0, bias_after_scale=True)
    more = p.op("less_than", [step, n], [1], "bool")
    p.ops.append({"#": "2.yield", "I": [{"%": more}, {"%": step}], "O": [], "A": [], "OA": []})
    body, p.ops = p.ops, outer
    out = p.result([1], "int64")
    p.add("1.while", [go, zero], [out], {})
    p.ops[-1]["regions"] = [{"#": "r", "blocks": [{"#": "b", "args": [{"#": i, "TT": out["TT"]}], "ops": body}]}]
    p.fetch(p.op("array_to_tensor", [rows], [-1, -1, 3], axis=1, use_stack=True), "stacked")
    p.fetch(p.op("array_to_tensor", [rows], [-1, -1], axis=axis, use_stack=False), "joined")
    p.fetch(p.op("array_read", [rows, one], [-1, 3]), "second")
    p.fetch(array("slice_array", [rows, p.ints(0), p.ints(2)]), "two")
    p.fetch(p.op("array_length", [rows], [1], "int64"), "count")
    return p


def check(graph: Graph, n: int) -> None:
    rows = [X * i for i in range(n)]
    out = evaluate(graph, {"x": X, "n": np.array([n])})
    assert np.array_equal(out["stacked"], np.stack(rows, 1))
    assert np.array_equal(out["joined"], np.concatenate(rows, -1))
    assert np.array_equal(out["second"], rows[1])
    assert np.array_equal(out["two"], rows[:2])
    assert out["count"].tolist() == [n] and out["count"].dtype == np.int64


@pytest.mark.parametrize("program", [legacy_list, pir_list])
def test_a_list_is_filled_and_taken_apart(program, tmp_path):
    graph = read(program().save(tmp_path / "m"))
    for n in (2, 5):
        check(graph, n)
    infer(graph)
    graph.check()
    assert [graph.values[name].shape[-1] for name in ("stacked", "second", "two")] == [3, 3, 3]
    check(graph, 3)


def test_an_axis_that_the_elements_lack_is_refused(tmp_path):
    with pytest.raises(ConvertError, match="axis 2 is outside a result of 2 dimensions"):
        read(pir_list(axis=2).save(tmp_path / "m"))


@pytest.mark.parametrize(("at", "element", "message"), [
    (3, X, "place 3 is outside a list of 2 elements"), (-1, X, "place -1 is outside"),
    (1, X[:1], r"an element \[1, 3\] differs from the list's, \[2, 3\]"),
])
def test_what_does_not_fit_a_list_is_an_error(at, element, message):
    from converter.graph.text import parse
    graph = parse("x: float32[n,3] = input; i: int64[1] = input; a: float32[m,n2,3] = input; "
                  "y = write_to_array(x, I=i, Array=a); return y")
    with pytest.raises(ConvertError, match=message):
        evaluate(graph, {"x": element, "i": np.array([at]), "a": np.stack([X, X])})
