"""check.dat: an input of the model and what Paddle's operators make of it, for pages that compute in float16.

A GPU's half precision is right for most nets and wrong for some, on some drivers: a page runs this once before it
trusts it. The input is that of the conversion's own check. Pictures are stored as their pixels; of large answers,
every n-th number.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from converter.graph import Graph
from converter.trial import pictures_for
from converter.write.web import NEXT

FILE = "check.dat"
MAX_BYTES = 2 * 1024 * 1024
"""A model with larger inputs goes without: nobody should fetch more to be told that all is well."""
_MOST_NUMBERS = 8192


def write(folder: Path, graph: Graph, feeds: dict[str, np.ndarray],
          expected: dict[str, np.ndarray]) -> dict[str, Any] | None:
    """Write check.dat and return its entry of model.json; None, and no file, where it would not serve.

    feeds: as converter.trial makes them, or given by a caller.
    """
    if not feeds or not all(array.size and np.isfinite(array).all() for array in expected.values()):
        return None
    inputs, outputs, parts = [], [], []
    for name, array in feeds.items():
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape)}
        pictures = pictures_for(graph, name, array.shape)
        if pictures is not None and np.array_equal(pictures.tensor(), array):
            entry |= {"dtype": "uint8", "scale": pictures.scale, "mean": list(pictures.mean),
                      "std": list(pictures.std), "layout": pictures.layout}
            array = pictures.pixels
        else:
            array = _held(array)
            entry["dtype"] = array.dtype.name
        inputs.append(entry)
        parts.append(array)
    for name, array in zip(expected, map(_held, expected.values()), strict=True):
        step = max(1, -(-array.size // _MOST_NUMBERS))
        spread = float(np.ptp(array)) if array.dtype.kind == "f" else 0.0
        outputs.append({"name": name, "shape": list(array.shape), "dtype": array.dtype.name, "step": step,
                        "range": spread})
        parts.append(array.reshape(-1)[::step])
    data = b"".join(np.ascontiguousarray(part, part.dtype.newbyteorder("<")).tobytes() for part in parts)
    if len(data) > MAX_BYTES:
        return None
    (folder / FILE).write_bytes(data)
    return {"file": FILE, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "inputs": inputs,
            "outputs": outputs}


def _held(array: np.ndarray) -> np.ndarray:
    """As the page holds it."""
    return array.astype(NEXT.get(array.dtype.name, array.dtype.name), copy=False)
