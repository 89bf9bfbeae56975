"""Weights as int8 with a scale per row, for the download: they are widened when the bundle is loaded."""

from __future__ import annotations

import numpy as np

from converter.graph import Graph

ROWS = {("conv2d", "Filter"): 0, ("conv2d_transpose", "Filter"): 1, ("fc", "W"): 1, ("matmul_v2", "Y"): -1,
        ("lookup_table_v2", "W"): 0, ("rnn", "WeightList"): 0}
"""Operator and slot → the axis along which each place has a scale of its own: the output channels, as a rule."""
_LEAST = 1024
"""Smaller weights gain nothing: they stay float16."""
_DEPTHWISE = 1


Rows = dict[str, tuple[int, np.ndarray | None]]
"""Name → axis, and scales along it where they are known."""


def rounded(graph: Graph) -> Rows:
    """The weights that quantisation has rounded already."""
    return {name: rows for name, rows in graph.meta.get("rounded", {}).items() if name in graph.values}


def row_axes(graph: Graph) -> Rows:
    """The weights that int8 serves. One that operators see along two axes is left as it is."""
    axes: dict[str, set[int]] = {}
    for node in graph.nodes:
        for slot, names in node.inputs.items():
            for name in names:
                axes.setdefault(name, set()).add(ROWS.get((node.type, slot), -2))
    found: Rows = {}
    for name, seen in axes.items():
        value = graph.values[name]
        data, axis = value.data, next(iter(seen))
        if data is None or len(seen) > 1 or axis == -2 or data.dtype.kind != "f" or data.ndim < 2 or data.size < _LEAST:
            continue
        depthwise = data.ndim == 4 and data.shape[1] == _DEPTHWISE
        if not depthwise and np.isfinite(data).all() and np.abs(data).max() < np.finfo(np.float32).max / 2:
            found[name] = axis % data.ndim, None
    return found


def to_int8(data: np.ndarray, axis: int, scales: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(int8 of data's shape, float32 scales along the axis): data is nearly int8 * scale; each scale the one that is
    given, else the one of a few near largest / 127 that errs least."""
    shape = [-1 if i == axis else 1 for i in range(data.ndim)]
    if scales is not None:
        return np.clip(np.rint(data / scales.reshape(shape)), -127, 127).astype(np.int8), scales
    rows = np.moveaxis(data.astype(np.float64), axis, 0).reshape(data.shape[axis], -1)
    largest = np.maximum(np.abs(rows).max(1, keepdims=True), np.finfo(np.float32).tiny * 254)
    best, error = largest / 127, np.full_like(largest, np.inf)
    for shrink in (1.0, 0.96, 0.92, 0.88, 0.84, 0.8):
        scale = (largest * shrink / 127).astype(np.float32).astype(np.float64)
        wrong = ((np.clip(np.rint(rows / scale), -127, 127) * scale - rows) ** 2).sum(1, keepdims=True)
        best, error = np.where(wrong < error, scale, best), np.minimum(wrong, error)
    q = np.clip(np.rint(data / best.reshape(shape)), -127, 127).astype(np.int8)
    return q, best.reshape(-1).astype(np.float32)
