"""The other road to model.onnx: paddle2onnx, in a process of its own (see paddle2onnx_child.py)."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from converter import child
from converter.errors import ConvertError

TIMEOUT_S = 600
CHILD = Path(__file__).with_name("paddle2onnx_child.py")
HINT = "pip install paddlepaddle==3.3.1 && pip install --no-deps paddle2onnx==2.1.0, or name a Python that has both " \
       "with --paddle2onnx"


def problem(python: str | None = None) -> str | None:
    """Why it cannot run here; None when it can. python: an interpreter that is said to have it."""
    if python is not None:
        return None if shutil.which(python) else f"there is no Python at {python}"
    missing = [name for name in ("paddle2onnx", "paddle", "onnx") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(missing)} not installed" if missing else None


def convert(program: Path, params: Path | None, out: Path, opset: int, python: str | None = None) -> None:
    """Write `out`. program: inference.json or .pdmodel, params: combined weights. Raises ConvertError."""
    if (why := problem(python)) is not None:
        raise ConvertError(f"paddle2onnx cannot run: {why}", hint=HINT)
    command = [python or sys.executable, str(CHILD), str(program), str(params or ""), str(out), str(opset)]
    child.run(command, "paddle2onnx", fails="cannot convert this model", timeout_s=TIMEOUT_S, where=str(program),
              made=out, telling=("Failed", "not support", "Error", "error"), first=True)
