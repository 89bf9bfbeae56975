"""What a camera does to a scene: colour, exposure, blur, sampling, noise, sharpening, JPEG. Batched torch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from training.document_corners import layers as L
from training.document_corners.scene import Dice, Recipe


def colour(image: torch.Tensor, dice: Dice, recipe: Recipe) -> torch.Tensor:
    """White balance, saturation, exposure, gamma, contrast."""
    n, d = len(image), image.device

    def column(x: torch.Tensor) -> torch.Tensor:
        return x.to(d).reshape(n, -1, 1, 1)

    warm = dice.normal(n, 0.09, 1) * torch.tensor([1.0, 0.15, -1.1]) + dice.normal(n, 0.025, 3)
    image = image * column(torch.exp(warm))
    grey = image.mean(1, keepdim=True)
    image = grey + (image - grey) * column(dice.uniform(n, 0.45, 1.25) * (~dice.chance(n, 0.04)))
    dark = dice.chance(n, recipe.dark)
    stops = torch.where(dark, dice.uniform(n, -2.2, -0.9), dice.normal(n, 0.25))
    # A camera meters the scene: part of the way to a middle tone, highlights rolled off rather than cut.
    metered = (column(dice.uniform(n, 0.32, 0.55)) / image.mean((1, 2, 3), keepdim=True).clamp(min=0.03)) ** 0.65
    image = image.clamp(min=0) * metered * column(torch.exp2(stops))
    image = torch.where(image < 0.8, image, 1 - 0.2 * torch.exp((0.8 - image) / 0.2))
    image = (image + 1e-4) ** column(torch.exp(dice.normal(n, 0.18)))
    haze = column(dice.uniform(n, 0, 0.25) * dice.chance(n, 0.12))
    return (image * (1 - haze) + haze * 0.8).clamp(0, 1)


def defocus(image: torch.Tensor, dice: Dice, recipe: Recipe) -> torch.Tensor:
    """Motion or lens blur of some photos, with kernels of up to 11 output pixels at 256 pixels a side."""
    n, size = len(image), 11
    rows = dice.chance(n, recipe.blurred).nonzero()[:, 0]
    turn, long, wide = dice.uniform(n, 0, math.pi), dice.uniform(n, 0.3, 4.0), dice.uniform(n, 0.3, 1.6)
    if len(rows) == 0:
        return image
    at = torch.arange(size) - size // 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    t = turn[rows, None, None]
    a = (x * t.cos() + y * t.sin()) / torch.where(wide < 1, long, wide)[rows, None, None].clamp(max=4)
    b = (y * t.cos() - x * t.sin()) / wide[rows, None, None].clamp(min=0.35)
    kernel = torch.exp(-0.5 * (a * a + b * b))
    kernel = (kernel / kernel.sum((1, 2), keepdim=True)).to(image.device)
    place = rows.to(image.device)
    part = F.pad(image[place], (size // 2,) * 4, mode="replicate")
    k, c, h, w = part.shape
    weight = kernel[:, None].repeat_interleave(c, 0)
    image[place] = F.conv2d(part.reshape(1, k * c, h, w), weight, groups=k * c).reshape(
        k, c, h - size + 1, w - size + 1
    )
    return image


def noise(image: torch.Tensor, dice: Dice, recipe: Recipe, generator: torch.Generator) -> torch.Tensor:
    n, d = len(image), image.device
    strength = (dice.uniform(n, 0, 0.22) ** 2 * dice.chance(n, recipe.noisy)).to(d)[:, None, None, None]
    fine = torch.randn(image.shape, generator=generator, device=d)
    blotch = torch.randn((n, 3, image.shape[2] // 4, image.shape[3] // 4), generator=generator, device=d)
    blotch = F.interpolate(blotch, size=image.shape[-2:], mode="bilinear", align_corners=False)
    mono = fine[:, :1].expand_as(fine)
    grains = torch.where(dice.chance(n, 0.5).to(d)[:, None, None, None], fine, mono) + 0.5 * blotch
    return image + strength * grains * (0.35 + image.sqrt())


def sharpen(image: torch.Tensor, dice: Dice) -> torch.Tensor:
    amount = (dice.uniform(len(image), 0, 1.4) * dice.chance(len(image), 0.35)).to(image.device)[:, None, None, None]
    return image + amount * (image - L.blur(image, 0.9))


def jpeg(image: torch.Tensor, dice: Dice, recipe: Recipe) -> torch.Tensor:
    """8 × 8 DCT quantisation, luma finer than chroma."""
    n, _, h, w = image.shape
    rows = dice.chance(n, recipe.jpeg).nonzero()[:, 0]
    step = torch.exp(dice.uniform(n, -4.6, -1.9))
    if len(rows) == 0 or h % 8 or w % 8:
        return image
    d = image.device
    k = torch.arange(8, device=d, dtype=torch.float32)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) * 0.5
    basis[0] *= 0.5**0.5
    to_ycc = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], device=d)
    place = rows.to(d)
    ycc = torch.einsum("dc,nchw->ndhw", to_ycc, image[place])
    cells = ycc.reshape(len(rows), 3, h // 8, 8, w // 8, 8).permute(0, 1, 2, 4, 3, 5)
    freq = basis @ cells @ basis.T
    weight = 1 + (k[:, None] + k[None]) * 0.35
    q = (
        step[rows].to(d).reshape(-1, 1, 1, 1, 1, 1)
        * weight
        * torch.tensor([1.0, 2, 2], device=d).reshape(3, 1, 1, 1, 1)
    )
    cells = basis.T @ ((freq / q).round() * q) @ basis
    ycc = cells.permute(0, 1, 2, 4, 3, 5).reshape(len(rows), 3, h, w)
    image[place] = torch.einsum("dc,nchw->ndhw", torch.linalg.inv(to_ycc), ycc)
    return image


@torch.no_grad()
def develop(
    image: torch.Tensor, size: tuple[int, int], dice: Dice, recipe: Recipe, generator: torch.Generator
) -> torch.Tensor:
    """Scene [n,3,H,W] 0..1 -> photo [n,3,h,w] 0..1 in 1/255 steps."""
    image = colour(image, dice, recipe)
    if image.shape[-2:] != size:
        image = F.interpolate(image, size=size, mode="bilinear", antialias=True, align_corners=False)
    image = sharpen(defocus(image, dice, recipe), dice)
    image = noise(image.clamp(0, 1), dice, recipe, generator)
    image = jpeg(image.clamp(0, 1), dice, recipe)
    return (image.clamp(0, 1) * 255).round() / 255
