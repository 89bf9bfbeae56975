"""Sorting and running sums along an axis."""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.ops.shapes import axis_of
from converter.ops.spec import REQUIRED, op


def order(x: np.ndarray, axis: int, descending: bool) -> np.ndarray:
    """Positions in stable order; a NaN is larger than everything."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    backwards = np.flip(x, axis)            # a stable ascending order of the reversed axis, reversed
    return x.shape[axis] - 1 - np.flip(np.argsort(backwards, axis, kind="stable"), axis)


@op("argsort", inputs="X", variadic_out=True, axis=-1, descending=False)
def argsort(x, axis, descending):           # → sorted values, their positions
    if x.ndim == 0:
        return [x, np.zeros((), np.int64)]
    at = order(x, axis_of(axis, x.ndim), descending).astype(np.int64)
    return [np.take_along_axis(x, at, axis), at]


@op("top_k_v2", inputs="X K?", variadic_out=True, k=1, axis=-1, largest=True, sorted=True)
def top_k_v2(x, k_tensor, k, axis, largest, sorted):    # → the k largest (or smallest) in order, their positions
    k, axis = k if k_tensor is None else int(k_tensor.reshape(-1)[0]), axis_of(axis, x.ndim)
    if not 1 <= k <= x.shape[axis]:
        raise ConvertError(f"top_k_v2 cannot take {k} of {x.shape[axis]}")
    at = np.take(order(x, axis, largest), np.arange(k), axis).astype(np.int64)
    return [np.take_along_axis(x, at, axis), at]


def running(function: np.ufunc, x: np.ndarray, axis: int, exclusive: bool, reverse: bool) -> np.ndarray:
    """Running sums or products; exclusive ones start from nothing and leave the last element out."""
    x = np.flip(x, axis) if reverse else x
    out = function.accumulate(x, axis, dtype=x.dtype)
    if exclusive:
        first = np.full_like(np.take(x, [0], axis), function.identity)
        out = np.concatenate([first, np.take(out, np.arange(x.shape[axis] - 1), axis)], axis)
    return np.ascontiguousarray(np.flip(out, axis)) if reverse else out


@op("cumsum", inputs="X", axis=-1, flatten=False, exclusive=False, reverse=False)
def cumsum(x, axis, flatten, exclusive, reverse):
    x = x.reshape(-1) if flatten else x
    return running(np.add, x, axis_of(axis, x.ndim), exclusive, reverse)


@op("cumprod", inputs="X", dim=REQUIRED, exclusive=False, reverse=False)
def cumprod(x, dim, exclusive, reverse):
    return running(np.multiply, x, axis_of(dim, x.ndim), exclusive, reverse)
