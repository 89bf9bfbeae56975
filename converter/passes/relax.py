"""Free the picture sizes that a model declares but does not need.

Exporters often wrote the training size into the input (640×640 for a detector that runs at any size), and Paddle
itself never holds a feed to it. A declared size becomes a symbol when the shapes of the whole graph still agree at
other sizes; where a constant or a fully connected layer depends on it, it stays.
"""

from __future__ import annotations

from converter.errors import ConvertError
from converter.graph import Graph
from converter.ops.infer import infer
from converter.ops.infer_rules import RULES

PROBES = ((32, 64), (64, 32), (160, 160))
"""Added to the declared height and width; multiples of 32, the stride of the nets in question."""


def run(graph: Graph) -> Graph:
    """Heights and widths of 4-D float inputs become symbols; meta["declared_shapes"] keeps what stood there."""
    if any(node.type not in RULES for node in graph.nodes):
        return graph
    for name in graph.inputs:
        value = graph.values[name]
        axes = picture_axes(value.shape)
        if value.dtype == "float32" and axes and all(fits(graph, name, axes, added) for added in PROBES):
            graph.meta.setdefault("declared_shapes", {})[name] = list(value.shape)
            value.shape = tuple(f"{name}.{i}" if i in axes else size for i, size in enumerate(value.shape))
    infer(graph)
    return graph


def picture_axes(shape: tuple) -> tuple[int, int] | None:
    """Height and width of [N,C,H,W] or [N,H,W,C] with few channels and declared sizes."""
    if len(shape) != 4:
        return None
    axes = (1, 2) if shape[3] in (1, 3, 4) and shape[1] not in (1, 3, 4) else (2, 3)
    return axes if all(isinstance(shape[a], int) for a in axes) else None


def fits(graph: Graph, name: str, axes: tuple[int, int], added: tuple[int, int]) -> bool:
    """Whether all shapes agree when the picture is larger; leaves the declared shapes as they were."""
    before = {n: (v.shape, v.dtype) for n, v in graph.values.items()}
    shape = list(graph.values[name].shape)
    for axis, more in zip(axes, added, strict=True):
        shape[axis] += more
    graph.values[name].shape = tuple(shape)
    try:
        infer(graph)
    except ConvertError:
        return False
    finally:
        for n, (old, dtype) in before.items():
            graph.values[n].shape, graph.values[n].dtype = old, dtype
    return True
