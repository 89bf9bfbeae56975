"""Rounding that makes up for itself, channels brought to one range, one byte a weight in layers that stay float."""

import numpy as np
import pytest

from converter.executor import Executor
from converter.graph import Graph
from converter.graph.text import parse
from converter.ops import complete, evaluate
from converter.ops.infer import infer
from converter.quantise import Options, equalise, quantise, shuffle
from converter.quantise.params import nearest, rows_of, whole
from converter.quantise.plan import ties
from converter.quantise.rounding import Moments, compensated, moments_for, taken
from converter.read.bundle import load_bundle
from converter.write import web
from tests.converter.test_quantise import Numpy, inputs, net

RNG = np.random.default_rng


def graph_of(text: str, seed: int = 5) -> Graph:
    graph, rng = parse(text), RNG(seed)
    for value in graph.values.values():
        if value.is_constant:
            value.data = rng.standard_normal(value.shape).astype(np.float32)
    for node in graph.nodes:
        complete(node)
    infer(graph)
    return graph


@pytest.mark.parametrize("groups", [1, 4])
def test_inputs_that_go_together_are_rounded_together(groups):
    """Each input is nearly the sum of two others: what one column errs, its neighbours make up for."""
    rng = RNG(0)
    hidden = rng.standard_normal((groups, 4000, 6)).astype(np.float32) + 1
    x = hidden @ rng.standard_normal((groups, 6, 24)).astype(np.float32)
    x += 0.02 * rng.standard_normal(x.shape).astype(np.float32)
    moments = Moments(groups, 24, 1)
    moments.add(x)
    rows = rng.standard_normal((8 * groups, 24))
    _, steps = whole(rows, 63)
    errors = []
    for q in (nearest(rows, steps, 63), compensated(rows, steps, 63, moments)):
        assert q.dtype == np.int8 and np.abs(q).max() <= 63
        wrong = (q * steps[:, None] - rows).reshape(groups, 8, 24)
        result = x @ wrong.transpose(0, 2, 1)
        errors.append((result - result.mean(1, keepdims=True)).std())
    assert errors[1] < 0.5 * errors[0]
    assert np.array_equal(compensated(rows, steps, 63, None), nearest(rows, steps, 63))


CONVS = ["", ", strides=[2, 2], paddings=[1, 1, 1, 1]", ", paddings=[0, 2, 1, 0], dilations=[2, 1]", ", groups=2",
         ', padding_algorithm="SAME", strides=[2, 2]']


@pytest.mark.parametrize("window", CONVS)
def test_what_is_taken_is_what_results_are_made_of(window):
    channels = 2 if "groups" in window else 4
    graph = graph_of(f"x: float32[2,4,9,7] = input\nw: float32[6,{channels},3,2] = const\n"
                     f"y: float32[2,6,?,?] = conv2d(Input=x, Filter=w{window})\nreturn y\n".replace("?,?", "H,W"))
    node, x = graph.nodes[0], RNG(1).standard_normal((2, 4, 9, 7)).astype(np.float32)
    found = taken(node, x, (3, 2), 10_000, RNG(2))
    groups = node.attrs["groups"]
    rows = rows_of("conv2d", graph.data_of("w")).reshape(groups, 6 // groups, -1)
    ours = np.sort((found @ rows.transpose(0, 2, 1)).transpose(1, 0, 2).reshape(-1, 6), 0)
    theirs = np.sort(evaluate(graph, {"x": x})["y"].transpose(0, 2, 3, 1).reshape(-1, 6), 0)
    assert ours.shape == theirs.shape and np.abs(ours - theirs).max() < 1e-4
    assert moments_for(node, (6, channels, 3, 2), 5).mean.shape == (groups, channels * 6)


def test_what_is_too_deep_has_no_moments():
    assert moments_for(net().nodes[0], (8, 4000, 3, 3), 1) is None


CHAIN = """
x: float32[N,3,8,8] = input
w: float32[8,3,3,3] = const
c: float32[8] = const
d: float32[8,1,3,3] = const
p: float32[8,8,1,1] = const
q: float32[8,4,1,1] = const
f: float32[16,5] = const
a: float32[N,8,8,8] = conv2d(Input=x, Filter=w, Bias=c, paddings=[1, 1, 1, 1], fuse_activation="relu")
b: float32[N,8,8,8] = conv2d(Input=a, Filter=d, paddings=[1, 1, 1, 1], groups=8)
e: float32[N,8,8,8] = conv2d(Input=b, Filter=p, ResidualData=a)
l: float32[N,4,8,8], r: float32[N,4,8,8] = split(X=e, axis=1, num=2)
g: float32[N,8,8,8] = conv2d(Input=l, Filter=q, fuse_activation="leaky_relu", fuse_alpha=0.1)
h: float32[N,12,8,8] = concat(X=[r, g], axis=1)
i: float32[N,4,8,8] = relu(X=l)
j: float32[N,16,8,8] = concat(X=[h, i], axis=1)
k: float32[N,16,1,1] = pool2d(X=j, pooling_type="avg", ksize=[1, 1], global_pooling=true)
m: float32[N,16] = reshape2(X=k, shape=[0, 16])
y: float32[N,5] = fc(Input=m, W=f)
return y
"""


def reach_of(graph: Graph, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = [name for node in graph.nodes for name in node.output_names() if len(graph.values[name].shape) == 4]
    found = evaluate(Graph(graph.values, graph.nodes, graph.inputs, names), feeds)
    return {name: np.abs(array).max((0, 2, 3)) for name, array in found.items() if array.shape[2] > 1}


def test_equalised_channels_compute_the_same():
    graph = graph_of(CHAIN)
    graph.data_of("w")[:] *= np.geomspace(0.05, 1, 8, dtype=np.float32)[:, None, None, None]
    feeds = {"x": RNG(3).standard_normal((2, 3, 8, 8)).astype(np.float32)}
    before, exact = reach_of(graph, feeds), evaluate(graph, feeds)["y"]
    equalise.run(graph, equalise.channels(graph), before, ties(graph))
    assert np.abs(evaluate(graph, feeds)["y"] - exact).max() < 1e-4 * np.ptp(exact)
    after = reach_of(graph, feeds)
    for name in ("a", "b"):
        assert (after[name] / after[name].max()).mean() > 1.2 * (before[name] / before[name].max()).mean()
    leader = ties(graph)
    for name in after:
        spans = [one.max() for other, one in before.items() if leader.get(other, other) == leader.get(name, name)]
        assert after[name].max() < 1.01 * max(spans)


@pytest.mark.parametrize("stop", ['a: float32[N,8,8,8] = conv2d(Input=x, Filter=w, Bias=c, paddings=[1, 1, 1, 1], '
                                  'fuse_activation="relu6", fuse_alpha=6.0)', "out"])
def test_channels_whose_size_matters_are_left(stop):
    lines = CHAIN.splitlines()
    text = "\n".join(stop if line.startswith("a: ") and stop != "out" else line for line in lines)
    graph = graph_of(text.replace("return y", "return y, a") if stop == "out" else text)
    found = equalise.channels(graph)
    assert "a" not in found.free({}) and "e" not in found.free({}) and "b" in found.free({})


def test_shuffled_channels_keep_their_factors():
    text = """
x: float32[N,4,6,6] = input
w: float32[8,4,1,1] = const
u: float32[8,8,1,1] = const
a: float32[N,8,6,6] = conv2d(Input=x, Filter=w)
b: float32[N,2,4,6,6] = reshape2(X=a, shape=[0, 2, 4, 6, 6])
c: float32[N,4,2,6,6] = transpose2(X=b, axis=[0, 2, 1, 3, 4])
d: float32[N,8,6,6] = reshape2(X=c, shape=[0, 8, 6, 6])
y: float32[N,8,6,6] = conv2d(Input=d, Filter=u)
return y
"""
    graph = shuffle.run(graph_of(text))
    graph.data_of("w")[:] *= np.geomspace(0.1, 1, 8, dtype=np.float32)[:, None, None, None]
    feeds = {"x": RNG(3).standard_normal((1, 4, 6, 6)).astype(np.float32)}
    exact = evaluate(graph, feeds)["y"]
    equalise.run(graph, equalise.channels(graph), reach_of(graph, feeds), ties(graph))
    assert not np.array_equal(graph.data_of(graph.nodes[0].inputs["Filter"][0]), graph.data_of("w"))
    assert np.abs(evaluate(graph, feeds)["y"] - exact).max() < 1e-5 * np.ptp(exact)


def test_a_layer_that_stays_float_takes_one_byte_a_weight(tmp_path):
    """With no room for two bytes; the page reads back the very numbers that were measured."""
    graph = net()
    made = quantise(graph, inputs(), Numpy, Options(budget=0.0, size=0.3))
    stays = [layer.name for layer in made.report.layers if layer.precision == "float, weights of 8 bits"]
    assert stays and made.page.meta["rounded"] and made.report.error < 0.02
    web.write(made.page, tmp_path, "int8")
    again, feeds = load_bundle(tmp_path), inputs(1, seed=4)[0]
    exact = evaluate(graph, feeds)["y"]
    for name, (axis, scales) in made.page.meta["rounded"].items():
        apart = again.data_of(name) - made.page.data_of(name)
        assert axis == 0 and scales.dtype == np.float32 and np.abs(apart).max() < 1e-6
    found = evaluate(again, feeds)["y"]
    with Executor(again, ["y"]) as run:
        assert np.abs(run(feeds)["y"] - found).max() < 0.02 * np.ptp(exact)
    assert np.abs(found - exact).max() < 0.05 * np.ptp(exact)
