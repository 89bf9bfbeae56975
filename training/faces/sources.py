"""The pack of labelled pictures (its README says what the labels mean), as arrays; and pictures without a face."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

SIDE = 512  # the pack's longest picture
SUFFIXES = (".jpg", ".jpeg", ".png")
MIRROR_FIVE = (1, 0, 2, 4, 3)
MIRROR_68 = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip


def records(folder: Path, name: str, split: str) -> list[dict]:
    """The records of detect, crops or upper that belong to a split: train, val or test."""
    return [r for r in json.loads((folder / f"{name}.json").read_text()) if r["split"] == split]


def read_picture(path: Path) -> np.ndarray:
    """RGB uint8 [h,w,3]."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path} is no picture that can be read")
    return picture[..., ::-1]


def read_all(paths: list[Path]) -> list[np.ndarray]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(read_picture, paths))


@dataclass
class Scenes:
    """Pictures with faces, top-left in squares. pictures uint8 [n,3,512,512]; sizes [n,2] w h; boxes [n,m,4] x y w h
    and points [n,m,5,2] with 0 width where there is none; ignore [n,k,4]; source names."""

    pictures: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    points: np.ndarray
    ignore: np.ndarray
    names: list[str]


def box_of(face: dict) -> list[float]:
    """The box in the one convention that all sources share."""
    return face.get("tbox") or face["box"]


def squared(pictures: list[np.ndarray], side: int = SIDE) -> np.ndarray:
    """Each picture top-left in a black square, channels first."""
    out = np.zeros((len(pictures), 3, side, side), np.uint8)
    for row, picture in zip(out, pictures, strict=True):
        h, w = picture.shape[:2]
        row[:, :h, :w] = picture.transpose(2, 0, 1)
    return out


def scenes(folder: Path, split: str, small: bool = False) -> Scenes:
    """Faces without points (human boxes that the teacher missed) are regions to ignore: their convention differs.
    small: a sixteenth of the pictures."""
    rows = records(folder, "detect", split)[:: 16 if small else 1]
    known = [[f for f in r["faces"] if f.get("lm")] for r in rows]
    unsure = [r["ignore"] + [f["box"] for f in r["faces"] if not f.get("lm")] for r in rows]
    most, least = max(map(len, known)), max(map(len, unsure))
    boxes = np.zeros((len(rows), most, 4), np.float32)
    points = np.zeros((len(rows), most, 5, 2), np.float32)
    ignore = np.zeros((len(rows), max(1, least), 4), np.float32)
    for i, faces in enumerate(known):
        for j, face in enumerate(faces):
            boxes[i, j], points[i, j] = box_of(face), face["lm"]
        ignore[i, : len(unsure[i])] = np.array(unsure[i], np.float32).reshape(-1, 4)
    pictures = squared(read_all([folder / r["file"] for r in rows]))
    sizes = np.array([[r["w"], r["h"]] for r in rows], np.float32)
    return Scenes(pictures, sizes, boxes, points, ignore, [r["source"] for r in rows])


PAINTABLE = 20.0  # pixels: around smaller faces a blurred person is left, who looks like one from afar


def paintable(found: Scenes) -> Scenes:
    """The pictures whose typical face is large enough to be painted over."""
    larger = found.boxes[..., 2:].max(2)
    keep = [np.median(row[row > 0]) >= PAINTABLE if (row > 0).any() else True for row in larger]
    arrays = [x[keep] for x in (found.pictures, found.sizes, found.boxes, found.points, found.ignore)]
    return Scenes(*arrays, [n for n, k in zip(found.names, keep, strict=True) if k])


def without_faces(found: Scenes) -> np.ndarray:
    """The same pictures with every face and every region to ignore painted over: bodies, rooms, no faces."""

    def painted(i: int) -> np.ndarray:
        w, h = found.sizes[i].astype(int)
        picture = np.ascontiguousarray(found.pictures[i].transpose(1, 2, 0)[:h, :w])
        scale = min(1.0, 256 / max(w, h))  # what is painted in is smooth anyway
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        mask = np.zeros(small.shape[:2], np.uint8)
        for x, y, bw, bh in np.concatenate([found.boxes[i], found.ignore[i]]):
            if bw > 0:
                centre = ((x + bw / 2) * scale, (y + bh / 2) * scale)
                axes = (max(2, bw * scale * 0.68), max(2, bh * scale * 0.72))
                cv2.ellipse(mask, tuple(map(int, centre)), tuple(map(int, axes)), 0, 0, 360, 255, -1)
        filled = cv2.inpaint(small, mask, 3, cv2.INPAINT_TELEA)
        soft = cv2.GaussianBlur(cv2.resize(mask, (w, h)), (0, 0), 1.0)[..., None] / 255.0
        return (cv2.resize(filled, (w, h)) * soft + picture * (1 - soft)).astype(np.uint8)

    with ThreadPoolExecutor(8) as pool:
        return squared(list(pool.map(painted, range(len(found.sizes)))))


def folder_squares(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Every picture of a folder, scaled to 512 at most: uint8 [n,3,512,512] and sizes [n,2]."""
    found = []
    for picture in read_all(sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)):
        scale = SIDE / max(picture.shape[:2])
        size = [max(1, round(s * scale)) for s in picture.shape[1::-1]]
        found.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if scale < 1 else picture)
    sizes = np.array([p.shape[1::-1] for p in found], np.float32).reshape(-1, 2)
    return squared(found), sizes


@dataclass
class Crops:
    """Face crops. pictures uint8 [n,3,128,128]; pose [n,3] degrees; five [n,5,2] and all68 [n,68,2] (with has68 [n])
    in crop pixels; open [n,2] 0..1 right, left with weights [n,2]; pose_known [n]; weight [n]: how often to show it."""

    pictures: np.ndarray
    pose: np.ndarray
    five: np.ndarray
    all68: np.ndarray
    has68: np.ndarray
    open: np.ndarray
    open_weight: np.ndarray
    pose_known: np.ndarray
    weight: np.ndarray
    names: list[str]
    eye: list[str | None]


# Few people in drowsy (one) and classroom (the same again and again), one picture for each woman of synth.
SHARE = {"selfie": 1.5, "webcam": 1.5, "classroom": 0.8, "drowsy": 0.5, "synth": 2.5}


def openness(record: dict) -> tuple[list[float], float]:
    """(right, left) openness 0..1 and how much to believe it. The human label rules; an aspect ratio of 0.24 and more
    is an open eye, 0.10 a closed one; drowsy's ratio does not tell its closed eyes, so only its awake ones count."""
    ear = record.get("ear") or {}
    label = record.get("eye")
    if label == "closed":
        return [0.0, 0.0], 2.0
    ratio = [min(1.0, max(0.0, ((ear.get(side) or 0.0) - 0.10) / 0.14)) for side in ("right", "left")]
    if label == "neutral":
        return [max(r, 0.85) for r in ratio], 2.0
    if record["source"] == "selfie" and (ear.get("right") or 0) > 0.15 and (ear.get("left") or 0) > 0.15:
        return [0.95, 0.95], 0.4  # stretched by their publisher: the ratio is too low, but these eyes are open
    if not ear.get("ok") or record.get("drowsy") == 1 or label == "yawn":
        return ratio, 0.0
    return [max(r, 0.6) for r in ratio] if record.get("drowsy") == 0 else ratio, 0.6


def crops(folder: Path, split: str) -> Crops:
    rows = records(folder, "crops", split)
    pictures = np.stack([p.transpose(2, 0, 1) for p in read_all([folder / r["file"] for r in rows])])
    pose = np.array([r["pose"] for r in rows], np.float32)
    has68 = np.array([r["lm68"] is not None for r in rows])
    all68 = np.array([r["lm68"] or np.zeros((68, 2)) for r in rows], np.float32)
    eyes = [openness(r) for r in rows]
    rare = 1 + np.clip(np.abs(pose[:, 0]) / 30, 0, 2) + np.clip(np.abs(pose[:, 1]) / 20, 0, 1.5)
    return Crops(
        pictures=pictures,
        pose=pose,
        five=np.array([r["lm5"] for r in rows], np.float32),
        all68=all68,
        has68=has68,
        open=np.array([o for o, _ in eyes], np.float32),
        open_weight=np.array([[w, w] for _, w in eyes], np.float32),
        pose_known=np.ones(len(rows), np.float32),
        weight=np.array([SHARE[r["source"]] for r in rows]) * rare,
        names=[r["source"] for r in rows],
        eye=[r.get("eye") for r in rows],
    )


def face_crop(picture: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """A square of uint8 [h,w,3] around a box x y w h, as those of the pack: uint8 [3,128,128], black outside; its
    corner and its side in pixels of the picture."""
    side = 1.5 * float(box[2:].max())
    corner = box[:2] + box[2:] / 2 - side / 2
    at = (np.arange(128) + 0.5) * side / 128 - 0.5
    x, y = np.meshgrid((corner[0] + at).astype(np.float32), (corner[1] + at).astype(np.float32))
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR).transpose(2, 0, 1), corner, side


SMALL = (7.0, 60.0)  # pixels of the larger side, of faces in whole pictures that crops.json leaves out


def with_small_faces(known: Crops, found: Scenes) -> Crops:
    """The crops, and more of small faces in whole pictures, of which only the five points are known."""
    pictures, fives = [], []
    for i in range(len(found.sizes)):
        w, h = found.sizes[i].astype(int)
        picture = np.ascontiguousarray(found.pictures[i].transpose(1, 2, 0)[:h, :w])
        for box, five in zip(found.boxes[i], found.points[i], strict=True):
            if SMALL[0] <= box[2:].max() <= SMALL[1]:
                crop, corner, side = face_crop(picture, box)
                pictures.append(crop)
                fives.append((five - corner) * 128 / side)
    n = len(pictures)
    if not n:
        return known

    def more(name: str, *shape: int) -> np.ndarray:
        held = getattr(known, name)
        return np.concatenate([held, np.zeros((n, *shape), held.dtype)])

    return Crops(
        pictures=np.concatenate([known.pictures, np.stack(pictures)]),
        pose=more("pose", 3),
        five=np.concatenate([known.five, np.array(fives, np.float32)]),
        all68=more("all68", 68, 2),
        has68=more("has68"),
        open=more("open", 2),
        open_weight=more("open_weight", 2),
        pose_known=more("pose_known"),
        weight=np.concatenate([known.weight, np.full(n, 0.35)]),
        names=known.names + ["small"] * n,
        eye=known.eye + [None] * n,
    )


JOINT_NAMES = ("nose", "lsh", "rsh", "lear", "rear")
MIRROR_JOINTS = (0, 2, 1, 4, 3)


@dataclass
class Bodies:
    """Upper bodies. pictures uint8 [n,3,128,128]; joints [n,5,2] crop pixels; sure [n,5] 0..1, 0 outside the picture;
    face [n,4] x y w h in crop pixels; weight [n]."""

    pictures: np.ndarray
    joints: np.ndarray
    sure: np.ndarray
    face: np.ndarray
    weight: np.ndarray
    names: list[str]


def bodies(folder: Path, split: str) -> Bodies:
    rows = records(folder, "upper", split)
    pictures = np.stack([p.transpose(2, 0, 1) for p in read_all([folder / r["file"] for r in rows])])
    at = np.array([[r["kp"][n] for n in JOINT_NAMES] for r in rows], np.float32)
    return Bodies(
        pictures=pictures,
        joints=at[..., :2],
        sure=at[..., 2] * at[..., 3],
        face=np.array([r["face"] for r in rows], np.float32),
        weight=np.array([SHARE[r["source"]] for r in rows]),
        names=[r["source"] for r in rows],
    )
