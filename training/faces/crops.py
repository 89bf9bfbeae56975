"""Crops for the face head and the upper body, varied on the device: turned, shifted, scaled, mirrored, small ones
enlarged, eyes closed by drawing the lids down, crops that hold no face; then light.py's camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from training.faces import light
from training.faces.mosaic import inverse, turned
from training.faces.networks import HEAD_SIDE, UPPER_SIDE
from training.faces.sources import MIRROR_68, MIRROR_FIVE, MIRROR_JOINTS, SIDE, Bodies, Crops

CROP = 128  # pixels a side in the pack
EYES = ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47))  # subject's right, left: left corner first, clockwise


@dataclass
class Faces:
    """A batch: image [n,3,112,112] 0..1; pose [n,3] degrees, known [n] 0 or 1; points [n,73,2] in input pixels with
    weights [n,73]; open [n,2] with weights [n,2]; real [n] bool: a face squarely in the crop (of the others only that
    is learned)."""

    image: torch.Tensor
    pose: torch.Tensor
    pose_known: torch.Tensor
    points: torch.Tensor
    point_weight: torch.Tensor
    open: torch.Tensor
    open_weight: torch.Tensor
    real: torch.Tensor


class Dice:
    def __init__(self, device: str) -> None:
        self.device = torch.device(device)

    def rand(self, *shape: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        return torch.rand(shape, device=self.device) * (high - low) + low

    def chance(self, n: int, share: float) -> torch.Tensor:
        return torch.rand(n, device=self.device) < share


def pixels(side: int, device: torch.device) -> torch.Tensor:
    """[1,side²,2] x y of the centres of pixels."""
    at = torch.arange(side, device=device) + 0.5
    y, x = torch.meshgrid(at, at, indexing="ij")
    return torch.stack([x, y], 2).reshape(1, -1, 2)


def affine(dice: Dice, n: int, zoom: tuple[float, float], shift: float, turns: tuple[float, float, float]):
    """Matrices [n,2,2] (crop to input, both around their centres, before the change of side), mirror [n] ±1, turn [n]
    radians clockwise, shift [n,2] as a share of the side. turns: usual deviation, share of strong ones, their limit."""
    scale = torch.exp(dice.rand(n, low=math.log(zoom[0]), high=math.log(zoom[1])))
    turn = torch.randn(n, device=dice.device) * turns[0]
    turn = torch.where(dice.chance(n, turns[1]), dice.rand(n, low=-turns[2], high=turns[2]), turn)
    mirror = torch.where(dice.chance(n, 0.5), -1.0, 1.0)
    stretch = torch.exp(torch.randn(n, device=dice.device) * 0.05)
    c, s = turn.cos() * scale, turn.sin() * scale
    a, b = stretch * mirror, 1 / stretch
    matrix = torch.stack([torch.stack([c * a, -s * b], 1), torch.stack([s * a, c * b], 1)], 1)
    return matrix, mirror, turn, (dice.rand(n, 2) * 2 - 1) * shift


def lids(at: torch.Tensor, eye: torch.Tensor, closed: torch.Tensor) -> torch.Tensor:
    """Where the pixels at [n,p,2] of a crop come from, when this eye [n,6,2] is closed by a share [n] of its opening.

    The upper lid is drawn down over nine tenths of the way, the lower lid meets it; the skin up to the brow and down to
    the cheek stretches. Both curves are parabolas through the corners."""
    origin, along = eye[:, 0], eye[:, 3] - eye[:, 0]
    length = along.norm(dim=1).clamp(min=2.0)
    ex = along / length[:, None]
    ey = torch.stack([-ex[:, 1], ex[:, 0]], 1)

    def across(p: torch.Tensor) -> torch.Tensor:
        return ((p - origin) * ey).sum(1) / length / 0.889

    top = torch.minimum((across(eye[:, 1]) + across(eye[:, 2])) / 2, torch.zeros_like(length)) - 0.05
    low = torch.maximum((across(eye[:, 4]) + across(eye[:, 5])) / 2, torch.zeros_like(length)) + 0.04
    gap = at - origin[:, None]
    u = (gap * ex[:, None]).sum(2) / length[:, None]
    v = (gap * ey[:, None]).sum(2) / length[:, None]
    hump = (4 * u * (1 - u)).clamp(min=0)
    up, down, c = top[:, None] * hump, low[:, None] * hump, closed[:, None]
    met_up, met_down = up + 0.9 * c * (down - up), down - 0.1 * c * (down - up)
    brow, cheek = up - 0.4, down + 0.3
    above = brow + (v - brow) * (up - brow) / (met_up - brow).clamp(min=1e-3)
    between = up + (v - met_up) * (down - up) / (met_down - met_up).clamp(min=1e-3)
    below = down + (v - met_down) * (cheek - down) / (cheek - met_down).clamp(min=1e-3)
    source = torch.where(v < met_up, above, torch.where(v < met_down, between, below))
    moved = (v > brow) & (v < cheek) & (hump > 0)
    return at + torch.where(moved, source - v, 0.0)[..., None] * (length[:, None, None] * ey[:, None])


def closed_points(all68: torch.Tensor, eye: tuple[int, ...], closed: torch.Tensor) -> torch.Tensor:
    """The 68 points when lids() has closed an eye."""
    out = all68.clone()
    for upper, lower in ((eye[1], eye[5]), (eye[2], eye[4])):
        gap = (all68[:, lower] - all68[:, upper]) * closed[:, None]
        out[:, upper] += 0.9 * gap
        out[:, lower] -= 0.1 * gap
    return out


def coarse(image: torch.Tensor, dice: Dice, factors: tuple[float, ...]) -> torch.Tensor:
    """Some pictures as if the face had been far away: shrunk by one of the factors and enlarged again."""
    n, _, h, w = image.shape
    shares = torch.tensor([6.0, *([1.0] * len(factors))], device=dice.device)
    which = torch.multinomial(shares, n, replacement=True)
    out = image
    for number, factor in enumerate(factors, 1):
        size = (round(h / factor), round(w / factor))
        small = F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)
        back = F.interpolate(small, size=(h, w), mode="bilinear", align_corners=False)
        out = torch.where((which == number)[:, None, None, None], back, out)
    return out


def covered(image: torch.Tensor, dice: Dice, share: float) -> torch.Tensor:
    """A plain or borrowed rounded patch over a part of some pictures."""
    n, _, side, _ = image.shape
    at = pixels(side, dice.device) / side
    centre, half = dice.rand(n, 1, 2, low=0.1, high=0.9), dice.rand(n, 1, 2, low=0.08, high=0.25)
    inside = (((at - centre) / half).abs() ** 4).sum(2).reshape(n, 1, side, side) < 1
    fill = torch.where(dice.rand(n, 1, 1, 1) < 0.5, dice.rand(n, 3, 1, 1).expand_as(image), image.roll(1, 0))
    return torch.where(inside & dice.chance(n, share)[:, None, None, None], fill, image)


class FaceCrops:
    """Endless batches of Faces. other: pictures uint8 [k,3,512,512] without one; mined: crops uint8 [m,3,128,128] of
    what a detector took for faces there, weights [m]; mistaken: their share of a batch."""

    def __init__(
        self,
        crops: Crops,
        other: torch.Tensor | None,
        mined: tuple[torch.Tensor, torch.Tensor] | None,
        device: str,
        mistaken: float = 0.33,
    ) -> None:
        def there(x) -> torch.Tensor:
            return torch.from_numpy(x).to(device)

        self.dice, self.other, self.mined, self.share = Dice(device), other, mined, mistaken
        self.pictures, self.pose, self.all68 = there(crops.pictures), there(crops.pose), there(crops.all68)
        self.five, self.has68 = there(crops.five), there(crops.has68)
        self.open, self.open_weight = there(crops.open), there(crops.open_weight)
        self.weight, self.pose_known = there(crops.weight).float(), there(crops.pose_known)

    def batch(self, n: int) -> Faces:
        dice, device = self.dice, self.dice.device
        rows = torch.multinomial(self.weight, n, replacement=True)
        matrix, mirror, turn, shift = affine(dice, n, (0.82, 1.22), 0.09, (0.2, 0.15, 0.9))
        wrong = dice.chance(n, 0.12)
        strange = torch.where(dice.chance(n, 0.5), dice.rand(n, low=0.3, high=0.5), dice.rand(n, low=2.0, high=3.2))
        far = F.normalize(torch.randn(n, 2, device=device), dim=1) * dice.rand(n, 1, low=0.42, high=0.7)
        off = wrong & dice.chance(n, 0.5)
        matrix = torch.where((wrong & ~off)[:, None, None], matrix * strange[:, None, None], matrix)
        shift = torch.where(off[:, None], far, shift)
        ratio = HEAD_SIDE / CROP
        forward = matrix * ratio
        at = pixels(HEAD_SIDE, device) - HEAD_SIDE / 2 - shift[:, None] * HEAD_SIDE
        at = turned(at, inverse(forward)) + CROP / 2
        all68, opened, opened_weight = self.all68[rows], self.open[rows].clone(), self.open_weight[rows]
        pictures, mistaken = self.mistaken(rows)
        at, all68, opened = self.close(rows, at, all68, opened, ~mistaken)
        image = F.grid_sample(
            pictures.float() / 255, (at * (2 / CROP) - 1).reshape(n, HEAD_SIDE, HEAD_SIDE, 2),
            padding_mode="zeros", align_corners=False,
        )  # fmt: skip
        points = torch.cat([self.five[rows], all68], 1) - CROP / 2
        points = turned(points, forward) + (shift[:, None] + 0.5) * HEAD_SIDE
        order = torch.tensor([*MIRROR_FIVE, *(5 + k for k in MIRROR_68)], device=device)
        flipped = mirror < 0
        points = torch.where(flipped[:, None, None], points[:, order], points)
        pose = self.pose[rows] * torch.stack([mirror, torch.ones_like(mirror), mirror], 1)
        pose[:, 2] += torch.rad2deg(turn)
        opened = torch.where(flipped[:, None], opened.flip(1), opened)
        opened_weight = torch.where(flipped[:, None], opened_weight.flip(1), opened_weight)
        image, nothing = self.elsewhere(image)
        point_weight = torch.ones(n, 73, device=device)
        point_weight[:, 5:] = self.has68[rows].float()[:, None]
        image = coarse(covered(image, dice, 0.25), dice, (1.5, 2, 3, 4.5, 6.5))
        return Faces(
            image=light.camera(image, 0.7),
            pose=pose,
            pose_known=self.pose_known[rows],
            points=points,
            point_weight=point_weight,
            open=opened,
            open_weight=opened_weight,
            real=~(wrong | nothing | mistaken),
        )

    def mistaken(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The crops of these rows, some of them replaced by mistakes of a detector; and which [n] bool. They take
        the faces' way through all that follows, so that nothing but the picture tells them apart."""
        pictures, n = self.pictures[rows], len(rows)
        if self.mined is None:
            return pictures, torch.zeros(n, dtype=torch.bool, device=self.dice.device)
        crops, weight = self.mined
        which = self.dice.chance(n, self.share)
        pictures[which] = crops[torch.multinomial(weight, int(which.sum()) + 1, replacement=True)[1:]]
        return pictures, which

    def close(self, rows: torch.Tensor, at: torch.Tensor, all68: torch.Tensor, opened: torch.Tensor, may: torch.Tensor):
        """Half of the open eyes of half the faces, wholly or in part, where it may."""
        n, dice = len(rows), self.dice
        share = torch.where(dice.chance(n, 0.55), torch.ones(n, device=dice.device), dice.rand(n))
        able = may & self.has68[rows] & (self.open_weight[rows] > 0).all(1) & dice.chance(n, 0.5)
        wink, which = dice.chance(n, 0.25), dice.chance(n, 0.5)
        for k, eye in enumerate(EYES):
            skip = wink & (which == bool(k))
            closed = share * (able & ~skip)
            at = lids(at, all68[:, list(eye)], closed)
            all68 = closed_points(all68, eye, closed)
            opened[:, k] = opened[:, k] * (1 - closed)
        return at, all68, opened

    def elsewhere(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Some crops replaced by patches of pictures without a face."""
        n, dice = len(image), self.dice
        if self.other is None:
            return image, torch.zeros(n, dtype=torch.bool, device=dice.device)
        few = max(2, n // (12 if self.mined else 6))
        rows = torch.randint(len(self.other), (few,), device=dice.device)
        side = torch.exp(dice.rand(few, low=math.log(8), high=math.log(400)))
        centre = dice.rand(few, 2, low=20, high=SIDE - 20)
        at = (pixels(HEAD_SIDE, dice.device) / HEAD_SIDE - 0.5) * side[:, None, None] + centre[:, None]
        at = torch.where(
            dice.chance(few, 0.5)[:, None, None], at.unflatten(1, (HEAD_SIDE, -1)).flip(2).flatten(1, 2), at
        )
        patch = F.grid_sample(
            self.other[rows].float() / 255,
            (at * (2 / SIDE) - 1).reshape(few, HEAD_SIDE, HEAD_SIDE, 2),
            align_corners=False,
        )
        none = torch.zeros(n, dtype=torch.bool, device=dice.device)
        none[:few] = True
        return torch.cat([patch, image[few:]]), none


@dataclass
class Uppers:
    """image [n,3,96,96] 0..1; joints [n,5,2] in input pixels; sure [n,5] 0..1."""

    image: torch.Tensor
    joints: torch.Tensor
    sure: torch.Tensor


class UpperCrops:
    def __init__(self, bodies: Bodies, device: str) -> None:
        self.dice = Dice(device)
        self.pictures = torch.from_numpy(bodies.pictures).to(device)
        self.joints, self.sure = torch.from_numpy(bodies.joints).to(device), torch.from_numpy(bodies.sure).to(device)
        self.weight = torch.from_numpy(bodies.weight).to(device).float()

    def batch(self, n: int) -> Uppers:
        dice, device = self.dice, self.dice.device
        rows = torch.multinomial(self.weight, n, replacement=True)
        matrix, mirror, _, shift = affine(dice, n, (0.78, 1.35), 0.08, (0.12, 0.1, 0.45))
        forward = matrix * (UPPER_SIDE / CROP)
        at = pixels(UPPER_SIDE, device) - UPPER_SIDE / 2 - shift[:, None] * UPPER_SIDE
        at = turned(at, inverse(forward)) + CROP / 2
        image = F.grid_sample(
            self.pictures[rows].float() / 255, (at * (2 / CROP) - 1).reshape(n, UPPER_SIDE, UPPER_SIDE, 2),
            padding_mode="zeros", align_corners=False,
        )  # fmt: skip
        joints = turned(self.joints[rows] - CROP / 2, forward) + (shift[:, None] + 0.5) * UPPER_SIDE
        order = torch.tensor(MIRROR_JOINTS, device=device)
        flipped = mirror < 0
        joints = torch.where(flipped[:, None, None], joints[:, order], joints)
        sure = torch.where(flipped[:, None], self.sure[rows][:, order], self.sure[rows])
        sure = sure * ((joints > 1) & (joints < UPPER_SIDE - 1)).all(2)
        image = coarse(covered(image, dice, 0.2), dice, (1.5, 2.5))
        return Uppers(light.camera(image, 0.7), joints, sure)
