"""Handlers, continued: models that PaddleSlim quantised. They are computed in float32, rounding where Paddle rounds."""

from __future__ import annotations

import math

import numpy as np

from converter.read.canonical import Builder, Op
from converter.read.canonical_composed import Chain
from converter.read.canonical_ops import handles, identity

_TRAINING = ("moving_rate", "window_size", "is_test", "only_observer", "quant_axis", "x_num_col_dims")


def levels(bits: int) -> np.float32:
    """The largest number of so many bits."""
    return np.float32((1 << (bits - 1)) - 1)


def scales(op: Op, slot: str) -> np.ndarray:
    """Constant scales; a zero point must be zero."""
    found = op.constant(slot)
    zero = op.constant("ZeroPoint") if op.inputs.get("ZeroPoint") else np.zeros(1)
    if found is None or zero is None:
        raise op.error("scales that the program computes are not supported")
    if zero.any():
        raise op.error("a zero point other than 0 is not supported")
    return found.astype(np.float32)


def along(op: Op, values: np.ndarray, rank: int, axis: int) -> np.ndarray:
    """One number, or one per slice of an axis, in a shape that broadcasts."""
    if values.size == 1:
        return values.reshape([1] * rank)
    if not 0 <= axis < rank:
        raise op.error(f"{values.size} scales along axis {axis} do not fit a tensor of rank {rank}")
    return values.reshape([-1 if i == axis else 1 for i in range(rank)])


def rounded(chain: Chain, x: str, scale: np.ndarray, bits: int, half_away: bool, last: bool = False) -> str:
    """Whole numbers: x over scale, in so many bits. Halves go to the even neighbour, or away from zero."""
    b, top = chain.b, levels(bits)
    if half_away and scale.size > 1:
        raise chain.op.error("scales per channel with this rounding are not supported")
    if half_away:
        x = chain.one("clip", x, min=-float(scale.max()), max=float(scale.max()))
    factor = top * (np.float32(1) / scale)
    wide = chain.affine(x, float(factor.max())) if factor.size == 1 else \
        chain.two("elementwise_mul", x, b.hold(f"{chain.op.out_names[0]}.factor", factor))
    if not half_away:
        return chain.one("clip", chain.one("round", wide), last, min=-float(top) - 1, max=float(top))
    size = chain.one("floor", chain.affine(chain.one("abs", wide), 1.0, 0.5))
    return chain.two("elementwise_mul", chain.one("sign", wide), size, last)


def widened(chain: Chain, x: str, factor: np.ndarray) -> None:
    """Numbers again: x times the factor, the last step."""
    if factor.size == 1:
        chain.affine(x, float(factor.max()), last=True)
    else:
        chain.two("elementwise_mul", x, chain.b.hold(f"{chain.op.out_names[0]}.factor", factor), last=True)


@handles("quantize_linear")
def quantize_linear(b: Builder, op: Op) -> None:
    if op.attr("only_observer", False):
        identity(b, op)
        return
    x, axis = op.one("X"), int(op.attr("quant_axis", -1))
    scale, bits = along(op, scales(op, "Scale"), len(b.shape_of(x)), axis), int(op.attr("bit_length", 8))
    rounded(Chain(b, op), x, scale, bits, op.attr("round_type", 0) == 1, last=True)
    op.skip("qmin", "qmax", *_TRAINING)


@handles("dequantize_linear")
def dequantize_linear(b: Builder, op: Op) -> None:
    """Weights become numbers at once."""
    if op.attr("only_observer", False):
        identity(b, op)
        return
    x, axis, top = op.one("X"), int(op.attr("quant_axis", -1)), levels(int(op.attr("bit_length", 8)))
    scale = along(op, scales(op, "Scale"), len(b.shape_of(x)), axis)
    op.skip("round_type", "qmin", "qmax", *_TRAINING)
    data = b.data_of(x)
    if data is not None:
        b.constant_out(op, data.astype(np.float32) * scale / top)
        return
    chain = Chain(b, op)
    if b.dtype_of(x) != "float32":
        x = chain.one("cast", x, dtype="float32", out_dtype="float32")
    widened(chain, x, scale / top)


@handles("fake_quantize_dequantize_moving_average_abs_max", "fake_quantize_moving_average_abs_max",
         "fake_quantize_range_abs_max")
def fake_quantize(b: Builder, op: Op) -> None:
    """Activations, with the range that training found."""
    chain, x, scale, bits = Chain(b, op), op.one("X"), scales(op, "InScale"), int(op.attr("bit_length", 8))
    away, both = op.attr("round_type", 1) == 1, "dequantize" in op.type
    op.skip(*_TRAINING)
    given = op.one("InScale")
    whole = rounded(chain, x, scale, bits, away, last=not both)
    if both:
        widened(chain, whole, scale / levels(bits))
    for name in op.outputs.get("OutScale", []):     # a later operator may read what this one has not changed
        b.dropped.pop(name, None)
        b.alias(name, given)


@handles("fake_channel_wise_quantize_dequantize_abs_max", "fake_quantize_dequantize_abs_max",
         "fake_channel_wise_quantize_abs_max", "fake_quantize_abs_max")
def fake_quantize_weights(b: Builder, op: Op) -> None:
    """Weights, with the range that they have."""
    data, axis, bits = b.data_of(op.one("X")), int(op.attr("quant_axis", 0)), int(op.attr("bit_length", 8))
    if data is None:
        raise op.error("needs constant weights; ranges that the program measures are not supported")
    axes = tuple(i for i in range(data.ndim) if "channel_wise" not in op.type or i != axis)
    scale, top = np.abs(data).max(axes, keepdims=True), levels(bits)
    away = op.attr("round_type", 1) == 1
    op.skip(*_TRAINING)
    factor = top * (np.float32(1) / np.maximum(scale, np.float32(1e-30)))
    wide = np.clip(data, -scale, scale) * factor
    whole = np.sign(wide) * np.floor(np.abs(wide) + np.float32(0.5)) if away else np.clip(np.rint(wide), -top - 1, top)
    b.constant_out(op, (whole * scale / top if "dequantize" in op.type else whole).astype(np.float32))
    for name in op.outputs.get("OutScale", []):
        b.alias(name, b.hold(name, scale.reshape(-1)))


@handles("fake_dequantize_max_abs")
def fake_dequantize(b: Builder, op: Op) -> None:
    widened(Chain(b, op), op.one("X"), scales(op, "Scale") / np.float32(op.attr("max_range", 127.0)))


@handles("fake_channel_wise_dequantize_max_abs")
def fake_dequantize_channels(b: Builder, op: Op) -> None:
    """With one list of scales those of weights along quant_axis; with two those of the weights' and the input's."""
    chain, x, bits = Chain(b, op), op.one("X"), [int(count) for count in op.attr("quant_bits", [8])]
    axis, columns = int(op.attr("quant_axis", 0)), int(op.attr("x_num_col_dims", 1))
    given, rank = op.inputs.get("Scales", []), len(b.shape_of(x))
    found = [b.data_of(name) for name in given]
    if len(given) not in (1, 2) or any(data is None for data in found):
        raise op.error("scales that the program computes are not supported")
    factor = along(op, np.asarray(found[0], np.float32).reshape(-1), rank, axis if len(given) == 1 else columns)
    if len(given) == 2:
        factor = factor * np.float32(np.asarray(found[1]).reshape(-1)[0])
    factor = factor / np.float32(math.prod(float(levels(count)) for count in bits[:len(given)]))
    data = b.data_of(x)
    if data is not None:
        b.constant_out(op, data.astype(np.float32) * factor)
    else:
        widened(chain, x, factor)


@handles("moving_average_abs_max_scale")
def observe(b: Builder, op: Op) -> None:
    identity(b, op)
