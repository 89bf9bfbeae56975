"""nearest_interp_v2, bilinear_interp_v2 and bicubic_interp_v2."""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.ops.layout import numbers
from converter.ops.spec import op

RESIZE = {"inputs": "X OutSize? SizeTensor?* Scale?", "out_h": -1, "out_w": -1, "scale": [], "align_corners": False,
          "align_mode": 1, "data_layout": "NCHW"}


def target(size: tuple[int, int], out_size: np.ndarray | None, parts: list[np.ndarray],
           scale_tensor: np.ndarray | None, out: tuple[int, int],
           scale: list[float]) -> list[tuple[int, np.float32 | None]]:
    """Per axis: output size and the scale that sets the step, None where the sizes set it.

    SizeTensor wins over everything; else a scale sets size and step; OutSize then overrides the size only.
    """
    if parts:
        return [(v, None) for v in numbers(None, parts, [])]
    scales = [np.float32(s) for s in (scale if scale_tensor is None else scale_tensor.reshape(-1))]
    scales = scales * 2 if len(scales) == 1 else scales
    if scales and min(scales) > 0:
        result = [(int(n * s), s) for n, s in zip(size, scales, strict=True)]
    else:
        result = [(n, None) for n in out]
    if out_size is not None:
        result = [(n, s) for n, (_, s) in zip(numbers(out_size, [], []), result, strict=True)]
    if min(n for n, _ in result) < 1:
        raise ConvertError(f"resize to {[n for n, _ in result]}: no usable size or scale")
    return result


def step(size: int, out: int, scale: np.float32 | None, align_corners: bool) -> np.float32:
    """Source pixels per output pixel, in float32 as Paddle computes it."""
    if out == 1:                            # one pixel is always the first one
        return np.float32(0)
    if align_corners:
        return np.float32(size - 1) / np.float32(out - 1)
    return np.float32(1) / scale if scale is not None else np.float32(size) / np.float32(out)


@op("nearest_interp_v2", **RESIZE)
def nearest_interp_v2(x, out_size, parts, scale_tensor, out_h, out_w, scale, align_corners, align_mode, data_layout):
    first = 1 if data_layout == "NHWC" else 2
    for axis, (out, factor) in enumerate(target(x.shape[first:first + 2], out_size, parts, scale_tensor,
                                                (out_h, out_w), scale), first):
        size = x.shape[axis]
        at = step(size, out, factor, align_corners) * np.arange(out, dtype=np.float32)
        index = (at + np.float32(0.5) if align_corners else at).astype(np.int64)
        x = np.take(x, np.minimum(index, size - 1), axis)
    return x


@op("bilinear_interp_v2", **RESIZE)
def bilinear_interp_v2(x, out_size, parts, scale_tensor, out_h, out_w, scale, align_corners, align_mode, data_layout):
    first = 1 if data_layout == "NHWC" else 2
    for axis, (out, factor) in enumerate(target(x.shape[first:first + 2], out_size, parts, scale_tensor,
                                                (out_h, out_w), scale), first):
        size, at = x.shape[axis], np.arange(out, dtype=np.float32)
        ratio = step(size, out, factor, align_corners)
        half = np.float32(0.5) if align_mode == 0 and not align_corners else np.float32(0)
        source = np.maximum(ratio * (at + half) - half, 0)
        low = np.minimum(source.astype(np.int64), size - 1)
        part = (source - low.astype(np.float32)).reshape((-1,) + (1,) * (x.ndim - 1 - axis))
        x = np.take(x, low, axis) * (1 - part) + np.take(x, np.minimum(low + 1, size - 1), axis) * part
    return x


def cubic(t: np.ndarray) -> list[np.ndarray]:
    """Weights of the four pixels around a place, t past the second of them; Keys' kernel with a = -0.75."""
    a = np.float32(-0.75)

    def near(x):
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x):
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


@op("bicubic_interp_v2", **RESIZE)
def bicubic_interp_v2(x, out_size, parts, scale_tensor, out_h, out_w, scale, align_corners, align_mode, data_layout):
    first = 1 if data_layout == "NHWC" else 2
    for axis, (out, factor) in enumerate(target(x.shape[first:first + 2], out_size, parts, scale_tensor,
                                                (out_h, out_w), scale), first):
        size, half = x.shape[axis], np.float32(0 if align_corners else 0.5)
        source = step(size, out, factor, align_corners) * (np.arange(out, dtype=np.float32) + half) - half
        low = np.floor(source)
        weights = [w.reshape((-1,) + (1,) * (x.ndim - 1 - axis)) for w in cubic(source - low)]
        places = [np.clip(low.astype(np.int64) + k, 0, size - 1) for k in (-1, 0, 1, 2)]
        x = sum(np.take(x, at, axis) * w for at, w in zip(places, weights, strict=True))
    return x
