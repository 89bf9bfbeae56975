"""How much the detector's and the head's opinion count when both have looked at a place:

    python -m training.faces.judge --faces FOLDER --backdrops FOLDER --mistakes FILE --networks DIR [--score 0.55]

A logistic regression over the logarithms of their odds, fitted to what the detector finds on the validation split and
to its mistakes in every eighth painted photograph and backdrop, with which the head's second look was not taught.
(Textures and lookalikes are left out: a detector sees faces in them so much more often than in photographs that its
opinion would count for little.) Prints what each limit of the score costs and saves; --score is the one that the page
shall use. export.py takes all from DIR/judge.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from training.faces import cells
from training.faces.measure import covered, iou
from training.faces.negatives import faceless, mistake_crops, read
from training.faces.networks import Network, checkpoint_of, load
from training.faces.sources import Scenes, face_crop, scenes
from training.faces.tasks import HELD, in_parts, shrunk, signed

SIDES = (640,)  # at which the validation split is looked at
LOWEST, LOWEST_SMALL = 0.4, 0.05  # of the detector's scores: with less, no head makes it a face
LIMITS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
DRAWN = (1, 2)  # which of faceless()'s groups are textures and lookalikes
SURE = 8.0  # the head's logarithm counts up to here
RIDGE = 1e-3


@torch.no_grad()
def opinions(
    detector: Network, head: Network, picture: np.ndarray, side: int, lowest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Of uint8 [3,h,w]: boxes [k,4] x y w h, both logarithms of odds [k,2]."""
    small = shrunk(picture, side)
    scores, boxes, _ = cells.found(detector(signed(small)), small.shape[2:], lowest, most=60)[0]
    boxes = boxes.numpy() * max(picture.shape[1:]) / side
    boxes[:, :2] -= boxes[:, 2:] / 2
    if not len(boxes):
        return boxes, np.zeros((0, 2))
    pixels = np.ascontiguousarray(picture.transpose(1, 2, 0))
    crops = np.stack([face_crop(pixels, box)[0] for box in boxes])
    return boxes, torch.stack([torch.logit(scores), second(head, crops)], 1).numpy()


@torch.no_grad()
def second(head: Network, crops: np.ndarray) -> torch.Tensor:
    """The head's logarithm of the odds of a face in uint8 [n,3,128,128]: [n]."""
    return torch.cat([torch.zeros(0), *(head(x)[3][:, 0] for x in in_parts(crops, "cpu"))]).clamp(-SURE, SURE)


def with_faces(detector: Network, head: Network, found: Scenes, lowest: float) -> tuple[np.ndarray, np.ndarray]:
    """Opinions [k,2] and whether they are about a face [k]; what is near a face, or unsure, is left out."""
    rows, truths = [np.zeros((0, 2))], [np.zeros(0)]
    for picture, (w, h), faces, zones in zip(
        found.pictures, found.sizes.astype(int), found.boxes, found.ignore, strict=True
    ):
        for side in SIDES:
            boxes, values = opinions(detector, head, picture[:, :h, :w], side, lowest)
            if not len(boxes):
                continue
            near = iou(boxes, faces[faces[:, 2] > 0]).max(1, initial=0)
            clear = (near >= 0.5) | ((near < 0.3) & (covered(boxes, zones[zones[:, 2] > 0]) < 0.5))
            rows.append(values[clear])
            truths.append(near[clear] >= 0.5)
    return np.concatenate(rows), np.concatenate(truths)


def fitted(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Weights of both opinions and the bias, by Newton's method; ValueError when there is nothing to tell apart."""
    if not 0 < truth.sum() < len(truth):
        raise ValueError(f"the detector found {int(truth.sum())} faces in {len(truth)} places: train it longer")
    x, weights = np.c_[values, np.ones(len(values))], np.zeros(3)
    for _ in range(40):
        p = 1 / (1 + np.exp(-x @ weights))
        curve = (x * (p * (1 - p))[:, None]).T @ x / len(x) + RIDGE * np.eye(3)
        weights -= np.linalg.solve(curve, x.T @ (p - truth) / len(x) + RIDGE * weights)
    return weights


def costs(
    weights: np.ndarray, faces: np.ndarray, others: np.ndarray, rows: np.ndarray, pictures: int
) -> list[tuple[float, ...]]:
    """For limits of the score: itself, the share of the faces [k,2] that reach it, the share of the pictures where none
    of the others [m,2] does; rows [m]: in which picture."""
    real, wrong = (1 / (1 + np.exp(-(v @ weights[:2] + weights[2]))) for v in (faces, others))
    return [
        (least, float((real >= least).mean()), 1 - len(np.unique(rows[wrong >= least])) / pictures) for least in LIMITS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--backdrops", action="append", default=[], type=Path)
    parser.add_argument("--mistakes", type=Path, required=True)
    parser.add_argument("--networks", type=Path, required=True)
    parser.add_argument("--score", type=float, default=0.55)
    parser.add_argument(
        "--small", action="store_true", help="a few pictures, as train.py --small has them, and low scores"
    )
    args = parser.parse_args()
    lowest = LOWEST_SMALL if args.small else LOWEST
    detector, head = (load(name, checkpoint_of(args.networks, name, False)) for name in ("detector", "head"))
    values, truth = with_faces(detector, head, scenes(args.faces, "val", args.small), lowest)
    groups = [p for p, _ in faceless(scenes(args.faces, "train", args.small), args.backdrops, args.small)]
    natural = np.concatenate([np.full(len(p), k not in DRAWN) for k, p in enumerate(groups)])
    pictures = np.concatenate(groups)
    found = read(args.mistakes, len(pictures))
    kept = torch.from_numpy(natural)[found.rows] & (found.rows % HELD == 0)
    found = found.where(kept & (found.scores > lowest))
    seen = second(head, mistake_crops(found, pictures))
    none = torch.stack([torch.logit(found.scores), seen], 1).numpy()
    weights = fitted(np.concatenate([values, none]), np.concatenate([truth, np.zeros(len(none))]))
    for line in costs(weights, values[truth > 0], none, found.rows.numpy(), int(natural[::HELD].sum())):
        print("limit {:.2f}: {:.3f} of the faces, nothing in {:.3f} of the pictures without".format(*line))
    judge = dict(zip(("detector", "head", "bias"), weights.round(4).tolist(), strict=True))
    judge |= {"sure": SURE, "look": lowest}
    (args.networks / "judge.json").write_text(json.dumps({"judge": judge, "score": args.score}) + "\n")
    print(judge)


if __name__ == "__main__":
    main()
