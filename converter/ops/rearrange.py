"""Moving elements, continued: reversing, rolling, shuffling channels, grids, writing into a part."""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.ops.layout import cut_of, numbers, packed
from converter.ops.shapes import axis_of
from converter.ops.spec import REQUIRED, op


@op("flip", inputs="X", axis=REQUIRED)
def flip(x, axis):
    return packed(np.flip(x, [axis_of(a, x.ndim) for a in axis]))


@op("roll", inputs="X", shifts=REQUIRED, axis=[])
def roll(x, shifts, axis):                  # no axis: as one row
    return np.roll(x, shifts, axis) if axis else np.roll(x, shifts[0])


@op("pixel_unshuffle", inputs="X", downscale_factor=1, data_format="NCHW")
def pixel_unshuffle(x, downscale_factor, data_format):  # [N,C,H*r,W*r] → [N,C*r*r,H,W]
    r = downscale_factor
    x = x.transpose(0, 3, 1, 2) if data_format == "NHWC" else x
    n, c, h, w = x.shape
    if h % r or w % r:
        raise ConvertError(f"pixel_unshuffle by {r} does not fit {h} x {w}")
    out = x.reshape(n, c, h // r, r, w // r, r).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * r * r, h // r, w // r)
    return packed(out.transpose(0, 2, 3, 1) if data_format == "NHWC" else out)


@op("channel_shuffle", inputs="X", groups=REQUIRED, data_format="NCHW")
def channel_shuffle(x, groups, data_format):    # channels as [groups,C/groups] → [C/groups,groups]
    axis = 3 if data_format == "NHWC" else 1
    if x.shape[axis] % groups:
        raise ConvertError(f"channel_shuffle cannot split {x.shape[axis]} channels into {groups} groups")
    parts = x.reshape(*x.shape[:axis], groups, -1, *x.shape[axis + 1:])
    return packed(np.swapaxes(parts, axis, axis + 1)).reshape(x.shape)


@op("temporal_shift", inputs="X", seg_num=REQUIRED, shift_ratio=0.25, data_format="NCHW")
def temporal_shift(x, seg_num, shift_ratio, data_format):
    # x [N*T,C,H,W]: the first C*ratio channels come from the step before, as many more from the one after
    last = data_format == "NHWC"
    first = np.moveaxis(x, -1, 1) if last else x
    if len(x) % seg_num:
        raise ConvertError(f"temporal_shift cannot split {len(x)} pictures into steps of {seg_num}")
    steps = first.reshape(-1, seg_num, *first.shape[1:])
    c1, c2 = int(first.shape[1] * np.float32(shift_ratio)), int(first.shape[1] * 2 * np.float32(shift_ratio))
    out = steps.copy()
    out[:, 1:, :c1], out[:, :1, :c1] = steps[:, :-1, :c1], 0
    out[:, :-1, c1:c2], out[:, -1:, c1:c2] = steps[:, 1:, c1:c2], 0
    out = out.reshape(first.shape)
    return packed(np.moveaxis(out, 1, -1)) if last else out


@op("pad", inputs="X", paddings=REQUIRED, pad_value=0.0)
def pad(x, paddings, pad_value):            # any axis: [before, after] of the first, of the second …
    if len(paddings) != 2 * x.ndim or min(paddings, default=0) < 0:
        raise ConvertError(f"pad by {paddings} does not fit a tensor of rank {x.ndim}")
    pairs = [*zip(paddings[::2], paddings[1::2], strict=True)]
    return np.pad(x, pairs, constant_values=x.dtype.type(pad_value)) if pairs else x


@op("repeat_interleave", inputs="X", repeats=REQUIRED, dim=0)
def repeat_interleave(x, repeats, dim):     # each slice along an axis several times in a row
    return np.repeat(x, repeats, dim)


@op("meshgrid", inputs="X*", variadic_out=True)
def meshgrid(xs):                           # rows of n0, n1 … → each over the grid [n0,n1,…]
    return [packed(grid) for grid in np.meshgrid(*(x.reshape(-1) for x in xs), indexing="ij")]


@op("set_value", inputs="Input ValueTensor StartsTensorList?* EndsTensorList?*", axes=REQUIRED, starts=[], ends=[],
    steps=[], decrease_axes=[])
def set_value(x, value, start_parts, end_parts, axes, starts, ends, steps, decrease_axes):
    # x with value, broadcast, in the place of a strided slice of it; decrease_axes are axes that value lacks
    cut = list(cut_of(x.ndim, axes, numbers(None, start_parts, starts), numbers(None, end_parts, ends),
                      steps or [1] * len(axes)))
    out, drop = x.copy(), tuple(axis_of(a, x.ndim) for a in decrease_axes)
    shape = np.squeeze(out[tuple(cut)], drop).shape
    out[tuple(cut)] = np.expand_dims(np.broadcast_to(value, shape), drop)
    return out
