"""The document itself: bent outline, thickness, shadow, folds and curl."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from training.document_corners import layers as L
from training.document_corners.bank import PAGE_NAMES
from training.document_corners.scene import CARDS, Dice, Recipe

if TYPE_CHECKING:
    from training.document_corners.compose import Setting, Studio


BOOKS = (PAGE_NAMES.index("open_book"),)


def page(studio: Studio, canvas: torch.Tensor, dice: Dice, recipe: Recipe, s: Setting) -> torch.Tensor:
    """Draw the documents with their thickness and shadow; returns the mask [n,1,h,w]."""
    n = len(s.rows)
    facts = studio.facts["page_facts"]
    texture = studio.texture("pages", s.rows)
    inverse = L.inverse_of(s.quad)
    texture = L.soften(texture, L.detail(inverse, s.quad.mean(1), texture.shape[-1], studio.size))
    uv, w = L.through(inverse.to(studio.device), studio.grid)
    bend = bends(studio, dice, recipe, s).to(studio.device)
    uv = bent(uv, bend)
    radius = (facts[s.rows, 2] * dice.chance(n, 0.75)).to(studio.device)
    aspect = s.aspect.to(studio.device)
    alpha = L.soft_edge(L.rounded_distance(uv, aspect, radius)) * (w > 0.02)[:, None]
    alpha = alpha * s.present.to(studio.device)[:, None, None, None]
    sides(studio, canvas, dice, recipe, s, alpha)
    drop = torch.where(dice.chance(n, 0.75), dice.uniform(n, 0, 0.7), dice.uniform(n, 0, 0.12)).to(studio.device)
    lift = torch.where(dice.chance(n, 0.75), torch.tensor(0.006), torch.tensor(0.03))[:, None]
    shade = L.shadow_of(
        alpha, (dice.normal(n, 1, 2) * lift).to(studio.device), dice.uniform(n).to(studio.device), studio.grid
    )
    canvas *= 1 - drop[:, None, None, None] * shade
    colour = L.look_up(texture, uv) * relief(studio, dice, recipe, s, uv)
    canvas[:] = L.over(canvas, colour.clamp(0, 1), alpha)
    return alpha


def bends(studio: Studio, dice: Dice, recipe: Recipe, s: Setting) -> torch.Tensor:
    """Bows of the four edges and the cusp of an open book, in shares of the page: [n,5]."""
    n = len(s.rows)
    amount = torch.where(dice.chance(n, 0.7), 0.008, 0.025)[:, None] * dice.chance(n, recipe.bent)[:, None]
    card = (s.kind[:, None] == torch.tensor(CARDS)).any(1)[:, None]
    bows = dice.normal(n, 1, 4).clamp(-2, 2) * amount * torch.where(card, 0.1, 1.0)
    book = (s.kind[:, None] == torch.tensor(BOOKS)).any(1)[:, None]
    return torch.cat([bows, dice.normal(n, 0.02, 1).clamp(-0.045, 0.045) * book], 1)


def relief(studio: Studio, dice: Dice, recipe: Recipe, s: Setting, uv: torch.Tensor) -> torch.Tensor:
    """Shading of curl, folds and crumples over the page: [n,1,h,w] about 1."""
    n, d = len(s.rows), studio.device
    curl = (dice.uniform(n, 0, 0.16) * dice.chance(n, 0.5)).to(d)[:, None, None]
    phase, turn, rate = (dice.uniform(n, 0, 6.3).to(d)[:, None, None] for _ in range(3))
    across = uv[..., 0] * turn.cos() + uv[..., 1] * turn.sin()
    shade = 1 + curl * torch.cos(across * (1.5 + rate) + phase)
    for axis in (0, 1):
        at = (torch.tensor([0.5, 0.5, 1 / 3, 2 / 3, 0.25])[dice.below(n, 5)] + dice.normal(n, 0.01)).to(d)[
            :, None, None
        ]
        depth = (dice.normal(n, 0.08) * dice.chance(n, 0.2)).to(d)[:, None, None]
        off = uv[..., axis] - at
        shade = (
            shade + depth * off.sign() * torch.exp(-off.abs() / 0.12) - depth.abs() * torch.exp(-((off / 0.004) ** 2))
        )
    rough = (dice.uniform(n, 0, 0.25) * dice.chance(n, 0.12)).to(d)[:, None, None, None]
    creases = L.look_up(dice.normal(n, 1, 1, 14, 14).to(d), uv)
    return (shade[:, None] + rough * creases).clamp(0.3, 1.5)


def sides(studio: Studio, canvas: torch.Tensor, dice: Dice, recipe: Recipe, s: Setting, alpha: torch.Tensor) -> None:
    """Thickness of books and stacks: shifted copies of the outline under the page."""
    n = len(s.rows)
    thick, stack = dice.chance(n, recipe.thick), dice.chance(n, recipe.stack)
    towards = torch.where(dice.chance(n, 0.7), dice.normal(n, 0.6) + math.pi / 2, dice.uniform(n, -3.2, 3.2))
    way = torch.stack([towards.cos(), towards.sin()], 1)
    reach = s.quad.amax(1).sub(s.quad.amin(1)).amin(1, keepdim=True) * dice.uniform(n, 0.01, 0.09, 1)
    tone = torch.where(
        dice.chance(n, 0.6)[:, None], dice.uniform(n, 0.55, 0.95, 1).expand(-1, 3), dice.uniform(n, 0.05, 0.9, 3)
    )
    active = ((thick | stack) & s.present).nonzero()[:, 0]
    jitter = [dice.normal(n, 0.012, 2) for _ in range(5)]
    shades = [dice.uniform(n, 0.7, 1.05, 1) for _ in range(5)]
    if len(active) == 0:
        return
    place = active.to(studio.device)
    for k in range(5, 0, -1):
        offset = torch.where(thick[:, None], way * reach * k / 5, jitter[k - 1])[active].to(studio.device)
        grid = (studio.grid[None] - offset[:, None, None]) * 2 - 1
        moved = torch.nn.functional.grid_sample(alpha[place], grid, padding_mode="border", align_corners=False)
        colour = (tone * shades[k - 1]).clamp(0, 1)[active].to(studio.device)[:, :, None, None]
        canvas[place] = L.over(canvas[place] * (1 - 0.25 * moved), colour, moved)


def bent(uv: torch.Tensor, bend: torch.Tensor) -> torch.Tensor:
    """Bow the edges of a page while its corners stay: top, bottom, left, right, book cusp."""
    u, v = uv[..., 0], uv[..., 1]
    top, bottom, left, right, cusp = (bend[:, k, None, None] for k in range(5))
    su, sv = torch.sin(math.pi * u.clamp(0, 1)), torch.sin(math.pi * v.clamp(0, 1))
    spread = torch.sin(2 * math.pi * u.clamp(0, 1)).abs() ** 0.8
    return torch.stack(
        [u + sv * (left * (1 - u) + right * u), v + su * (top * (1 - v) + bottom * v) + cusp * spread], -1
    )
