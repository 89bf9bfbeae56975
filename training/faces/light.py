"""What cameras and rooms do to pixels, on the device that trains: pictures [n,3,h,w] 0..1 in, the same out."""

from __future__ import annotations

import torch
import torch.nn.functional as F

GRAY = (0.299, 0.587, 0.114)


def uniform(n: int, low: float, high: float, device: torch.device) -> torch.Tensor:
    """[n,1,1,1]"""
    return torch.rand(n, 1, 1, 1, device=device) * (high - low) + low


def some(n: int, share: float, device: torch.device) -> torch.Tensor:
    """[n,1,1,1] bool, true with this probability."""
    return torch.rand(n, 1, 1, 1, device=device) < share


def pick(change: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.where(change, y, x)


def blurred(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Separable Gaussian."""
    reach = max(1, round(2.5 * sigma))
    at = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    weights = torch.exp(-(at**2) / (2 * sigma**2))
    weights = (weights / weights.sum()).repeat(3, 1)
    x = F.conv2d(F.pad(x, (reach, reach, 0, 0), "replicate"), weights[:, None, None, :], groups=3)
    return F.conv2d(F.pad(x, (0, 0, reach, reach), "replicate"), weights[:, None, :, None], groups=3)


def dragged(x: torch.Tensor, reach: int) -> torch.Tensor:
    """Motion blur along a line, one random direction per call."""
    turn = torch.rand((), device=x.device) * 3.1416
    at = torch.linspace(-reach / 2, reach / 2, 9, device=x.device)
    dx, dy = (at * turn.cos()).round().long().tolist(), (at * turn.sin()).round().long().tolist()
    return sum(x.roll((a, b), (3, 2)) for a, b in zip(dx, dy, strict=True)) / 9


def rounded(x: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """JPEG's loss without its colours: 8×8 cosine coefficients rounded; quality [n,1,1,1] is the step, 0.01 fine."""
    n, c, h, w = x.shape
    k = torch.arange(8, device=x.device, dtype=x.dtype)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / 16) * 0.5
    basis[0] *= 0.5**0.5
    blocks = x.reshape(n, c, h // 8, 8, w // 8, 8).permute(0, 1, 2, 4, 3, 5)
    steps = quality[..., None, None] * (1 + 0.6 * (k[:, None] + k[None]))
    coarse = ((basis @ (blocks - 0.5) @ basis.T) / steps).round() * steps
    blocks = basis.T @ coarse @ basis + 0.5
    return blocks.permute(0, 1, 2, 4, 3, 5).reshape(n, c, h, w)


def recoloured(x: torch.Tensor) -> torch.Tensor:
    """Exposure, contrast, gamma, saturation, casts; now and then grey, channels exchanged, or dark."""
    n, device = len(x), x.device
    x = x * uniform(n, 0.65, 1.4, device) * (1 + 0.12 * torch.randn(n, 3, 1, 1, device=device))
    x = (x - 0.5) * uniform(n, 0.65, 1.35, device) + 0.5 + uniform(n, -0.1, 0.1, device)
    x = x.clamp(0, 1) ** uniform(n, 0.65, 1.6, device)
    grey = (x * torch.tensor(GRAY, device=device).view(1, 3, 1, 1)).sum(1, keepdim=True)
    x = grey + (x - grey) * uniform(n, 0.4, 1.5, device)
    x = pick(some(n, 0.08, device), x, grey.expand_as(x))
    x = pick(some(n, 0.03, device), x, x.flip(1))
    return pick(some(n, 0.12, device), x, x * uniform(n, 0.12, 0.5, device))


def shaded(x: torch.Tensor) -> torch.Tensor:
    """Uneven light: a smooth field of gains."""
    n = len(x)
    field = torch.rand(n, 1, 3, 3, device=x.device) * 0.9 + 0.5
    field = F.interpolate(field, size=x.shape[2:], mode="bicubic", align_corners=True).clamp(0.2, 1.6)
    return pick(some(n, 0.3, x.device), x, x * field)


def noisy(x: torch.Tensor) -> torch.Tensor:
    n = len(x)
    strength = uniform(n, 0, 1, x.device) ** 3 * 0.13
    grain = torch.randn_like(x) * strength
    return pick(some(n, 0.5, x.device), x, x + grain * (0.5 + x.clamp(0, 1).sqrt()))


def camera(x: torch.Tensor, soft: float = 1.0) -> torch.Tensor:
    """All of it; soft scales the blur (small faces bear less)."""
    n, device = len(x), x.device
    x = shaded(recoloured(x))
    for share, sigma in ((0.12, 0.7), (0.08, 1.4), (0.03, 2.4)):
        x = pick(some(n, share * soft, device), x, blurred(x, sigma))
    if torch.rand(()) < 0.5:
        x = pick(some(n, 0.12 * soft, device), x, dragged(x, int(torch.randint(3, 9, ()))))
    x = noisy(x).clamp(0, 1)
    if x.shape[2] % 8 == 0 and x.shape[3] % 8 == 0:
        x = pick(some(n, 0.4, device), x, rounded(x, uniform(n, 0.005, 0.09, device)))
    return x.clamp(0, 1)
