"""Reading a picture at places that a tensor names."""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.ops.spec import op


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
    left, top = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
    right, down = (column - left)[:, None].astype(x.dtype), (row - top)[:, None].astype(x.dtype)
    upper = taken(x, top, left) * (1 - right) + taken(x, top, left + 1) * right
    lower = taken(x, top + 1, left) * (1 - right) + taken(x, top + 1, left + 1) * right
    return np.ascontiguousarray(upper * (1 - down) + lower * down)
