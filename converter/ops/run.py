"""The oracle: a Graph, or one Node of it, computed with numpy."""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.graph import Graph, Node
from converter.ops.spec import REGISTRY


def evaluate(graph: Graph, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Compute all outputs of a graph, name → array.

    Raises ConvertError for a missing, unknown or ill-shaped feed and for a node that cannot be computed.
    An array is dropped after its last use, so memory stays near what the live values need.
    """
    check_feeds(graph, feeds)
    return dict(zip(graph.outputs, compute(graph, [np.asarray(feeds[name]) for name in graph.inputs]), strict=True))


def compute(graph: Graph, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs in order from the inputs in order, unchecked."""
    arrays = {name: widen(value.data) for name, value in graph.values.items() if value.data is not None}
    arrays.update(zip(graph.inputs, inputs, strict=True))
    last_use = {name: i for i, node in enumerate(graph.nodes) for name in (*node.input_names(), *node.output_names())}
    keep = set(graph.outputs)
    for i, node in enumerate(graph.nodes):
        arrays.update(evaluate_node(node, arrays))
        for name in {*node.input_names(), *node.output_names()}:
            if last_use[name] == i and name not in keep:
                del arrays[name]
    return [arrays[name] for name in graph.outputs]


def evaluate_node(node: Node, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Compute one node from named arrays; returns its outputs, name → array."""
    spec = REGISTRY.get(node.type)
    if spec is None:
        raise ConvertError("this operator is not supported", where=node.where)
    args = []
    for slot, kind in spec.inputs.items():
        names = node.inputs.get(slot) or []
        if kind.endswith("many"):
            args.append([arrays[name] for name in names])
        else:
            args.append(arrays[names[0]] if names else None)
    attrs = {name: node.attrs.get(name, default) for name, default in spec.attrs.items()}
    try:
        with np.errstate(all="ignore"):
            result = spec.evaluate(*args, **attrs)
    except (ValueError, IndexError, TypeError, ArithmeticError, MemoryError) as error:
        shapes = {slot: [list(arrays[n].shape) for n in names] for slot, names in node.inputs.items()}
        raise ConvertError(f"cannot be computed on {shapes}: {error}", where=node.where) from error
    results = result if spec.variadic_out else [result]
    names = node.outputs["Out"]
    if len(results) != len(names):
        raise ConvertError(f"makes {len(results)} outputs where the program expects {len(names)}", where=node.where)
    return dict(zip(names, results, strict=True))


def widen(data: np.ndarray) -> np.ndarray:
    """Weights stored as float16 are computed with as float32."""
    return data.astype(np.float32) if data.dtype == np.float16 else data


def check_feeds(graph: Graph, feeds: dict[str, np.ndarray]) -> None:
    """Raise ConvertError unless the feeds have the names, dtypes and shapes that the graph declares."""
    missing = [name for name in graph.inputs if name not in feeds]
    unknown = sorted(set(feeds) - set(graph.inputs))
    if missing or unknown:
        raise ConvertError(f"missing inputs {missing}, unknown inputs {unknown}",
                           hint=f"the model's inputs are {graph.inputs}")
    sizes: dict[str, tuple[int, str]] = {}
    for name in graph.inputs:
        value, array = graph.values[name], np.asarray(feeds[name])
        if str(array.dtype) != value.dtype:
            raise ConvertError(f"input is {array.dtype}, the model wants {value.dtype}", where=name)
        if array.ndim != len(value.shape):
            raise ConvertError(f"input has shape {list(array.shape)}, the model wants {list(value.shape)}", where=name)
        for axis, (size, want) in enumerate(zip(array.shape, value.shape, strict=True)):
            known, origin = (want, "") if isinstance(want, int) else sizes.get(want, (size, ""))
            if known >= 0 and size != known:
                because = f" (as in {origin})" if origin else ""
                raise ConvertError(f"dimension {axis} of the input is {size}, the model wants {known}{because}",
                                   where=name)
            if isinstance(want, str) and not want.startswith("?"):
                sizes.setdefault(want, (size, f"dimension {axis} of {name}"))
