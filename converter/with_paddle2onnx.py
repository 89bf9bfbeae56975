"""The other road to model.onnx: paddle2onnx, in a process of its own (see paddle2onnx_child.py)."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

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
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S,
                              check=False)
    except subprocess.TimeoutExpired as error:
        raise ConvertError(f"paddle2onnx did not finish in {TIMEOUT_S} s", where=str(program)) from error
    if done.returncode != 0 or not out.is_file():
        raise ConvertError(f"paddle2onnx cannot convert this model: {_reason(done.stderr + done.stdout)}",
                           where=str(program))


def _reason(said: str) -> str:
    """The line that says most, out of logs and stacks."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line for word in ("Failed", "not support", "Error", "error"))]
    return (telling or lines or ["no message"])[0][:400]
