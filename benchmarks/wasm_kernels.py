"""Where the time of a model goes in the WASM backend, one thread, and how near each step comes to the machine's peak.

    python benchmarks/wasm_kernels.py [--bundle DIR --shape 1,3,320,320] [--rounds 40] [--strict] [--steps]

Without --bundle: MobileNetV2 and MobileNetV3-small at 224 x 224, seeded weights. In Chromium alone: Node compiles the
same kernels to slower code. Times are the best of many short turns, and the peak (multiply-adds in registers, compiled
from wasm_peak.c) is taken between them, so that shares hold on a busy machine where milliseconds do not.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO)]

from playwright.sync_api import sync_playwright  # noqa: E402

from converter.__main__ import main as convert  # noqa: E402
from tests.conftest import CHROMIUM_FLAGS  # noqa: E402
from tests.runtime.browser_kit import running  # noqa: E402

HERE = Path(__file__).resolve().parent
PEAK_FLAGS = ["--target=wasm32-freestanding", "-O3", "-msimd128", "-mrelaxed-simd", "-ffreestanding", "-nostdlib",
              "-Wl,--no-entry", "-Wl,--strip-all"]  # fmt: skip
NETS = ("mobilenet_v2", "mobilenet_v3_small")
PRODUCTS = {
    "conv_few", "conv_blocked", "conv_entry", "conv_winograd", "conv_strassen", "depthwise", "fc", "conv", "matmul",
}  # fmt: skip
"""Multiply-adds."""


def peak_wasm(folder: Path) -> bytes:
    """The compiled wasm_peak.c."""
    out = folder / "peak.wasm"
    command = [sys.executable, "-m", "ziglang", "cc", *PEAK_FLAGS, "-o", str(out), str(HERE / "wasm_peak.c")]
    subprocess.run(command, check=True, capture_output=True)
    return out.read_bytes()


def exported(name: str, folder: Path) -> Path:
    """One of Paddle's own networks with seeded weights, as a bundle."""
    import paddle

    paddle.seed(3)
    net = getattr(paddle.vision.models, name)(pretrained=False)
    net.eval()
    spec = [paddle.static.InputSpec([1, 3, 224, 224], "float32", "x")]
    paddle.jit.save(net, str(folder / f"{name}.paddle" / "inference"), input_spec=spec)
    code = convert([str(folder / f"{name}.paddle"), "-o", str(folder / name), "--no-verify", "--quiet"])
    if code:
        raise SystemExit(code)
    return folder / name


def report(name: str, found: dict[str, Any], each: bool) -> None:
    """One table: a row per kind of kernel, or per step."""
    peak, steps = found["gflops"], found["steps"]
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for i, step in enumerate(steps):
        groups[f"{i:3} {step['kernel']} {step['where']}" if each else step["kernel"]].append(step)
    total = sum(step["ms"] for step in steps)
    work = sum(step["work"] for step in steps if step["kernel"] in PRODUCTS)
    rate = 2 * work / found["run_ms"] / 1e6
    print(
        f"\n{name}: whole run {found['run_ms']:.2f} ms, sum of steps {total:.2f} ms, {work / 1e6:.1f} M multiply-adds"
    )
    print(f"{rate:.1f} of {peak:.1f} GFLOP/s = {100 * rate / peak:.0f} %")
    print(f"{'kernel':<60} {'steps':>5} {'ms':>8} {'share':>6} {'GFLOP/s':>8} {'of peak':>8}")
    for key, members in sorted(groups.items(), key=lambda pair: 0 if each else -sum(s["ms"] for s in pair[1])):
        ms, flops = sum(s["ms"] for s in members), 2 * sum(s["work"] for s in members)
        rate = flops / ms / 1e6 if ms and members[0]["kernel"] in PRODUCTS else None
        tail = f"{rate:8.1f} {100 * rate / peak:6.0f} %" if rate is not None else ""
        print(f"{key[:60]:<60} {len(members):>5} {ms:8.3f} {100 * ms / total:4.0f} % {tail}")


def models(args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Path, list[int]]]:
    """Name, bundle and input shape of each model to time."""
    if args.bundle:
        yield args.bundle.name, args.bundle, [int(size) for size in args.shape.split(",")]
        return
    for name in NETS:
        yield name, exported(name, folder), [1, 3, 224, 224]


def main() -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="a converted model instead of the two networks")
    parser.add_argument("--shape", default="1,3,224,224", help="of its first input")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--strict", action="store_true", help="the build without relaxed SIMD")
    parser.add_argument("--steps", action="store_true", help="a row for every step")
    args = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome-stable")
    with tempfile.TemporaryDirectory(prefix="wasm-kernels-") as name, sync_playwright() as playwright:
        folder = Path(name)
        nets = list(models(args, folder))
        files = {label: {p.name: p.read_bytes() for p in path.iterdir() if p.is_file()} for label, path, _ in nets}
        files["bench"] = {"driver.js": (HERE / "wasm_kernels.js").read_bytes(), "peak.wasm": peak_wasm(folder)}
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        with running(files) as site:
            page = browser.new_page()
            page.goto(site.url + "/")
            call = "async (a) => (await import('/bench/driver.js')).profile(...a)"
            for label, _, shape in nets:
                found = page.evaluate(call, [f"{site.url}/{label}/", shape, args.strict, args.rounds])
                report(label, found, args.steps)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
