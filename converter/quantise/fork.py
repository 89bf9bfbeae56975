"""Beside every consumer of a tensor a second one that sees it rounded: what rounding that tensor alone does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from converter.graph import Graph, Node, Value
from converter.ops import complete
from converter.ops.infer import infer
from converter.quantise.params import INT8, Params, whole

Feeds = dict[str, np.ndarray]
Execute = Callable[[Graph, list[str]], "Runs"]


class Runs:
    """A context manager that, inside, is called with feeds and returns arrays by name: see converter.executor."""

    def __enter__(self) -> Callable[[Feeds], Feeds]:
        raise TypeError

    def __exit__(self, *error: object) -> None:
        raise TypeError


@dataclass(frozen=True)
class Pair:
    """A tensor, the result of one of its consumers, and that consumer's other result."""

    tensor: str
    exact: str
    rounded: str


SLOTS = {"conv2d": ("Input", "ResidualData"), "fc": ("Input",), "pool2d": ("X",), "elementwise_add": ("X", "Y"),
         "elementwise_mul": ("X", "Y")}


def rounded_inputs(graph: Graph, params: dict[str, Params]) -> tuple[Graph, list[Pair]]:
    """The graph with a second consumer for every use of a tensor that has params."""
    forked = Graph({name: Value(v.name, v.shape, v.dtype, v.data) for name, v in graph.values.items()}, [],
                   list(graph.inputs), list(graph.outputs), dict(graph.meta))
    twins: dict[str, str] = {}
    pairs: list[Pair] = []
    for node in graph.nodes:
        forked.nodes.append(node)
        for slot in SLOTS.get(node.type, ()):
            name = node.input(slot)
            if name is None or name not in params or node.type == "pool2d" and node.attrs["pooling_type"] == "max":
                continue
            if name not in twins:
                twins[name] = rounded(forked, name, params[name])
            out = forked.add_value(Value(forked.fresh(f"{node.out}~{slot}"))).name
            inputs = {**node.inputs, slot: [twins[name]]}
            forked.nodes.append(Node(node.type, inputs, {"Out": [out]}, dict(node.attrs), node.name))
            pairs.append(Pair(name, node.out, out))
    return finished(forked), pairs


def rounded_layers(graph: Graph, params: dict[str, Params], limits: dict[str, int]) -> tuple[Graph, list[Pair]]:
    """The graph with a second layer beside each, whose input and weights are rounded; its tensor is its result."""
    forked = Graph({name: Value(v.name, v.shape, v.dtype, v.data) for name, v in graph.values.items()}, [],
                   list(graph.inputs), list(graph.outputs), dict(graph.meta))
    twins: dict[str, str] = {}
    pairs: list[Pair] = []
    for node in graph.nodes:
        forked.nodes.append(node)
        slot = {"conv2d": "Filter", "fc": "W"}.get(node.type)
        weight = graph.data_of(node.input(slot)) if slot else None
        if weight is None or node.out not in limits:
            continue
        name = node.inputs["Input"][0]
        if name in params and name not in twins:
            twins[name] = rounded(forked, name, params[name])
        rows = weight.T if node.type == "fc" else weight
        q, scale = whole(rows, limits.get(node.out, INT8))
        near = (q.reshape(len(q), -1) * scale[:, None]).astype(np.float32).reshape(rows.shape)
        near = np.ascontiguousarray(near.T if node.type == "fc" else near)
        inputs = {**node.inputs, "Input": [twins.get(name, name)], slot: [forked.constant(f"{node.out}~w", near).name]}
        out = forked.add_value(Value(forked.fresh(f"{node.out}~"))).name
        forked.nodes.append(Node(node.type, inputs, {"Out": [out]}, dict(node.attrs), node.name))
        pairs.append(Pair(node.out, node.out, out))
    return finished(forked), pairs


def rounded(graph: Graph, name: str, p: Params) -> str:
    """Nodes that round a value as int8 would."""
    whole_name = graph.add_value(Value(graph.fresh(f"{name}~q"), (), "int8")).name
    out = graph.add_value(Value(graph.fresh(f"{name}~"))).name
    graph.nodes.append(Node("quantize_linear", {"X": [name]}, {"Out": [whole_name]},
                            {"inverse_scale": p.inverse, "zero_point": p.zero, "low": p.low, "high": p.high}))
    graph.nodes.append(Node("dequantize_linear", {"X": [whole_name]}, {"Out": [out]},
                            {"scale": p.scale, "zero_point": p.zero}))
    return out


def finished(graph: Graph) -> Graph:
    for node in graph.nodes:
        complete(node)
    infer(graph)
    return graph


def errors(execute: Execute, graph: Graph, pairs: list[Pair], feeds: list[Feeds]) -> dict[str, float]:
    """Per tensor: how far its consumers' results move, as a share of their deviation (root mean square)."""
    taps = list(dict.fromkeys(name for pair in pairs for name in (pair.exact, pair.rounded)))
    wrong, power = dict.fromkeys(taps, 0.0), dict.fromkeys(taps, 0.0)
    with execute(graph, taps) as run:
        for one in feeds:
            found = run(one)
            for pair in pairs:
                exact = found[pair.exact].astype(np.float64)
                wrong[pair.rounded] += float(((found[pair.rounded] - exact) ** 2).mean())
                power[pair.rounded] += float(exact.var())
    shares: dict[str, list[float]] = {}
    for pair in pairs:
        shares.setdefault(pair.tensor, []).append(wrong[pair.rounded] / max(power[pair.rounded], 1e-30))
    return {name: float(np.sqrt(np.mean(found))) for name, found in shares.items()}
