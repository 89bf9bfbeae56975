"""Checkpoints down the product's own road: PyTorch -> Paddle -> paddle.jit.save -> our converter -> bundle.

    python -m training.faces.export CHECKPOINT_FOLDER -o static/models [--only detector] [--last]

CHECKPOINT_FOLDER holds what train.py wrote; the weights that did best on the validation split are taken, with --last
the final ones. The Paddle twin must equal PyTorch within 1e-5 before anything is written.
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
import torch
from paddle.static import InputSpec

from training.faces.networks import HEAD_SIDE, STRIDES, UPPER_SIDE, Network, make
from training.faces.twin import PaddleNetwork, carried_over, worst_difference

TOLERANCE = 1e-5
VERSION = "1.0.0"
BUNDLES = {"detector": "face_detector", "head": "face_head", "upper": "upper_body"}
SIDES = {"detector": None, "head": HEAD_SIDE, "upper": UPPER_SIDE}
HALF = {"channels": "rgb", "layout": "nchw", "scale": 1 / 255, "mean": [0.5] * 3, "std": [0.5] * 3}
PREPROCESS = {
    # The page scales to one of `sides` and pads with black to multiples of 32 itself: boxes then need no second scale.
    "detector": HALF | {"resize": "limit", "limit": {"side": 1280, "type": "max", "multiple": 32}},
    "head": HALF | {"resize": "stretch", "size": [HEAD_SIDE, HEAD_SIDE]},
    "upper": HALF | {"resize": "stretch", "size": [UPPER_SIDE, UPPER_SIDE]},
}
POSTPROCESS = {
    "detector": {"strides": list(STRIDES), "sides": [320, 640], "score": 0.7, "overlap": 0.45},
    # A crop's side in longer sides of the box; the lowest probability that a box known from before still holds a face.
    "head": {"crop": 1.5, "face": 0.5},
    "upper": {"crop": 5.0, "below": 1.2, "sure": 0.3, "joints": ["nose", "left", "right", "leftEar", "rightEar"]},
}


def load(name: str, checkpoint: Path) -> Network:
    network = make(name)
    network.load_state_dict(torch.load(checkpoint, map_location="cpu")["weights"])
    return network.eval()


def checkpoint_of(folder: Path, name: str, last: bool) -> Path:
    best = folder / f"{name}_best.pt"
    return folder / f"{name}.pt" if last or not best.exists() else best


def save_paddle(name: str, twin: PaddleNetwork, folder: Path) -> None:
    """folder/inference.json + inference.pdiparams, with what the page must know beside them."""
    side = SIDES[name]
    spec = [InputSpec([None, 3, side, side], "float32", "image")]
    paddle.jit.save(paddle.jit.to_static(twin, input_spec=spec), str(folder / "inference"))
    program = folder / "inference.json"
    text = program.read_text()
    for index, result in enumerate(twin.plan.outputs):
        if text.count(f'"fetch_name_{index}"') != 1:
            raise ValueError(f"{program} names result {index} in a way this script does not know")
        text = text.replace(f'"fetch_name_{index}"', f'"{result}"')
    program.write_text(text)
    (folder / "preprocess.json").write_text(json.dumps({"input": "image"} | PREPROCESS[name]) + "\n")
    (folder / "postprocess.json").write_text(json.dumps(POSTPROCESS[name]) + "\n")


def checked(name: str, checkpoint: Path) -> tuple[PaddleNetwork, float]:
    """The twin, held against PyTorch on noise (the detector at two sizes); ValueError when they differ."""
    network = load(name, checkpoint)
    twin = carried_over(network)
    sizes = ((192, 320), (384, 640)) if name == "detector" else ((SIDES[name],) * 2,)
    noise = np.random.default_rng(7)
    worst = 0.0
    for size in sizes:
        images = noise.standard_normal((2, 3, *size)).astype(np.float32)
        worst = max(worst, worst_difference(network, twin, images))
    if not worst <= TOLERANCE:
        raise ValueError(f"{name}: Paddle and PyTorch differ by {worst:.2e}, more than {TOLERANCE:.0e}")
    return twin, worst


def export(name: str, checkpoint: Path, out: Path) -> int:
    twin, worst = checked(name, checkpoint)
    print(f"{checkpoint.name}: Paddle and PyTorch agree within {worst:.1e}")
    with tempfile.TemporaryDirectory() as scratch:
        bundle = BUNDLES[name]
        folder = Path(scratch) / bundle  # the bundle says what it was made from: alike every time
        folder.mkdir()
        save_paddle(name, twin, folder)
        command = [sys.executable, "-m", "converter", str(folder), "-o", str(out / bundle), "--name", bundle]
        command += ["--no-report", "--precision", "float16", "--postprocess", str(folder / "postprocess.json")]
        # For the server: operator set 13, so that TensorRT 8 reads it too. Its weights are those of the chunks.
        command += ["--targets", "web,onnx", "--opset", "13", "--model-version", VERSION]
        if SIDES[name]:
            # Of one picture of noise both eyes are the same, and errors are judged by an output's range.
            command += ["--input-shape", f"image=16,3,{SIDES[name]},{SIDES[name]}"]
        return subprocess.run(command, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder of the bundles' folders")
    parser.add_argument("--only", choices=sorted(BUNDLES))
    parser.add_argument("--last", action="store_true")
    args = parser.parse_args()
    names = [args.only] if args.only else list(BUNDLES)
    return max(export(name, checkpoint_of(args.folder, name, args.last), args.output) for name in names)


if __name__ == "__main__":
    sys.exit(main())
