"""Control flow: read from both formats, computed, inferred, trimmed, written and read back."""

import json

import numpy as np
import pytest

from converter.errors import ConvertError
from converter.graph import Graph, Node, Value
from converter.ops import control, evaluate
from converter.ops.infer import infer
from converter.passes import prune
from converter.read import read
from converter.read.bundle import load_bundle
from converter.write import web
from tests.converter.programs import Legacy, Pir


def legacy_loop() -> Legacy:
    """while i < n: h = h + x where i < 1, else h * w; i += 1."""
    p = Legacy()
    p.feed("x", [-1, 3])
    p.feed("n", [1], "int32")
    p.param("w", np.array([2, 3, 4], np.float32))
    for name, shape, dtype in (("i", [1], "int32"), ("one", [1], "int32"), ("go", [1], "bool"),
                               ("h", [-1, 3], "float32")):
        p.var(name, shape, dtype)
    for name, value in (("i", 0.0), ("one", 1.0)):
        p.op("fill_constant", {}, {"Out": [name]}, shape=[1], dtype=2, value=value)
    p.op("scale", {"X": ["x"]}, {"Out": ["h"]}, scale=1.0, bias=0.0, bias_after_scale=True)
    p.op("less_than", {"X": ["i"], "Y": ["n"]}, {"Out": ["go"]})
    p.op("while", {"Condition": ["go"], "X": ["x", "n", "i", "h"]}, {"Out": ["go", "i", "h"], "StepScopes": ["s"]})
    main, loop = p.block, p.desc.blocks.add(idx=1, parent_idx=0)
    main.ops[-1].attrs.add(name="sub_block", type=8, block_idx=1)
    p.block = loop
    for name, shape, dtype in (("first", [1], "bool"), ("later", [1], "bool"), ("a", [-1, 3], "float32"),
                               ("b", [-1, 3], "float32"), ("which", [1], "int32"), ("c", [-1, 3], "float32")):
        p.var(name, shape, dtype)
    p.op("less_than", {"X": ["i"], "Y": ["one"]}, {"Out": ["first"]})
    p.op("logical_not", {"X": ["first"]}, {"Out": ["later"]})
    for index, (condition, out, kind, other) in enumerate((("first", "a", "elementwise_add", "x"),
                                                           ("later", "b", "elementwise_mul", "w")), 2):
        p.block = loop
        p.op("conditional_block", {"Cond": [condition], "Input": ["h"]}, {"Out": [out], "Scope": ["s"]},
             is_scalar_condition=True)
        loop.ops[-1].attrs.add(name="sub_block", type=8, block_idx=index)
        p.block = p.desc.blocks.add(idx=index, parent_idx=1)
        p.op(kind, {"X": ["h"], "Y": [other]}, {"Out": [out]}, axis=-1)
    p.block = loop
    p.op("cast", {"X": ["first"]}, {"Out": ["which"]}, in_dtype=0, out_dtype=2)
    p.op("select_input", {"X": ["b", "a"], "Mask": ["which"]}, {"Out": ["c"]})
    p.op("assign", {"X": ["c"]}, {"Out": ["h"]})
    p.op("increment", {"X": ["i"]}, {"Out": ["i"]}, step=1.0)
    p.op("less_than", {"X": ["i"], "Y": ["n"]}, {"Out": ["go"]})
    p.block = main
    p.fetch("h")
    p.fetch("i")
    return p


def pir_loop() -> Pir:
    """The same; what is carried has a name in the loop only, and one value is carried in vain."""
    p = Pir()
    w = p.param("w", np.array([2, 3, 4], np.float32))
    x, n = p.data("x", [-1, 3]), p.data("n", [1], "int32")
    zero, one = p.full(0, "int32"), p.full(1, "int32")
    go = p.op("less_than", [zero, n], [1], "bool")
    outer, p.ops = p.ops, []
    i, h, vain = -1, -2, -3
    first = p.op("less_than", [i, one], [1], "bool")
    inner, ways = p.ops, []
    for kind, other in (("add", x), ("multiply", w)):
        p.ops = []
        made = p.op(kind, [h, other], [-1, 3])
        ways.append([*p.ops, {"#": "2.yield", "I": [{"%": made}], "O": [], "A": [], "OA": []}])
    p.ops = inner
    chosen = p.op("if", [first], [-1, 3])
    p.ops[-1]["regions"] = [{"#": "r", "blocks": [{"#": "b", "args": [], "ops": ops}]} for ops in ways]
    step = p.op("scale", [i, p.full(1)], [1], "int32", bias=1.0, bias_after_scale=True)
    more = p.op("less_than", [step, n], [1], "bool")
    p.ops.append({"#": "2.yield", "I": [{"%": id} for id in (more, step, chosen, chosen)], "O": [], "A": [], "OA": []})
    body, p.ops = p.ops, outer
    outs = [p.result([1], "int32"), p.result([-1, 3]), p.result([-1, 3])]
    p.add("1.while", [go, zero, x, one], outs, {})
    args = [{"#": id, "TT": out["TT"]} for id, out in zip((i, h, vain), outs, strict=True)]
    p.ops[-1]["regions"] = [{"#": "r", "blocks": [{"#": "b", "args": args, "ops": body}]}]
    p.fetch(outs[1]["%"], "h")
    p.fetch(outs[0]["%"], "i")
    return p


def expected(x: np.ndarray, n: int) -> np.ndarray:
    h = x
    for i in range(n):
        h = h + x if i < 1 else h * np.array([2, 3, 4], np.float32)
    return h


X = np.arange(6, dtype=np.float32).reshape(2, 3)


def check(graph: Graph) -> None:
    for n in (0, 1, 3):
        out = evaluate(graph, {"x": X, "n": np.array([n], np.int32)})
        assert np.array_equal(out["h"], expected(X, n))
        assert (out["i"].tolist(), out["i"].dtype) == ([n], np.int32)


@pytest.mark.parametrize("program", [legacy_loop, pir_loop])
def test_loops_are_read_trimmed_inferred_written_and_read_back(program, tmp_path):
    graph = read(program().save(tmp_path / "m"))
    check(graph)
    graph = prune.run(graph)
    infer(graph)
    graph.check()
    loop = next(node for node in graph.nodes if node.type == "while")
    assert len(loop.outputs["Out"]) == 2    # what is carried in vain is gone
    assert [graph.values[name].shape for name in ("h", "i")] == [("x.0", 3), (1,)]
    assert [graph.values[name].dtype for name in ("h", "i")] == ["float32", "int32"]
    check(graph)
    (tmp_path / "b").mkdir()
    web.write(graph, tmp_path / "b")
    check(load_bundle(tmp_path / "b"))
    document = json.loads((tmp_path / "b" / "model.json").read_text())
    names = [name for op in (*document["ops"], *(op for block in document["blocks"] for op in block["ops"]))
             for given in op["outputs"].values() for name in given if name != "fetch"]
    assert len(set(names)) == len(names)


def growing() -> Graph:
    """Each round appends a row; the other carried value keeps its shape."""
    body = Graph(inputs=["rows", "i", "x"], outputs=["more", "longer", "next"])
    for name, shape, dtype in (("rows", ("?1", 3), "float32"), ("i", (1,), "float32"), ("x", ("n", 3), "float32"),
                               ("more", (1,), "bool"), ("longer", ("?2", 3), "float32"), ("next", (1,), "float32")):
        body.add_value(Value(name, shape, dtype))
    body.constant("limit", np.array([4], np.float32))
    scale = {"scale": 1.0, "bias": 1.0, "bias_after_scale": True}
    body.nodes = [Node("concat", {"X": ["rows", "x"]}, {"Out": ["longer"]}, {"axis": 0}),
                  Node("scale", {"X": ["i"]}, {"Out": ["next"]}, scale),
                  Node("less_than", {"X": ["next"], "Y": ["limit"]}, {"Out": ["more"]}, {"axis": -1})]
    graph = Graph(inputs=["x", "i", "go"], outputs=["all", "last"])
    for name, shape, dtype in (("x", ("n", 3), "float32"), ("i", (1,), "float32"), ("go", (1,), "bool"),
                               ("all", (), "float32"), ("last", (), "float32")):
        graph.add_value(Value(name, shape, dtype))
    graph.nodes = [Node("while", {"Condition": ["go"], "X": ["x", "i", "x"]}, {"Out": ["all", "last"]}, {"body": body})]
    return graph


def test_a_size_that_grows_is_open_and_the_others_are_known():
    graph = growing()
    infer(graph)
    rows, columns = graph.values["all"].shape
    assert str(rows).startswith("?") and columns == 3
    assert graph.values["last"].shape == (1,)
    feeds = {"x": X[:1], "i": np.zeros(1, np.float32), "go": np.array([True])}
    assert evaluate(graph, feeds)["all"].shape == (5, 3)
    assert evaluate(graph, feeds | {"go": np.array([False])})["all"].shape == (1, 3)


def test_a_loop_without_an_end_is_an_error(monkeypatch):
    monkeypatch.setattr(control, "MAX_STEPS", 10)
    graph = growing()
    graph.nodes[0].attrs["body"].values["limit"].data[:] = np.inf
    with pytest.raises(ConvertError, match="did not end within 10 steps"):
        evaluate(graph, {"x": X[:1], "i": np.zeros(1, np.float32), "go": np.array([True])})


def test_a_condition_of_several_elements_is_an_error():
    graph = growing()
    graph.values["go"].shape = (2,)
    with pytest.raises(ConvertError, match="a condition is one element"):
        evaluate(graph, {"x": X[:1], "i": np.zeros(1, np.float32), "go": np.array([True, True])})


@pytest.mark.parametrize("index", [0, 1, 7])
def test_blocks_within_themselves_or_missing_are_refused(index, tmp_path):
    p = legacy_loop()
    p.desc.blocks[1].ops[2].attrs[-1].block_idx = index
    with pytest.raises(ConvertError, match=f"runs block {index}, which does not exist, is another's or lies too deep"):
        read(p.save(tmp_path / "m"))


def test_a_bundle_whose_blocks_contain_themselves_is_refused(tmp_path):
    web.write(prune.run(read(legacy_loop().save(tmp_path / "m"))), tmp_path)
    document = json.loads((tmp_path / "model.json").read_text())
    next(op for op in document["blocks"][0]["ops"] if op["type"] == "if")["attrs"]["then"] = 0
    (tmp_path / "model.json").write_text(json.dumps(document))
    with pytest.raises(ConvertError, match="block 0 does not exist, is another's or lies too deep"):
        load_bundle(tmp_path)


def test_what_is_unsupported_inside_a_block_is_named(tmp_path):
    p = legacy_loop()
    p.desc.blocks[2].ops[0].type = b"warp_drive"
    with pytest.raises(ConvertError, match="warp_drive × 1"):
        read(p.save(tmp_path / "m"))
    q = legacy_loop()
    q.block.ops[-3].type = b"recurrent"
    with pytest.raises(ConvertError, match="this kind of control flow is not supported: recurrent"):
        read(q.save(tmp_path / "q"))
