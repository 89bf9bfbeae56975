"""Contact sheets: python -m training.document_corners.sheet --out sheet.png, to be looked at."""

from __future__ import annotations

import argparse

import cv2
import numpy as np
import torch

from training.document_corners.bank import Counts, make_bank
from training.document_corners.camera import develop
from training.document_corners.classes import CLASSES
from training.document_corners.compose import Studio
from training.document_corners.scene import Dice, Recipe

COLUMNS = 8
SMALL = Counts(pages=150, grounds=90, objects=80, fingers=30, palms=20)


def outline(image: np.ndarray, corners: np.ndarray, colour: tuple[int, int, int], numbers: bool = True) -> None:
    """Draw a normalised quadrilateral on an RGB picture."""
    h, w = image.shape[:2]
    points = np.round(corners * [w, h] * 8).astype(np.int32)
    cv2.polylines(image, [points], True, colour, 1, cv2.LINE_AA, 3)
    if numbers:
        cv2.circle(image, tuple(int(v) for v in points[0] // 8), 4, (255, 60, 60), 1, cv2.LINE_AA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="sheet.png")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", default=[])
    parser.add_argument("--bare", action="store_true", help="no outlines")
    parser.add_argument("--classes", action="store_true", help="one row of each validation class")
    args = parser.parse_args()
    studio = Studio(make_bank(SMALL, args.seed), (384, 384), "cpu")
    recipes = list(CLASSES.values()) if args.classes else [Recipe(kinds=tuple(args.kinds))] * (args.count // COLUMNS)
    dice, generator = Dice(args.seed), torch.Generator().manual_seed(args.seed)
    rows = []
    for recipe in recipes:
        shot = studio.shoot(dice, recipe, COLUMNS)
        photo = develop(shot.image, (256, 256), dice, recipe, generator)
        images = np.ascontiguousarray((photo.permute(0, 2, 3, 1) * 255).byte().numpy())
        for image, corners, present in zip(images, shot.corners.numpy(), shot.present.tolist(), strict=True):
            if present and not args.bare:
                outline(image, corners, (0, 255, 0))
        rows.append(np.concatenate(list(images), 1))
    cv2.imwrite(args.out, np.concatenate(rows, 0)[..., ::-1])


if __name__ == "__main__":
    main()
