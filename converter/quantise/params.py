"""What numbers become: scale and zero point of a tensor, whole numbers and scales of a layer's weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LOW, HIGH = -128, 127
WIDE = 2047
"""The largest whole number in 12 bits: for what costs little room and errs much (see Layer.weights)."""
INT8 = 127
NARROW = 63
ROWS = 258
"""What the magnitudes of three rows of a depthwise window may add up to: times 127 it fits into 16 bits."""
_TINY = 1e-12


@dataclass(frozen=True)
class Params:
    """Real = scale * (q - zero), q in [low, high]."""

    scale: float
    zero: int
    low: int = LOW
    high: int = HIGH

    @property
    def inverse(self) -> float:
        return float(np.float32(1 / self.scale))

    def nearest(self, real: float) -> int:
        """The whole number that stands for a real one, within the bounds."""
        return int(np.clip(np.rint(real / self.scale) + self.zero, self.low, self.high))


def affine(smallest: float, largest: float, low: int = LOW, high: int = HIGH, symmetric: bool = False) -> Params:
    """Params that reach from smallest to largest; 0 is always among them, exactly. symmetric: with zero point 0."""
    smallest, largest = min(smallest, 0.0), max(largest, 0.0)
    if symmetric:
        reach = max(-smallest, largest, _TINY)
        return Params(float(np.float32(reach / high)), 0, low, high)
    scale = float(np.float32(max(largest - smallest, _TINY) / (high - low)))
    zero = int(np.clip(np.rint(low - smallest / scale), low, high))
    return Params(scale, zero, low, high)


def rows_of(kind: str, weight: np.ndarray) -> np.ndarray:
    """Weights [O, …] with everything that one output sums up behind it: conv2d [O,I,kh,kw] → [O,kh,kw,I]; fc [K,N] →
    [N,K]."""
    return np.ascontiguousarray(weight.T if kind == "fc" else weight.transpose(0, 2, 3, 1))


def whole(rows: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """rows [O, …] → (whole numbers of the same shape, float64 scales [O]): each scale the one of a few that errs
    least."""
    flat = rows.reshape(len(rows), -1).astype(np.float64)
    largest = np.maximum(np.abs(flat).max(1, keepdims=True), _TINY)
    best, error = largest / limit, np.full_like(largest, np.inf)
    for shrink in (1.0, 0.97, 0.94, 0.91, 0.88, 0.85, 0.8):
        scale = largest * shrink / limit
        wrong = ((np.clip(np.rint(flat / scale), -limit, limit) * scale - flat) ** 2).sum(1, keepdims=True)
        best, error = np.where(wrong < error, scale, best), np.minimum(wrong, error)
    return nearest(rows, best, limit), best.reshape(-1)


def nearest(rows: np.ndarray, scales: np.ndarray, limit: int) -> np.ndarray:
    """rows [O, …] in units of their scales [O]."""
    q = np.clip(np.rint(rows.reshape(len(rows), -1) / scales.reshape(-1, 1)), -limit, limit)
    return q.reshape(rows.shape).astype(np.int16 if limit > INT8 else np.int8)


def short_scales(scales: np.ndarray) -> tuple[np.ndarray, int]:
    """(float16 numbers, exponent): scales up to 0.05 %, those below a millionth of the largest to within that."""
    exponent = int(np.floor(np.log2(max(float(scales.max()), 2.0**-100)))) - 14
    return np.maximum(np.ldexp(scales, -exponent), 2.0**-14).astype(np.float16), exponent


def short_sums(sums: np.ndarray) -> tuple[np.ndarray, int]:
    """(int16 numbers, exponent): sums up to 1/65534 of the largest."""
    exponent = max(0, int(np.ceil(np.log2(max(float(np.abs(sums).max()), 1.0) / 32767))))
    return np.rint(np.ldexp(sums, -exponent)).astype(np.int16), exponent


def three_rows(rows: np.ndarray) -> np.ndarray:
    """The most that the magnitudes of [O, kh, …] add up to over three rows one after another, [O]."""
    sums = np.abs(rows.reshape(*rows.shape[:2], -1)).sum(2, dtype=np.float64)
    return np.stack([sums[:, i:i + 3].sum(1) for i in range(max(1, rows.shape[1] - 2))]).max(0)
