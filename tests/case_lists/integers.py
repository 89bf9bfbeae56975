"""The operators on int8, one number at a time: what they mean, written without the arrays of converter/ops/quant.py.

Paddle has none of them. Python's floats are float64; `f32` after every step makes them float32.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np


def f32(x: float) -> float:
    return struct.unpack("<f", struct.pack("<f", x))[0]


def rounded(v: float, zero: int, low: int, high: int) -> int:
    if not v > low - zero:  # a NaN, too
        v = low - zero
    return round(min(v, high - zero)) + zero  # Python's round takes halves to the even neighbour


def to_bounds(v: float, a: dict[str, Any]) -> int:
    return rounded(v, a["out_zero"], a["out_low"], a["out_high"])


def quantize_linear(a: dict[str, Any], x: np.ndarray) -> np.ndarray:
    x = x.transpose(0, 2, 3, 1) if a["channels_last"] else x
    inverse = f32(a["inverse_scale"])
    numbers = [rounded(f32(float(v) * inverse), a["zero_point"], a["low"], a["high"]) for v in x.reshape(-1)]
    return np.array(numbers, np.int8).reshape(x.shape)


def dequantize_linear(a: dict[str, Any], x: np.ndarray) -> np.ndarray:
    x = x.transpose(0, 3, 1, 2) if a["channels_first"] else x
    return np.array([f32((int(q) - a["zero_point"]) * f32(a["scale"])) for q in x.reshape(-1)], np.float32).reshape(
        x.shape
    )


def conv2d_int8(
    a: dict[str, Any],
    x: np.ndarray,
    w: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    residual: np.ndarray | None = None,
) -> np.ndarray:
    """Paddings are given in numbers here, not as SAME."""
    if a["in_inverse"]:
        inverse, bounds = f32(a["in_inverse"]), (a["in_zero"], a["in_low"], a["in_high"])
        x = np.array([rounded(f32(float(v) * inverse), *bounds) for v in x.reshape(-1)]).reshape(x.shape)
        x = x.transpose(0, 2, 3, 1)
    (n, h, width, _), (o, kh, kw, depth) = x.shape, w.shape
    top, bottom, left, right = a["paddings"]
    (sh, sw), (dh, dw) = a["strides"], a["dilations"]
    oh, ow = (h + top + bottom - dh * (kh - 1) - 1) // sh + 1, (width + left + right - dw * (kw - 1) - 1) // sw + 1
    out = np.empty((n, oh, ow, o), np.int8)
    for b, i, j, c in np.ndindex(out.shape):
        first, total = c // (o // a["groups"]) * depth, int(bias[c]) * 2 ** a["bias_exponent"]
        for r, s, k in itertools.product(range(kh), range(kw), range(depth)):
            y, z = i * sh + r * dh - top, j * sw + s * dw - left
            inside = 0 <= y < h and 0 <= z < width
            total += int(w[c, r, s, k]) * (int(x[b, y, z, first + k]) if inside else a["in_zero"])
        v = f32(f32(total) * float(scale[c]) * 2.0 ** a["scale_exponent"])
        if residual is not None:
            v = f32(v + f32((int(residual[b, i, j, c]) - a["residual_zero"]) * f32(a["residual_scale"])))
        if a["fuse_activation"] == "hard_swish":
            v = f32(f32(v * min(max(f32(v + 3), 0.0), 6.0)) * f32(a["out_factor"]))
        if a["fuse_activation"] == "leaky_relu" and v <= 0:
            v = f32(v * f32(a["fuse_alpha"]))
        out[b, i, j, c] = to_bounds(v, a)
    return out


def fc_int8(a: dict[str, Any], x: np.ndarray, w: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    rows = x.reshape(-1, w.shape[1])
    q = [[rounded(f32(float(v) * f32(a["in_inverse"])), 0, a["in_low"], a["in_high"]) for v in row] for row in rows]

    def result(row: list[int], o: int) -> float:
        total = sum(int(p) * v for p, v in zip(w[o], row, strict=True)) + int(bias[o]) * 2 ** a["bias_exponent"]
        return f32(f32(total) * float(scale[o]) * 2.0 ** a["scale_exponent"])

    made = np.array([[result(row, o) for o in range(len(w))] for row in q], np.float32)
    made = made.reshape(*x.shape[: a["in_num_col_dims"]], len(w))
    return np.maximum(made, 0) if a["fuse_activation"] == "relu" else made


def add_int8(a: dict[str, Any], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    def real(q: int, side: str) -> float:
        return f32((int(q) - a[f"{side}_zero"]) * f32(a[f"{side}_scale"]))

    numbers = [
        to_bounds(f32(real(p, "x") + real(q, "y")), a) for p, q in zip(x.reshape(-1), y.reshape(-1), strict=True)
    ]
    return np.array(numbers, np.int8).reshape(x.shape)


def mul_int8(a: dict[str, Any], x: np.ndarray, gate: np.ndarray) -> np.ndarray:
    out = np.empty(x.shape, np.int8)
    for n, i, j, c in np.ndindex(x.shape):
        factor = f32(float(gate[n, c, 0, 0]) * f32(a["scale"]))
        out[n, i, j, c] = to_bounds(f32((int(x[n, i, j, c]) - a["x_zero"]) * factor), a)
    return out


def max_pool_int8(a: dict[str, Any], x: np.ndarray) -> np.ndarray:
    n, h, w, c = x.shape
    up = [s - 1 if a["ceil_mode"] else 0 for s in a["strides"]]
    top, bottom, left, right = a["paddings"]
    oh = (h + top + bottom - a["ksize"][0] + up[0]) // a["strides"][0] + 1
    ow = (w + left + right - a["ksize"][1] + up[1]) // a["strides"][1] + 1

    def window(b: int, i: int, j: int, channel: int) -> Iterator[int]:
        for r, s in np.ndindex(*a["ksize"]):
            y, z = i * a["strides"][0] + r - top, j * a["strides"][1] + s - left
            if 0 <= y < h and 0 <= z < w:
                yield int(x[b, y, z, channel])

    out = np.empty((n, oh, ow, c), np.int8)
    for at in np.ndindex(out.shape):
        out[at] = max(window(*at))
    return out


def mean_int8(a: dict[str, Any], x: np.ndarray) -> np.ndarray:
    n, h, w, c = x.shape
    factor = f32(f32(a["scale"]) / (h * w))
    total = x.astype(np.int64).sum((1, 2)) - h * w * a["zero_point"]
    return np.array([f32(int(t) * factor) for t in total.reshape(-1)], np.float32).reshape(n, c, 1, 1)


def resize_int8(a: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """By whole factors, without align_corners."""
    rows, columns = (
        int(a["scale"][k]) if a["scale"] else a[name] // x.shape[k + 1] for k, name in enumerate(("out_h", "out_w"))
    )
    return x.repeat(rows, 1).repeat(columns, 2)


INTEGERS = {
    body.__name__: body
    for body in (
        quantize_linear,
        dequantize_linear,
        conv2d_int8,
        fc_int8,
        add_int8,
        mul_int8,
        max_pool_int8,
        mean_int8,
        resize_int8,
    )
}
SLOTS = ("X", "Input", "Filter", "W", "Y", "Gate", "Scale", "Bias", "Residual")
"""The order of the arguments above, whatever of it an operator has."""


def expected(op: str, attrs: dict[str, Any], inputs: dict[str, list[np.ndarray]]) -> list[np.ndarray]:
    return [INTEGERS[op](attrs, *(inputs[slot][0] for slot in SLOTS if slot in inputs))]
