"""A question to Paddle: an operator in its canonical form with concrete inputs."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Case:
    """inputs: slot → arrays. const: slots a backend gets as weights. tol: see make_cases.py."""

    name: str
    op: str
    inputs: dict[str, list[np.ndarray]]
    attrs: dict[str, Any] = field(default_factory=dict)
    const: list[str] = field(default_factory=list)
    outputs: int = 1
    tol: float = 1e-5


def rand(*shape: int, low: float = -2.0, high: float = 2.0, seed: str = "") -> np.ndarray:
    """Uniform float32 on a grid of 0.01, the same for the same arguments; the grid keeps the files short."""
    rng = np.random.default_rng(zlib.crc32(repr((shape, low, high, seed)).encode()))
    return np.round(rng.uniform(low, high, shape), 2).astype(np.float32)


def ints(*shape: int, low: int = -9, high: int = 9, dtype: str = "int64", seed: str = "") -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(repr((shape, low, high, seed)).encode()))
    return rng.integers(low, high + 1, shape).astype(dtype)


def vector(*values: int, dtype: str = "int32") -> np.ndarray:
    return np.array(values, dtype)


def tensor(array: np.ndarray) -> dict[str, Any]:
    """{dtype, shape, data}; floats in the shortest form that reads back to the same float32."""
    array = np.asarray(array)
    if array.dtype.kind == "f":
        data: list[Any] = [float(str(v)) if np.isfinite(v) else str(float(v)) for v in array.reshape(-1)]
        data = [int(v) if not isinstance(v, str) and v == int(v) and abs(v) < 1e9 else v for v in data]
    else:
        data = [int(v) for v in array.reshape(-1)]
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": data}
