"""Handlers, continued: functions of one element. On whole numbers they become what Paddle makes of those."""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.ops.unary import UNARY as KNOWN
from converter.read.canonical import Builder, Op
from converter.read.canonical_ops import handles, identity

# type → (canonical type, {attribute: Paddle's default}, attributes without meaning).
UNARY: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    **{name: (name, attrs, ()) for name, (_, attrs) in KNOWN.items() if name not in ("clip", "pow", "bitwise_not")},
    "round": ("round", {}, ("decimals",)),
    "mish": ("mish", {}, ("lambda", "threshold")),
    "softplus": ("softplus", {"beta": 1.0, "threshold": 20.0}, ("fuse_activation", "fuse_alpha", "fuse_beta")),
    "softmax": ("softmax", {"axis": -1}, ("data_format",)),
    "log_softmax": ("log_softmax", {"axis": -1}, ()),
    "prelu": ("prelu", {"mode": "all", "data_format": "NCHW"}, ()),
    "pixel_shuffle": ("pixel_shuffle", {"upscale_factor": 1, "data_format": "NCHW"}, ()),
    "flatten2": ("flatten2", {"axis": 1}, ()),
    "flatten": ("flatten2", {"axis": 1}, ()),
    "flatten_contiguous_range": ("flatten_contiguous_range", {"start_axis": 1, "stop_axis": 1}, ()),
    "transpose2": ("transpose2", {"axis": []}, ("data_format",)),
    "transpose": ("transpose2", {"axis": []}, ("data_format",)),
    "stack": ("stack", {"axis": 0}, ()),
}


_WHOLE = ("floor", "ceil", "round", "trunc")
_OF_WHOLE = ("abs", "sign", "square", "relu", "logical_not", "assign", "scale")
"""Unary operators that stay in whole numbers; all others make float32 of them."""
_MOVING = ("flatten2", "flatten_contiguous_range", "transpose2", "stack", "pixel_shuffle")


@handles(*UNARY)
def unary(b: Builder, op: Op) -> None:
    type, defaults, meaningless = UNARY[op.type]
    if op.type == "round" and op.attr("decimals", 0) != 0:
        raise op.error("rounding to decimals is not supported")
    op.skip(*meaningless)
    inputs = {slot: names for slot, names in op.inputs.items() if slot in ("X", "Alpha")}
    whole = op.inputs.get("X") and b.dtype_of(op.inputs["X"][0]) in ("int32", "int64", "int16", "int8", "uint8")
    if whole and type in _WHOLE:
        identity(b, op)
        return
    if whole and type == "logical_not":
        inputs["X"] = [converted(b, op, op.one("X"), "bool")]
    elif whole and type not in (*_OF_WHOLE, *_MOVING):
        inputs["X"] = [converted(b, op, op.one("X"), "float32")]
    b.emit(op, type, inputs, {name: op.attr(name, default) for name, default in defaults.items()})


def converted(b: Builder, op: Op, x: str, dtype: str) -> str:
    """The tensor in another element type."""
    if b.dtype_of(x) == dtype:
        return x
    made = b.temporary(f"{op.out_names[0]}.{dtype}", b.shape_of(x), dtype)
    return b.emit(op, "cast", {"X": [x]}, {"out_dtype": dtype}, out=[made]).out


@handles("brelu", "hard_tanh", "hardtanh")
def hardtanh(b: Builder, op: Op) -> None:
    low, high = (0.0, 24.0) if op.type == "brelu" else (-1.0, 1.0)
    b.emit(op, "clip", {"X": [op.one("X")]}, {"min": op.attr("t_min", low), "max": op.attr("t_max", high)})


@handles("clip")
def clip(b: Builder, op: Op) -> None:
    low = op.need(op.constant_attr("Min", "min", -np.inf), "the lower bound")
    high = op.need(op.constant_attr("Max", "max", np.inf), "the upper bound")
    b.emit(op, "clip", {"X": [op.one("X")]}, {"min": float(low[0]), "max": float(high[0])})


@handles("pow")
def power(b: Builder, op: Op) -> None:
    """Whole numbers keep their type: by a constant of it."""
    factor, x = op.need(op.constant_attr("FactorTensor", "factor", 1.0), "the exponent"), op.one("X")
    if b.dtype_of(x) in ("int32", "int64"):
        if factor[0] < 0 or factor[0] != int(factor[0]):
            raise op.error(f"whole numbers to the power of {factor[0]} are not supported")
        exponent = b.hold(f"{op.out_names[0]}.exponent", np.array([int(factor[0])], b.dtype_of(x)))
        b.emit(op, "elementwise_pow", {"X": [x], "Y": [exponent]}, {"axis": -1})
        return
    b.emit(op, "pow", {"X": [x]}, {"factor": float(factor[0])})


@handles("scale")
def scale(b: Builder, op: Op) -> None:
    bias = op.need(op.constant_attr("BiasTensor", "bias", 0.0), "the bias")
    after = op.attr("bias_after_scale", True)
    factor = op.constant_attr("ScaleTensor", "scale", 1.0)
    x = op.one("X")
    if factor is not None:
        b.emit(op, "scale", {"X": [x]}, {"scale": float(factor[0]), "bias": float(bias[0]), "bias_after_scale": after})
        return
    if bias[0] != 0:
        raise op.error("a computed scale with a bias is not supported")
    binary = {"axis": -1, "fuse_activation": "", "fuse_alpha": 0.0, "fuse_beta": 0.0}
    b.emit(op, "elementwise_mul", {"X": [x], "Y": [op.one("ScaleTensor")]}, binary)


@handles("increment")
def increment(b: Builder, op: Op) -> None:
    step = {"scale": 1.0, "bias": float(op.attr("step", 1.0)), "bias_after_scale": True}
    b.emit(op, "scale", {"X": [op.one("X")]}, step)
