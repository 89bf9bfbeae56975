"""Functions of two elements with Paddle's broadcasting."""

from __future__ import annotations

import numpy as np

from converter.ops.spec import op
from converter.ops.unary import FUSABLE, activate


def align(x: np.ndarray, y: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Give both the rank that numpy's broadcasting needs: the smaller one's dims start at the larger one's `axis`."""
    if axis == -1 or x.ndim == y.ndim:
        return x, y
    if x.ndim < y.ndim:
        y, x = align(y, x, axis)
        return x, y
    axis = axis + x.ndim if axis < 0 else axis
    shape = y.shape
    while len(shape) > 1 and shape[-1] == 1 and axis + len(shape) > x.ndim:
        shape = shape[:-1]
    return x, y.reshape(shape + (1,) * (x.ndim - axis - len(shape)))


def divide(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Integers divide towards zero, as in C."""
    if x.dtype.kind != "f":
        return np.trunc(x / y).astype(x.dtype)
    return x / y


ARITHMETIC = {
    "elementwise_add": np.add,
    "elementwise_sub": np.subtract,
    "elementwise_mul": np.multiply,
    "elementwise_div": divide,
    "elementwise_max": np.maximum,
    "elementwise_min": np.minimum,
    "elementwise_pow": np.power,
    "elementwise_mod": np.mod,
    "elementwise_floordiv": np.floor_divide,
    "elementwise_fmax": np.fmax,            # the other one where one is NaN
    "elementwise_fmin": np.fmin,
    "atan2": np.arctan2,
}

COMPARISON = {
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less_than": np.less,
    "less_equal": np.less_equal,
    "greater_than": np.greater,
    "greater_equal": np.greater_equal,
}

BITWISE = {"bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor}
LOGICAL = {"logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor}


def _declare_arithmetic(type: str, function: np.ufunc) -> None:
    @op(type, inputs="X Y", axis=-1, **FUSABLE)
    def body(x, y, axis, fuse_activation, fuse_alpha, fuse_beta):
        return activate(function(*align(x, y, axis)), fuse_activation, fuse_alpha, fuse_beta)


def _declare_comparison(type: str, function: np.ufunc) -> None:
    @op(type, inputs="X Y", axis=-1)
    def body(x, y, axis):
        return function(*align(x, y, axis))


for _type, _function in ARITHMETIC.items():
    _declare_arithmetic(_type, _function)
for _type, _function in COMPARISON.items():
    _declare_comparison(_type, _function)
for _type, _function in (LOGICAL | BITWISE).items():
    op(_type, inputs="X Y")(_function)
