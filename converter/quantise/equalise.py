"""Channels that share a scale, brought to one range: what makes a channel is divided, what takes it is multiplied by as
much, so that the model computes what it did (cross-layer equalisation: Nagel et al. 2019, arXiv:1906.04721)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from converter.graph import Graph, Node
from converter.quantise.plan import gated, picture

_LEAST = 1 / 32
"""A channel is made at most so many times larger: what it never did while it was watched would be cut."""
_SHARE = 0.75
"""How far towards one range, as a power: the rest of the way costs weights more than it gives activations."""
_HOMOGENEOUS = {"", "relu", "leaky_relu"}
"""Activations that pass a positive factor on."""
_ALIKE = {"relu", "leaky_relu", "pool2d", "nearest_interp_v2", "bilinear_interp_v2"}
_WEIGHTS = {"conv2d": "Filter", "fc": "W"}


@dataclass
class Channels:
    """Which channels must have one factor. of: value → number of each channel; parent: number → a number of the same
    kind; fixed: those whose factor stays 1."""

    of: dict[str, np.ndarray] = field(default_factory=dict)
    parent: list[int] = field(default_factory=list)
    fixed: set[int] = field(default_factory=set)

    def find(self, number: int) -> int:
        while self.parent[number] != number:
            self.parent[number] = self.parent[self.parent[number]]
            number = self.parent[number]
        return number

    def new(self, count: int, fixed: bool) -> np.ndarray:
        numbers = np.arange(len(self.parent), len(self.parent) + count)
        self.parent += numbers.tolist()
        self.fixed |= set(numbers.tolist()) if fixed else set()
        return numbers

    def join(self, a: np.ndarray, b: np.ndarray) -> None:
        for one, other in zip(a.tolist(), b.tolist(), strict=True):
            self.parent[self.find(one)] = self.find(other)

    def fix(self, name: str) -> None:
        self.fixed |= set(self.of.get(name, np.zeros(0, int)).tolist())

    def free(self, leader: dict[str, str]) -> list[str]:
        """Values that have a channel whose factor may be another than 1, and those of one scale with them."""
        free = {leader.get(name, name) for name in self.of if not self.fixed.issuperset(self.roots(name).tolist())}
        return [name for name in self.of if leader.get(name, name) in free]

    def roots(self, name: str) -> np.ndarray:
        return np.array([self.find(number) for number in self.of[name].tolist()])


def channels(graph: Graph) -> Channels:
    """Of an optimised float graph whose shapes are inferred."""
    found = Channels()
    for name in graph.inputs:
        _declare(graph, found, name, fixed=True)
    for node in graph.nodes:
        if not _follow(graph, found, node):
            for name in node.input_names():
                found.fix(name)
            for name in node.output_names():
                _declare(graph, found, name, fixed=True)
    for name in graph.outputs:
        found.fix(name)
    found.fixed = {found.find(number) for number in found.fixed}
    return found


def _declare(graph: Graph, found: Channels, name: str, fixed: bool) -> None:
    shape = graph.values[name].shape
    if len(shape) in (2, 4) and isinstance(shape[1], int):
        found.of[name] = found.new(shape[1], fixed)


def _follow(graph: Graph, found: Channels, node: Node) -> bool:
    """Whether this operator hands factors of its channels on, or (layers) can take them up."""
    a, names = node.attrs, [name for name in node.input_names() if not graph.values[name].is_constant]
    if any(name not in found.of for name in names) or a.get("data_format", "NCHW") not in ("NCHW", "AnyLayout"):
        return False
    if node.type in _WEIGHTS:
        return _layer(graph, found, node)
    first = found.of[names[0]] if names else None
    if first is None or a.get("fuse_activation", "") not in _HOMOGENEOUS:
        return False
    if node.type in _ALIKE and len(names) == 1 and len(graph.values[node.out].shape) == 4:
        found.of[node.out] = first
    elif node.type == "elementwise_add" and len(names) == 2 and len(first) == len(found.of[names[1]]) \
            and all(picture(graph.values[name]) for name in names):
        found.join(first, found.of[names[1]])
        found.of[node.out] = first
    elif node.type == "elementwise_mul" and len(names) == 2 and picture(graph.values[node.out]) \
            and tuple(graph.values[gated(graph, node)[1]].shape[2:]) == (1, 1):
        x, gate = gated(graph, node)
        found.fix(gate)
        found.of[node.out] = found.of[x]
    elif node.type == "concat" and a["axis"] in (1, -3) and list(node.inputs) == ["X"] and picture(
            graph.values[node.out]):
        found.of[node.out] = np.concatenate([found.of[name] for name in names])
    elif node.type == "split" and a["axis"] in (1, -3) and list(node.inputs) == ["X"] and picture(
            graph.values[names[0]]):
        ends = np.cumsum([graph.values[name].shape[1] for name in node.outputs["Out"]])
        for name, part in zip(node.outputs["Out"], np.split(first, ends[:-1]), strict=True):
            found.of[name] = part
    elif node.type == "channel_shuffle":
        found.of[node.out] = first.reshape(a["groups"], -1).T.reshape(-1)
    elif node.type in ("reshape2", "flatten_contiguous_range") and _flattens(graph, node):
        found.of[node.out] = first
    else:
        return False
    return True


def _flattens(graph: Graph, node: Node) -> bool:
    """[N, C, 1, 1] → [N, C]."""
    x, out = graph.values[node.inputs["X"][0]].shape, graph.values[node.out].shape
    return list(node.inputs) == ["X"] and len(x) == 4 and tuple(x[2:]) == (1, 1) and tuple(out) == tuple(x[:2])


def _layer(graph: Graph, found: Channels, node: Node) -> bool:
    weight = graph.data_of(node.inputs[_WEIGHTS[node.type]][0])
    constant = weight is not None and weight.dtype.kind == "f" and \
        (not node.input("Bias") or graph.data_of(node.input("Bias")) is not None)
    if not constant:
        return False
    if node.type == "fc":
        if len(graph.values[node.inputs["Input"][0]].shape) != 2:
            return False
        _declare(graph, found, node.out, fixed=True)
        return True
    free = node.attrs["fuse_activation"] in _HOMOGENEOUS and picture(graph.values[node.out])
    _declare(graph, found, node.out, fixed=not free)
    if residual := node.input("ResidualData"):
        if not free:
            found.fix(residual)
        found.join(found.of[node.out], found.of[residual])
    return True


def factors(found: Channels, reach: dict[str, np.ndarray], leader: dict[str, str]) -> np.ndarray:
    """By number: how much of its scale's range a channel uses, the most that any value of the same kind does.

    reach: value → largest magnitude of each channel; leader: values of one scale → one of them.
    """
    whole: dict[str, float] = {}
    for name, one in reach.items():
        key = leader.get(name, name)
        whole[key] = max(whole.get(key, 0.0), float(one.max()))
    used = np.zeros(len(found.parent))
    for name, one in reach.items():
        if name in found.of and (span := whole[leader.get(name, name)]) > 0:
            np.maximum.at(used, found.roots(name), one / span)
    used = np.where(used > 0, np.clip(used, _LEAST, 1) ** _SHARE, 1.0)
    used[list(found.fixed)] = 1.0
    return np.array([used[found.find(number)] for number in range(len(used))])


def run(graph: Graph, found: Channels, reach: dict[str, np.ndarray], leader: dict[str, str]) -> None:
    """In place: new weights and biases for layers whose channels get a factor; see factors."""
    by = factors(found, reach, leader)
    for node in graph.nodes:
        slot = _WEIGHTS.get(node.type)
        weight = graph.data_of(node.inputs[slot][0]) if slot else None
        if slot is None or weight is None or node.out not in found.of or node.inputs["Input"][0] not in found.of:
            continue
        into, out = by[found.of[node.inputs["Input"][0]]], by[found.of[node.out]]
        if (into == 1).all() and (out == 1).all():
            continue
        if node.type == "fc":
            data = weight * into[:, None] / out
        else:
            rows = np.repeat(into.reshape(node.attrs["groups"], -1), len(out) // node.attrs["groups"], 0)
            data = weight * rows[:, :, None, None] / out[:, None, None, None]
        node.inputs[slot] = [graph.constant(f"{node.inputs[slot][0]}", data.astype(weight.dtype)).name]
        bias = graph.data_of(node.input("Bias"))
        if bias is not None:
            changed = (bias.reshape(-1) / out).reshape(bias.shape).astype(bias.dtype)
            node.inputs["Bias"] = [graph.constant(node.inputs["Bias"][0], changed).name]
    used = {name for node in graph.nodes for name in node.input_names()} | set(graph.outputs)
    graph.values = {name: value for name, value in graph.values.items() if name in used or not value.is_constant}
