"""Picture sizes that a program declares but does not depend on become open.

Exporters often write down some size for a net that takes any, and Paddle does not enforce it: PP-OCR's direction
classifier declares 32×100 and is run at 48×192. A size stays where a constant or a fully connected layer needs it.
"""

from __future__ import annotations

from converter.errors import ConvertError
from converter.graph import Graph, Shape
from converter.ops.infer import infer
from converter.ops.infer_rules import RULES

_CHANNELS = (1, 3, 4)
_TRIALS = ((32, 64), (64, 32), (160, 160))
"""Added to height and width: multiples of 32, the largest usual stride; one axis more than the other, both ways."""


def run(graph: Graph) -> Graph:
    """Heights and widths of picture inputs become symbols; meta["declared_shapes"] keeps what stood there."""
    if any(node.type not in RULES for node in graph.nodes):
        return graph
    for name in graph.inputs:
        value = graph.values[name]
        axes = _picture_axes(value.shape) if value.dtype == "float32" else None
        if axes and all(_fits(graph, name, axes, added) for added in _TRIALS):
            graph.meta.setdefault("declared_shapes", {})[name] = list(value.shape)
            value.shape = tuple(f"{name}.{axis}" if axis in axes else size for axis, size in enumerate(value.shape))
    infer(graph)
    return graph


def _picture_axes(shape: Shape) -> tuple[int, int] | None:
    """Height and width of [N,C,H,W] or [N,H,W,C] with few channels, where both are fixed."""
    if len(shape) != 4:
        return None
    axes = (2, 3) if shape[1] in _CHANNELS else (1, 2) if shape[3] in _CHANNELS else None
    return axes if axes and all(isinstance(shape[axis], int) and shape[axis] != 1 for axis in axes) else None


def _fits(graph: Graph, name: str, axes: tuple[int, int], added: tuple[int, int]) -> bool:
    """Whether all shapes agree with a larger picture; leaves shapes and dtypes as they were."""
    before = {n: (v.shape, v.dtype) for n, v in graph.values.items()}
    shape = list(graph.values[name].shape)
    for axis, more in zip(axes, added, strict=True):
        shape[axis] = int(shape[axis]) + more
    graph.values[name].shape = tuple(shape)
    try:
        infer(graph)
    except ConvertError:  # the trial's answer: some operator needs the declared size
        return False
    finally:
        for n, (old, dtype) in before.items():
            graph.values[n].shape, graph.values[n].dtype = old, dtype
    return True
