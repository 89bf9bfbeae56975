"""conv2d and conv2d_transpose: im2col in bands of rows, then a matrix product."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from converter.errors import ConvertError
from converter.ops.shapes import overhang, transpose_out, window_pads
from converter.ops.spec import op
from converter.ops.unary import FUSABLE, activate

BAND_BYTES = 16 << 20
"""Columns are made for as many output rows at a time as fit in this."""

WINDOW = {"strides": [1, 1], "paddings": [0, 0, 0, 0], "padding_algorithm": "EXPLICIT", "dilations": [1, 1],
          "groups": 1, "data_format": "NCHW"}


def channels_first(x: np.ndarray, data_format: str) -> np.ndarray:
    if data_format not in ("NCHW", "NHWC", "AnyLayout"):
        raise ConvertError(f"data_format {data_format} is none of NCHW, NHWC")
    return x.transpose(0, 3, 1, 2) if data_format == "NHWC" else x


def finish(out: np.ndarray, bias: np.ndarray | None, residual: np.ndarray | None, data_format: str,
           fuse: tuple[str, float, float]) -> np.ndarray:
    """Bias, residual and activation, then the layout of the input."""
    if bias is not None:
        out = out + bias.reshape(-1, 1, 1)
    if data_format == "NHWC":
        out = np.ascontiguousarray(out.transpose(0, 2, 3, 1))
    if residual is not None:
        out = out + residual
    return activate(out, *fuse)


def geometry(size: tuple[int, int], kernel: tuple[int, int], strides: list[int], paddings: list[int],
             algorithm: str, dilations: list[int]) -> tuple[list[tuple[int, int]], list[int]]:
    """Pads per axis and the dilations that hold; under SAME Paddle sets them to one."""
    pairs = [(paddings[0], paddings[1]), (paddings[2], paddings[3])]
    pads = [window_pads(size[a], kernel[a], strides[a], pairs[a], algorithm) for a in (0, 1)]
    return pads, [1, 1] if algorithm == "SAME" else dilations


@op("conv2d", inputs="Input Filter Bias? ResidualData?", **WINDOW, **FUSABLE)
def conv2d(x, w, bias, residual, strides, paddings, padding_algorithm, dilations, groups, data_format,
           fuse_activation, fuse_alpha, fuse_beta):
    # x [N,C,H,W] (or NHWC), w [O,C/groups,kh,kw] → [N,O,OH,OW]
    x = channels_first(x, data_format)
    if w.ndim != 4 or x.ndim != 4:
        raise ConvertError(f"conv2d needs a 4-D input and filter, got {list(x.shape)} and {list(w.shape)}")
    if x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise ConvertError(f"conv2d with {groups} groups does not fit input {list(x.shape)}, filter {list(w.shape)}")
    pads, dilations = geometry(x.shape[2:], w.shape[2:], strides, paddings, padding_algorithm, dilations)
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, w.shape[2:], strict=True)]
    pads = [(pads[a][0], pads[a][1] + overhang(x.shape[a + 2], reach[a], strides[a], pads[a])) for a in (0, 1)]
    x = np.pad(x, [(0, 0), (0, 0), *pads]) if any(map(any, pads)) else x
    if any(r > s for r, s in zip(reach, x.shape[2:], strict=True)):
        raise ConvertError(f"the window {reach} is larger than the padded input {list(x.shape[2:])}")
    windows = sliding_window_view(x, reach, axis=(2, 3))
    windows = windows[:, :, ::strides[0], ::strides[1], ::dilations[0], ::dilations[1]]
    out = depthwise(windows, w) if w.shape[1] == 1 else grouped(windows, w, groups)
    return finish(out, bias, residual, data_format, (fuse_activation, fuse_alpha, fuse_beta))


def grouped(windows: np.ndarray, w: np.ndarray, groups: int) -> np.ndarray:
    """windows [N,C,OH,OW,kh,kw], w [O,C/g,kh,kw] → [N,O,OH,OW]."""
    n, c, oh, ow, kh, kw = windows.shape
    w = w.reshape(groups, w.shape[0] // groups, -1)
    out = np.empty((n, groups, w.shape[1], oh, ow), windows.dtype)
    band = max(1, BAND_BYTES // max(1, c * kh * kw * ow * windows.itemsize))
    for image in range(n):
        for top in range(0, oh, band):
            part = windows[image, :, top:top + band]
            columns = part.transpose(0, 3, 4, 1, 2).reshape(groups, c // groups * kh * kw, -1)
            out[image, :, :, top:top + band] = (w @ columns).reshape(groups, w.shape[1], -1, ow)
    return out.reshape(n, -1, oh, ow)


def depthwise(windows: np.ndarray, w: np.ndarray) -> np.ndarray:
    """One input channel per group, tap by tap; w [C*m,1,kh,kw]."""
    n, c, oh, ow, kh, kw = windows.shape
    w = w.reshape(c, -1, kh, kw)
    out = np.zeros((n, c, w.shape[1], oh, ow), windows.dtype)
    for i in range(kh):
        for j in range(kw):
            out += windows[:, :, None, :, :, i, j] * w[:, :, i, j][:, :, None, None]
    return out.reshape(n, -1, oh, ow)


@op("conv2d_transpose", inputs="Input Filter Bias?", **WINDOW, output_padding=[], output_size=[], **FUSABLE)
def conv2d_transpose(x, w, bias, strides, paddings, padding_algorithm, dilations, groups, data_format,
                     output_padding, output_size, fuse_activation, fuse_alpha, fuse_beta):
    # x [N,C,H,W] (or NHWC), w [C,O/groups,kh,kw] → [N,O,OH,OW]; OH = (H-1)*s - pads + d*(kh-1) + 1 + output_padding
    x = channels_first(x, data_format)
    if w.ndim != 4 or x.ndim != 4 or x.shape[1] != w.shape[0] or w.shape[0] % groups:
        raise ConvertError(f"conv2d_transpose with {groups} groups does not fit input {list(x.shape)}, "
                           f"filter {list(w.shape)}")
    pads, dilations = geometry(x.shape[2:], w.shape[2:], strides, paddings, padding_algorithm, dilations)
    extra = output_padding or [0, 0]
    size = [transpose_out(x.shape[a + 2], w.shape[a + 2], strides[a], pads[a], dilations[a], extra[a]) for a in (0, 1)]
    size = list(output_size) or size
    full = scatter(x, w, strides, dilations, groups)
    room = [(0, max(0, pads[a][0] + size[a] - full.shape[a + 2])) for a in (0, 1)]
    full = np.pad(full, [(0, 0), (0, 0), *room])
    out = full[:, :, pads[0][0]:pads[0][0] + size[0], pads[1][0]:pads[1][0] + size[1]]
    return finish(out, bias, None, data_format, (fuse_activation, fuse_alpha, fuse_beta))


def scatter(x: np.ndarray, w: np.ndarray, strides: list[int], dilations: list[int], groups: int) -> np.ndarray:
    """Every input pixel adds its filter, tap by tap, to an unpadded picture."""
    n, c, h, width = x.shape
    _, o, kh, kw = w.shape
    out = np.zeros((n, groups, o, (h - 1) * strides[0] + dilations[0] * (kh - 1) + 1,
                    (width - 1) * strides[1] + dilations[1] * (kw - 1) + 1), x.dtype)
    pixels = x.reshape(n, groups, c // groups, h * width)
    w = w.reshape(groups, c // groups, o, kh, kw)
    for i in range(kh):
        for j in range(kw):
            top, left = i * dilations[0], j * dilations[1]
            tap = w[:, :, :, i, j].transpose(0, 2, 1) @ pixels
            out[..., top:top + (h - 1) * strides[0] + 1:strides[0],
                left:left + (width - 1) * strides[1] + 1:strides[1]] += tap.reshape(n, groups, o, h, width)
    return out.reshape(n, groups * o, *out.shape[3:])
