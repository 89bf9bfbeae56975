"""Targets and losses on the heatmap grid. A corner (x, y) lies at cell ((x + m) / (1 + 2m)) · G − 0.5."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from training.document_corners.network import GRID
from training.document_corners.scene import MARGIN

SIGMA = 1.25  # of a corner's spot, in cells
WEIGHTS = {"spot": 1.0, "place": 0.25, "distance": 0.3, "present": 1.0, "outline": 0.6}


def to_cells(corners: torch.Tensor) -> torch.Tensor:
    return (corners + MARGIN) / (1 + 2 * MARGIN) * GRID - 0.5


def spots(cells: torch.Tensor) -> torch.Tensor:
    """Gaussian target maps [n,4,G,G], 1 at the corner itself."""
    at = torch.arange(GRID, device=cells.device, dtype=torch.float32)
    x = torch.exp(-((at - cells[..., :1]) ** 2) / (2 * SIGMA**2))
    y = torch.exp(-((at - cells[..., 1:]) ** 2) / (2 * SIGMA**2))
    return y[..., :, None] * x[..., None, :]


def outlines(mask: torch.Tensor) -> torch.Tensor:
    """Mask [n,1,H,W] of the visible document -> mask and border band [n,2,g,g] over the frame's own cells."""
    inner = GRID - 2 * round(GRID * MARGIN / (1 + 2 * MARGIN))
    small = F.interpolate(mask, size=(inner, inner), mode="area")
    band = F.max_pool2d(small, 3, 1, 1) + F.max_pool2d(-small, 3, 1, 1)
    return torch.cat([small, band.clamp(0, 1)], 1)


def losses(
    maps: torch.Tensor,
    present: torch.Tensor,
    extra: torch.Tensor,
    corners: torch.Tensor,
    there: torch.Tensor,
    outline: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """All terms, unweighted. maps, present, extra: the network's logits; there [n] bool; outline as of outlines()."""
    maps, present, extra = maps.float(), present.float()[:, 0], extra.float()
    on = there.float()
    cells = to_cells(corners)
    target = spots(cells) * on[:, None, None, None]
    gap = (target - maps.sigmoid()).abs() ** 2
    spot = (gap * F.binary_cross_entropy_with_logits(maps, target, reduction="none")).sum((1, 2, 3)).mean()
    flat = maps.flatten(2)
    goal = (target / target.sum((2, 3), keepdim=True).clamp(min=1e-6)).flatten(2)
    count = on.sum().clamp(min=1)
    place = (-(goal * flat.log_softmax(2)).sum(2).mean(1) * on).sum() / count
    share = flat.softmax(2).reshape(maps.shape)
    at = torch.arange(GRID, device=maps.device, dtype=torch.float32)
    mean = torch.stack([(share.sum(2) * at).sum(2), (share.sum(3) * at).sum(2)], -1)
    distance = (
        F.smooth_l1_loss(mean, cells, beta=0.25, reduction="none").sum(2).mean(1).clamp(max=12) * on
    ).sum() / count
    edge = (GRID - outline.shape[-1]) // 2
    border = F.binary_cross_entropy_with_logits(extra[:, :, edge:-edge, edge:-edge], outline)
    terms = {"spot": spot, "place": place, "distance": distance, "outline": border}
    return terms | {"present": F.binary_cross_entropy_with_logits(present, on)}
