"""Models on a GPU beside WASM, in one page: a frame with upload and read-back, eight in flight, first result, steps.

    python benchmarks/gpu.py [--runs 10] [--backends wasm,webgpu,webgpu:float16,webgl] [--model SOURCE SIDE]...
                             [--pack FOLDER] [--flags "--use-angle=vulkan …"]

MobileNetV2 and MobileNetV3-small with seeded weights are always there; SOURCE is any model that the converter reads.
--pack writes the folder that the page needs and stops: any server of static files that answers POST /r can show it on a
host without this repository. Compare sixty runs or more: the default suits a GPU that is really the CPU. The first
backend's results are what the others' errors are measured against.
"""

import argparse
import json
import os
import shlex
import shutil
import sys
import tempfile
import threading
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO)]

from benchmarks.peers.host import serve  # noqa: E402
from converter.convert import convert  # noqa: E402
from tests.conftest import CHROMIUM_FLAGS, chromium_path  # noqa: E402
from tests.runtime.gpu_kit import GPU_FLAGS  # noqa: E402

SIDE = 224
PAGE = (
    "<!doctype html><meta charset=utf-8><title>gpu</title><link rel=icon href=data:,>"
    "<script type=module src=gpu_page.js></script>"
)
TIMEOUT_S = 900


def mobilenets(folder: Path) -> None:
    """Two bundles; batch norms have seen some noise, so that activations stay in range."""
    import numpy as np
    import paddle

    makers = {
        "mobilenet_v2": paddle.vision.models.mobilenet_v2,
        "mobilenet_v3_small": paddle.vision.models.mobilenet_v3_small,
    }
    for name, make in makers.items():
        paddle.seed(7)
        net = make(pretrained=False)
        net.train()
        for seed in range(6):
            noise = np.random.default_rng(seed).standard_normal((8, 3, 128, 128))
            net(paddle.to_tensor(noise.astype(np.float32)))
        net.eval()
        spec = [paddle.static.InputSpec([1, 3, SIDE, SIDE], "float32", "x")]
        convert(net, folder / name, input_spec=spec, verify=False)


def copy_runtime(folder: Path) -> None:
    """What pages load of this repository, at the same addresses."""
    for part in ("runtime", "media"):
        wanted = shutil.ignore_patterns("*.c", "*.h", "*.py", "__pycache__")
        shutil.copytree(REPO / "static" / part, folder / "static" / part, ignore=wanted)


def pack(folder: Path, models: list[tuple[str, int]], backends: list[str], runs: int) -> None:
    """Everything the page needs, below one folder."""
    copy_runtime(folder)
    mobilenets(folder / "models")
    benches = [{"name": "mobilenet_v2", "side": SIDE}, {"name": "mobilenet_v3_small", "side": SIDE}]
    for source, side in models:
        name = Path(source).name
        if not (folder / "models" / name).exists():
            convert(source, folder / "models" / name, verify=False)
        benches.append({"name": name, "side": side})
    on = [dict(zip(("backend", "precision"), text.split(":"), strict=False)) for text in backends]
    (folder / "wish.json").write_text(json.dumps({"runs": runs, "models": benches, "backends": on}))
    (folder / "index.html").write_text(PAGE)
    shutil.copy(REPO / "benchmarks" / "gpu_page.js", folder)


def show(folder: Path, flags: list[str]) -> bool:
    """Open the page in Chromium; whether it came to its end."""
    from playwright.sync_api import sync_playwright

    done = threading.Event()
    server = serve(folder, done)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=[*CHROMIUM_FLAGS, *flags])
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
            for _ in range(TIMEOUT_S):
                if done.is_set():
                    break
                page.wait_for_timeout(1000)
            browser.close()
    finally:
        server.shutdown()
    return done.is_set()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--backends", default="wasm,webgpu,webgpu:float16,webgl")
    parser.add_argument("--model", nargs=2, action="append", default=[], metavar=("SOURCE", "SIDE"))
    parser.add_argument("--pack", type=Path)
    parser.add_argument("--flags", default=os.environ.get("GPU_FLAGS", shlex.join(GPU_FLAGS)))
    given = parser.parse_args()
    models = [(source, int(side)) for source, side in given.model]
    with tempfile.TemporaryDirectory(prefix="inpage-gpu-") as scratch:
        folder = given.pack or Path(scratch) / "page"
        pack(folder, models, given.backends.split(","), given.runs)
        if given.pack:
            return 0
        return 0 if show(folder, shlex.split(given.flags)) else 1


if __name__ == "__main__":
    sys.exit(main())
