"""Heatmaps -> corners. The place of a peak is the computation of static/pages/scanner/vision/decode.js;
what that file does about rivals and hidden corners is left to it.
"""

from __future__ import annotations

import numpy as np

from training.document_corners.scene import MARGIN

ROUNDS = 3


def peak_place(field: np.ndarray) -> tuple[float, float, float]:
    """(x, y, value) of a map's highest peak, in cells: the centre of mass of the 5 × 5 cells around it of what
    rises above a third of the peak, three times, with the window centred on the last result.
    """
    h, w = field.shape
    row, col = divmod(int(field.argmax()), w)
    peak = float(field[row, col])
    rows, cols = np.arange(max(0, row - 3), min(h, row + 4)), np.arange(max(0, col - 3), min(w, col + 4))
    patch = np.maximum(field[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].astype(np.float64) - peak / 3, 0)
    x, y = float(col), float(row)
    for _ in range(ROUNDS):
        weight = patch * np.clip(3 - np.abs(rows - y), 0, 1)[:, None] * np.clip(3 - np.abs(cols - x), 0, 1)
        mass = weight.sum()
        if not mass > 0:
            break
        x = float(np.clip(weight.sum(0) @ cols / mass, col - 1, col + 1))
        y = float(np.clip(weight.sum(1) @ rows / mass, row - 1, row + 1))
    return x, y, peak


def decode(heatmaps: np.ndarray, margin: float = MARGIN) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n,4,h,w] -> normalised corners [n,4,2] and the peak values [n,4]."""
    n, k, h, w = heatmaps.shape
    found = np.array([peak_place(field) for field in heatmaps.reshape(n * k, h, w)]).reshape(n, k, 3)
    return (found[..., :2] + 0.5) / [w, h] * (1 + 2 * margin) - margin, found[..., 2]


def quad_iou(a: np.ndarray, b: np.ndarray, scale: int = 1024) -> float:
    """Intersection over union of two quadrilaterals [4,2] in normalised coordinates, rasterised."""
    import cv2

    low = np.minimum(a.min(0), b.min(0))
    span = max(float((np.maximum(a.max(0), b.max(0)) - low).max()), 1e-6)
    masks = []
    for quad in (a, b):
        mask = np.zeros((scale + 2, scale + 2), np.uint8)
        cv2.fillPoly(mask, [np.round((quad - low) / span * scale * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
        masks.append(mask > 0)
    union = np.logical_or(*masks).sum()
    return float(np.logical_and(*masks).sum() / union) if union else 0.0
