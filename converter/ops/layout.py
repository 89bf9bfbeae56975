"""Moving elements without changing them: shape, order, joining, cutting, padding."""

from __future__ import annotations

import math

import numpy as np

from converter.errors import ConvertError
from converter.ops.shapes import axis_of
from converter.ops.spec import REQUIRED, op


def packed(x: np.ndarray) -> np.ndarray:
    """Row-major; unlike np.ascontiguousarray it leaves a scalar a scalar."""
    return np.asarray(x, order="C")


def numbers(tensor: np.ndarray | None, parts: list[np.ndarray], attr: list[int]) -> list[int]:
    """A list of ints that may come as one tensor, as one tensor per element, or as the attribute."""
    if tensor is not None:
        return [int(v) for v in tensor.reshape(-1)]
    if parts:
        return [int(v) for part in parts for v in part.reshape(-1)]
    return list(attr)


@op("concat", inputs="X*", axis=0)
def concat(xs, axis):
    return np.concatenate(xs, axis)


@op("stack", inputs="X*", axis=0)
def stack(xs, axis):
    return np.stack(xs, axis)


@op("split", inputs="X", variadic_out=True, axis=0, num=0, sections=[])
def split(x, axis, num, sections):          # num equal parts, or sections with at most one -1
    axis = axis_of(axis, x.ndim)
    sizes = section_sizes(x.shape[axis], num, sections)
    return [packed(part) for part in np.split(x, np.cumsum(sizes)[:-1], axis)]


def section_sizes(size: int, num: int, sections: list[int]) -> list[int]:
    """Part sizes along the split axis; ConvertError where they do not add up to `size`."""
    if not sections:
        if num < 1 or size % num:
            raise ConvertError(f"split cannot cut {size} into {num} equal parts")
        return [size // num] * num
    rest = size - sum(s for s in sections if s >= 0)
    sizes = [rest if s < 0 else s for s in sections]
    if sum(sizes) != size or rest < 0:
        raise ConvertError(f"split sections {sections} do not add up to {size}")
    return sizes


@op("reshape2", inputs="X Shape? ShapeTensor?*", shape=[])
def reshape2(x, shape_tensor, parts, shape):    # 0 copies the dimension of x, one -1 takes what is left
    return x.reshape(reshape_dims(x.shape, numbers(shape_tensor, parts, shape)))


def reshape_dims(old: tuple[int, ...], shape: list[int]) -> list[int]:
    dims = [old[i] if size == 0 and i < len(old) else size for i, size in enumerate(shape)]
    if dims.count(-1) == 1:
        known = math.prod(d for d in dims if d != -1)
        if known and math.prod(old) % known == 0:
            dims[dims.index(-1)] = math.prod(old) // known
    if math.prod(dims) != math.prod(old) or min(dims, default=0) < 0:
        raise ConvertError(f"reshape2 cannot turn {list(old)} into {shape}")
    return dims


@op("transpose2", inputs="X", axis=REQUIRED)
def transpose2(x, axis):
    return packed(x.transpose(axis))


@op("squeeze2", inputs="X", axes=[])
def squeeze2(x, axes):                      # no axes: every dimension of one; a named one that is not one stays
    drop = {axis_of(a, x.ndim) for a in axes} if axes else set(range(x.ndim))
    return x.reshape([size for i, size in enumerate(x.shape) if not (i in drop and size == 1)])


@op("unsqueeze2", inputs="X", axes=REQUIRED)
def unsqueeze2(x, axes):                    # axes are inserted one after another
    for axis in axes:
        x = np.expand_dims(x, axis)
    return x


@op("flatten2", inputs="X", axis=1)
def flatten2(x, axis):                      # → [prod(shape[:axis]), prod(shape[axis:])]
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


@op("flatten_contiguous_range", inputs="X", start_axis=1, stop_axis=1)
def flatten_contiguous_range(x, start_axis, stop_axis):
    if x.ndim == 0:
        return x.reshape(1)
    start, stop = axis_of(start_axis, x.ndim), axis_of(stop_axis, x.ndim)
    return x.reshape(*x.shape[:start], math.prod(x.shape[start:stop + 1]), *x.shape[stop + 1:])


@op("expand_v2", inputs="X Shape? expand_shapes_tensor?*", shape=[])
def expand_v2(x, shape_tensor, parts, shape):   # -1 keeps the dimension of x; new ones come in front
    shape = numbers(shape_tensor, parts, shape)
    old = (1,) * (len(shape) - x.ndim) + x.shape
    return packed(np.broadcast_to(x, [o if s == -1 else s for s, o in zip(shape, old, strict=True)]))


@op("tile", inputs="X RepeatTimes? repeat_times_tensor?*", repeat_times=[])
def tile(x, times, parts, repeat_times):
    return np.tile(x, numbers(times, parts, repeat_times))


SLICE_INPUTS = "Input StartsTensor? EndsTensor? {}StartsTensorList?* EndsTensorList?*"


@op("slice", inputs=SLICE_INPUTS.format(""), axes=REQUIRED, starts=[], ends=[], decrease_axis=[])
def slice_(x, start, end, start_parts, end_parts, axes, starts, ends, decrease_axis):
    # starts and ends count from the end when negative and are clamped
    cut = cut_of(x.ndim, axes, numbers(start, start_parts, starts), numbers(end, end_parts, ends), [1] * len(axes))
    return packed(np.squeeze(x[cut], tuple(axis_of(a, x.ndim) for a in decrease_axis)))


@op("strided_slice", inputs=SLICE_INPUTS.format("StridesTensor? ") + " StridesTensorList?*", axes=REQUIRED, starts=[],
    ends=[], strides=[], decrease_axis=[])
def strided_slice(x, start, end, stride, start_parts, end_parts, stride_parts, axes, starts, ends, strides,
                  decrease_axis):
    cut = cut_of(x.ndim, axes, numbers(start, start_parts, starts), numbers(end, end_parts, ends),
                 numbers(stride, stride_parts, strides))
    return packed(np.squeeze(x[cut], tuple(axis_of(a, x.ndim) for a in decrease_axis)))


def cut_of(rank: int, axes: list[int], starts: list[int], ends: list[int], steps: list[int]) -> tuple[slice, ...]:
    cut = [slice(None)] * rank
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cut[axis_of(axis, rank)] = slice(start, end, step)
    return tuple(cut)


PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@op("pad3d", inputs="X", paddings=REQUIRED, mode="constant", value=0.0, data_format="NCDHW")
def pad3d(x, paddings, mode, value, data_format):
    # x [N,C,D,H,W], [N,C,H,W] or channels last; paddings [left,right,top,bottom,front,back]
    if mode not in PAD_MODES:
        raise ConvertError(f"pad3d mode {mode} is none of {', '.join(PAD_MODES)}")
    pairs = [(paddings[4], paddings[5]), (paddings[2], paddings[3]), (paddings[0], paddings[1])]
    if x.ndim == 4 and pairs[0] != (0, 0):
        raise ConvertError("pad3d of a 4-D tensor cannot pad in front and back")
    pairs = pairs[5 - x.ndim:]
    widths = [(0, 0), *pairs, (0, 0)] if data_format.endswith("C") else [(0, 0), (0, 0), *pairs]
    if mode == "constant":
        return np.pad(x, widths, constant_values=value)
    return np.pad(x, widths, mode=PAD_MODES[mode])


@op("pixel_shuffle", inputs="X", upscale_factor=1, data_format="NCHW")
def pixel_shuffle(x, upscale_factor, data_format):      # [N,C*r*r,H,W] → [N,C,H*r,W*r]
    r = upscale_factor
    x = x.transpose(0, 3, 1, 2) if data_format == "NHWC" else x
    n, c, h, w = x.shape
    out = x.reshape(n, c // (r * r), r, r, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c // (r * r), h * r, w * r)
    return packed(out.transpose(0, 2, 3, 1) if data_format == "NHWC" else out)
