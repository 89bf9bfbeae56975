"""What is to be made of a graph, and which of its operators there are on int8."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from converter.graph import Graph, Node, Value
from converter.quantise.params import HIGH, INT8, LOW, NARROW, Params, affine
from converter.quantise.rounding import Moments, compensated

PASSING = {"concat", "split", "channel_shuffle", "nearest_interp_v2"}
CUTTING = {"", "relu", "relu6", "clip"}
"""Activations that are bounds of the result."""
FEW = 4
"""A picture of so few channels is rounded to 12 bits while it gets its border."""


@dataclass
class Plan:
    """What to make of a graph. Names are those of values; a layer is called by its result.

    ranges: of what becomes int8; leader: values of one scale → one of them; reach: largest magnitude; moments: of what
    flows into each layer. float_layers stay float; narrow ones (layer → its input) have 7-bit weights and take 7-bit
    numbers, which relaxed SIMD multiplies twice as fast; depthwise: those that have 8-bit weights instead, with sums of
    ROWS; limits: the largest whole weight of the others.
    """

    ranges: dict[str, tuple[float, float]]
    leader: dict[str, str]
    reach: dict[str, float]
    moments: dict[str, Moments] = field(default_factory=dict)
    float_layers: set[str] = field(default_factory=set)
    narrow: dict[str, str] = field(default_factory=dict)
    depthwise: set[str] = field(default_factory=set)
    limits: dict[str, int] = field(default_factory=dict)
    done: dict[tuple[str, int, bytes], np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def params(self) -> dict[str, Params]:
        narrow = {self.leader.get(name, name) for name in self.narrow.values()}
        return {name: affine(*span, 0 if self.leader.get(name, name) in narrow else LOW, HIGH)
                for name, span in self.ranges.items()}

    def limit(self, layer: str) -> int:
        if layer not in self.narrow:
            return self.limits.get(layer, INT8)
        return INT8 if layer in self.depthwise else NARROW

    def rounded(self, layer: str, rows: np.ndarray, steps: np.ndarray, limit: int) -> np.ndarray:
        """rows [O, …] in units of their steps; computed once, for layers are tried in many ways."""
        key = (layer, limit, steps.tobytes())
        if key not in self.done:
            self.done[key] = compensated(rows, steps, limit, self.moments.get(layer))
        return self.done[key]

    def shift(self, layer: str, wrong: np.ndarray) -> np.ndarray:
        """What weights that are wrong by so much [O, …] add to each result on average."""
        moments = self.moments.get(layer)
        if moments is None or moments.count == 0:
            return np.zeros(len(wrong))
        groups, depth = moments.sums.shape
        return np.einsum("grk,gk->gr", wrong.reshape(groups, -1, depth), moments.mean).reshape(-1)


def is_layer(node: Node) -> bool:
    return node.type in ("conv2d", "fc")


def weight_slot(node: Node) -> str:
    return "Filter" if node.type == "conv2d" else "W"


def picture(value: Value) -> bool:
    """A 4-D float tensor of more than one pixel."""
    return len(value.shape) == 4 and value.dtype == "float32" and tuple(value.shape[2:]) != (1, 1)


def can_quantise(graph: Graph, node: Node) -> bool:
    """Whether there is an operator on int8 for this one. Shapes must have been inferred."""
    a, out = node.attrs, graph.values[node.out]
    source = graph.values[node.inputs[next(iter(node.inputs))][0]] if node.inputs else out
    if node.type == "conv2d":
        constant = all(graph.data_of(node.input(slot)) is not None for slot in ("Filter", "Bias") if node.input(slot))
        if not constant or a["data_format"] == "NHWC" or graph.data_of(node.inputs["Filter"][0]).dtype.kind != "f":
            return False
        if is_pixel(graph, node):
            return True
        few = range(1, FEW + 1)             # what only prepares a picture would lose its last bits
        if source.shape[1] in few and graph.values[node.inputs["Filter"][0]].shape[0] in few:
            return False
        return picture(source) and a["fuse_activation"] in CUTTING | {"hard_swish", "leaky_relu"} and not (
            a["fuse_activation"] == "clip" and (a["fuse_alpha"] > 0 or a["fuse_beta"] < 0))
    if node.type == "fc":
        return graph.data_of(node.inputs["W"][0]) is not None and \
            (node.input("Bias") is None or graph.data_of(node.input("Bias")) is not None)
    if node.type == "elementwise_mul":
        x, gate = (graph.values[name] for name in gated(graph, node))
        return picture(x) and not gate.is_constant and tuple(gate.shape) == (*x.shape[:2], 1, 1) \
            and a["fuse_activation"] == ""
    if not picture(source) or source.is_constant:
        return False
    if node.type == "elementwise_add":
        other = graph.values[node.inputs["Y"][0]]
        return alike(other, source) and not other.is_constant and a["fuse_activation"] in ("", "relu", "relu6")
    if node.type == "pool2d":
        if a["data_format"] == "NHWC":
            return False
        if tuple(out.shape[2:]) == (1, 1) and (a["global_pooling"] or a["adaptive"]):
            return a["pooling_type"] == "avg"
        return a["pooling_type"] == "max" and not a["adaptive"] and not a["global_pooling"]
    if node.type in ("concat", "split"):
        return a["axis"] in (1, -3) and all(picture(graph.values[n]) for n in node.input_names())
    if node.type == "nearest_interp_v2":
        return list(node.inputs) == ["X"] and a["data_layout"] == "NCHW"
    return node.type == "channel_shuffle" and a["data_format"] == "NCHW"


def alike(a: Value, b: Value) -> bool:
    """Of one shape, as far as that shows before run time: what is open in both may be the same size."""
    return len(a.shape) == len(b.shape) and all(
        p == q or isinstance(p, str) and isinstance(q, str) for p, q in zip(a.shape, b.shape, strict=True))


def gated(graph: Graph, node: Node) -> tuple[str, str]:
    """Picture and gate of a product."""
    x, y = (node.inputs[slot][0] for slot in ("X", "Y"))
    return (x, y) if picture(graph.values[x]) else (y, x)


def is_pixel(graph: Graph, node: Node) -> bool:
    """A 1x1 convolution of one pixel: a row of a matrix."""
    x, w = graph.values[node.inputs["Input"][0]], graph.values[node.inputs["Filter"][0]]
    return tuple(x.shape[1:]) == (w.shape[1], 1, 1) and tuple(w.shape[2:]) == (1, 1) and node.attrs["groups"] == 1 \
        and not node.input("ResidualData")


def is_usual_depthwise(graph: Graph, node: Node) -> bool:
    """Of 3x3 or 5x5, for which there is a faster kernel. Shapes must have been inferred."""
    a, out = node.attrs, graph.values[node.out].shape
    if node.type != "conv2d" or node.input("ResidualData"):
        return False
    shape = tuple(graph.values[node.inputs["Filter"][0]].shape)
    wide = isinstance(out[3], str) or out[3] >= 7
    return shape[1:] in ((1, 3, 3), (1, 5, 5)) and shape[0] == a["groups"] > 1 and wide \
        and tuple(a["strides"]) in ((1, 1), (2, 2)) and tuple(a["dilations"]) == (1, 1)


def ties(graph: Graph) -> dict[str, str]:
    """Values that must have one scale, because int8 only moves between them → the same one of them."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name
    for node in graph.nodes:
        moves = node.type in PASSING or (node.type == "pool2d" and node.attrs["pooling_type"] == "max")
        if moves and can_quantise(graph, node):
            names = [*node.inputs["X"], *node.outputs["Out"]]
            for name in names[1:]:
                leader[find(name)] = find(names[0])
    return {name: find(name) for name in list(leader)}
