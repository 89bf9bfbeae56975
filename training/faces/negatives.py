"""Pictures without a face, and what a detector takes for faces in them:

    python -m training.faces.negatives --faces FOLDER --backdrops FOLDER --detector DIR/detector.pt -o mistakes.npz

train.py shows the places in mistakes.npz more often than others (--mistakes). A place is known by the number of its
picture, so both must be given the same folders.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from training.faces import cells
from training.faces.lookalikes import lookalikes
from training.faces.networks import Network, make
from training.faces.sources import SIDE, Scenes, face_crop, folder_squares, paintable, scenes, without_faces
from training.faces.textures import textures

TEXTURES = 700
LOOKALIKES = 600
SIDES = (320, 512, 704)  # a picture is looked at in these sizes


def faceless(train: Scenes, backdrops: list[Path], small: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """(squares, sizes) of pictures without a face: photographs painted over, textures, things that look like faces,
    the folders' pictures. small: a few of each."""
    painted = paintable(train)
    found = [(without_faces(painted), painted.sizes), textures(8 if small else TEXTURES, train)]
    found += [lookalikes(8 if small else LOOKALIKES), *map(folder_squares, backdrops)]
    return [(p[:8], s[:8]) if small else (p, s) for p, s in found if len(s)]


@dataclass
class Mistakes:
    """Where a detector saw a face: picture rows [k], boxes [k,4] cx cy w h in its pixels, scores [k]."""

    rows: torch.Tensor
    boxes: torch.Tensor
    scores: torch.Tensor

    def where(self, use: torch.Tensor) -> Mistakes:
        return Mistakes(self.rows[use], self.boxes[use], self.scores[use])

    def to(self, device: str) -> Mistakes:
        return Mistakes(self.rows.to(device), self.boxes.to(device), self.scores.to(device))


@torch.no_grad()
def mistakes(network: Network, pictures: torch.Tensor, lowest: float = 0.12) -> Mistakes:
    """In uint8 [n,3,512,512] where there are no faces."""
    rows: list[int] = []
    boxes, scores = [torch.zeros(0, 4)], [torch.zeros(0)]
    for side in SIDES:
        for first in range(0, len(pictures), 8):
            x = pictures[first : first + 8].float() / 255
            x = F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False, antialias=True)
            maps = network((x * 2 - 1).contiguous(memory_format=torch.channels_last))
            for i, (score, box, _) in enumerate(cells.found(maps, (side, side), lowest, most=12)):
                rows += [first + i] * len(score)
                boxes.append(box * (SIDE / side))
                scores.append(score)
    return Mistakes(torch.tensor(rows, dtype=torch.long), torch.cat(boxes), torch.cat(scores))


def read(file: Path, pictures: int) -> Mistakes:
    """ValueError when they were found in other pictures."""
    held = np.load(file)
    if int(held["pictures"]) != pictures:
        raise ValueError(f"{file} is about {held['pictures']} pictures without a face, here are {pictures}")
    return Mistakes(*(torch.from_numpy(held[name]) for name in ("rows", "boxes", "scores")))


def mistake_crops(found: Mistakes, pictures: np.ndarray) -> np.ndarray:
    """What the head would be shown of the mistakes in uint8 [n,3,512,512]: uint8 [k,3,128,128]."""
    corners = found.boxes.numpy().copy()
    corners[:, :2] -= corners[:, 2:] / 2
    out = np.empty((len(corners), 3, 128, 128), np.uint8)
    for row in np.unique(found.rows.numpy()):
        picture = np.ascontiguousarray(pictures[row].transpose(1, 2, 0))
        for i in np.flatnonzero(found.rows.numpy() == row):
            out[i] = face_crop(picture, corners[i])[0]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True, type=Path)
    parser.add_argument("--backdrops", action="append", default=[], type=Path)
    parser.add_argument("--detector", required=True, type=Path, help="its weights, as train.py writes them")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="a few pictures, as train.py --small has them")
    parser.add_argument("-o", "--output", required=True, type=Path)
    args = parser.parse_args()
    network = make("detector").eval()
    network.load_state_dict(torch.load(args.detector, map_location="cpu")["weights"])
    network = network.to(args.device, memory_format=torch.channels_last)
    train = scenes(args.faces, "train", args.small)
    pictures = np.concatenate([p for p, _ in faceless(train, args.backdrops, args.small)])
    found = mistakes(network, torch.from_numpy(pictures).to(args.device))
    arrays = {name: getattr(found, name).cpu().numpy() for name in ("rows", "boxes", "scores")}
    np.savez(args.output, pictures=len(pictures), **arrays)
    print(f"{len(found.rows)} places in {len(pictures)} pictures")


if __name__ == "__main__":
    main()
