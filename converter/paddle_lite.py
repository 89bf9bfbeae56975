"""Paddle Lite's tools: found or installed, its optimiser run, a .nb run through its Python API; all in processes of
their own, because its wheels want Python 3.7."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converter import child
from converter.errors import ConvertError

VERSION = "2.12"
OPT = "paddle_lite_opt"
CHILD = Path(__file__).with_name("paddle_lite_child.py")
TIMEOUT_S = 600
TARGETS = {"arm": "arm", "armv8": "arm", "x86": "x86", "opencl": "opencl,arm"}
"""Ours → the optimiser's. One arm file serves ARMv7 and ARMv8; what armv8 adds is half precision arithmetic."""
HALF = ("armv8",)
_HERE = {"x86_64": "x86", "amd64": "x86", "aarch64": "arm", "arm64": "arm"}
_TELLING = ("Error", "rror:", "not supported")
_INSTALL_HINT = "name the tool with --paddle-lite-opt, or let the converter install it with --paddle-lite-install"


@dataclass(frozen=True)
class Tools:
    """opt: the optimiser. python: an interpreter that has the package paddlelite, None where there is none."""

    opt: Path
    python: Path | None


def folder() -> Path:
    """Where the converter installs them."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "paddle-inpage" / f"paddlelite-{VERSION}"


def find(opt: str | None = None) -> Tools | None:
    """The tools that were named, else those on PATH, else those installed before; None where there are none."""
    if opt is not None:
        named = shutil.which(opt)
        if named is None:
            raise ConvertError("there is no such program", where=f"--paddle-lite-opt {opt}")
        return _tools(Path(named))
    on_path, installed = shutil.which(OPT), folder() / "bin" / OPT
    if on_path:
        return _tools(Path(on_path))
    return _tools(installed) if installed.is_file() else None


def _tools(opt: Path) -> Tools:
    """The wheel's optimiser lies beside its interpreter; one that was built from source has none."""
    beside = opt.parent / "python"
    return Tools(opt, beside if beside.exists() and _imports(beside) else None)


def _imports(python: Path) -> bool:
    try:
        child.run([python, "-c", "import paddlelite.lite, numpy"], "Python", timeout_s=TIMEOUT_S)
    except ConvertError:
        return False
    return True


def needed(opt: str | None = None, install: bool = False) -> Tools:
    """The tools, installed where that was asked for; ConvertError says what is missing and what to do."""
    tools = find(opt)
    if tools is None and install:
        tools = install_tools()
    if tools is None:
        raise ConvertError(f"Paddle Lite's optimiser ({OPT}) was not found", where="--targets lite",
                           hint=_INSTALL_HINT)
    return tools


def install_tools() -> Tools:
    """A Python 3.7 environment of the converter's own with paddlelite and numpy: by uv, else by a Python 3.7 that
    pyenv has or that is on PATH."""
    place = folder()
    place.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".paddlelite-", dir=place.parent))
    packages = [f"paddlelite=={VERSION}", "numpy<1.22"]
    try:
        if uv := shutil.which("uv"):
            _run([uv, "venv", "-q", "--python", "3.7", "--allow-existing", str(part)])
            _run([uv, "pip", "install", "-q", "--python", str(part / "bin" / "python"), *packages])
        elif python := _python37():
            _run([python, "-m", "venv", str(part)])
            _run([str(part / "bin" / "python"), "-m", "pip", "install", "-q", *packages])
        else:
            raise ConvertError(f"paddlelite {VERSION} needs Python 3.7, and neither uv nor a Python 3.7 is here",
                               where="--paddle-lite-install", hint="install uv, or pyenv install 3.7")
        if place.exists():
            shutil.rmtree(place)
        part.rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    opt = place / "bin" / OPT
    lines = opt.read_text(encoding="utf-8").splitlines(keepends=True)  # its first line names where it was installed
    opt.write_text(f"#!{place / 'bin' / 'python'}\n" + "".join(lines[1:]), encoding="utf-8")
    return _tools(opt)


def _python37() -> str | None:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = sorted(root.glob("3.7.*/bin/python3.7"))
    return str(found[-1]) if found else shutil.which("python3.7")


def _run(command: Sequence[str]) -> None:
    child.run(command, "installing Paddle Lite", fails="failed", timeout_s=TIMEOUT_S, where=" ".join(command[:4]),
              telling=_TELLING)


def optimise(tools: Tools, program: Path, params: Path, target: str, precision: str, out: Path) -> None:
    """Write `out`, a .nb. precision float16: half precision arithmetic where the target has it; int8: weights alone,
    as the optimiser does it. Raises ConvertError with the optimiser's own reason."""
    command = [str(tools.opt), f"--model_file={program}", f"--param_file={params}",
               f"--valid_targets={TARGETS[target]}", f"--optimize_out={out.with_suffix('')}"]
    if precision == "float16" and target in HALF:
        command.append("--enable_fp16=true")
    if precision.startswith("int8"):
        command += ["--quant_model=true", "--quant_type=QUANT_INT8"]
    child.run(command, "Paddle Lite's optimiser", fails="refuses", timeout_s=TIMEOUT_S, where=target, made=out,
              telling=_TELLING)
    _settle(out)


def _settle(path: Path) -> None:
    """Zero what the optimiser leaves of its own memory behind its version (16 bytes after a whole number of two), so
    that the same model gives the same file."""
    data = bytearray(path.read_bytes())
    version, end, _ = bytes(data[2:18]).partition(b"\0")
    if data[:2] == b"\x02\0" and version.startswith(b"v") and end:
        data[2 + len(version):18] = bytes(16 - len(version))
        path.write_bytes(data)


def here() -> str | None:
    """The target that this machine can run."""
    return _HERE.get(platform.machine().lower())


def run(tools: Tools, model: Path, target: str, feeds: dict[str, np.ndarray], repeat: int = 1,
        each: bool = False) -> tuple[list[np.ndarray], list[float]]:
    """Outputs in order, and milliseconds per run. each: every row of the feeds is a run of its own.

    target is what the file was made for: on another machine Paddle Lite runs it in no time and answers NaN, so it is
    not even started there.
    """
    if TARGETS.get(target, "").split(",")[0] != here():
        raise ConvertError(f"a .nb for {target} does not run on {platform.machine()}", where=str(model),
                           hint="run it on its device; here the one for x86 can be run")
    if tools.python is None:
        raise ConvertError("Paddle Lite's Python package is not beside its optimiser", where=str(tools.opt),
                           hint=_INSTALL_HINT)
    with tempfile.TemporaryDirectory(prefix="inpage-lite-") as work:
        given, made = Path(work) / "in.npz", Path(work) / "out.npz"
        np.savez(given, **feeds)  # type: ignore[arg-type]
        command = [str(tools.python), str(CHILD), str(model), str(given), str(made), str(repeat)]
        command += ["each"] if each else []
        done = child.run(command, "Paddle Lite", fails="cannot run the model", timeout_s=TIMEOUT_S, where=str(model),
                         made=made, telling=_TELLING)
        said = json.loads(done.stdout.strip().splitlines()[-1])
        with np.load(made) as arrays:
            return [arrays[f"out_{index}"] for index in range(len(said["outputs"]))], said["times_ms"]
