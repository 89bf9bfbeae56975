"""Write a synthetic validation set, for tests that drive the real page:

    python -m training.document_corners.validation --out DIR --count 200 [--seed 4242]

PNG photos of every class of classes.py in turn, and DIR/corners.json:
{"corners": {file: [[x, y] × 4: TL, TR, BR, BL in pixels] or null}, "classes": {file: name}}. Its textures come
from a bank of their own, so none was trained on. One CPU core draws about one photo a second, after half a minute
of painting textures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch

from training.document_corners.bank import Counts, make_bank
from training.document_corners.camera import develop
from training.document_corners.classes import CLASSES
from training.document_corners.compose import Studio
from training.document_corners.scene import Dice

SIDE = 640  # pixels: a photo's width times its height is about the square of this
BANK = Counts(pages=420, grounds=200, objects=160, fingers=60, palms=40, page_side=640, ground_side=640)
TOGETHER = 4  # photos drawn at once: more need more memory


def photos(studio: Studio, name: str, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """`count` photos of a class: RGB uint8 pictures in their own shape, and corners [4,2] in pixels or None."""
    dice, generator, made = Dice(seed), torch.Generator(studio.device).manual_seed(seed), []
    while len(made) < count:
        n = min(TOGETHER, count - len(made))
        shot = studio.shoot(dice, CLASSES[name], n)
        square = develop(shot.image, studio.size, dice, CLASSES[name], generator)
        square = (square * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        for picture, corners, present, shape in zip(square, shot.corners, shot.present, shot.shape, strict=True):
            size = round(studio.size[1] * float(shape) ** 0.5), round(studio.size[0] / float(shape) ** 0.5)
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
            made.append((picture, corners.numpy() * size if present else None))
    return made


def write(out: Path, count: int, seed: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    studio = Studio(make_bank(BANK, seed), (SIDE, SIDE), "cpu")
    truth: dict[str, dict] = {"corners": {}, "classes": {}}
    shares = np.bincount(np.arange(count) % len(CLASSES), minlength=len(CLASSES)).tolist()
    for index, (name, share) in enumerate(zip(CLASSES, shares, strict=True)):
        for number, (picture, corners) in enumerate(photos(studio, name, share, seed + 1 + index)):
            file = f"{name}_{number:03d}.png"
            cv2.imwrite(str(out / file), picture[..., ::-1])
            truth["corners"][file] = None if corners is None else np.round(corners, 2).tolist()
            truth["classes"][file] = name
        print(f"{name}: {share}", flush=True)
    (out / "corners.json").write_text(json.dumps(truth, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=4242)
    args = parser.parse_args()
    write(args.out, args.count, args.seed)


if __name__ == "__main__":
    main()
