"""Reading a picture at places that a tensor names."""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.ops.spec import REQUIRED, op


def pixels(at: np.ndarray, size: int, padding_mode: str, align_corners: bool) -> np.ndarray:
    """Coordinates from -1 (one end) to 1 (the other) → pixels, brought inside where the padding asks for it."""
    top = np.float32(size - 1)
    x = (at + 1) / 2 * top if align_corners else ((at + 1) * size - 1) / 2
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        span = 2 * top if align_corners else np.float32(2 * size)
        shifted = np.abs(x) if align_corners else np.abs(x + np.float32(0.5))
        rest = shifted - np.floor(shifted / max(span, 1)) * span
        x = np.minimum(rest, span - rest) - np.float32(0 if align_corners else 0.5)
    elif padding_mode != "border":
        raise ConvertError(f"grid_sampler padding_mode '{padding_mode}' is none of zeros, border, reflection")
    return np.clip(x, 0, top)


def taken(x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """x [N,C,H,W] at whole rows and columns [N,OH,OW] → [N,C,OH,OW], zero outside."""
    height, width = x.shape[2:]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    batch = np.arange(len(x))[:, None, None]
    found = x.transpose(0, 2, 3, 1)[batch, np.where(inside, rows, 0), np.where(inside, columns, 0)]
    return np.where(inside[..., None], found, 0).transpose(0, 3, 1, 2)


@op("grid_sampler", inputs="X Grid", mode="bilinear", padding_mode="zeros", align_corners=True)
def grid_sampler(x, grid, mode, padding_mode, align_corners):
    # x [N,C,H,W], grid [N,OH,OW,2] of (column, row) from -1 to 1 → [N,C,OH,OW]
    column = pixels(grid[..., 0], x.shape[3], padding_mode, align_corners)
    row = pixels(grid[..., 1], x.shape[2], padding_mode, align_corners)
    if mode == "nearest":
        return np.ascontiguousarray(taken(x, np.rint(row).astype(np.int64), np.rint(column).astype(np.int64)))
    if mode != "bilinear":
        raise ConvertError(f"grid_sampler mode '{mode}' is none of bilinear, nearest")
    return np.ascontiguousarray(bilinear(x, row, column))


@op("deformable_columns", inputs="Input Offset Mask?", kernel=REQUIRED, strides=[1, 1], paddings=[0, 0],
    dilations=[1, 1], deformable_groups=1)
def deformable_columns(x, offset, mask, kernel, strides, paddings, dilations, deformable_groups):
    # x [N,C,H,W]: what each window holds [N,C*kh*kw,OH,OW], every pixel read as far from its place as Offset
    # [N,G*kh*kw*2,OH,OW] says (down, right), between pixels linearly, zero outside; times Mask [N,G*kh*kw,OH,OW].
    # Of C channels each C/G share one part of Offset and Mask.
    n, c, taps = *x.shape[:2], kernel[0] * kernel[1]
    rows, columns = offset.shape[2:]
    if c % deformable_groups or offset.shape[1] != 2 * taps * deformable_groups:
        raise ConvertError(f"deformable_columns cannot read {list(x.shape)} at {list(offset.shape)}")
    moves = offset.reshape(n, deformable_groups, taps, 2, rows, columns)
    tap = np.arange(taps)[:, None, None]
    y = moves[:, :, :, 0] + ((np.arange(rows) * strides[0] - paddings[0])[:, None]
                             + tap // kernel[1] * dilations[0]).astype(x.dtype)
    z = moves[:, :, :, 1] + (np.arange(columns) * strides[1] - paddings[1]
                             + tap % kernel[1] * dilations[1]).astype(x.dtype)
    out = np.empty((n, deformable_groups, c // deformable_groups, taps, rows, columns), x.dtype)
    pictures = x.reshape(n, deformable_groups, c // deformable_groups, *x.shape[2:])
    for g in range(deformable_groups):
        read = bilinear(pictures[:, g], y[:, g].reshape(n, -1, columns), z[:, g].reshape(n, -1, columns))
        out[:, g] = read.reshape(n, -1, taps, rows, columns)
    if mask is not None:
        out *= mask.reshape(n, deformable_groups, 1, taps, rows, columns)
    return out.reshape(n, c * taps, rows, columns)


def bilinear(x: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """x [N,C,H,W] between its pixels, at places [N,OH,OW] → [N,C,OH,OW], zero outside."""
    left, top = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
    right, down = (column - left)[:, None].astype(x.dtype), (row - top)[:, None].astype(x.dtype)
    upper = taken(x, top, left) * (1 - right) + taken(x, top, left + 1) * right
    lower = taken(x, top + 1, left) * (1 - right) + taken(x, top + 1, left + 1) * right
    return upper * (1 - down) + lower * down
