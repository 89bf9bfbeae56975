"""What the tests of --target paddlejs2 share: operator cases as graphs, and a net with a bit of everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from converter.convert import optimise
from converter.graph import Graph, Node, Value
from converter.graph.text import parse
from converter.ops import complete
from converter.passes import paddlejs2

CASES = Path(__file__).resolve().parents[1] / "cases"
NOT_OPERATORS = ("preprocess",)

NET = """
image: float32[N,3,32,40] = input
w1: float32[8,3,3,3] = const
b1: float32[8] = const
wd: float32[8,1,3,3] = const
we: float32[16,8,1,1] = const
wq: float32[4,16,1,1] = const
wx: float32[16,4,1,1] = const
wp: float32[8,16,1,1] = const
wt: float32[16,8,2,2] = const
wf: float32[16,5] = const
bf: float32[5] = const
c1 = conv2d(Input=image, Filter=w1, Bias=b1, strides=[2, 2], paddings=[1, 1, 1, 1])
r1 = relu6(c1)
d1 = conv2d(Input=r1, Filter=wd, strides=[2, 2], padding_algorithm="SAME", groups=8)
h1 = hard_swish(d1)
e1 = conv2d(Input=h1, Filter=we)
l1 = leaky_relu(e1, alpha=0.1)
s1 = pool2d(l1, pooling_type="avg", ksize=[1, 1], adaptive=true)
q1 = conv2d(Input=s1, Filter=wq)
q2 = relu(q1)
x1 = conv2d(Input=q2, Filter=wx)
x2 = hard_sigmoid(x1, slope=0.2, offset=0.5)
m1 = elementwise_mul(l1, x2)
p1 = conv2d(Input=m1, Filter=wp)
a1 = elementwise_add(h1, p1)
g1 = reshape2(a1, shape=[-1, 2, 4, 8, 10])
g2 = transpose2(g1, axis=[0, 2, 1, 3, 4])
g3 = reshape2(g2, shape=[-1, 8, 8, 10])
up = nearest_interp_v2(g3, scale=[2.0, 2.0])
k1 = concat(X=[r1, up], axis=1)
k2 = silu(k1)
k3 = reduce_mean(k2, dim=[2, 3])
f1 = fc(Input=k3, W=wf, Bias=bf)
scores = softmax(f1)
t1 = conv2d_transpose(Input=k2, Filter=wt, strides=[2, 2])
maps = sigmoid(t1)
return scores, maps
"""


def net(seed: int = 4) -> Graph:
    """The net with seeded weights of a usual size."""
    rng = np.random.default_rng(seed)
    sizes = {"w1": (8, 3, 3, 3), "b1": (8,), "wd": (8, 1, 3, 3), "we": (16, 8, 1, 1), "wq": (4, 16, 1, 1),
             "wx": (16, 4, 1, 1), "wp": (8, 16, 1, 1), "wt": (16, 8, 2, 2), "wf": (16, 5), "bf": (5,)}
    weights = {name: rng.normal(0, 0.4, size).astype(np.float32) for name, size in sizes.items()}
    graph = parse(NET, weights)
    for node in graph.nodes:
        complete(node)
    graph.meta["source"] = {"format": "text"}
    return graph


def lowered(graph: Graph, shapes: dict[str, tuple[int, ...]] | None = None) -> Graph:
    """Sizes fixed and every pass run."""
    return optimise(paddlejs2.fix_inputs(graph, shapes), "paddlejs2")


def all_cases() -> Iterator[dict[str, Any]]:
    for file in sorted(CASES.glob("*.json")):
        if file.stem not in NOT_OPERATORS:
            yield from json.loads(file.read_text())


def array(tensor: dict[str, Any]) -> np.ndarray:
    """A tensor of a case; "inf" and the like are words there."""
    data = [float(x) if isinstance(x, str) else x for x in tensor["data"]]
    return np.array(data, tensor["dtype"]).reshape(tensor["shape"])


def case_graph(case: dict[str, Any]) -> tuple[Graph, np.ndarray] | None:
    """A case as a graph of one picture, and that picture: the first float input that is no weight, behind a reshape.

    None where the case has no such input.
    """
    graph, inputs, picture, nodes = Graph(), {}, None, []
    for slot, tensors in case["inputs"].items():
        inputs[slot] = [f"{slot}{i}" for i in range(len(tensors))]
        for name, tensor in zip(inputs[slot], tensors, strict=True):
            data = array(tensor)
            if picture is not None or slot in case.get("const", []) or data.dtype != np.float32:
                graph.add_value(Value(name, data.shape, str(data.dtype), data))
                continue
            full = (1, 1, data.size // data.shape[-1], data.shape[-1]) if data.ndim else (1, 1, 1, 1)
            picture = data.reshape(full)
            graph.add_value(Value("picture", full))
            graph.add_value(Value(name, data.shape))
            graph.inputs = ["picture"]
            nodes.append(Node("reshape2", {"X": ["picture"]}, {"Out": [name]}, {"shape": list(data.shape)}))
    if picture is None:
        return None
    outputs = case["outputs"]["Out"]
    graph.outputs = [f"out{i}" for i in range(len(outputs))]
    for name, tensor in zip(graph.outputs, outputs, strict=True):
        graph.add_value(Value(name, tuple(tensor["shape"]), tensor["dtype"]))
    graph.nodes = [*nodes, Node(case["op"], inputs, {"Out": list(graph.outputs)}, dict(case["attrs"]))]
    for node in graph.nodes:
        complete(node)
    return graph, picture
