"""Photos from the bank: ground, things, shadows, the document, fingers, light — drawn back to front.

`Studio.shoot` gives a batch with its labels before the camera's own faults, which camera.py adds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from training.document_corners import layers as L
from training.document_corners.bank import PAGE_NAMES, Bank
from training.document_corners.document import page
from training.document_corners.light import camouflage, glare, light, reflections
from training.document_corners.scene import (
    CARDS,
    MARGIN,
    Dice,
    Recipe,
    order_by_picture,
    plane_maps,
    project,
    rectangle,
    sample_quads,
)


@dataclass
class Shot:
    """image [n,3,h,w] 0..1; corners [n,4,2] normalised, by picture position; present [n]; mask [n,1,h,w]; shape w/h."""

    image: torch.Tensor
    corners: torch.Tensor
    present: torch.Tensor
    mask: torch.Tensor
    shape: torch.Tensor


@dataclass
class Setting:
    """The numbers of one batch, all on the CPU."""

    present: torch.Tensor
    rows: torch.Tensor  # page of each photo in the bank
    kind: torch.Tensor
    aspect: torch.Tensor
    cm: torch.Tensor  # [n,2] width and height of the page
    quad: torch.Tensor  # page order
    held: torch.Tensor
    plane: torch.Tensor  # centimetres -> frame
    shape: torch.Tensor


class Studio:
    """A bank on a device and the size of frame to draw."""

    def __init__(self, bank: Bank, size: tuple[int, int], device: str | torch.device) -> None:
        self.device, self.size = torch.device(device), size
        self.textures = {
            n: torch.from_numpy(getattr(bank, n)).to(self.device)
            for n in ("pages", "grounds", "objects", "fingers", "palms")
        }
        names = ("page_facts", "ground_facts", "object_facts", "finger_facts", "palm_facts")
        self.facts = {n: torch.from_numpy(getattr(bank, n)) for n in names}
        self.grid = L.frame_grid(size, self.device)

    # --- choosing ----------------------------------------------------------------------------------------

    def set_scene(self, dice: Dice, recipe: Recipe, n: int) -> Setting:
        facts = self.facts["page_facts"]
        weights = torch.ones(len(facts))
        if recipe.kinds:
            wanted = torch.tensor([PAGE_NAMES.index(k) for k in recipe.kinds], dtype=torch.float32)
            weights = (facts[:, :1] == wanted).any(1).float()
        rows = dice.weighted(n, weights)
        kind, aspect = facts[rows, 0].long(), facts[rows, 1]
        aspect = aspect * torch.exp(dice.normal(n, 0.04))
        longer = facts[rows, 4]
        cm = torch.stack([longer * aspect.clamp(max=1), longer / aspect.clamp(min=1)], 1)
        shape, quad = sample_quads(dice, recipe, aspect)
        card = (kind[:, None] == torch.tensor(CARDS)).any(1)
        held = torch.where(card, dice.chance(n, recipe.held_card), dice.chance(n, recipe.held))
        present = ~dice.chance(n, recipe.negative)
        return Setting(present, rows, kind, aspect, cm, quad, held, plane_maps(quad, cm[:, 0], cm[:, 1]), shape)

    def texture(self, name: str, rows: torch.Tensor) -> torch.Tensor:
        return self.textures[name][rows.to(self.device)].float() / 255

    # --- layers ------------------------------------------------------------------------------------------

    def ground(self, dice: Dice, recipe: Recipe, s: Setting) -> torch.Tensor:
        """Table plane under the document, or an unrelated view behind it."""
        n, facts = len(s.rows), self.facts["ground_facts"]
        rows = torch.where(s.present & ~s.held, dice.weighted(n, facts[:, 0]), dice.weighted(n, facts[:, 1]))
        unrelated = s.held | dice.chance(n, 0.2) | (~s.present & dice.chance(n, 0.6))
        angle = torch.where(unrelated, dice.normal(n, 0.08), dice.uniform(n, -3.2, 3.2))
        angle = torch.where(
            dice.chance(n, 0.5), (angle / (math.pi / 2)).round() * (math.pi / 2) + dice.normal(n, 0.05), angle
        )
        table = L.inverse_of(s.quad)
        centimetres = torch.exp(dice.uniform(n, math.log(22), math.log(130)))
        stretch = torch.diag_embed(torch.cat([s.cm / centimetres[:, None], torch.ones(n, 1)], 1))
        zoom = dice.uniform(n, 0.45, 1.0)
        wide = s.shape.sqrt()
        flat = torch.diag_embed(torch.stack([zoom * wide, zoom / wide, torch.ones(n)], 1))
        maps = torch.where(unrelated[:, None, None], flat, stretch @ table)
        maps = turned(maps, angle, dice.uniform(n, -2, 2, 2))
        level = L.detail(maps, s.quad.mean(1), self.textures["grounds"].shape[-1], self.size)
        level = level + dice.uniform(n, 0, 2.5) * (s.held & dice.chance(n, 0.6))
        texture = L.soften(self.texture("grounds", rows), level)
        uv, w = L.through(maps.to(self.device), self.grid)
        image = L.look_up(texture, uv, "reflection")
        self.collage(image, dice, s)
        return self.behind(dice, s, image, w, ~unrelated)

    def collage(self, image: torch.Tensor, dice: Dice, s: Setting) -> None:
        """Photos without a document often hold several things: other views cut in along lines and ovals."""
        n = len(s.rows)
        for _ in range(2):
            rows = dice.weighted(n, self.facts["ground_facts"][:, 1])
            turn, at, wide = dice.uniform(n, -3.2, 3.2), dice.uniform(n, 0.1, 0.9, 2), dice.uniform(n, 0.12, 0.5, 2)
            maps = torch.diag_embed(torch.cat([dice.uniform(n, 0.3, 1.2, 2), torch.ones(n, 1)], 1))
            maps = turned(maps, dice.normal(n, 0.1), dice.uniform(n, -2, 2, 2))
            hard, oval, level = torch.exp(dice.uniform(n, 2.5, 6)), dice.chance(n, 0.5), dice.uniform(n, 0, 2)
            active = (dice.chance(n, 0.3) & ~s.present).nonzero()[:, 0]
            if len(active) == 0:
                continue
            place = active.to(self.device)
            uv, _ = L.through(maps[active].to(self.device), self.grid)
            view = L.look_up(L.soften(self.texture("grounds", rows[active]), level[active]), uv, "reflection")
            off = self.grid[None] - at[active].to(self.device)[:, None, None]
            t = turn[active].to(self.device)[:, None, None]
            line = off[..., 0] * t.cos() + off[..., 1] * t.sin()
            ring = 0.3 * (1 - (off / wide[active].to(self.device)[:, None, None]).norm(dim=-1))
            side = torch.where(oval[active].to(self.device)[:, None, None], ring, line)
            share = torch.sigmoid(hard[active].to(self.device)[:, None, None] * side)[:, None]
            image[place] = L.over(image[place], view, share)

    def behind(self, dice: Dice, s: Setting, image: torch.Tensor, w: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """Past the far edge of a tilted table something else begins."""
        n = len(s.rows)
        edge = torch.where(dice.chance(n, 0.55), dice.uniform(n, 0.3, 0.8), dice.uniform(n, 0.08, 0.25))
        rows = dice.weighted(n, self.facts["ground_facts"][:, 1])
        corners, depth = project(L.inverse_of(s.quad), torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]]).expand(n, 4, 2))
        active = (table & (depth.amin(1) < edge)).nonzero()[:, 0]
        if len(active) == 0:
            return image
        maps = torch.diag_embed(torch.cat([dice.uniform(n, 0.5, 1, 2), torch.ones(n, 1)], 1))
        maps = turned(maps, dice.normal(n, 0.05), dice.uniform(n, -2, 2, 2))
        uv, _ = L.through(maps[active].to(self.device), self.grid)
        texture = L.soften(self.texture("grounds", rows[active]), dice.uniform(n, 0, 3)[active])
        far = L.soft_edge(w[active.to(self.device)] - edge[active].to(self.device)[:, None, None])
        place = active.to(self.device)
        image[place] = L.over(image[place], L.look_up(texture, uv, "reflection"), far)
        return image

    def paste(
        self,
        canvas: torch.Tensor,
        dice: Dice,
        rows: torch.Tensor,
        active: torch.Tensor,
        name: str,
        quad: torch.Tensor,
        tint: torch.Tensor | None = None,
        lift: float = 0.015,
    ) -> None:
        """Draw cut-outs (or pages) into canvas[active]; quad is [n,4,2] in the frame."""
        n = len(rows)
        offset, soft, strength = dice.normal(n, lift, 2), dice.uniform(n), dice.uniform(n, 0.1, 0.75)
        turn = torch.roll(quad, 1, 1) - quad
        area = (
            turn[:, :, 0] * torch.roll(turn[:, :, 1], -1, 1) - turn[:, :, 1] * torch.roll(turn[:, :, 0], -1, 1)
        ).sum(1)
        sane = (quad.abs().amax((1, 2)) < 6) & (area.abs() > 1e-4)
        active = (active & sane).nonzero()[:, 0]
        if len(active) == 0:
            return
        inverse = L.inverse_of(quad[active])
        level = L.detail(inverse, quad[active].mean(1), self.textures[name].shape[-1], self.size)
        texture = L.soften(self.texture(name, rows[active]), level)
        uv, w = L.through(inverse.to(self.device), self.grid)
        colour = L.look_up(texture, uv)
        one = torch.ones(len(active), device=self.device)
        alpha = L.soft_edge(L.rounded_distance(uv, one, 0 * one)) * (w > 0.02)[:, None]
        if colour.shape[1] == 4:
            alpha, colour = alpha * colour[:, 3:], colour[:, :3] / colour[:, 3:].clamp(min=0.05)
        if tint is not None:
            colour = colour * tint[active].to(self.device)[:, :, None, None]
        place = active.to(self.device)
        shade = L.shadow_of(alpha, offset[active].to(self.device), soft[active].to(self.device), self.grid)
        below = canvas[place] * (1 - strength[active].to(self.device)[:, None, None, None] * shade)
        canvas[place] = L.over(below, colour.clamp(0, 1), alpha)

    def things(self, canvas: torch.Tensor, dice: Dice, recipe: Recipe, s: Setting) -> None:
        """Objects on the table, in the document's plane, mostly beside it."""
        n, facts = len(s.rows), self.facts["object_facts"]
        for _ in range(4):
            rows = dice.below(n, len(facts))
            share = torch.where(s.present, recipe.objects, 0.4)
            active = (dice.uniform(n) < share) & ~(s.held & s.present)
            longer = facts[rows, 1] * dice.uniform(n, 0.8, 1.25)
            size = torch.stack([longer * facts[rows, 0].clamp(max=1), longer / facts[rows, 0].clamp(min=1)], 1)
            reach = (s.cm.amax(1) / 2 * dice.uniform(n, 0.7, 2.0)) + longer * 0.3
            reach = torch.where(s.present, reach, s.cm.amax(1) * dice.uniform(n, 0, 1))
            self.paste(canvas, dice, rows, active, "objects", self.in_plane(dice, s, size, reach))

    def in_plane(self, dice: Dice, s: Setting, size: torch.Tensor, reach: torch.Tensor) -> torch.Tensor:
        """Frame corners of a turned rectangle of size [n,2] cm, at a distance [n] cm from the document's centre."""
        n = len(s.rows)
        towards = dice.uniform(n, -3.2, 3.2)
        centre = torch.stack([towards.cos(), towards.sin()], 1) * reach[:, None]
        turn = torch.where(dice.chance(n, 0.5), dice.normal(n, 0.15), dice.uniform(n, -3.2, 3.2))
        points, w = project(s.plane, rectangle(centre, size, turn))
        return torch.where((w.amin(1) > 0.15)[:, None, None], points, torch.zeros_like(points))

    def papers(self, canvas: torch.Tensor, dice: Dice, recipe: Recipe, s: Setting) -> None:
        """Other sheets partly hidden under the document or cut by the frame; the label stays the topmost."""
        n, facts = len(s.rows), self.facts["page_facts"]
        for _ in range(2):
            rows = dice.below(n, len(facts))
            active = dice.chance(n, recipe.papers) & s.present & ~s.held
            under = dice.chance(n, 0.55)
            longer = s.cm.amax(1) * torch.where(under, dice.uniform(n, 0.7, 1.15), dice.uniform(n, 0.3, 0.65))
            aspect = torch.where(under & dice.chance(n, 0.7), s.aspect, facts[rows, 1])
            size = torch.stack([longer * aspect.clamp(max=1), longer / aspect.clamp(min=1)], 1)
            reach = s.cm.amax(1) * torch.where(under, dice.uniform(n, 0.1, 0.4), dice.uniform(n, 0.55, 1.1))
            self.paste(canvas, dice, rows, active, "pages", self.in_plane(dice, s, size, reach))

    def hand(self, canvas: torch.Tensor, dice: Dice, s: Setting, tint: torch.Tensor) -> None:
        """A palm behind a held document, its arm leaving downwards or sideways."""
        n, facts = len(s.rows), self.facts["palm_facts"]
        rows = dice.below(n, len(facts))
        long = dice.uniform(n, 19, 27)
        size = torch.stack([long * facts[rows, 0], long], 1)
        turn = dice.normal(n, 0.5)
        down = torch.stack([-turn.sin(), turn.cos()], 1)
        centre = down * (s.cm[:, 1] / 2 + dice.uniform(n, -2, 6))[:, None] + dice.normal(n, 1.5, 2)
        points, w = project(s.plane, rectangle(centre, size, turn))
        active = (s.held | (~s.present & dice.chance(n, 0.12))) & (w.amin(1) > 0.15)
        self.paste(canvas, dice, rows, active, "palms", points, tint, 0.01)

    def fingers(self, canvas: torch.Tensor, dice: Dice, recipe: Recipe, s: Setting, tint: torch.Tensor) -> None:
        """Finger tips that come over an edge of the document, corners included."""
        n, facts = len(s.rows), self.facts["finger_facts"]
        for slot in range(2):
            rows = dice.below(n, len(facts))
            active = s.present & (
                (s.held & dice.chance(n, 0.8 if slot == 0 else 0.35)) | dice.chance(n, recipe.fingers)
            )
            long = dice.uniform(n, 6.5, 10)
            size = torch.stack([long * facts[rows, 0], long], 1)
            side = torch.where(
                dice.chance(n, 0.6), torch.full((n,), 2), dice.below(n, 4)
            )  # 0 top, 1 right, 2 bottom, 3 left
            along = dice.uniform(n, -0.52, 0.52)
            turn = side * (math.pi / 2) + math.pi + dice.normal(n, 0.35)
            edge = torch.stack(
                [torch.tensor([0.0, 0.5, 0.0, -0.5])[side], torch.tensor([-0.5, 0.0, 0.5, 0.0])[side]], 1
            )
            slide = torch.where((side % 2 == 0)[:, None], torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
            at = (edge + slide * along[:, None]) * s.cm
            inward = torch.stack([turn.sin(), -turn.cos()], 1)
            deep = dice.uniform(n, 0.6, 3.2)
            centre = at + inward * (deep - long / 2 + 0.1 * long)[:, None]
            points, w = project(s.plane, rectangle(centre, size, turn))
            self.paste(canvas, dice, rows, active & (w.amin(1) > 0.15), "fingers", points, tint, 0.006)

    # --- all of it ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def shoot(self, dice: Dice, recipe: Recipe, n: int) -> Shot:
        s = self.set_scene(dice, recipe, n)
        skin = dice.uniform(n, 0, 1, 1)
        tint = (1 - skin) * torch.tensor([1.0, 0.82, 0.72]) + skin * torch.tensor([0.36, 0.23, 0.17])
        tint = tint + dice.normal(n, 0.03, 3)
        canvas = camouflage(self, self.ground(dice, recipe, s), dice, recipe, s)
        self.things(canvas, dice, recipe, s)
        self.hand(canvas, dice, s, tint)
        self.papers(canvas, dice, recipe, s)
        reflections(self, canvas, dice, s, recipe.mirrored)
        mask = page(self, canvas, dice, recipe, s)
        self.fingers(canvas, dice, recipe, s, tint)
        rows = dice.below(n, len(self.facts["object_facts"]))
        longer = self.facts["object_facts"][rows, 1].clamp(max=16) * 0.8
        thin = self.facts["object_facts"][rows, 0]
        size = torch.stack([longer * thin.clamp(max=1), longer / thin.clamp(min=1)], 1)
        top = dice.chance(n, recipe.on_top) & s.present & (size.amin(1) < 0.25 * s.cm.amin(1))
        self.paste(
            canvas, dice, rows, top, "objects", self.in_plane(dice, s, size, s.cm.amin(1) * dice.uniform(n, 0.1, 0.7))
        )
        reflections(self, canvas, dice, s, recipe.mirrored / 3)
        light(self, canvas, dice, recipe, s)
        glare(self, canvas, dice, recipe, s, mask)
        corners = order_by_picture(s.quad).clamp(-MARGIN, 1 + MARGIN)
        return Shot(canvas.clamp(0, 1), corners, s.present, mask, s.shape)


def turned(maps: torch.Tensor, angle: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Turn and shift what a homography reaches."""
    n, c, s = len(angle), angle.cos(), angle.sin()
    zero, one = torch.zeros(n), torch.ones(n)
    turn = torch.stack([c, -s, shift[:, 0], s, c, shift[:, 1], zero, zero, one], 1).reshape(n, 3, 3)
    return turn @ maps
