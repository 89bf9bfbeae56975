"""What the tests of GPU backends share: a Chromium whose GPU is the CPU, the operator cases, converted real models."""

import base64
from pathlib import Path
from typing import Any

import numpy as np

from converter.convert import convert
from tests.conftest import CHROMIUM_FLAGS, REPO, chromium_path
from tests.runtime.browser_kit import Files, Site
from tests.runtime.test_browser_models import reference, worst_error

GPU_FLAGS = [
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
]  # fmt: skip
LIMITS = {"float32": 1e-3, "float16": 2e-2}
"""How far a result may be from Paddle's, as a share of the output's range."""
ON_GPU = 650
"""Operator cases that must be computed by shaders, at least: integers and what picks by value stay on the host."""


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

    def of(self, name: str, *, checked: bool = False) -> Files:
        """The files of a model's bundle; checked: with its check vector, which takes a while."""
        out = self.folder / f"{name}{'_checked' * checked}"
        if not out.exists():
            convert(self.models / name, out, verify=checked)
        return {file.name: file.read_bytes() for file in out.iterdir()}


def call(module: str, page: Any, name: str, wish: Any = None) -> Any:
    """What a function of the tests' scripts gives for a wish."""
    script = f"async (wish) => (await import('/tests/runtime/{module}.js')).{name}(wish)"
    return page.evaluate(script, wish)


def run_model(
    backend: str, name: str, bundles: Bundles, site: Site, page: Any, **wish: Any
) -> tuple[dict[str, Any], float]:
    """What the page tells of a real model, and its worst error."""
    inputs, wanted = reference(bundles.models / name)
    bundle = bundles.of(name, checked=wish["precision"] == "float16")
    site.files |= {f"/{name}/{leaf}": body for leaf, body in bundle.items()}
    wish |= {"backend": backend, "bundle": f"/{name}", "feeds": packed(inputs)}
    told = call("gpu_page", page, "runModel", wish)
    assert told["backend"] == backend
    return told, worst_error(name, unpacked(told["outputs"]), wanted)


def hold_to_float32(backend: str, bundles: Bundles, site: Site, page: Any) -> None:
    """A model whose last step is a sigmoid of 50 x: noise does not show what half precision does to it."""
    told, worst = run_model(backend, "ocr_det_mobile_v1_fluid", bundles, site, page, precision="float16", worker=False)
    assert told["numerics"]["precision"] == "float32"
    assert "of the range off, more than 0.02" in told["numerics"]["note"]
    assert worst <= LIMITS["float32"]


def packed(inputs: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """float32 and int32 arrays as JSON that a page can unpack."""
    return {
        name: {
            "shape": list(array.shape),
            "dtype": str(array.dtype),
            "base64": base64.b64encode(array.tobytes()).decode(),
        }
        for name, array in inputs.items()
    }


def unpacked(outputs: dict[str, dict[str, Any]]) -> dict[str, np.ndarray]:
    """What a page packed: name → array."""
    return {
        name: np.frombuffer(base64.b64decode(one["base64"]), one["dtype"]).reshape(one["shape"])
        for name, one in outputs.items()
    }
