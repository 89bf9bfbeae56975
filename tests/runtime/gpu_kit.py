"""What the tests of GPU backends share: a Chromium whose GPU is the CPU, the operator cases, converted real models."""

import base64
from pathlib import Path
from typing import Any

import numpy as np

from converter.convert import convert
from tests.conftest import CHROMIUM_FLAGS, REPO, chromium_path
from tests.runtime.browser_kit import Files

GPU_FLAGS = [
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
]  # fmt: skip
LIMITS = {"float32": 1e-3, "float16": 2e-2}
"""How far a result may be from Paddle's, as a share of the output's range."""


def launch(browser: Any) -> Any:
    """A Chromium of its own, with WebGL 2 and WebGPU computed by the CPU; to be closed."""
    return browser.browser_type.launch(executable_path=chromium_path(), args=[*CHROMIUM_FLAGS, *GPU_FLAGS])


def script_files() -> dict[str, Files]:
    """The scripts and operator cases that pages load, as folders of a site."""
    scripts = {file.name: file.read_bytes() for file in (REPO / "tests" / "runtime").glob("*.js")}
    cases = {file.name: file.read_bytes() for file in (REPO / "tests" / "cases").glob("*.json")}
    return {"tests/runtime": scripts, "tests/cases": cases}


def case_files() -> list[str]:
    """Addresses of the files with operator cases."""
    names = sorted(file.name for file in (REPO / "tests" / "cases").glob("*.json"))
    return [f"/tests/cases/{name}" for name in names if name != "preprocess.json"]


class Bundles:
    """Real models as bundles, each converted once."""

    def __init__(self, models: Path, folder: Path) -> None:
        self.models = models
        self.folder = folder

    def of(self, name: str) -> Files:
        """The files of a model's bundle."""
        out = self.folder / name
        if not out.exists():
            convert(self.models / name, out, verify=False)
        return {file.name: file.read_bytes() for file in out.iterdir()}


def packed(inputs: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """float32 arrays as JSON that a page can unpack."""
    return {
        name: {"shape": list(array.shape), "base64": base64.b64encode(array.tobytes()).decode()}
        for name, array in inputs.items()
    }


def unpacked(outputs: dict[str, dict[str, Any]]) -> dict[str, np.ndarray]:
    """What a page packed: name → array."""
    return {
        name: np.frombuffer(base64.b64decode(one["base64"]), one["dtype"]).reshape(one["shape"])
        for name, one in outputs.items()
    }
