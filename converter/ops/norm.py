"""Normalisations at inference."""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.ops.spec import op


def per_channel(v: np.ndarray, rank: int, layout: str) -> np.ndarray:
    """[C] shaped to broadcast over a tensor of `rank` with channels first or last."""
    if layout in ("NHWC", "NDHWC", "NLC"):
        return v.reshape(-1)
    return v.reshape((-1,) + (1,) * (rank - 2))


@op("batch_norm", inputs="X Scale Bias Mean Variance", epsilon=1e-5, data_layout="NCHW")
def batch_norm(x, scale, bias, mean, variance, epsilon, data_layout):   # x [N,C,..] or [N,..,C]
    factor = scale / np.sqrt(variance + x.dtype.type(epsilon))
    shift = bias - mean * factor
    return x * per_channel(factor, x.ndim, data_layout) + per_channel(shift, x.ndim, data_layout)


def standardise(x: np.ndarray, axes: tuple[int, ...], epsilon: float) -> np.ndarray:
    """Zero mean and unit (population) variance over `axes`."""
    centred = x - x.mean(axes, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axes, keepdims=True) + x.dtype.type(epsilon))


@op("layer_norm", inputs="X Scale? Bias?", epsilon=1e-5, begin_norm_axis=1)
def layer_norm(x, scale, bias, epsilon, begin_norm_axis):   # scale, bias [prod(x.shape[begin_norm_axis:])]
    tail = x.shape[begin_norm_axis:]
    out = standardise(x, tuple(range(begin_norm_axis, x.ndim)), epsilon)
    out = out if scale is None else out * scale.reshape(tail)
    return out if bias is None else out + bias.reshape(tail)


@op("instance_norm", inputs="X Scale? Bias?", epsilon=1e-5)
def instance_norm(x, scale, bias, epsilon):     # x [N,C,..], scale, bias [C]
    out = standardise(x, tuple(range(2, x.ndim)), epsilon)
    out = out if scale is None else out * per_channel(scale, x.ndim, "NCHW")
    return out if bias is None else out + per_channel(bias, x.ndim, "NCHW")


@op("group_norm", inputs="X Scale? Bias?", epsilon=1e-5, groups=1, data_layout="NCHW")
def group_norm(x, scale, bias, epsilon, groups, data_layout):   # x [N,C,..] or [N,..,C], scale, bias [C]
    first = np.moveaxis(x, -1, 1) if data_layout == "NHWC" else x
    if first.shape[1] % groups:
        raise ConvertError(f"group_norm cannot split {first.shape[1]} channels into {groups} groups")
    out = standardise(first.reshape(first.shape[0], groups, -1), (2,), epsilon).reshape(first.shape)
    out = out if scale is None else out * per_channel(scale, x.ndim, "NCHW")
    out = out if bias is None else out + per_channel(bias, x.ndim, "NCHW")
    return np.ascontiguousarray(np.moveaxis(out, 1, -1)) if data_layout == "NHWC" else out
