"""Heatmaps -> corners, the same computation as static/pages/scanner/vision/decode.js."""

from __future__ import annotations

import numpy as np

from training.document_corners.scene import MARGIN

REACH = 2  # cells around the peak that share in its centre of mass


def decode(heatmaps: np.ndarray, margin: float = MARGIN) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n,4,h,w] -> normalised corners [n,4,2] and the peak values [n,4].

    Peak cell, then the centre of mass of the 5 × 5 cells around it (cut at the border).
    """
    n, k, h, w = heatmaps.shape
    flat = heatmaps.reshape(n * k, h * w)
    peak = flat.argmax(1)
    corners = np.empty((n * k, 2))
    for row, (top, field) in enumerate(zip(peak, heatmaps.reshape(n * k, h, w), strict=True)):
        i, j = divmod(int(top), w)
        rows, cols = np.arange(max(0, i - REACH), min(h, i + REACH + 1)), np.arange(max(0, j - REACH), min(w, j + REACH + 1))
        patch = field[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].astype(np.float64)
        mass = max(patch.sum(), 1e-12)
        corners[row] = (patch.sum(0) @ cols / mass, patch.sum(1) @ rows / mass)
    corners = (corners + 0.5) / [w, h] * (1 + 2 * margin) - margin
    return corners.reshape(n, k, 2), flat[np.arange(n * k), peak].reshape(n, k)


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
