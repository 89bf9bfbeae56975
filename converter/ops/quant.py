"""Operators on int8: q stands for scale * (q - zero_point). Exact integers, then one rounding: this is the law.

Activations are int8 with the channels last; real numbers are float32 with the channels first. Every result is
    q = clamp(round_half_even(clamp(v, low - zero, high - zero)) + zero)
with v in float32: products and sums rounded one by one, never fused. Sums of products are exact 32-bit integers; the
converter has put the zero point of the input into Bias, so that padding with the zero point adds nothing.
"""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.ops.conv import conv2d as float_conv2d
from converter.ops.conv import geometry
from converter.ops.pool import pool2d
from converter.ops.resize import nearest_interp_v2
from converter.ops.shapes import overhang
from converter.ops.spec import REQUIRED, op
from converter.ops.unary import FUSABLE, activate

CHANNELS = {"scale_exponent": 0, "bias_exponent": 0}
"""Scale times 2 to one exponent and Bias times 2 to the other are meant, so that 16 bits suffice for each."""
OUTPUT = {"out_zero": 0, "out_low": -128, "out_high": 127}
"""Zero point and bounds of the result; an activation that only cuts (relu, relu6) is in the bounds."""
_F = np.float32


def rounded(v: np.ndarray, zero: int, low: int, high: int) -> np.ndarray:
    """float32 in units of the result → integers in [low, high]; NaN becomes low."""
    v = np.where(v > _F(low - zero), v, _F(low - zero))
    v = np.where(v < _F(high - zero), v, _F(high - zero))
    return np.rint(v).astype(np.int32) + zero


def quantised(x: np.ndarray, inverse: float, zero: int, low: int, high: int) -> np.ndarray:
    """float32 → integers in [low, high]; inverse is 1 / scale."""
    return rounded(x * _F(inverse), zero, low, high)


@op("quantize_linear", inputs="X", inverse_scale=REQUIRED, zero_point=0, low=-128, high=127, channels_last=False)
def quantize_linear(x, inverse_scale, zero_point, low, high, channels_last):
    # X [N,C,H,W] → int8 [N,H,W,C] where channels_last, else of X's shape
    q = quantised(x, inverse_scale, zero_point, low, high).astype(np.int8)
    return np.ascontiguousarray(q.transpose(0, 2, 3, 1)) if channels_last else q


@op("dequantize_linear", inputs="X", scale=REQUIRED, zero_point=0, channels_first=False)
def dequantize_linear(x, scale, zero_point, channels_first):
    # int8 [N,H,W,C] → float32 [N,C,H,W] where channels_first, else of X's shape
    x = np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if channels_first else x
    return (x.astype(np.int32) - zero_point).astype(_F) * _F(scale)


def finished(v: np.ndarray, activation: str, alpha: float, factor: float, zero: int, low: int, high: int) -> np.ndarray:
    """The activations that are more than a bound; v in real units for hard_swish, else in units of the result."""
    if activation == "hard_swish":
        v = v * np.minimum(np.maximum(v + _F(3), _F(0)), _F(6)) * _F(factor)
    elif activation == "leaky_relu":
        v = np.where(v > 0, v, v * _F(alpha))
    elif activation:
        raise ConvertError(f"int8 operators cannot end with {activation}")
    return rounded(v, zero, low, high).astype(np.int8)


@op("conv2d_int8", inputs="Input Filter Scale Bias Residual?", strides=[1, 1], paddings=[0, 0, 0, 0],
    padding_algorithm="EXPLICIT", dilations=[1, 1], groups=1, in_inverse=0.0, in_zero=0, in_low=-128, in_high=127,
    weight_limit=32767, rows_limit=2**30, residual_scale=0.0, residual_zero=0, fuse_activation="", fuse_alpha=0.0,
    out_factor=1.0, **CHANNELS, **OUTPUT)
def conv2d_int8(x, w, scale, bias, residual, strides, paddings, padding_algorithm, dilations, groups, in_inverse,
                in_zero, in_low, in_high, weight_limit, rows_limit, residual_scale, residual_zero, fuse_activation,
                fuse_alpha, out_factor, scale_exponent, bias_exponent, out_zero, out_low, out_high):
    """x int8 [N,H,W,I], or float32 [N,I,H,W] where in_inverse says how to make integers of up to 16 bits of it;
    w int8 or int16 [O,kh,kw,I/groups], scale float [O], bias int16 or int32 [O], residual int8 [N,OH,OW,O] → int8
    [N,OH,OW,O].
    in_low, in_high and weight_limit promise what x and w hold, rows_limit what the magnitudes of w add up to at most
    over any three rows of a window; they change no number, but kernels choose by them.
    v = scale * (sum of w * x + bias) [+ residual_scale * (residual - residual_zero)], then the activation."""
    if x.ndim != 4 or w.ndim != 4:
        raise ConvertError(f"conv2d_int8 needs a 4-D input and filter, got {list(x.shape)} and {list(w.shape)}")
    x = quantised(x, in_inverse, in_zero, in_low, in_high) if in_inverse else x.transpose(0, 3, 1, 2)
    w = w.transpose(0, 3, 1, 2)
    pads, dilations = geometry(x.shape[2:], w.shape[2:], strides, paddings, padding_algorithm, dilations)
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, w.shape[2:], strict=True)]
    pads = [(pads[a][0], pads[a][1] + overhang(x.shape[a + 2], reach[a], strides[a], pads[a])) for a in (0, 1)]
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads], constant_values=in_zero)
    start = bias.astype(np.float64) * 2.0 ** bias_exponent
    total = float_conv2d(x, w.astype(np.float64), start, None, strides, [0, 0, 0, 0], "EXPLICIT",
                         dilations, groups, "NCHW", "", 0.0, 0.0)    # whole numbers below 2^53: exact
    v = total.transpose(0, 2, 3, 1).astype(_F) * np.ldexp(scale.astype(_F), scale_exponent)
    if residual is not None:
        v = v + (residual.astype(np.int32) - residual_zero).astype(_F) * _F(residual_scale)
    return finished(v, fuse_activation, fuse_alpha, out_factor, out_zero, out_low, out_high)


@op("fc_int8", inputs="Input W Scale Bias", in_num_col_dims=1, in_inverse=REQUIRED, in_low=-2047, in_high=2047,
    **CHANNELS, **FUSABLE)
def fc_int8(x, w, scale, bias, in_num_col_dims, in_inverse, in_low, in_high, scale_exponent, bias_exponent,
            fuse_activation, fuse_alpha, fuse_beta):
    """x float32, made integers of up to 16 bits; w int8 or int16 [N,K], scale [N], bias [N] → float32:
    act(scale * (x w' + bias))."""
    lead = x.shape[:in_num_col_dims]
    q = quantised(x.reshape(-1, w.shape[1]), in_inverse, 0, in_low, in_high)
    total = q.astype(np.float64) @ w.astype(np.float64).T + bias * 2.0**bias_exponent
    out = total.astype(_F) * np.ldexp(scale.astype(_F), scale_exponent)
    return activate(out.reshape(*lead, w.shape[0]), fuse_activation, fuse_alpha, fuse_beta)


@op("add_int8", inputs="X Y", x_zero=0, x_scale=REQUIRED, y_zero=0, y_scale=REQUIRED, **OUTPUT)
def add_int8(x, y, x_zero, x_scale, y_zero, y_scale, out_zero, out_low, out_high):
    # the scales are in units of the result; X and Y of one shape
    v = (x.astype(np.int32) - x_zero).astype(_F) * _F(x_scale) + (y.astype(np.int32) - y_zero).astype(_F) * _F(y_scale)
    return rounded(v, out_zero, out_low, out_high).astype(np.int8)


@op("mul_int8", inputs="X Gate", x_zero=0, scale=REQUIRED, **OUTPUT)
def mul_int8(x, gate, x_zero, scale, out_zero, out_low, out_high):
    # X int8 [N,H,W,C], gate float32 [N,C,1,1]
    factor = (gate.reshape(gate.shape[0], 1, 1, -1) * _F(scale)).astype(_F)
    return rounded((x.astype(np.int32) - x_zero).astype(_F) * factor, out_zero, out_low, out_high).astype(np.int8)


@op("max_pool_int8", inputs="X", ksize=REQUIRED, strides=[1, 1], paddings=[0, 0, 0, 0], ceil_mode=False,
    padding_algorithm="EXPLICIT")
def max_pool_int8(x, ksize, strides, paddings, ceil_mode, padding_algorithm):
    # windows over int8 [N,H,W,C]; scale and zero point stay
    return pool2d(x, None, "max", ksize, strides, paddings, ceil_mode, True, False, False, padding_algorithm, "NHWC")


@op("mean_int8", inputs="X", scale=REQUIRED, zero_point=0)
def mean_int8(x, scale, zero_point):
    # int8 [N,H,W,C] → float32 [N,C,1,1]: the mean over a picture
    pixels = x.shape[1] * x.shape[2]
    total = x.astype(np.int32).sum((1, 2)) - pixels * zero_point
    return (total.astype(_F) * (_F(scale) / _F(pixels))).reshape(x.shape[0], x.shape[3], 1, 1)


@op("resize_int8", inputs="X", out_h=0, out_w=0, scale=[], align_corners=False)
def resize_int8(x, out_h, out_w, scale, align_corners):
    # nearest neighbour over int8 [N,H,W,C]
    return nearest_interp_v2(x, None, [], None, out_h, out_w, scale, align_corners, 1, "NHWC")
