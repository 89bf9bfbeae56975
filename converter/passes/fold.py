"""Compute at conversion what does not depend on the inputs.

Three things: nodes over constants only; integer tensors whose elements follow from shapes (`shape` → slice → concat);
and tensor inputs that stand for attributes (reshape2's Shape, OutSize …), which become attributes.
"""

from __future__ import annotations

import math

import numpy as np

from converter.graph import Graph, Node, Value
from converter.ops import REGISTRY, evaluate_node
from converter.ops.infer import Contents, infer
from converter.passes import prune
from converter.passes.attributes import to_attributes

MAX_GROWTH_BYTES = 64 << 10
"""A folded value may be this large, or as large as the constants it is made of: folding must not swell the model."""


def run(graph: Graph) -> Graph:
    """Repeats while a round turns inputs into attributes: that can make further shapes known."""
    while fold_once(graph):
        pass
    return prune.run(graph)


def fold_once(graph: Graph) -> bool:
    contents = infer(graph)
    folded = {name: value.data for name, value in graph.values.items() if value.data is not None}
    kept, changed = [], False
    for node in graph.nodes:
        known = from_contents(graph, node, contents)
        if known is None:
            changed |= to_attributes(graph, node, contents) | static_batch(graph, node)
            if foldable(graph, node, folded):
                known = evaluate_node(node, folded)
        if known is None:
            kept.append(node)
            continue
        for name, data in known.items():
            folded[name] = np.asarray(data)
            graph.values[name] = Value(name, tuple(data.shape), str(data.dtype), folded[name])
    graph.nodes = kept
    return changed


def foldable(graph: Graph, node: Node, constants: dict[str, np.ndarray]) -> bool:
    """All inputs known, no output public, and no larger than allowed."""
    if node.type not in REGISTRY or any(name not in constants for name in node.input_names()):
        return False
    if any(name in graph.outputs for name in node.output_names()):
        return False
    made = 0
    for name in node.output_names():
        shape = graph.values[name].shape
        if any(isinstance(size, str) for size in shape):
            return False
        made += math.prod(shape) * 4
    used = sum(constants[name].nbytes for name in set(node.input_names()))
    return made <= max(MAX_GROWTH_BYTES, used)


def from_contents(graph: Graph, node: Node, contents: Contents) -> dict[str, np.ndarray] | None:
    """An integer tensor all of whose elements are known, such as the shape of a static tensor."""
    names = list(node.output_names())
    elements = contents.get(names[0]) if len(names) == 1 else None
    if elements is None or names[0] in graph.outputs or any(isinstance(e, str) for e in elements):
        return None
    value = graph.values[names[0]]
    if value.dtype not in ("int32", "int64") or any(isinstance(size, str) for size in value.shape):
        return None
    if math.prod(value.shape) != len(elements):
        return None
    return {names[0]: np.array(elements, value.dtype).reshape(value.shape)}


def static_batch(graph: Graph, node: Node) -> bool:
    """fill_constant_batch_size_like over a known batch is fill_constant; whether it was so."""
    shape = graph.values[node.out].shape
    if node.type != "fill_constant_batch_size_like" or any(isinstance(size, str) for size in shape):
        return False
    node.type, node.inputs = "fill_constant", {}
    node.attrs = {"shape": list(shape), "value": node.attrs["value"], "dtype": node.attrs["dtype"]}
    return True
