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
    """All outputs by name."""
    model = session(onnx)
    names = [output.name for output in model.get_outputs()]
    return dict(zip(names, model.run(names, dict(feeds)), strict=True))


def noise(shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, np.dtype]) -> dict[str, np.ndarray]:
    """Seeded input: normal, or whole numbers 0 and 1."""
    dice = np.random.default_rng(SEED)
    return {
        name: (dice.standard_normal(shape) if dtypes[name].kind == "f" else dice.integers(0, 2, shape)).astype(
            dtypes[name]
        )
        for name, shape in shapes.items()
    }


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
