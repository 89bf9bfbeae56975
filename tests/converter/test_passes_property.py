"""Random small graphs compute the same after every pass of every pipeline."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converter.graph import Graph, Node, Value
from converter.ops import complete, evaluate
from converter.ops.infer import infer
from converter.passes import relax
from converter.passes.pipelines import PIPELINES
from tests.converter.pass_helpers import assert_same, feeds_for

ACTIVATIONS = ["relu", "relu6", "sigmoid", "tanh", "silu", "hard_swish", "hard_sigmoid", "leaky_relu", "swish", "mish"]


class Maker:
    """Grows a graph of pictures [1,C,H,W] from a stream of choices."""

    def __init__(self, choose, open_sizes: bool) -> None:
        self.choose, self.graph, self.count = choose, Graph(inputs=["x"]), 0
        self.rng = np.random.default_rng(choose(1 << 16))
        size = ("H", "W") if open_sizes else (6, 7)
        self.graph.add_value(Value("x", (1, 4, *size)))
        self.pictures = ["x"]

    def pick(self, options: list):
        return options[self.choose(len(options) - 1)]

    def weight(self, *shape: int, low: float = -1.0) -> str:
        return self.graph.constant("w", self.rng.uniform(low, 1.5, shape).astype(np.float32)).name

    def node(self, type: str, inputs: dict[str, list[str]], **attrs) -> str:
        self.count += 1
        name = f"v{self.count}"
        node = Node(type, inputs, {"Out": [name]}, attrs)
        complete(node)
        self.graph.add_value(Value(name))
        self.graph.nodes.append(node)
        infer(self.graph)
        return name

    def channels(self, name: str) -> int:
        return int(self.graph.values[name].shape[1])

    def step(self) -> None:
        x = self.pick(self.pictures[-3:])
        self.pictures.append(getattr(self, self.pick(["conv", "conv", "deconv", "norm", "act", "act", "constant", "add",
                                                      "gate", "idle", "pool", "shuffle", "shape"]))(x))

    def conv(self, x: str) -> str:
        c, o = self.channels(x), self.pick([1, 3, 4])
        groups = self.pick([1, c])
        o = c if groups == c else o
        kernel, stride = self.pick([(1, 1), (3, 1), (3, 2)])
        inputs = {"Input": [x], "Filter": [self.weight(o, c // groups, kernel, kernel)]}
        if self.choose(1):
            inputs["Bias"] = [self.weight(o)]
        return self.node("conv2d", inputs, strides=[stride] * 2, paddings=[kernel // 2] * 4, groups=groups)

    def deconv(self, x: str) -> str:
        return self.node("conv2d_transpose", {"Input": [x], "Filter": [self.weight(self.channels(x), 3, 2, 2)]})

    def norm(self, x: str) -> str:
        c = self.channels(x)
        slots = {slot: [self.weight(c)] for slot in ("Scale", "Bias", "Mean")}
        return self.node("batch_norm", {"X": [x], **slots, "Variance": [self.weight(c, low=0.3)]})

    def act(self, x: str) -> str:
        return self.node(self.pick(ACTIVATIONS), {"X": [x]})

    def constant(self, x: str) -> str:
        c = self.channels(x)
        shape, axis = self.pick([((1,), -1), ((c,), 1), ((1, c, 1, 1), -1), ((c, 1, 1), -1)])
        k = self.weight(*shape, low=0.4)
        sides = {"X": [x], "Y": [k]} if self.choose(1) or axis == 1 else {"X": [k], "Y": [x]}
        return self.node(self.pick(["elementwise_add", "elementwise_mul", "elementwise_sub"]), sides, axis=axis)

    def add(self, x: str) -> str:
        same = [p for p in self.pictures if self.graph.values[p].shape == self.graph.values[x].shape]
        return self.node("elementwise_add", {"X": [x], "Y": [self.pick(same)]})

    def gate(self, x: str) -> str:
        return self.node("elementwise_mul", {"X": [x], "Y": [self.node("sigmoid", {"X": [x]})]})

    def idle(self, x: str) -> str:
        type, attrs = self.pick([("scale", {"scale": 1.0}), ("assign", {}), ("transpose2", {"axis": [0, 1, 2, 3]}),
                                 ("cast", {"out_dtype": "float32"}), ("scale", {"scale": 0.5, "bias": 1.0})])
        return self.node(type, {"X": [x]}, **attrs)

    def pool(self, x: str) -> str:
        kind = self.pick(["max", "avg"])
        return self.node("pool2d", {"X": [x]}, ksize=[3, 3], paddings=[1, 1, 1, 1], pooling_type=kind)

    def shuffle(self, x: str) -> str:
        turned = self.node("transpose2", {"X": [x]}, axis=[0, 2, 3, 1])
        return self.node("transpose2", {"X": [turned]}, axis=[0, 3, 1, 2])

    def shape(self, x: str) -> str:
        sizes = self.node("shape", {"Input": [x]})
        return self.node("reshape2", {"X": [x], "Shape": [sizes]})


@pytest.mark.parametrize("open_sizes", [False, True])
@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_pass_keeps_the_numbers(open_sizes, data):
    maker = Maker(lambda most: data.draw(st.integers(0, most)), open_sizes)
    for _ in range(data.draw(st.integers(1, 9))):
        maker.step()
    graph = maker.graph
    graph.outputs = list(dict.fromkeys([maker.pictures[-1], maker.pick(maker.pictures)]))
    graph.outputs = [name for name in graph.outputs if name != "x"] or [maker.act("x")]
    graph.check()
    feeds = feeds_for(graph)
    want = evaluate(graph, feeds)
    for run in [relax.run, *(run for run, _ in PIPELINES["web"])]:
        graph = run(graph)
        graph.check()
        assert_same(want, evaluate(graph, feeds), tol=2e-5)
