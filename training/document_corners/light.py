"""Light of a composed photo: uneven light, cast shadows, reflections, glare; grounds in the document's own tone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from training.document_corners import layers as L
from training.document_corners.scene import Dice, Recipe, rectangle

if TYPE_CHECKING:
    from training.document_corners.compose import Setting, Studio


def camouflage(studio: Studio, canvas: torch.Tensor, dice: Dice, recipe: Recipe, s: Setting) -> torch.Tensor:
    """Repaint some grounds in the colour of their document's border: pale on pale, dark on dark."""
    n = len(s.rows)
    alike = (dice.chance(n, recipe.pale) & s.present).nonzero()[:, 0]
    keep, step, tint = dice.uniform(n, 0.08, 0.6), dice.uniform(n, 0.015, 0.11), dice.normal(n, 0.015, 3)
    sign = torch.where(dice.chance(n, 0.65), -1.0, 1.0)
    chosen = torch.where(dice.chance(n, 0.5), dice.below(n, 4), torch.full((n,), 4))
    if len(alike) == 0:
        return canvas
    place = alike.to(studio.device)
    page = studio.texture("pages", s.rows[alike])
    # The whole border's colour, or that of one side only: then a part of the document melts into the table.
    sides = [
        page[:, :, :14].flatten(2),
        page[:, :, -14:].flatten(2),
        page[..., :14].flatten(2),
        page[..., -14:].flatten(2),
    ]
    means = torch.stack([side.mean(2) for side in sides] + [torch.cat(sides, 2).mean(2)], 1)
    rim = means[torch.arange(len(alike), device=studio.device), chosen[alike].to(studio.device)]
    wanted = rim + ((step * sign)[alike, None] + tint[alike]).to(studio.device)
    part = canvas[place]
    mean = part.mean((2, 3), keepdim=True)
    canvas[place] = (
        wanted[:, :, None, None] + (part - mean) * keep[alike].to(studio.device)[:, None, None, None]
    ).clamp(0, 1)
    return canvas


def light(studio: Studio, canvas: torch.Tensor, dice: Dice, recipe: Recipe, s: Setting) -> None:
    """Uneven light, cast shadows and vignetting."""
    n, d = len(s.rows), studio.device
    amount = (dice.uniform(n, 0, 0.45) * dice.chance(n, 0.75)).to(d)[:, None, None, None]
    field = L.smooth_field(dice.uniform(n, -1, 1, 1, 3, 3).to(d), studio.size)
    canvas *= torch.exp(amount * field)
    corner = ((studio.grid - 0.5) ** 2).sum(-1)
    vignette = (dice.uniform(n, 0, 0.9) * dice.chance(n, 0.35)).to(d)[:, None, None, None]
    canvas *= 1 - vignette * corner
    cast(studio, canvas, dice, recipe, s)


def cast(studio: Studio, canvas: torch.Tensor, dice: Dice, recipe: Recipe, s: Setting) -> None:
    n, d = len(s.rows), studio.device
    turn, at = dice.uniform(n, -3.2, 3.2), dice.uniform(n, -0.45, 0.45)
    hard, dark = torch.exp(dice.uniform(n, 1.5, 5.5)), dice.uniform(n, 0.12, 0.6)
    wave, rate = dice.uniform(n, 0, 0.12), dice.uniform(n, 3, 14)
    rows, long = dice.below(n, len(studio.facts["palm_facts"])), dice.uniform(n, 0.5, 1.6)
    quad = rectangle(dice.uniform(n, 0.1, 0.9, 2), torch.stack([long * 0.8, long], 1), dice.normal(n, 0.7))
    hits = dice.chance(n, recipe.cast)
    hand = dice.chance(n, 0.4)
    straight, handed = (hits & ~hand).nonzero()[:, 0], (hits & hand).nonzero()[:, 0]
    if len(straight):
        t, a, k, m, v, r = (x[straight].to(d)[:, None, None] for x in (turn, at, hard, dark, wave, rate))
        x, y = studio.grid[None, ..., 0] - 0.5, studio.grid[None, ..., 1] - 0.5
        side = x * t.cos() + y * t.sin() - a + v * torch.sin(r * (y * t.cos() - x * t.sin()))
        canvas[straight.to(d)] *= (1 - m * torch.sigmoid(k * side))[:, None]
    if len(handed):
        uv, _ = L.through(L.inverse_of(quad[handed]).to(d), studio.grid)
        inside = L.look_up(studio.texture("palms", rows[handed])[:, 3:], uv, "zeros")
        zero = torch.zeros(len(handed), 2, device=d)
        soft = L.shadow_of(inside, zero, dice.uniform(n)[handed].to(d), studio.grid)
        canvas[handed.to(d)] *= 1 - dark[handed].to(d)[:, None, None, None] * soft


def reflections(studio: Studio, canvas: torch.Tensor, dice: Dice, s: Setting, share: float) -> None:
    """Windows and lamps mirrored in a glossy surface: bright patches with straight, more or less sharp edges."""
    n, d = len(s.rows), studio.device
    size = torch.exp(dice.uniform(n, math.log(0.05), math.log(0.7), 2))
    near = s.quad.mean(1) + dice.normal(n, 0.35, 2)  # often beside the document, touching it
    quad = rectangle(near, size, dice.normal(n, 0.3)) + dice.normal(n, 0.02, 4, 2)
    power, blurred, tone = dice.uniform(n, 0.15, 0.9), dice.uniform(n), dice.uniform(n, 0.85, 1.0, 3)
    active = dice.chance(n, share).nonzero()[:, 0]
    if len(active) == 0:
        return
    uv, _ = L.through(L.inverse_of(quad[active]).to(d), studio.grid)
    one = torch.ones(len(active), device=d)
    patch = L.soft_edge(L.rounded_distance(uv, one, 0.05 * one))
    patch = L.shadow_of(patch, torch.zeros(len(active), 2, device=d), blurred[active].to(d), studio.grid)
    place = active.to(d)
    canvas[place] += patch * (power[active, None] * tone[active]).to(d)[:, :, None, None]


def glare(studio: Studio, canvas: torch.Tensor, dice: Dice, recipe: Recipe, s: Setting, mask: torch.Tensor) -> None:
    """Bright reflections, mostly on glossy documents."""
    n, d = len(s.rows), studio.device
    gloss = studio.facts["page_facts"][s.rows, 3]
    power = dice.uniform(n, 0.2, 1.3) * (dice.uniform(n) < recipe.glare + 0.4 * gloss)
    at, turn = dice.uniform(n, 0.1, 0.9, 2).to(d), dice.uniform(n, -3.2, 3.2).to(d)[:, None, None]
    wide = torch.exp(dice.uniform(n, -3.5, -1.0, 2)).to(d)
    off = studio.grid[None] - at[:, None, None]
    a = (off[..., 0] * turn.cos() + off[..., 1] * turn.sin()) / wide[:, None, None, 0]
    b = (off[..., 1] * turn.cos() - off[..., 0] * turn.sin()) / wide[:, None, None, 1]
    spot = torch.exp(-(a * a + b * b) * 0.5)[:, None] * power.to(d)[:, None, None, None]
    everywhere = dice.chance(n, 0.3).float().to(d)[:, None, None, None]
    canvas += spot * torch.maximum(mask, everywhere)
