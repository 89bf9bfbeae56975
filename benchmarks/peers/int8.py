"""INT8 here against LiteRT.js: MobileNetV2 in INT8 on both sides, MobileNetV3-small against LiteRT.js's float32.

    python -m benchmarks.peers.int8 [--repeats 3] [--rounds 36] [--kept]

The nets of the other benchmark with their seeded weights, calibrated with noise; every layer that can be is in INT8
(no error budget). One thread, interleaved, looked at until the ratios are known to 4 % and lie clear of their aims, at
most in so many rounds; what counts is the CPU time. --kept takes what was made last.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from benchmarks.peers.__main__ import report
from benchmarks.peers.measure import compare
from benchmarks.peers.prepare import HERE, MODELS, NETS, TF_LIMIT_S, prepare, tf_python
from benchmarks.peers.site import serving
from converter import convert
from tests.conftest import CHROMIUM_FLAGS, chromium_path

CALIBRATION = 12
PEERS = {"mobilenet_v2": "int8.tflite", "mobilenet_v3_small": "model.tflite"}
OWN_AIM, AIMS = 0.65, {"mobilenet_v2": 0.6, "mobilenet_v3_small": 0.4}


def make_int8(name: str) -> None:
    """The bundle in INT8, and LiteRT's model where it is compared."""
    from benchmarks.peers import nets

    net = nets.NETS[name]
    spec = nets.paddle.static.InputSpec(list(net.shape), "float32", "x")
    with tempfile.TemporaryDirectory(prefix="peers-int8-") as folder:
        for seed in range(CALIBRATION):
            np.savez(Path(folder) / f"{seed}.npz", x=nets.noise(net.shape, seed))
        convert(nets.build(net), MODELS / f"{name}_int8", input_spec=[spec], precision="int8", calibrate=folder,
                error_budget=1e3, verify=False)
    if PEERS[name] == "int8.tflite":
        subprocess.run([str(tf_python()), str(HERE / "tf_models.py"), str(NETS / name), "--int8"], check=True,
                       timeout=TF_LIMIT_S, capture_output=True)  # fmt: skip


def wishes(name: str) -> list[tuple[str, dict[str, str]]]:
    """Label and query of the page."""
    both = {"net": name, "threads": "1"}
    return [("inpage", both | {"engine": "inpage", "bundle": f"{name}_int8"}),
            ("inpage float32", both | {"engine": "inpage"}),
            (f"litert {PEERS[name]}", both | {"engine": "litert", "file": PEERS[name]})]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=36)
    parser.add_argument("--kept", action="store_true")
    given = parser.parse_args()
    if not given.kept:
        prepare(list(PEERS))
        for name in PEERS:
            make_int8(name)
    with serving(MODELS) as site, sync_playwright() as playwright:
        for name in PEERS:
            for _ in range(given.repeats):
                browser: Any = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
                asked = wishes(name)
                own, plain, peer = (label for label, _ in asked)
                aims = {(own, plain): OWN_AIM, (own, peer): AIMS[name]}
                report(name, 1, compare(browser, site, asked, given.rounds, aims))
                browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
