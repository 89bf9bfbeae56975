"""pool2d: max and average; windows, global, adaptive."""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.ops.conv import channels_first
from converter.ops.shapes import window_out, window_pads
from converter.ops.spec import REQUIRED, op


@op("pool2d", inputs="X KsizeTensor?", pooling_type="max", ksize=REQUIRED, strides=[1, 1], paddings=[0, 0, 0, 0],
    ceil_mode=False, exclusive=True, adaptive=False, global_pooling=False, padding_algorithm="EXPLICIT",
    data_format="NCHW")
def pool2d(x, size, pooling_type, ksize, strides, paddings, ceil_mode, exclusive, adaptive, global_pooling,
           padding_algorithm, data_format):
    # x [N,C,H,W] (or NHWC) → [N,C,OH,OW]; adaptive: ksize is the output size, or size where it is computed
    if pooling_type not in ("max", "avg"):
        raise ConvertError(f"pooling_type {pooling_type} is none of max, avg")
    x, ksize = channels_first(x, data_format), ksize if size is None else [int(side) for side in size.reshape(-1)]
    for axis in (0, 1):
        size = x.shape[axis + 2]
        if global_pooling or adaptive:
            spans = adaptive_spans(size, 1 if global_pooling else ksize[axis])
            divisors = [stop - start for start, stop in spans]
        else:
            pads = window_pads(size, ksize[axis], strides[axis], tuple(paddings[2 * axis:2 * axis + 2]),
                               padding_algorithm)
            spans, divisors = window_spans(size, ksize[axis], strides[axis], pads, ceil_mode, exclusive)
        x = pool_axis(x, axis + 2, spans, divisors, pooling_type)
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if data_format == "NHWC" else x


def adaptive_spans(size: int, count: int) -> list[tuple[int, int]]:
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def window_spans(size: int, kernel: int, stride: int, pads: tuple[int, int], ceil_mode: bool,
                 exclusive: bool) -> tuple[list[tuple[int, int]], list[int]]:
    """The part of each window inside the input, and what its sum is divided by."""
    spans, divisors = [], []
    for i in range(window_out(size, kernel, stride, pads, ceil_mode)):
        start = i * stride - pads[0]
        stop = min(start + kernel, size + pads[0])
        inside = max(start, 0), min(stop, size)
        spans.append(inside)
        divisors.append(inside[1] - inside[0] if exclusive else stop - start)
    return spans, divisors


def pool_axis(x: np.ndarray, axis: int, spans: list[tuple[int, int]], divisors: list[int], kind: str) -> np.ndarray:
    """Windows are products of intervals, so both max and mean go one axis at a time."""
    x = np.moveaxis(x, axis, 0)
    out = np.empty((len(spans), *x.shape[1:]), x.dtype)
    for i, (start, stop) in enumerate(spans):
        if stop <= start:
            raise ConvertError(f"pooling window {i} lies outside the input")
        out[i] = x[start:stop].max(0) if kind == "max" else x[start:stop].sum(0) / x.dtype.type(divisors[i])
    return np.ascontiguousarray(np.moveaxis(out, 0, axis))
