"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from converter.ops.shapes import axis_of
from converter.ops.spec import REQUIRED, op


def reduced_axes(dim: list[int], reduce_all: bool, rank: int) -> tuple[int, ...]:
    """No axis named, every axis named or reduce_all: all of them."""
    if reduce_all or not dim:
        return tuple(range(rank))
    return tuple(sorted({axis_of(d, rank) for d in dim}))


REDUCTIONS = {
    "reduce_mean": np.mean,
    "reduce_sum": np.sum,
    "reduce_max": np.max,
    "reduce_min": np.min,
    "reduce_prod": np.prod,
    "reduce_all": np.all,
    "reduce_any": np.any,
}


def _declare(type: str, function: Callable) -> None:
    @op(type, inputs="X", dim=[0], keep_dim=False, reduce_all=False)
    def body(x, dim, keep_dim, reduce_all):
        out = function(x, axis=reduced_axes(dim, reduce_all, x.ndim), keepdims=keep_dim)
        if type == "reduce_sum" and x.dtype in (np.int32, np.bool_):
            return np.asarray(out, np.int64)
        return np.asarray(out, np.bool_ if type in ("reduce_all", "reduce_any") else x.dtype)


for _type, _function in REDUCTIONS.items():
    _declare(_type, _function)


def _declare_arg(type: str, function: Callable) -> None:
    @op(type, inputs="X", axis=REQUIRED, keepdims=False, flatten=False, dtype="int64")
    def body(x, axis, keepdims, flatten, dtype):
        if flatten:
            out = function(x.reshape(-1)).reshape((1,) * x.ndim if keepdims else ())
        else:
            out = function(x, axis=axis)
            out = np.expand_dims(out, axis) if keepdims else out
        return np.asarray(out, dtype)


_declare_arg("arg_max", np.argmax)
_declare_arg("arg_min", np.argmin)
