"""Checkpoints down the product's own road: PyTorch -> Paddle -> paddle.jit.save -> our converter -> bundle.

    python -m training.faces.export CHECKPOINT_FOLDER -o static/models [--only detector] [--last]

CHECKPOINT_FOLDER holds what train.py, second_look.py and judge.py wrote; the weights that did best on the validation
split are taken, with --last the final ones. The Paddle twin must equal PyTorch within 1e-5 before anything is written.
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

from training.faces.networks import HEAD_SIDE, STRIDES, UPPER_SIDE, checkpoint_of, load
from training.faces.twin import PaddleNetwork, carried_over, worst_difference

TOLERANCE = 1e-5
VERSIONS = {"detector": "1.1.0", "head": "1.1.0", "upper": "1.0.0"}
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
    # `alone`: the lowest score where no head takes a second look; `score`, of both, comes from judge.py.
    "detector": {"strides": list(STRIDES), "sides": [320, 640], "alone": 0.5, "overlap": 0.45},
    # A crop's side in longer sides of the box; the lowest probability that a box known from before still holds a face
    # (low: the detector has vouched for it, and strangers' faces are sometimes down at 0.15 for the head alone).
    "head": {"crop": 1.5, "face": 0.05},
    "upper": {"crop": 5.0, "below": 1.2, "sure": 0.3, "joints": ["nose", "left", "right", "leftEar", "rightEar"]},
}


def postprocess(name: str, checkpoints: Path) -> dict:
    """What the page must know; how both networks judge together is in the checkpoints' folder (judge.py)."""
    if name == "upper":
        return POSTPROCESS[name]
    file = checkpoints / "judge.json"
    if not file.exists():
        raise ValueError(f"{file} is missing: python -m training.faces.judge writes it")
    key = {"detector": "score", "head": "judge"}[name]
    return POSTPROCESS[name] | {key: json.loads(file.read_text())[key]}


def save_paddle(name: str, twin: PaddleNetwork, folder: Path, known: dict) -> None:
    """folder/inference.json + inference.pdiparams, with what the page must know (postprocess) beside them."""
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
    (folder / "postprocess.json").write_text(json.dumps(known) + "\n")


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
        save_paddle(name, twin, folder, postprocess(name, checkpoint.parent))
        command = [sys.executable, "-m", "converter", str(folder), "-o", str(out / bundle), "--name", bundle]
        command += ["--no-report", "--precision", "float16", "--postprocess", str(folder / "postprocess.json")]
        # For the server: operator set 13, so that TensorRT 8 reads it too. Its weights are those of the chunks.
        command += ["--targets", "web,onnx", "--opset", "13", "--model-version", VERSIONS[name]]
        if SIDES[name]:
            # Of one picture of noise both eyes are the same, and errors are judged by an output's range.
            command += ["--input-shape", f"image=4,3,{SIDES[name]},{SIDES[name]}"]
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
