"""What each of the three networks learns from a batch, and how it is measured meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from training.faces import cells
from training.faces.crops import CROP, FaceCrops, UpperCrops
from training.faces.measure import Answer, detector_row
from training.faces.mosaic import Mosaics, library
from training.faces.negatives import faceless, mistake_crops, read
from training.faces.networks import HEAD_SIDE, UPPER_CELLS, UPPER_SIDE, Network
from training.faces.sources import Bodies, Crops, Scenes, bodies, crops, scenes, with_small_faces

Terms = dict[str, torch.Tensor]


Forward = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]  # the network, perhaps in a narrower format


def signed(image: torch.Tensor) -> torch.Tensor:
    """0..1 -> -1..1, what the networks take."""
    return (image * 2 - 1).contiguous(memory_format=torch.channels_last)


# ---- the detector ----

SCENES = ((416, 512), (512, 416), (384, 640), (512, 512), (320, 320), (256, 384))


def shrunk(picture: np.ndarray, longest: int) -> torch.Tensor:
    """uint8 [3,h,w] -> [1,3,H,W] 0..1 scaled to this longer side, black to multiples of 32; as the page does it."""
    h, w = picture.shape[1:]
    scale = longest / max(h, w)
    size = (max(1, round(h * scale)), max(1, round(w * scale)))
    x = torch.from_numpy(np.ascontiguousarray(picture)).float()[None] / 255
    x = F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)
    return F.pad(x, (0, -size[1] % 32, 0, -size[0] % 32))


@torch.no_grad()
def answers(network: Network, found: Scenes, longest: int, device: str) -> list[Answer]:
    """Every picture on its own, in its own pixels."""
    out = []
    for i in range(len(found.sizes)):
        w, h = found.sizes[i].astype(int)
        x = shrunk(found.pictures[i][:, :h, :w], longest).to(device)
        score, boxes, points = cells.found(network(signed(x)), x.shape[2:])[0]
        ratio = max(h, w) / longest
        boxes, points = boxes.numpy() * ratio, points.numpy() * ratio
        boxes[:, :2] -= boxes[:, 2:] / 2
        real = found.boxes[i, :, 2] > 0
        zones = found.ignore[i][found.ignore[i, :, 2] > 0]
        out.append(Answer(score.numpy(), boxes, points, found.boxes[i][real], found.points[i][real], zones))
    return out


class DetectorTask:
    """mined: an earlier detector's mistakes; pictures without a face are shown more often the more it has there."""

    def __init__(self, faces: Path, backdrops: list[Path], device: str, small: bool, mined: Path | None) -> None:
        train = scenes(faces, "train", small)
        lib = library(train, faceless(train, backdrops, small), device)
        if mined:
            found = read(mined, len(lib.empty_weight)).to(device)
            lib.empty_weight.mul_(0.4).index_add_(0, found.rows, found.scores**2)
        self.mosaics = Mosaics(lib)
        self.device, self.small = device, small
        self.val = scenes(faces, "val", small)

    def terms(self, forward: Forward, step: int, batch: int) -> Terms:
        size = (192, 256) if self.small else SCENES[step % len(SCENES)]
        n = max(2, round(batch * 416 * 512 / (size[0] * size[1]))) if not self.small else batch
        image, targets = self.mosaics.batch(n, size)
        return {k: cells.WEIGHTS[k] * v for k, v in cells.losses(forward(signed(image)), size, targets).items()}

    def report(self, network: Network) -> dict:
        rows = {}
        for longest in (320, 640):
            found = answers(network, self.val, longest, self.device)
            rows[str(longest)] = detector_row(found)
            for name in sorted(set(self.val.names)):
                some = [a for a, n in zip(found, self.val.names, strict=True) if n == name]
                rows[f"{longest} {name}"] = detector_row(some)["ap50"]
        return rows | {"goal": rows["640"]["ap50"] + rows["640"]["recall32"]}


# ---- the face head ----


def rotation(six: torch.Tensor) -> torch.Tensor:
    """[n,6] -> matrices [n,3,3] (Zhou 2019): the first two columns, made orthonormal."""
    a = F.normalize(six[:, :3], dim=1)
    b = F.normalize(six[:, 3:] - (a * six[:, 3:]).sum(1, keepdim=True) * a, dim=1)
    return torch.stack([a, b, torch.linalg.cross(a, b)], 2)


def matrix_of(pose: torch.Tensor) -> torch.Tensor:
    """[n,3] yaw, pitch, roll in degrees -> Rz(roll) Ry(yaw) Rx(pitch): turning the picture adds to roll alone."""
    yaw, pitch, roll = torch.deg2rad(pose).unbind(1)
    cy, sy, cp, sp, cr, sr = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin(), roll.cos(), roll.sin()
    rows = [
        torch.stack([cr * cy, cr * sy * sp - sr * cp, cr * sy * cp + sr * sp], 1),
        torch.stack([sr * cy, sr * sy * sp + cr * cp, sr * sy * cp - cr * sp], 1),
        torch.stack([-sy, cy * sp, cy * cp], 1),
    ]
    return torch.stack(rows, 1)


def angles(matrix: torch.Tensor) -> torch.Tensor:
    """The inverse of matrix_of, [n,3] degrees."""
    yaw = torch.asin((-matrix[:, 2, 0]).clamp(-0.9999, 0.9999))
    pitch = torch.atan2(matrix[:, 2, 1], matrix[:, 2, 2])
    roll = torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0])
    return torch.rad2deg(torch.stack([yaw, pitch, roll], 1))


def around(degrees: torch.Tensor) -> torch.Tensor:
    """Differences of angles, -180..180."""
    return (degrees + 180) % 360 - 180


POINT_WEIGHT = np.ones(73, np.float32)
POINT_WEIGHT[:5] = 4.0
POINT_WEIGHT[5 + 36 : 5 + 48] = 2.5
POINT_WEIGHT[5:22] = 0.5  # the outline of the jaw, which nobody needs


def head_terms(outputs: tuple[torch.Tensor, ...], b) -> Terms:
    pose, points, eyes, trust = (o.float() for o in outputs)
    real = b.real.float()
    posed = real * b.pose_known
    count = posed.sum().clamp(min=1)
    matrix = rotation(pose)
    chord = (matrix - matrix_of(b.pose)).pow(2).sum((1, 2))
    gap = around(angles(matrix) - b.pose).abs()
    inner = (b.pose[:, 0].abs() < 75).float() * posed
    close = F.smooth_l1_loss(gap / 10, torch.zeros_like(gap), beta=0.2, reduction="none").clamp(max=6).mean(1)
    error = gap.mean(1).detach().clamp(0.3, 60)
    spread = trust[:, 1].clamp(-2, 5)
    doubt = (error * (-spread).exp() + spread) * posed
    weight = b.point_weight * torch.from_numpy(POINT_WEIGHT).to(points.device) * real[:, None]
    off = points.unflatten(1, (73, 2)) - (b.points / HEAD_SIDE - 0.5)
    off = F.smooth_l1_loss(off, torch.zeros_like(off), beta=0.01, reduction="none").sum(2)
    look = b.open_weight * real[:, None]
    lid = F.binary_cross_entropy_with_logits(eyes, b.open, reduction="none")
    return {
        "pose": (chord * posed).sum() / count,
        "angles": 1.5 * (close * inner).sum() / count,
        "points": 12 * (off * weight).sum() / weight.sum().clamp(min=1),
        "eyes": 0.5 * (lid * look).sum() / look.sum().clamp(min=1),
        "face": 0.5 * F.binary_cross_entropy_with_logits(trust[:, 0], real),
        "doubt": 0.05 * doubt.sum() / count,
    }


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """How often a true one scores higher than a false one."""
    if truth.all() or not truth.any():
        return float("nan")
    more = (scores[truth][:, None] > scores[~truth][None]).mean()
    return float(more + 0.5 * (scores[truth][:, None] == scores[~truth][None]).mean())


def in_parts(pictures: np.ndarray, device: str) -> Iterator[torch.Tensor]:
    """Crops uint8 [n,3,128,128] as the head takes them, [64,3,112,112] at a time."""
    for first in range(0, len(pictures), 64):
        x = torch.from_numpy(pictures[first : first + 64]).to(device).float() / 255
        x = F.interpolate(x, size=(HEAD_SIDE, HEAD_SIDE), mode="bilinear", align_corners=False, antialias=True)
        yield signed(x)


@torch.no_grad()
def told_apart(network: Network, faces: np.ndarray, others: np.ndarray, device: str) -> float:
    """Share of the faces that look more like one than 99 of 100 of the others do."""
    seen, taken = (torch.cat([network(p)[3][:, 0] for p in in_parts(x, device)]) for x in (faces, others))
    return round(float((seen > taken.quantile(0.99)).float().mean()), 4)


@torch.no_grad()
def head_report(network: Network, found: Crops, device: str) -> dict:
    parts = [network(p) for p in in_parts(found.pictures, device)]
    outputs = [torch.cat(part).float().cpu() for part in zip(*parts, strict=True)]
    pose, points, eyes, trust = outputs
    gap = around(angles(rotation(pose)) - torch.from_numpy(found.pose)).abs().numpy()
    front = np.abs(found.pose[:, 0]) < 45
    five = ((points.unflatten(1, (73, 2)) + 0.5) * CROP).numpy()
    away = np.linalg.norm(five[:, :5] - found.five, axis=2).mean(1)
    between = np.linalg.norm(found.five[:, 0] - found.five[:, 1], axis=1)
    judged = np.array([e in ("closed", "neutral") for e in found.eye])
    shut = np.array([e == "closed" for e in found.eye])
    open_ = eyes.sigmoid().mean(1).numpy()
    row = {
        "mae": round(float(gap[front].mean()), 3),
        "yaw pitch roll": [round(float(v), 3) for v in gap[front].mean(0)],
        "mae beyond 45": round(float(gap[~front].mean()), 3) if (~front).any() else None,
        "nme face": round(float((away / (CROP / 1.5)).mean()), 4),
        "nme eyes, facing": round(float((away / between)[np.abs(found.pose[:, 0]) < 30].mean()), 4),
        "closed auc": round(auc(-open_[judged], shut[judged]), 4),
        "open closed neutral": [round(float(open_[judged & (shut == k)].mean()), 3) for k in (True, False)],
        "face": round(float((trust[:, 0] > 0).float().mean()), 4),
        "spread against error": round(float(np.corrcoef(trust[:, 1].numpy(), gap.mean(1))[0, 1]), 3),
    }
    for name in sorted(set(found.names)):
        mine = front & np.array([n == name for n in found.names])
        row[f"mae {name}"] = round(float(gap[mine].mean()), 3)
    return row | {"goal": -row["mae"] - 100 * row["nme face"] + 4 * row["closed auc"]}


HELD = 8  # every so many pictures without a face are kept for judging
HARD = 0.3  # mistakes of the detector that count there, by its score


class HeadTask:
    """mined: mistakes of the detector, which the head learns to see through."""

    def __init__(self, faces: Path, backdrops: list[Path], device: str, small: bool, mined: Path | None) -> None:
        some = scenes(faces, "train", small)
        other = np.concatenate([p for p, _ in faceless(some, backdrops, small)])
        self.device, self.val, self.held, learned = device, crops(faces, "val"), None, None
        if mined:
            found = read(mined, len(other))
            kept = found.rows % HELD == 0
            use = found.where(~kept & (found.scores > found.scores.quantile(0.4)))
            learned = torch.from_numpy(mistake_crops(use, other)).to(device), use.scores.to(device)
            judged = found.where(kept & (found.scores > HARD))
            self.held = mistake_crops(judged.where(torch.arange(len(judged.rows)) % 4 == 0), other)
            self.faces = with_small_faces(self.val, scenes(faces, "val")).pictures
        known = with_small_faces(crops(faces, "train"), some)
        self.crops = FaceCrops(known, torch.from_numpy(other).to(device), learned, device)

    def terms(self, forward: Forward, step: int, batch: int) -> Terms:
        b = self.crops.batch(batch)
        return head_terms(forward(signed(b.image)), b)

    def report(self, network: Network) -> dict:
        row = head_report(network, self.val, self.device)
        if self.held is not None:
            told = told_apart(network, self.faces, self.held, self.device)
            row |= {"told apart": told, "goal": row["goal"] + 4 * told}
        return row


# ---- the upper body ----


def joint_terms(logits: torch.Tensor, b) -> Terms:
    """Spots as in the corner network: focal heat, a softmax over the cells, the distance of its mean."""
    logits = logits.float()
    at = torch.arange(UPPER_CELLS, device=logits.device, dtype=torch.float32)
    place = b.joints / 4 - 0.5
    x = torch.exp(-((at - place[..., :1]) ** 2) / 2.5)
    y = torch.exp(-((at - place[..., 1:]) ** 2) / 2.5)
    target = (y[..., :, None] * x[..., None, :]) * b.sure[..., None, None]
    gap = (target - logits.sigmoid()).abs() ** 2
    spot = (gap * F.binary_cross_entropy_with_logits(logits, target, reduction="none")).sum((2, 3)).mean()
    goal = (target / target.sum((2, 3), keepdim=True).clamp(min=1e-6)).flatten(2)
    flat = logits.flatten(2)
    count = b.sure.sum().clamp(min=1)
    share = (-(goal * flat.log_softmax(2)).sum(2) * b.sure).sum() / count
    field = flat.softmax(2).unflatten(2, (UPPER_CELLS, UPPER_CELLS))
    mean = torch.stack([(field.sum(2) * at).sum(2), (field.sum(3) * at).sum(2)], 2)
    off = F.smooth_l1_loss(mean, place, beta=0.25, reduction="none").sum(2).clamp(max=10)
    return {"spot": spot, "place": 0.25 * share, "distance": 0.3 * (off * b.sure).sum() / count}


def joint_places(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[n,5,24,24] -> [n,5,2] in input pixels (mean of the 5 × 5 cells around the highest), sureness [n,5]."""
    n, k, h, w = logits.shape
    flat = logits.float().flatten(2)
    top = flat.argmax(2)
    row, column = top // w, top % w
    at = torch.arange(w, device=logits.device)
    near = ((at[None, None, :, None] - row[..., None, None]).abs() <= 2) & (
        (at[None, None, None] - column[..., None, None]).abs() <= 2
    )
    field = flat.softmax(2).unflatten(2, (h, w)) * near
    field = field / field.sum((2, 3), keepdim=True)
    x, y = (field.sum(2) * at).sum(2), (field.sum(3) * at).sum(2)
    return (torch.stack([x, y], 2) + 0.5) * 4, flat.amax(2).sigmoid()


@torch.no_grad()
def upper_report(network: Network, found: Bodies, device: str) -> dict:
    x = torch.from_numpy(found.pictures).to(device).float() / 255
    x = F.interpolate(x, size=(UPPER_SIDE, UPPER_SIDE), mode="bilinear", align_corners=False, antialias=True)
    places, sure = joint_places(network(signed(x))[0].cpu())
    off = np.linalg.norm(places.numpy() * CROP / UPPER_SIDE - found.joints, axis=2)
    size = found.face[:, 2:].mean(1)
    use = found.sure > 0.5
    share = [round(float((off[:, k] / size)[use[:, k]].mean()), 4) for k in range(5)]
    right = [round(float(((off[:, k] / size)[use[:, k]] < 0.5).mean()), 4) for k in range(5)]
    sureness = [round(float(s), 3) for s in sure.mean(0)]
    return {"error in faces": share, "within half a face": right, "sure": sureness, "goal": -sum(share[:3])}


class UpperTask:
    def __init__(self, faces: Path, backdrops: list[Path], device: str, small: bool, mined: Path | None) -> None:
        self.crops, self.val, self.device = UpperCrops(bodies(faces, "train"), device), bodies(faces, "val"), device

    def terms(self, forward: Forward, step: int, batch: int) -> Terms:
        b = self.crops.batch(batch)
        return joint_terms(forward(signed(b.image))[0], b)

    def report(self, network: Network) -> dict:
        return upper_report(network, self.val, self.device)


TASKS = {"detector": DetectorTask, "head": HeadTask, "upper": UpperTask}
