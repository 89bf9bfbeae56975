"""Scenes for the detector, composed on the device: mosaics of one to four pictures at any scale and roll, faces
pasted elsewhere, rooms without a face, things in front of faces; then light.py's camera.

Boxes are centre x, centre y, width, height in pixels of the scene. A box turns as the ellipse in it does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from training.faces import light
from training.faces.sources import MIRROR_FIVE, SIDE, Scenes

LEVELS = 5  # of smoothness: a picture shrunk by 2^k is drawn from its k-th copy
LARGEST = 0.85  # of the scene's side, of a face
SMALLEST = 6.0  # pixels; what is smaller is a region to ignore
PASTES = 5
MOST = 64  # faces of a scene that are learned from


@dataclass
class Library:
    """Pictures on the device. levels uint8 [LEVELS,n,3,512,512]; sizes [n,2]; boxes [n,m,4] (cx cy w h), points
    [n,m,5,2], ignore [n,k,4] (cx cy w h), all 0 where there is none; faces: how many rows hold faces (they come first).
    """

    levels: torch.Tensor
    sizes: torch.Tensor
    boxes: torch.Tensor
    points: torch.Tensor
    ignore: torch.Tensor
    faces: int
    weight: torch.Tensor  # of the rows with faces: how often to show them
    empty_weight: torch.Tensor  # of the others


@dataclass
class Targets:
    """boxes [n,m,4] cx cy w h; points [n,m,5,2]; real [n,m] bool; ignore [n,k,4] with 0 width where there is none."""

    boxes: torch.Tensor
    points: torch.Tensor
    real: torch.Tensor
    ignore: torch.Tensor


def smoothed(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 [n,3,s,s] -> [LEVELS,n,3,s,s]: each level averaged over 2^k pixels and drawn at full size again."""
    out = torch.empty((LEVELS, *pictures.shape), dtype=torch.uint8, device=pictures.device)
    for first in range(0, len(pictures), 64):
        part = pictures[first : first + 64].float()
        for level in range(LEVELS):
            small = F.avg_pool2d(part, 2**level)
            whole = F.interpolate(small, size=part.shape[2:], mode="bilinear", align_corners=False)
            out[level, first : first + 64] = whole.round().byte()
    return out


def centred(boxes: np.ndarray) -> np.ndarray:
    """x y w h of the corner -> of the centre; none stays none."""
    out = boxes.copy()
    out[..., :2] += boxes[..., 2:] / 2
    return out


# Sources differ in how many pictures and how many people they show; mosaics should not.
SHARE = {"selfie": 3.0, "webcam": 3.0, "classroom": 2.6, "drowsy": 0.7, "synth": 2.5}


def library(scenes: Scenes, empty: list[tuple[np.ndarray, np.ndarray]], device: str) -> Library:
    """scenes with faces, then the pictures (squares, sizes) without."""
    pictures = np.concatenate([scenes.pictures, *(p for p, _ in empty)])
    sizes = np.concatenate([scenes.sizes, *(s for _, s in empty)])
    faces, rows = len(scenes.sizes), len(sizes)
    boxes, ignore = np.zeros((rows, *scenes.boxes.shape[1:]), "f4"), np.zeros((rows, *scenes.ignore.shape[1:]), "f4")
    points = np.zeros((rows, *scenes.points.shape[1:]), "f4")
    boxes[:faces], points[:faces], ignore[:faces] = centred(scenes.boxes), scenes.points, centred(scenes.ignore)

    def there(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(device)

    return Library(
        smoothed(there(pictures)),
        there(sizes),
        there(boxes),
        there(points),
        there(ignore),
        faces,
        torch.tensor([SHARE[n] for n in scenes.names], device=device),
        torch.ones(rows - faces, device=device),
    )


def turned(at: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Points [n,p,2] by matrices [n,2,2]; spelt out, because a device's matrix product may round to ten bits."""
    return at[..., :1] * matrix[:, None, :, 0] + at[..., 1:] * matrix[:, None, :, 1]


def inverse(matrix: torch.Tensor) -> torch.Tensor:
    """Of [n,2,2], likewise."""
    a, b, c, d = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1]
    rows = torch.stack([torch.stack([d, -b], 1), torch.stack([-c, a], 1)], 1)
    return rows / (a * d - b * c)[:, None, None]


@dataclass
class Layer:
    """One picture in every scene of a batch: source rows [n]; scene = scale · turn(mirror(source)) + shift."""

    rows: torch.Tensor
    scale: torch.Tensor
    turn: torch.Tensor
    mirror: torch.Tensor  # ±1
    centre: torch.Tensor  # [n,2] of the source, lands on `place`
    place: torch.Tensor

    def matrix(self) -> torch.Tensor:
        """[n,2,2], source to scene."""
        c, s = self.turn.cos() * self.scale, self.turn.sin() * self.scale
        return torch.stack([torch.stack([c * self.mirror, -s], 1), torch.stack([s * self.mirror, c], 1)], 1)

    def to_scene(self, at: torch.Tensor) -> torch.Tensor:
        """[n,...,2] source pixels -> scene pixels."""
        n = len(self.rows)
        flat = at.reshape(n, -1, 2) - self.centre[:, None]
        return (turned(flat, self.matrix()) + self.place[:, None]).reshape(at.shape)

    def boxes(self, boxes: torch.Tensor) -> torch.Tensor:
        """The upright boxes around the turned ellipses."""
        c, s = (self.turn.cos() ** 2)[:, None], (self.turn.sin() ** 2)[:, None]
        w, h = boxes[..., 2], boxes[..., 3]
        wide, tall = (w * w * c + h * h * s).sqrt(), (w * w * s + h * h * c).sqrt()
        size = torch.stack([wide, tall], 2) * self.scale[:, None, None]
        return torch.cat([self.to_scene(boxes[..., :2]), size], 2)


def draw(lib: Library, layer: Layer, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The layer's pixels [n,3,h,w] 0..1 and where it has any [n,1,h,w]."""
    device = lib.levels.device
    level = torch.log2(1 / layer.scale.clamp(max=1.0)).round().long().clamp(0, LEVELS - 1)
    pictures = lib.levels[level, layer.rows].float() / 255
    y, x = torch.meshgrid(*(torch.arange(s, device=device) + 0.5 for s in size), indexing="ij")
    flat = torch.stack([x, y], 2).reshape(1, -1, 2) - layer.place[:, None]
    source = turned(flat, inverse(layer.matrix())) + layer.centre[:, None]
    source = source.reshape(len(pictures), *size, 2)
    drawn = F.grid_sample(pictures, source * (2 / SIDE) - 1, padding_mode="zeros", align_corners=False)
    inside = ((source > 0) & (source < lib.sizes[layer.rows][:, None, None])).all(3)
    return drawn, inside[:, None]


class Mosaics:
    """Endless scenes; `batch(n, (h, w))` gives pixels [n,3,h,w] 0..1 and their Targets."""

    def __init__(self, lib: Library) -> None:
        self.lib, self.device = lib, lib.levels.device
        self.has = lib.boxes[..., 2] > 0
        self.empty = len(lib.sizes) - lib.faces

    def rand(self, *shape: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        return torch.rand(shape, device=self.device) * (high - low) + low

    def choose(self, n: int, empty: float) -> torch.Tensor:
        rows = torch.multinomial(self.lib.weight, n, replacement=True)
        if not self.empty:
            return rows
        other = self.lib.faces + torch.multinomial(self.lib.empty_weight, n, replacement=True)
        return torch.where(self.rand(n) < empty, other, rows)

    def layer(self, n: int, empty: float, side: float) -> tuple[Layer, torch.Tensor]:
        """Some face of each picture gets a size drawn evenly in its logarithm; returns that face's number too."""
        rows = self.choose(n, empty)
        chance = self.has[rows].float() + 1e-4
        face = torch.multinomial(chance, 1)[:, 0]
        box = self.lib.boxes[rows, face]
        found = box[:, 2] > 0
        now = torch.where(found, box[:, 2:].amax(1), self.rand(n, low=30, high=200))
        wanted = torch.exp(self.rand(n, low=math.log(SMALLEST + 1), high=math.log(LARGEST * side)))
        # A classroom is mostly shown as it is: its faces are the small ones, and hold no detail to enlarge.
        natural = torch.exp(0.35 * torch.randn(n, device=self.device)) * side / SIDE
        scale = torch.where(self.rand(n) < torch.where(found, 0.3, 0.7), natural, wanted / now)
        scale = torch.minimum(scale, torch.where(now < 60, 2.0, 3.0).to(scale)).clamp(min=0.05)
        scale = torch.minimum(scale, LARGEST * side / now)
        turn = torch.randn(n, device=self.device) * 0.17
        turn = torch.where(self.rand(n) < 0.12, self.rand(n, low=-1.0, high=1.0), turn)
        mirror = torch.where(self.rand(n) < 0.5, -1.0, 1.0)
        middle = self.lib.sizes[rows] * self.rand(n, 2, low=0.3, high=0.7)
        centre = torch.where(found[:, None] & (self.rand(n, 1) < 0.75), box[:, :2], middle)
        return Layer(rows, scale, turn, mirror, centre, torch.zeros(n, 2, device=self.device)), face

    def batch(self, n: int, size: tuple[int, int]) -> tuple[torch.Tensor, Targets]:
        h, w = size
        limits = torch.tensor([w, h], device=self.device, dtype=torch.float32)
        canvas = self.ground(n, size)
        lines = limits * self.rand(n, 2, low=0.25, high=0.75)  # where the quarters meet
        whole = self.rand(n) < 0.45
        lines = torch.where(whole[:, None], limits, lines)
        nothing = self.rand(n) < 0.2
        y, x = torch.meshgrid(torch.arange(h, device=self.device), torch.arange(w, device=self.device), indexing="ij")
        kept: list[tuple[torch.Tensor, ...]] = []
        zones: list[torch.Tensor] = []
        for quarter in range(4):
            right, lower = quarter % 2, quarter // 2
            low = torch.stack([lines[:, 0] * right, lines[:, 1] * lower], 1)
            high = torch.stack([lines[:, 0] + (w - lines[:, 0]) * right, lines[:, 1] + (h - lines[:, 1]) * lower], 1)
            wide = high - low
            layer, _ = self.layer(n, 0.18, float(max(h, w)))
            rows = torch.where(nothing & bool(self.empty), self.choose(n, 1.1), layer.rows)
            layer.rows = rows
            # A picture larger than its part is shown around its centre; a smaller one somewhere inside.
            layer.place = low + wide * (0.5 + 0.35 * (self.rand(n, 2) * 2 - 1))
            drawn, inside = draw(self.lib, layer, size)
            zone = (x >= low[:, 0, None, None]) & (x < high[:, 0, None, None])
            zone &= (y >= low[:, 1, None, None]) & (y < high[:, 1, None, None])
            canvas = torch.where(zone[:, None] & inside, drawn, canvas)
            kept.append(self.visible(layer, low, high))
            zones.append(clipped(layer.boxes(self.lib.ignore[rows]), low, high))
        boxes, points, real, unsure = (torch.cat(parts, 1) for parts in zip(*kept, strict=True))
        ignore = torch.cat([*zones, boxes * unsure[..., None]], 1)
        ignore[..., 2:] *= 1.1
        targets = Targets(boxes, points, real, ignore)
        canvas = self.paste(canvas, targets, nothing, size)
        canvas = self.cover(canvas, targets, size)
        return light.camera(canvas), compact(targets)

    def ground(self, n: int, size: tuple[int, int]) -> torch.Tensor:
        """What shows between the pictures: a room or drawing without a face that fills the scene, or one colour."""
        h, w = size
        canvas = self.rand(n, 3, 1, 1).expand(n, 3, h, w) * (self.rand(n, 1, 1, 1) < 0.5)
        if not self.empty:
            return canvas
        rows = torch.randint(self.lib.faces, len(self.lib.sizes), (n,), device=self.device)
        sizes = self.lib.sizes[rows]
        limits = torch.tensor([w, h], device=self.device, dtype=torch.float32)
        scale = (limits / sizes).amax(1) * self.rand(n, low=1.0, high=1.8)
        mirror = torch.where(self.rand(n) < 0.5, -1.0, 1.0)
        layer = Layer(rows, scale, torch.zeros_like(scale), mirror, sizes / 2, (limits / 2).expand(n, 2))
        drawn, inside = draw(self.lib, layer, size)
        return torch.where(inside & (self.rand(n, 1, 1, 1) < 0.75), drawn, canvas)

    def visible(self, layer: Layer, low: torch.Tensor, high: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Boxes, points, which are faces, which are unsure, of a layer that is seen between low and high [n,2]."""
        has = self.has[layer.rows]
        boxes, points = layer.boxes(self.lib.boxes[layer.rows]), layer.to_scene(self.lib.points[layer.rows])
        mirrored = points[:, :, list(MIRROR_FIVE)]
        points = torch.where(layer.mirror[:, None, None, None] < 0, mirrored, points)
        start = torch.maximum(boxes[..., :2] - boxes[..., 2:] / 2, low[:, None])
        end = torch.minimum(boxes[..., :2] + boxes[..., 2:] / 2, high[:, None])
        seen = (end - start).clamp(min=0).prod(2) / boxes[..., 2:].prod(2).clamp(min=1e-3)
        large = boxes[..., 2:].amax(2) >= SMALLEST
        real = has & (seen > 0.7) & large
        return boxes, points, real, has & ~real & (seen > 0.15)

    def paste(
        self, canvas: torch.Tensor, targets: Targets, nothing: torch.Tensor, size: tuple[int, int]
    ) -> torch.Tensor:
        """Faces cut out with a soft edge, put where no other face is."""
        n, (h, w) = len(canvas), size
        y, x = torch.meshgrid(*(torch.arange(s, device=self.device) + 0.5 for s in size), indexing="ij")
        at = torch.stack([x, y], 2)[None]
        many = torch.rand(()) < 0.4
        for _ in range(PASTES if many else 1):
            layer, face = self.layer(n, 0.0, float(max(h, w)) * 0.6)
            rows = torch.arange(n, device=self.device)
            source = self.lib.boxes[layer.rows, face]
            layer.centre = source[:, :2]
            layer.place = self.rand(n, 2, low=0.04, high=0.96) * torch.tensor([w, h], device=self.device)
            boxes = layer.boxes(self.lib.boxes[layer.rows])
            box = boxes[rows, face]
            half = box[:, 2:] / 2
            inside = ((box[:, :2] - half > 0) & (box[:, :2] + half < torch.tensor([w, h], device=self.device))).all(1)
            free = (reach(box[:, None], targets.boxes, 1.5) < 0.02) | ~targets.real
            free &= (reach(box[:, None], targets.ignore, 1.5) < 0.02).all(1, keepdim=True)
            good = inside & free.all(1) & (box[:, 2:].amax(1) >= SMALLEST) & ~nothing & (self.rand(n) < 0.7)
            drawn, there = draw(self.lib, layer, size)
            grow = self.rand(n, 1, low=1.15, high=1.5)
            away = (((at - box[:, None, None, :2]) / (half * grow)[:, None, None]) ** 2).sum(3).sqrt()
            soft = ((1 - away) * (half.amax(1)[:, None, None] / 2).clamp(2, 12)).clamp(0, 1)
            alpha = (soft * good[:, None, None])[:, None] * there
            canvas = canvas * (1 - alpha) + drawn * alpha
            points = layer.to_scene(self.lib.points[layer.rows, face])
            mirrored = points[:, list(MIRROR_FIVE)]
            points = torch.where(layer.mirror[:, None, None] < 0, mirrored, points)
            targets.boxes = torch.cat([targets.boxes, box[:, None]], 1)
            targets.points = torch.cat([targets.points, points[:, None]], 1)
            targets.real = torch.cat([targets.real, good[:, None]], 1)
        return canvas

    def cover(self, canvas: torch.Tensor, targets: Targets, size: tuple[int, int]) -> torch.Tensor:
        """Hands, cups, screens: plain or patterned ellipses over up to a third of some faces."""
        n = len(canvas)
        y, x = torch.meshgrid(*(torch.arange(s, device=self.device) + 0.5 for s in size), indexing="ij")
        for _ in range(2):
            chosen = torch.multinomial(targets.real.float() + 1e-5, 1)[:, 0]
            box = targets.boxes[torch.arange(n, device=self.device), chosen]
            turn = self.rand(n, low=0, high=2 * math.pi)
            away = self.rand(n, low=0.5, high=0.75)[:, None]
            centre = box[:, :2] + torch.stack([turn.cos(), turn.sin()], 1) * box[:, 2:] * away
            half = box[:, 2:] * self.rand(n, 2, low=0.2, high=0.45)
            inside = ((x - centre[:, 0, None, None]) / half[:, 0, None, None]).abs() ** 3
            inside = inside + ((y - centre[:, 1, None, None]) / half[:, 1, None, None]).abs() ** 3 < 1
            on = inside & (self.rand(n, 1, 1) < 0.2) & (box[:, 2] > 12)[:, None, None]
            other = canvas.roll(1, 0).roll((size[0] // 3, size[1] // 3), (2, 3))
            fill = torch.where(self.rand(n, 1, 1, 1) < 0.5, self.rand(n, 3, 1, 1).expand_as(canvas), other * 0.5 + 0.2)
            canvas = torch.where(on[:, None], fill, canvas)
        return canvas


def reach(box: torch.Tensor, others: torch.Tensor, grow: float) -> torch.Tensor:
    """[n,1,4] against [n,m,4], cx cy w h: overlap of the grown boxes as a share of the smaller one, [n,m]."""
    size, sizes = box[..., 2:] * grow, others[..., 2:] * grow
    low = torch.maximum(box[..., :2] - size / 2, others[..., :2] - sizes / 2)
    high = torch.minimum(box[..., :2] + size / 2, others[..., :2] + sizes / 2)
    smaller = torch.minimum(size.prod(2), sizes.prod(2)).clamp(min=1e-3)
    return (high - low).clamp(min=0).prod(2) / smaller * (sizes[..., 0] > 0)


def clipped(boxes: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """cx cy w h within low and high [n,2]; 0 width where nothing is left."""
    start = torch.maximum(boxes[..., :2] - boxes[..., 2:] / 2, low[:, None])
    end = torch.minimum(boxes[..., :2] + boxes[..., 2:] / 2, high[:, None])
    size = (end - start).clamp(min=0)
    return torch.cat([(start + end) / 2, size * (size.amin(2, keepdim=True) > 0)], 2)


def compact(targets: Targets) -> Targets:
    """Real faces first, as few columns as the batch needs; faces beyond MOST are ignored."""
    most = min(MOST, max(1, int(targets.real.sum(1).max())))
    order = torch.argsort(targets.real.int(), dim=1, descending=True, stable=True)
    order, rest = order[:, :most], order[:, most:]

    def taken(x: torch.Tensor) -> torch.Tensor:
        return torch.gather(x, 1, order.view(*order.shape, *([1] * (x.dim() - 2))).expand(-1, -1, *x.shape[2:]))

    real = torch.gather(targets.real, 1, order)
    beyond = torch.gather(targets.boxes, 1, rest[..., None].expand(-1, -1, 4))
    beyond = beyond * torch.gather(targets.real, 1, rest)[..., None]
    ignore = torch.cat([targets.ignore, beyond], 1)
    some = ignore[..., 2] > 0
    keep = torch.argsort(some.int(), dim=1, descending=True, stable=True)[:, : max(1, int(some.sum(1).max()))]
    ignore = torch.gather(ignore, 1, keep[..., None].expand(-1, -1, 4))
    return Targets(taken(targets.boxes) * real[..., None], taken(targets.points), real, ignore)
