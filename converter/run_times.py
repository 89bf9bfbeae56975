"""Running something again and again, with a clock."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np


def again(once: Callable[[], dict[str, np.ndarray]], repeat: int) -> tuple[dict[str, np.ndarray], list[float]]:
    """The last outputs, and the time of each run in milliseconds."""
    outputs: dict[str, np.ndarray] = {}
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        outputs = once()
        times.append(1000 * (time.perf_counter() - start))
    return outputs, times
