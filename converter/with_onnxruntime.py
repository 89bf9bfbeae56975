"""The only file of the converter that imports ONNX Runtime, and only when called: what model.onnx computes here."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import ConvertError

FILE = "model.onnx"
_CODES = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_FATAL_ONLY = 4  # what it has to say comes back as an exception


def problem() -> str | None:
    """Why ONNX Runtime cannot run here; None when it can."""
    return None if importlib.util.find_spec("onnxruntime") else "ONNX Runtime is not installed (pip install .[onnx])"


def load(path: Path) -> Any:
    """A session on the CPU with one thread. Raises ConvertError when the file is missing or no model."""
    if (why := problem()) is not None:
        raise ConvertError(f"the ONNX engine cannot run: {why}")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    if not path.is_file():
        raise ConvertError("there is no such file", where=str(path), hint="convert again with --targets web,onnx")
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's classes share no base but Exception
        raise ConvertError(f"ONNX Runtime cannot load this model: {_first_line(error)}", where=str(path)) from error


def run(session: Any, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs by name."""
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, feeds), strict=True))
    except Exception as error:
        raise ConvertError(f"ONNX Runtime cannot run the model: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    lines = _CODES.sub("", str(error)).strip().splitlines()
    return lines[0][:400] if lines else type(error).__name__
