"""A checkpoint down the product's own road: PyTorch -> Paddle -> paddle.jit.save -> our converter -> bundle.

    python -m training.document_corners.export CHECKPOINT -o static/models/document_corners [--paddle FOLDER]

The Paddle twin must equal PyTorch within 1e-5 before anything is written; --paddle keeps its exported form.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import paddle
from paddle.static import InputSpec

from training.document_corners.evaluate import MEAN, STD, THRESHOLD, load
from training.document_corners.network import SIDE
from training.document_corners.scene import MARGIN
from training.document_corners.twin import PaddleCorners, carried_over, worst_difference

TOLERANCE = 1e-5  # of a probability
VERSION = "1.0.0"
RESULTS = ("heatmaps", "presence")
PREPROCESS = {
    "input": "image",
    "size": [SIDE, SIDE],
    "resize": "stretch",
    "interpolation": "area",
    "channels": "rgb",
    "layout": "nchw",
    "scale": 1 / 255,
    "mean": list(MEAN),
    "std": list(STD),
}


def save_paddle(twin: PaddleCorners, folder: Path) -> Path:
    """folder/inference.json + inference.pdiparams, with the preprocessing beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = [InputSpec([None, 3, SIDE, SIDE], "float32", "image")]
    layer = paddle.jit.to_static(twin, input_spec=spec)
    paddle.jit.save(layer, str(folder / "inference"))
    name_results(folder / "inference.json")
    (folder / "preprocess.json").write_text(json.dumps(PREPROCESS, indent=1) + "\n")
    (folder / "postprocess.json").write_text(json.dumps({"margin": MARGIN, "presence": THRESHOLD}, indent=1) + "\n")
    return folder


def name_results(program: Path) -> None:
    """paddle.jit.save calls results fetch_name_0, fetch_name_1, …; the page asks for them by what they are."""
    text = program.read_text()
    for index, name in enumerate(RESULTS):
        if text.count(f'"fetch_name_{index}"') != 1:
            raise ValueError(f"{program} names result {index} in a way this script does not know")
        text = text.replace(f'"fetch_name_{index}"', f'"{name}"')
    program.write_text(text)


def check(checkpoint: Path) -> tuple[PaddleCorners, float]:
    """The twin of a checkpoint, held against PyTorch on noise; ValueError when they differ."""
    model = load(checkpoint)
    twin = carried_over(model)
    images = np.random.default_rng(7).standard_normal((4, 3, SIDE, SIDE)).astype(np.float32)
    worst = worst_difference(model, twin, images)
    if not worst <= TOLERANCE:
        raise ValueError(f"Paddle and PyTorch differ by {worst:.2e}, more than {TOLERANCE:.0e}")
    return twin, worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the bundle's folder")
    parser.add_argument("--paddle", type=Path, help="keep the exported Paddle model in this folder")
    args = parser.parse_args()
    twin, worst = check(args.checkpoint)
    print(f"Paddle and PyTorch agree within {worst:.1e}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = save_paddle(twin, args.paddle or Path(scratch) / "document_corners")
        command = [sys.executable, "-m", "converter", str(folder), "-o", str(args.output), "--name", "document_corners"]
        command += ["--precision", "float16", "--postprocess", str(folder / "postprocess.json")]
        # For the server: operator set 13, so that TensorRT 8 reads it too. Its weights are those of the chunks.
        command += ["--targets", "web,onnx", "--opset", "13", "--model-version", VERSION, "--no-report"]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
