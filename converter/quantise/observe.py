"""What flows through a graph while it sees the calibration inputs: ranges and histograms."""

from __future__ import annotations

import math

import numpy as np

BINS = 2048
_SAMPLES = 1 << 15
"""Elements of a tensor that one input adds to its histogram, evenly spread; smallest and largest are of all."""


class Seen:
    """One tensor over all inputs. The histogram spans [-reach, reach]; reach doubles when something lies outside."""

    def __init__(self) -> None:
        self.smallest, self.largest = math.inf, -math.inf
        self.reach = 0.0
        self.counts = np.zeros(2 * BINS, np.int64)

    def add(self, x: np.ndarray) -> None:
        self.smallest, self.largest = min(self.smallest, float(x.min())), max(self.largest, float(x.max()))
        largest = max(abs(float(x.min())), abs(float(x.max())), 1e-9)
        if self.reach == 0.0:
            self.reach = largest
        while self.reach < largest:
            self._widen()
        flat = x.reshape(-1)
        flat = flat[::max(1, flat.size // _SAMPLES) | 1]
        index = ((flat * np.float32(BINS / self.reach)) + np.float32(BINS)).astype(np.int32)
        self.counts += np.bincount(np.clip(index, 0, 2 * BINS - 1), minlength=2 * BINS)

    def _widen(self) -> None:
        pairs = self.counts.reshape(-1, 2).sum(1)
        self.counts = np.concatenate([np.zeros(BINS // 2, np.int64), pairs, np.zeros(BINS // 2, np.int64)])
        self.reach *= 2

    @property
    def edges(self) -> np.ndarray:
        return np.linspace(-self.reach, self.reach, 2 * BINS + 1)


def ranges(seen: Seen) -> dict[str, tuple[float, float]]:
    """Candidates by method; those that would choose what min-max chooses are left out."""
    found = {"min-max": (seen.smallest, seen.largest)}
    for name, share in (("percentile 99.99", 1e-4), ("percentile 99.9", 1e-3)):
        found[name] = percentile(seen, share)
    found["entropy"] = entropy(seen)
    found["least squares"] = least_squares(seen)
    full = found["min-max"]
    return {name: r for name, r in found.items()
            if name == "min-max" or r[1] - r[0] < 0.98 * (max(full[1], 0) - min(full[0], 0))}


def percentile(seen: Seen, share: float) -> tuple[float, float]:
    """What leaves out that share at either end."""
    below = np.cumsum(seen.counts) / max(1, seen.counts.sum())
    low = seen.edges[int(np.searchsorted(below, share, "right"))]
    high = seen.edges[min(int(np.searchsorted(below, 1 - share)) + 1, 2 * BINS)]
    return max(seen.smallest, min(low, 0.0)), min(seen.largest, max(high, 0.0))


def entropy(seen: Seen, levels: int = 256) -> tuple[float, float]:
    """The share of the range that, cut into levels, loses least information (Kullback-Leibler), as TensorRT does it."""
    edges, counts = seen.edges, seen.counts.astype(np.float64)
    counts[BINS] = min(counts[BINS], counts[BINS + 1])     # what an activation cut to 0 says nothing about ranges
    best, found = math.inf, (seen.smallest, seen.largest)
    for share in np.linspace(1.0, 0.2, 33):
        low, high = seen.smallest * share, seen.largest * share
        first = int(np.searchsorted(edges, low, "right")) - 1
        last = max(int(np.searchsorted(edges, high)), first + 1)
        part = counts[max(first, 0):last].copy()
        if part.size < levels // 2:
            break
        part[0] += counts[:max(first, 0)].sum()
        part[-1] += counts[last:].sum()
        divergence = lost(part, levels)
        if divergence < best:
            best, found = divergence, (low, high)
    return found


def least_squares(seen: Seen, levels: int = 256) -> tuple[float, float]:
    """The share of the range that errs least in squares, rounding and cutting taken together."""
    middles, counts = (seen.edges[1:] + seen.edges[:-1]) / 2, seen.counts / max(1, seen.counts.sum())
    best, found = math.inf, (seen.smallest, seen.largest)
    for share in np.linspace(1.0, 0.3, 36):
        low, high = min(seen.smallest * share, 0.0), max(seen.largest * share, 0.0)
        cut = np.maximum(middles - high, 0) + np.maximum(low - middles, 0)
        wrong = float((counts * cut**2).sum()) + ((high - low) / (levels - 1)) ** 2 / 12
        if wrong < best:
            best, found = wrong, (low, high)
    return found


def lost(real: np.ndarray, levels: int) -> float:
    """Of a histogram, with what was cut in its first and last bin, when told apart by levels only."""
    group = np.minimum(np.arange(real.size) * levels // real.size, levels - 1)
    filled = real > 0
    sums = np.bincount(group, real, levels)
    places = np.maximum(np.bincount(group, filled, levels), 1)
    told = np.where(filled, (sums / places)[group], 0) + 1e-9
    p, q = real / real.sum(), told / told.sum()
    at = p > 0
    return float((p[at] * np.log(p[at] / q[at])).sum())
