"""What an engine is compared with: arrays from a file, or ONNX Runtime's on the CPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trt.errors import TrtError

SEED = 20261121


def session(onnx: bytes) -> Any:
    """The model in ONNX Runtime, with its quiet settings. Raises TrtError: not_installed, invalid."""
    try:
        import onnxruntime
    except ImportError as error:
        raise TrtError("not_installed", f"ONNX Runtime cannot be imported ({error}); name a reference file") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's classes share no base but Exception
        raise TrtError("invalid", f"ONNX Runtime cannot load the model ({error})"[:400]) from error


def to_float16() -> Any:
    """The function that turns an ONNX model into half precision. Raises TrtError: not_installed."""
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise TrtError("not_installed", f"half precision needs ONNX Runtime, which is missing ({error})") from error
    return convert_float_to_float16


def by_onnxruntime(onnx: bytes, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All outputs by name. Raises TrtError (invalid) where the model does not take these inputs."""
    model = session(onnx)
    names = [output.name for output in model.get_outputs()]
    try:
        return dict(zip(names, model.run(names, dict(feeds)), strict=True))
    except Exception as error:  # the library's classes share no base but Exception
        shapes = ", ".join(f"{name}={'x'.join(map(str, array.shape))}" for name, array in feeds.items())
        said = " ".join(str(error).split())
        raise TrtError("invalid", f"the model cannot be run on {shapes} ({said})"[:400]) from error


def dtypes(onnx: bytes) -> dict[str, np.dtype]:
    """The types of a model's inputs by name."""
    names = {"tensor(float)": "float32", "tensor(double)": "float64"}
    return {one.name: np.dtype(names.get(one.type, one.type[7:-1])) for one in session(onnx).get_inputs()}


def made_up(shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, np.dtype]) -> dict[str, np.ndarray]:
    """Seeded input: scenes for what may be pictures, else normal noise; whole numbers 0 and 1."""
    dice = np.random.default_rng(SEED)
    found = {}
    for name, shape in shapes.items():
        if dtypes[name].kind != "f":
            found[name] = dice.integers(0, 2, shape)
        elif len(shape) == 4:
            found[name] = np.stack([scene(dice, shape[1:]) for _ in range(shape[0])])
        else:
            found[name] = dice.standard_normal(shape)
    return {name: np.ascontiguousarray(array.astype(dtypes[name])) for name, array in found.items()}


def scene(dice: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Something with planes, edges and lines of small marks, as pictures have, mostly within -2 and 2.

    On mere noise a detector finds nothing: all it answers lies within a thousandth, and any error is a large share.
    """
    last = shape[-1] < shape[0]  # channels: nhwc
    channels, height, width = (shape[-1], *shape[:-1]) if last else shape
    picture = np.full((channels, height, width), dice.uniform(-1.5, 1.5))

    def area(rows: float, columns: float) -> tuple[slice, slice, slice]:
        """A rectangle of that share of the height and the width."""
        size = max(1, int(rows * height)), max(1, int(columns * width))
        top, left = dice.integers(0, height - size[0] + 1), dice.integers(0, width - size[1] + 1)
        return slice(None), slice(top, top + size[0]), slice(left, left + size[1])

    for _ in range(5):
        picture[area(*dice.uniform(0.2, 0.8, 2))] = dice.uniform(-2.0, 2.0, (channels, 1, 1))
    for _ in range(12):
        line = picture[area(dice.uniform(0.03, 0.09), dice.uniform(0.2, 0.7))]
        marks = dice.random((line.shape[1] // 3 + 1, line.shape[2] // 3 + 1)) < 0.45
        ink = np.repeat(np.repeat(marks, 3, 0), 3, 1)[: line.shape[1], : line.shape[2]]
        line[:] = np.where(ink, -2.0, 2.0) * dice.choice([-1.0, 1.0])
    picture += 0.05 * dice.standard_normal(picture.shape)
    return np.moveaxis(picture, 0, -1) if last else picture


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Inputs and outputs of a .npz with the keys `in:NAME` and `out:NAME`. Raises TrtError: invalid."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise TrtError("invalid", f"{path} cannot be read ({error})") from error
    parts = [{k[len(p) :]: v for k, v in found.items() if k.startswith(p)} for p in ("in:", "out:")]
    if not all(parts):
        raise TrtError("invalid", f"{path} has no arrays in:NAME and out:NAME")
    return parts[0], parts[1]
