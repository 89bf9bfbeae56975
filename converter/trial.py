"""Trial inputs: what a model is fed with when a bundle is checked, and nobody gave an input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converter.drawn import draw
from converter.errors import ConvertError
from converter.graph import Dim, Graph, Value

_DEFAULT_SIZE = {1: 1, 2: 64, 3: 64, 4: 320}
_LEAST_SIDE = 64
"""A picture below this has no interior left at the end of a net of stride 32, and says little."""
_LEAST_PICTURE = 16
_SEED = 2024
_USUAL = {"scale": 1 / 255, "mean": 0.5, "std": 0.25}
"""What makes a tensor of a picture where the model does not say: numbers from -2 to 2."""


@dataclass(frozen=True)
class Pictures:
    """Drawn pictures as one input. pixels: uint8 [N, H, W, C]; y[c] = (pixel * scale - mean[c]) / std[c]."""

    pixels: np.ndarray
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: str

    def tensor(self) -> np.ndarray:
        """float32, [N, C, H, W] or, where the layout is nhwc, [N, H, W, C]."""
        y = ((self.pixels * np.float64(self.scale) - np.array(self.mean)) / np.array(self.std)).astype(np.float32)
        return y if self.layout == "nhwc" else np.ascontiguousarray(np.moveaxis(y, -1, 1))


def samples(graph: Graph, shapes: dict[str, tuple[int, ...]] | None = None) -> dict[str, np.ndarray]:
    """Inputs that fit the graph, the same every time: drawn pictures where it takes such, else noise in [-1, 1).

    Open sizes are those given, else those the model declared, else 1 (batch), 320 (pictures) or 64.
    """
    shapes = shapes or {}
    unknown = sorted(set(shapes) - set(graph.inputs))
    if unknown:
        raise ConvertError(f"unknown inputs {unknown}", hint=f"the model's inputs are {graph.inputs}")
    rng = np.random.default_rng(_SEED)
    chosen: dict[str, int] = {}
    for name, given in shapes.items():
        chosen.update({size: wanted for size, wanted in zip(graph.values[name].shape, given, strict=False)
                       if isinstance(size, str)})
    feeds = {}
    for name in graph.inputs:
        value = graph.values[name]
        declared = graph.meta.get("declared_shapes", {}).get(name)
        shape = _shape(value, shapes.get(name), declared, chosen)
        pictures = pictures_for(graph, name, shape)
        if pictures is not None:
            feeds[name] = pictures.tensor().astype(value.dtype)
        elif value.dtype.startswith("float"):
            feeds[name] = rng.uniform(-1, 1, shape).astype(value.dtype)
        else:
            feeds[name] = rng.integers(0, 2, shape).astype(value.dtype)
    return feeds


def pictures_for(graph: Graph, name: str, shape: tuple[int, ...]) -> Pictures | None:
    """The pictures that samples() feeds to an input of this shape; None where it takes something else."""
    spec = graph.meta.get("preprocess") or {}
    spec = spec if spec.get("input") == name else {}
    if not graph.values[name].dtype.startswith("float") or len(shape) != 4:
        return None
    layout = spec.get("layout") or ("nhwc" if shape[3] in (1, 3) and shape[1] not in (1, 3) else "nchw")
    count, height, width, channels = shape if layout == "nhwc" else (shape[0], shape[2], shape[3], shape[1])
    if channels not in (1, 3) or min(height, width) < _LEAST_PICTURE:
        return None

    def planes(key: str) -> tuple[float, ...]:
        return tuple(float(v) for v in np.broadcast_to(spec.get(key, _USUAL[key]), channels))

    pixels = np.stack([draw(height, width, channels, _SEED + number) for number in range(count)])
    return Pictures(pixels, float(spec.get("scale", _USUAL["scale"])), planes("mean"), planes("std"), layout)


def _shape(value: Value, given: tuple[int, ...] | None, declared: list[Dim] | None,
           chosen: dict[str, int]) -> tuple[int, ...]:
    """given by the caller, else declared by the model before its sizes were freed, else usual sizes."""
    if given is not None and (len(given) != len(value.shape) or any(
            isinstance(size, int) and size != wanted for size, wanted in zip(value.shape, given, strict=True))):
        raise ConvertError(f"the shape {list(given)} does not fit {list(value.shape)}", where=f"input {value.name}")
    found = []
    for axis, size in enumerate(value.shape):
        if isinstance(size, str):
            default = 1 if axis == 0 else 3 if axis == 1 and len(value.shape) == 4 else \
                _DEFAULT_SIZE.get(len(value.shape), 32)
            if declared and isinstance(declared[axis], int):
                default = max(int(declared[axis]), _LEAST_SIDE)
            size = chosen.setdefault(size, given[axis] if given else default)
        found.append(size)
    return tuple(found)
