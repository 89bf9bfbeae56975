"""Where the detector's cells are, what they say, and how they learn it.

A cell of stride s whose centre is (x, y) says: score (logit), centre of the face in strides from its own, log of
width and height in strides, five points in strides from its own centre. Which cells answer for a face is decided
by how well they already do (task-aligned assignment, Feng 2021), what they should score is how well (Zhang 2021).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from training.faces.mosaic import Targets
from training.faces.networks import CELL, STRIDES

TOP = 6  # cells that answer for one face
RANGE = (1.2, 8.0)  # size of a face in strides that a level may answer for; the last level has no upper end


def places(size: tuple[int, int], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres [l,2] x y in pixels and strides [l] of all cells of a picture h × w, finest level first."""
    centres, strides = [], []
    for stride in STRIDES:
        h, w = size[0] // stride, size[1] // stride
        y, x = torch.meshgrid(torch.arange(h, device=device), torch.arange(w, device=device), indexing="ij")
        centres.append((torch.stack([x, y], 2).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((h * w,), float(stride), device=device))
    return torch.cat(centres), torch.cat(strides)


def flattened(maps: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The network's outputs -> [n,l,15] float32."""
    return torch.cat([m.float().flatten(2) for m in maps], 2).transpose(1, 2)


def decoded(
    cells: torch.Tensor, centres: torch.Tensor, strides: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """[n,l,15] -> logits [n,l], boxes [n,l,4] cx cy w h, points [n,l,5,2] in pixels."""
    step = strides[None, :, None]
    middle = cells[..., 1:3] * step + centres
    size = cells[..., 3:5].clamp(-3, 5).exp() * step
    points = cells[..., 5:CELL].unflatten(2, (5, 2)) * step[..., None] + centres[:, None]
    return cells[..., 0], torch.cat([middle, size], 2), points


def overlap(a: torch.Tensor, b: torch.Tensor, general: bool = False) -> torch.Tensor:
    """IoU, or its generalisation (Rezatofighi 2019), of boxes cx cy w h that broadcast."""
    low_a, high_a = a[..., :2] - a[..., 2:] / 2, a[..., :2] + a[..., 2:] / 2
    low_b, high_b = b[..., :2] - b[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2
    both = (torch.minimum(high_a, high_b) - torch.maximum(low_a, low_b)).clamp(min=0).prod(-1)
    union = a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - both
    iou = both / union.clamp(min=1e-6)
    if not general:
        return iou
    hull = (torch.maximum(high_a, high_b) - torch.minimum(low_a, low_b)).prod(-1).clamp(min=1e-6)
    return iou - (hull - union) / hull


@torch.no_grad()
def assigned(
    logits: torch.Tensor, boxes: torch.Tensor, centres: torch.Tensor, strides: torch.Tensor, targets: Targets
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which face each cell answers for [n,l] (-1 none), and the score it should give [n,l]."""
    faces = targets.boxes
    away = (centres[None, None] - faces[:, :, None, :2]).abs()
    size = faces[..., 2:].clamp(min=1)
    limit = torch.maximum(0.35 * size[:, :, None], 0.8 * strides[None, None, :, None])
    ratio = size.prod(2).sqrt()[:, :, None] / strides
    fits = (ratio >= RANGE[0]) & ((ratio <= RANGE[1]) | (strides == STRIDES[-1]))
    allowed = (away < limit).all(3) & fits & targets.real[:, :, None]
    iou = overlap(boxes[:, None], faces[:, :, None])
    near = torch.exp(-((away / torch.maximum(size[:, :, None], strides[None, None, :, None])) ** 2).sum(3) / 0.18)
    merit = (logits.sigmoid()[:, None].sqrt() * iou**3 * near + 1e-9 * near) * allowed
    best, where = merit.topk(min(TOP, merit.shape[2]), 2)
    chosen = torch.zeros_like(allowed).scatter_(2, where, best > 0)
    merit = torch.where(chosen, merit, torch.zeros((), device=merit.device))
    most, owner = torch.where(chosen, iou + 1e-6, torch.zeros((), device=iou.device)).max(1)
    owner = torch.where(most > 0, owner, -1)
    highest = torch.where(chosen, iou, torch.zeros((), device=iou.device)).amax(2, keepdim=True)
    share = merit / merit.amax(2, keepdim=True).clamp(min=1e-12) * highest
    wanted = share.gather(1, owner.clamp(min=0)[:, None])[:, 0]
    return owner, torch.where(owner >= 0, wanted, torch.zeros((), device=wanted.device))


def ignored(centres: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Cells [n,l] whose centre lies in a region to ignore."""
    zones = targets.ignore
    inside = (centres[None, None] - zones[:, :, None, :2]).abs() < zones[:, :, None, 2:] / 2
    return inside.all(3).any(1)


def losses(maps: tuple[torch.Tensor, ...], size: tuple[int, int], targets: Targets) -> dict[str, torch.Tensor]:
    """Unweighted terms: score, box, points."""
    centres, strides = places(size, maps[0].device)
    logits, boxes, points = decoded(flattened(maps), centres, strides)
    owner, wanted = assigned(logits, boxes, centres, strides, targets)
    mine = owner >= 0
    p = logits.detach().sigmoid()
    weight = torch.where(mine, wanted.clamp(min=0.05), 1.2 * p**1.5)
    weight = weight * (mine | ~ignored(centres, targets))
    total = wanted.sum().clamp(min=1.0)
    score = (F.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * weight).sum() / total
    row, cell = mine.nonzero(as_tuple=True)
    face = owner[row, cell]
    truth, five = targets.boxes[row, face], targets.points[row, face]
    trust = wanted[row, cell].clamp(min=0.05)
    box = ((1 - overlap(boxes[row, cell], truth, general=True)) * trust).sum() / total
    scale = truth[:, 2:].prod(1).clamp(min=1).sqrt()[:, None, None]
    gap = F.smooth_l1_loss(points[row, cell] / scale, five / scale, beta=0.02, reduction="none").sum(2).mean(1)
    return {"score": score, "box": box, "points": (gap * trust).sum() / total}


WEIGHTS = {"score": 1.0, "box": 2.0, "points": 2.5}


@torch.no_grad()
def found(
    maps: tuple[torch.Tensor, ...], size: tuple[int, int], lowest: float = 0.02, same: float = 0.45, most: int = 300
) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Of every picture: scores [k], boxes [k,4] cx cy w h, points [k,5,2], best first, each face once."""
    centres, strides = places(size, maps[0].device)
    logits, boxes, points = decoded(flattened(maps), centres, strides)
    out = []
    for row in range(len(logits)):
        score, order = logits[row].sigmoid().sort(descending=True)
        order = order[:most][score[:most] > lowest]
        kept: list[int] = []
        if len(order):
            table = (overlap(boxes[row, order][:, None], boxes[row, order][None]) > same).cpu().numpy()
            gone = [False] * len(order)
            for i in range(len(order)):
                if not gone[i]:
                    kept.append(i)
                    for j in table[i].nonzero()[0]:
                        gone[j] = True
        pick = order[kept]
        out.append((logits[row, pick].sigmoid().cpu(), boxes[row, pick].cpu(), points[row, pick].cpu()))
    return out
