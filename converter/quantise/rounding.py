"""Which whole numbers a layer's weights become: each column is rounded so that it makes up for what rounding those
before it did to the results, as far as the inputs go together (Frantar et al. 2022, arXiv:2210.17323)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converter.graph import Node
from converter.ops.conv import geometry
from converter.ops.shapes import overhang
from converter.quantise.params import INT8, nearest

DEEPEST = 2304
"""Inputs per result above which weights are rounded one by one: time grows with the cube, memory with the square."""
_LEAST, _FOR_EACH = 2048, 4
"""How many results of a layer are looked at, over all inputs: at least so many, and more where more go into each."""
_DAMPING = 0.05
"""Of the mean variance, added to each: as if the inputs were a little less alike than those few that were seen."""


class Moments:
    """Mean and covariance of what a layer multiplies its weights with, by group: mean [G, K], products [G, K, K].

    K runs over kh, kw and the channels of a group, as in params.rows_of.
    """

    def __init__(self, groups: int, depth: int, inputs: int) -> None:
        self.places = -(-max(_LEAST, _FOR_EACH * depth) // inputs)
        self.count, self.sums = 0, np.zeros((groups, depth))
        self.products = np.zeros((groups, depth, depth), np.float32)

    def add(self, taken: np.ndarray) -> None:
        """taken: [G, P, K]."""
        self.count += taken.shape[1]
        self.sums += taken.sum(1, dtype=np.float64)
        self.products += np.ascontiguousarray(taken.transpose(0, 2, 1)) @ taken

    @property
    def mean(self) -> np.ndarray:
        return self.sums / max(1, self.count)

    @property
    def covariance(self) -> np.ndarray:
        mean = self.mean
        return self.products.astype(np.float64) / max(1, self.count) - mean[:, :, None] * mean[:, None, :]


def moments_for(node: Node, weight_shape: Sequence[int], inputs: int) -> Moments | None:
    """Empty ones for a conv2d or fc and so many inputs; None where they would be too large."""
    groups, depth = (1, weight_shape[0]) if node.type == "fc" else (
        node.attrs["groups"], int(np.prod(weight_shape[1:])))
    return Moments(groups, depth, inputs) if depth <= DEEPEST and groups * depth * depth <= DEEPEST**2 else None


def taken(node: Node, x: np.ndarray, kernel: Sequence[int], places: int, rng: np.random.Generator) -> np.ndarray:
    """What some of a layer's results, spread at random, are made of, [G, P, K]: x is fc's [..., K] or conv2d's
    [N, C, H, W]."""
    a = node.attrs
    if node.type == "fc":
        rows = x.reshape(int(np.prod(x.shape[:a["in_num_col_dims"]])), -1)
        chosen = rng.permutation(len(rows))[:places]
        return np.ascontiguousarray(rows[None, chosen])
    pads, dilations = geometry(x.shape[2:], kernel, a["strides"], a["paddings"], a["padding_algorithm"], a["dilations"])
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    after = [pads[i][1] + overhang(x.shape[i + 2], reach[i], a["strides"][i], pads[i]) for i in (0, 1)]
    rows, columns = ((x.shape[i + 2] + pads[i][0] + after[i] - reach[i]) // a["strides"][i] + 1 for i in (0, 1))
    chosen = rng.permutation(len(x) * rows * columns)[:places]
    n, i, j = chosen // (rows * columns), chosen // columns % rows, chosen % columns
    above, up = _within(i, kernel[0], a["strides"][0], dilations[0], pads[0][0], x.shape[2])
    left, along = _within(j, kernel[1], a["strides"][1], dilations[1], pads[1][0], x.shape[3])
    windows = x[n[:, None, None], :, above[:, :, None], left[:, None, :]]                   # [P, kh, kw, C]
    windows = windows * (up[:, :, None, None] & along[:, None, :, None])                    # 0 in the border
    dealt = windows.reshape(len(chosen), *kernel, a["groups"], -1).transpose(3, 0, 1, 2, 4)
    return np.ascontiguousarray(dealt.reshape(a["groups"], len(chosen), -1))


def _within(at: np.ndarray, taps: int, stride: int, dilation: int, before: int,
            size: int) -> tuple[np.ndarray, np.ndarray]:
    """Along one axis, [P, taps]: where windows look that begin at these places, and whether that is in the picture."""
    found = (at * stride - before)[:, None] + np.arange(taps) * dilation
    return np.clip(found, 0, size - 1), (found >= 0) & (found < size)


def compensated(rows: np.ndarray, steps: np.ndarray, limit: int, moments: Moments | None) -> np.ndarray:
    """rows [O, …] in units of their steps [O], as whole numbers up to the limit; the nearest ones without moments."""
    if moments is None or moments.count == 0:
        return nearest(rows, steps, limit)
    groups, depth = moments.sums.shape
    left = rows.reshape(groups, -1, depth).astype(np.float32)
    unit = steps.reshape(groups, -1).astype(np.float32)
    order, factors = _factors(moments)
    left = np.take_along_axis(left, order[:, None, :], 2)
    found = np.empty_like(left)
    for k in range(depth):
        found[:, :, k] = np.clip(np.rint(left[:, :, k] / unit), -limit, limit)
        wrong = (left[:, :, k] - found[:, :, k] * unit) / factors[:, None, k, k]
        left[:, :, k + 1:] -= wrong[:, :, None] * factors[:, None, k, k + 1:]
    back = np.argsort(order, 1)
    q = np.take_along_axis(found, back[:, None, :], 2).reshape(rows.shape)
    return q.astype(np.int16 if limit > INT8 else np.int8)


def _factors(moments: Moments) -> tuple[np.ndarray, np.ndarray]:
    """(order of the columns, those that vary most first; upper triangles U, U'U being the inverse covariance)."""
    covariance = moments.covariance
    spread = np.einsum("gkk->gk", covariance)
    damping = _DAMPING * np.maximum(spread.mean(1), 1e-12)
    covariance += damping[:, None, None] * np.eye(covariance.shape[1])
    order = np.argsort(-spread, 1, kind="stable")
    covariance = np.take_along_axis(np.take_along_axis(covariance, order[:, :, None], 1), order[:, None, :], 2)
    while np.isfinite(covariance).all():
        try:
            lower = np.linalg.cholesky(np.linalg.inv(covariance))
            return order, lower.transpose(0, 2, 1).astype(np.float32)
        except np.linalg.LinAlgError:       # a mean far above the spread, which float32 then loses: nearly alone each
            damping = 10 * damping
            covariance += damping[:, None, None] * np.eye(covariance.shape[1])
    return order, np.broadcast_to(np.eye(covariance.shape[1], dtype=np.float32), covariance.shape)
