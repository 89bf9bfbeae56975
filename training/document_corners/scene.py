"""Where things are: random poses of a document before a camera, and what else is in the photo.

Everything here is a handful of numbers per photo, drawn on the CPU from one torch Generator; the pixels are
made in compose.py. Frame coordinates are normalised, (0, 0) top-left to (1, 1) bottom-right of the photo,
whatever its shape; plane coordinates are centimetres on the document's plane, its centre at (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from training.document_corners.bank import PAGE_NAMES

MARGIN = 16 / 256  # how far outside the frame a corner may lie and still be told, as a share of the frame
FRAME = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
SHAPES = (3 / 4, 4 / 3, 9 / 16, 16 / 9, 1.0, 2 / 3, 3 / 2)
SHAPE_SHARES = (0.33, 0.25, 0.13, 0.12, 0.05, 0.06, 0.06)
CARDS = tuple(PAGE_NAMES.index(n) for n in ("identity", "bank_card", "business_card"))


@dataclass(frozen=True)
class Recipe:
    """Shares of what happens in a photo; the defaults are the training mixture."""

    negative: float = 0.2
    kinds: tuple[str, ...] = ()  # empty: all
    pale: float = 0.2  # ground painted in the document's own colour
    held: float = 0.10  # held in a hand before whatever is behind
    held_card: float = 0.35
    fingers: float = 0.14
    objects: float = 0.28  # per slot, four slots under the document
    on_top: float = 0.10
    papers: float = 0.18  # per slot, two slots of other sheets
    stack: float = 0.12
    thick: float = 0.15
    bent: float = 0.55
    small: float = 0.13
    full: float = 0.14
    outside: float = 0.09
    upright: float = 0.62  # nearly straight in the frame
    cast: float = 0.28  # a hard or soft shadow thrown on the scene
    glare: float = 0.15
    mirrored: float = 0.2  # windows and lamps reflected in the table; a third of it on everything
    dark: float = 0.08
    noisy: float = 0.35
    blurred: float = 0.22
    jpeg: float = 0.35


class Dice:
    """Random numbers of n photos at a time."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, n: int, low: float = 0.0, high: float = 1.0, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand((n, *shape), generator=self.generator)

    def normal(self, n: int, sigma: float = 1.0, *shape: int) -> torch.Tensor:
        return sigma * torch.randn((n, *shape), generator=self.generator)

    def chance(self, n: int, share: float) -> torch.Tensor:
        return torch.rand(n, generator=self.generator) < share

    def below(self, n: int, high: int) -> torch.Tensor:
        return torch.randint(high, (n,), generator=self.generator)

    def weighted(self, n: int, weights: torch.Tensor) -> torch.Tensor:
        return torch.multinomial(weights, n, replacement=True, generator=self.generator)


def square_to_quad(quad: torch.Tensor) -> torch.Tensor:
    """Homographies [n,3,3] that carry (0,0),(1,0),(1,1),(0,1) to quad [n,4,2] (Heckbert 1989)."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (quad[:, k].unbind(1) for k in range(4))
    sx, sy = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    dx1, dx2, dy1, dy2 = x1 - x2, x3 - x2, y1 - y2, y3 - y2
    det = dx1 * dy2 - dx2 * dy1
    g, h = (sx * dy2 - dx2 * sy) / det, (dx1 * sy - sx * dy1) / det
    rows = [x1 - x0 + g * x1, x3 - x0 + h * x3, x0, y1 - y0 + g * y1, y3 - y0 + h * y3, y0, g, h, torch.ones_like(g)]
    return torch.stack(rows, 1).reshape(-1, 3, 3)


def order_by_picture(quad: torch.Tensor) -> torch.Tensor:
    """Turn each clockwise quadrilateral so that its corners sit nearest the frame's TL, TR, BR, BL."""
    turned = torch.stack([torch.roll(quad, -k, 1) for k in range(4)], 1)  # n,4 turns,4 corners,2
    best = ((turned - FRAME) ** 2).sum((2, 3)).argmin(1)
    return turned[torch.arange(len(quad)), best]


def rotations(angle: torch.Tensor, tilt: torch.Tensor, axis: torch.Tensor) -> torch.Tensor:
    """In-plane turn, then a tilt about an axis in the plane (Rodrigues); [n,3,3]."""
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    turn = torch.stack([c, -s, zero, s, c, zero, zero, zero, one], 1).reshape(-1, 3, 3)
    x, y = axis.cos(), axis.sin()
    skew = torch.stack([zero, zero, y, zero, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    sine, cosine = tilt.sin()[:, None, None], tilt.cos()[:, None, None]
    return (torch.eye(3) + sine * skew + (1 - cosine) * skew @ skew) @ turn


def sample_quads(dice: Dice, recipe: Recipe, aspect: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Frame shapes [n] (width / height) and page corners [n,4,2] in the page's own order, normalised."""
    n = len(aspect)
    shape = torch.tensor(SHAPES)[dice.weighted(n, torch.tensor(SHAPE_SHARES))] * torch.exp(dice.normal(n, 0.03))
    quarter = ((aspect < 1) != (shape < 1)) & dice.chance(n, 0.6)
    upright, mild = dice.chance(n, recipe.upright), dice.chance(n, 0.75)
    spread = torch.where(upright, torch.tensor(5.0), torch.tensor(18.0))
    angle = torch.where(upright | mild, dice.normal(n) * spread, dice.uniform(n, -45, 45))
    angle = (angle + 90 * quarter + 180 * dice.chance(n, 0.12)).deg2rad()
    tilt = torch.where(dice.chance(n, 0.7), dice.normal(n, 17).abs(), dice.uniform(n, 0, 62)).clamp(max=64).deg2rad()
    # Tilts are mostly about the frame's horizontal axis: people stand before the table.
    axis = torch.where(dice.chance(n, 0.6), dice.normal(n, 0.3), dice.uniform(n, -3.2, 3.2))
    half = torch.stack([aspect, torch.ones(n)], 1) / 2
    half = half / half.norm(dim=1, keepdim=True) / 2  # diagonal 1
    corners = torch.cat([(FRAME * 2 - 1) * half[:, None], torch.zeros(n, 4, 1)], 2)
    points = corners @ rotations(angle, tilt, axis).transpose(1, 2)
    distance = torch.exp(dice.uniform(n, 0.0, 1.5))
    flat = points[..., :2] / (distance[:, None, None] + points[..., 2:])
    flat = flat / torch.stack([shape.sqrt(), 1 / shape.sqrt()], 1)[:, None]  # normalised, shape included
    return shape, place(dice, recipe, flat)


def place(dice: Dice, recipe: Recipe, flat: torch.Tensor) -> torch.Tensor:
    """Scale and shift quadrilaterals into the frame: small, usual, filling it, or leaving it a little."""
    n = len(flat)
    small, full = dice.chance(n, recipe.small), dice.chance(n, recipe.full)
    reach = dice.uniform(n, 0.53, 0.98)
    reach = torch.where(small, dice.uniform(n, 0.33, 0.55), torch.where(full, dice.uniform(n, 0.96, 1.09), reach))
    low, high = flat.amin(1), flat.amax(1)
    size = (high - low) * (reach / (high - low).amax(1))[:, None]
    quad = (flat - (low + high)[:, None] / 2) * (reach / (high - low).amax(1))[:, None, None]
    slack = (1 - size).clamp(min=0) / 2 * 0.97
    near = torch.where(dice.chance(n, 0.6), 0.5, 1.0)[:, None]  # most people centre the document
    centre = 0.5 + slack * dice.uniform(n, -1, 1, 2) * near
    leave = dice.chance(n, recipe.outside)[:, None]
    push = (
        dice.uniform(n, -1, 1, 2).sign()
        * (slack + dice.uniform(n, -0.02, 0.95, 2) * MARGIN)
        * dice.chance(n, 0.5)[:, None]
    )
    other = dice.uniform(n, -1, 1, 2) * slack
    centre = torch.where(leave, 0.5 + torch.where(push != 0, push, other), centre)
    quad = quad + centre[:, None]
    return quad


def plane_maps(quad: torch.Tensor, width_cm: torch.Tensor, height_cm: torch.Tensor) -> torch.Tensor:
    """Homographies [n,3,3] from plane centimetres to the frame."""
    n, zero, one = len(quad), torch.zeros(len(quad)), torch.ones(len(quad))
    unit = torch.stack([1 / width_cm, zero, one / 2, zero, 1 / height_cm, one / 2, zero, zero, one], 1)
    return square_to_quad(quad) @ unit.reshape(n, 3, 3)


def project(maps: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Points [n,k,2] through [n,3,3] -> (points [n,k,2], depth sign w [n,k])."""
    full = torch.cat([points, torch.ones_like(points[..., :1])], -1) @ maps.transpose(1, 2)
    w = full[..., 2]
    return full[..., :2] / torch.where(w.abs() < 1e-6, torch.full_like(w, 1e-6), w)[..., None], w


def rectangle(centre: torch.Tensor, size: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Corner points [n,4,2] of turned rectangles; sizes [n,2] = width, height."""
    c, s = angle.cos(), angle.sin()
    turn = torch.stack([c, -s, s, c], 1).reshape(-1, 2, 2)
    return ((FRAME - 0.5) * size[:, None]) @ turn.transpose(1, 2) + centre[:, None]
