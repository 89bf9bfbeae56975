"""How good a checkpoint is: on synthetic classes, and on folders of real photos.

    python -m training.document_corners.evaluate CHECKPOINT --photos FOLDER [--truth corners.json] [--out FOLDER]

The truth is {"corners": {file: [[x, y] × 4]}} in pixels of the photo scaled to a longest side of 480. With
--out, overlays are written there to be looked at.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps

from training.document_corners.camera import develop
from training.document_corners.classes import CLASSES
from training.document_corners.compose import Studio
from training.document_corners.decode import decode, quad_iou
from training.document_corners.network import SIDE, Corners
from training.document_corners.scene import Dice

THRESHOLD = 0.5  # presence below it: no quadrilateral
LOWEST_PEAK = 0.25  # likewise when the weakest corner is below this
LONGEST = 480  # pixels, of the annotated truth
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the network's input, as in ImageNet
SUFFIXES = (".jpg", ".jpeg", ".png")


def normalise(photo: torch.Tensor) -> torch.Tensor:
    """0..1 -> what the network expects."""
    mean, std = (torch.tensor(v, device=photo.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (photo - mean) / std


@torch.no_grad()
def predict(model: Corners, photo: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photos [n,3,256,256] 0..1 -> corners [n,4,2], peaks [n,4], presence [n]."""
    maps, present, _ = model.eval()(normalise(photo))
    corners, peaks = decode(maps.float().sigmoid().cpu().numpy())
    return corners, peaks, present.float().sigmoid()[:, 0].cpu().numpy()


def summary(ious: np.ndarray) -> dict[str, float]:
    return {
        "mean": round(float(ious.mean()), 4),
        "median": round(float(np.median(ious)), 4),
        "lowest": round(float(ious.min()), 4),
        "above_0.9": round(float((ious > 0.9).mean()), 4),
    }


def synthetic_report(model: Corners, studio: Studio, seed: int, count: int) -> dict:
    """Every class of classes.py; a document that is not found counts as 0."""
    report, everything = {}, []
    for index, (name, recipe) in enumerate(CLASSES.items()):
        dice, generator = Dice(seed + index), torch.Generator(studio.device).manual_seed(seed + index)
        shot = studio.shoot(dice, recipe, count)
        photo = develop(shot.image, (SIDE, SIDE), dice, recipe, generator)
        corners, peaks, present = predict(model, photo)
        found = (present >= THRESHOLD) & (peaks.min(1) >= LOWEST_PEAK)
        if name == "negative":
            report[name] = {"no_quadrilateral": round(float((~found).mean()), 4)}
            report[name]["by_presence"] = round(float((present < THRESHOLD).mean()), 4)
            continue
        pairs = zip(shot.corners.numpy(), corners, found, strict=True)
        ious = np.array([quad_iou(t, c, 512) if f else 0.0 for t, c, f in pairs])
        everything.append(ious)
        report[name] = summary(ious) | {"found": round(float(found.mean()), 4)}
    return {"all": summary(np.concatenate(everything))} | report


def read_photo(path: Path) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def squash(image: np.ndarray) -> torch.Tensor:
    """RGB photo of any size -> [1,3,256,256] 0..1, as the bundle's preprocessing does."""
    small = cv2.resize(image.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small).permute(2, 0, 1)[None] / 255


def overlay(image: np.ndarray, guess: np.ndarray, truth: np.ndarray | None, title: str) -> np.ndarray:
    scale = LONGEST / max(image.shape[:2])
    picture = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for quad, colour in ((truth, (0, 120, 255)), (guess, (0, 255, 0))):
        if quad is not None:
            points = (quad * picture.shape[1::-1] * 8).astype(np.int32)
            cv2.polylines(picture, [points], True, colour, 2, cv2.LINE_AA, 3)
    cv2.putText(picture, title, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 0, 0), 2, cv2.LINE_AA)
    return picture


def photo_report(model: Corners, folder: Path, truth: dict[str, list], out: Path | None) -> dict:
    rows = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES):
        image = read_photo(path)
        corners, peaks, present = predict(model, squash(image))
        row = {"presence": round(float(present[0]), 3), "lowest_peak": round(float(peaks.min()), 3)}
        known = None
        if path.name in truth:
            h, w = image.shape[:2]
            known = np.array(truth[path.name]) * max(h, w) / LONGEST / [w, h]
            row["iou"] = round(quad_iou(known, corners[0]), 4)
        rows[path.name] = row
        if out:
            shown = corners[0] if present[0] >= THRESHOLD and peaks.min() >= LOWEST_PEAK else None
            title = " ".join(f"{k}={v}" for k, v in row.items())
            cv2.imwrite(str(out / f"{path.stem}.png"), overlay(image, shown, known, title)[..., ::-1])
    return rows


def load(checkpoint: Path) -> Corners:
    model = Corners()
    model.load_state_dict(torch.load(checkpoint, map_location="cpu")["weights"])
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    truth = json.loads(args.truth.read_text())["corners"] if args.truth else {}
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
    rows = photo_report(load(args.checkpoint), args.photos, truth, args.out)
    for name, row in rows.items():
        print(name, json.dumps(row))
    ious = np.array([row["iou"] for row in rows.values() if "iou" in row])
    if len(ious):
        print(json.dumps(summary(ious)))


if __name__ == "__main__":
    main()
