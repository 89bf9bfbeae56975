"""Pixels of one layer: textures seen through a homography, soft masks, shadows. Batched torch, any device."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from training.document_corners.scene import square_to_quad


def frame_grid(size: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Pixel centres of a frame, normalised: [h,w,2] as (x, y)."""
    h, w = size
    y, x = torch.meshgrid(
        (torch.arange(h, device=device) + 0.5) / h, (torch.arange(w, device=device) + 0.5) / w, indexing="ij"
    )
    return torch.stack([x, y], -1)


def through(maps: torch.Tensor, grid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Grid [h,w,2] (or [n,h,w,2]) through homographies [n,3,3] -> ([n,h,w,2], w [n,h,w]); w > 0 before the camera."""
    m = maps[:, None, None]
    x, y = (grid[None, ..., 0], grid[None, ..., 1]) if grid.dim() == 3 else (grid[..., 0], grid[..., 1])
    w = m[..., 2, 0] * x + m[..., 2, 1] * y + m[..., 2, 2]
    safe = torch.where(w.abs() < 1e-5, torch.full_like(w, 1e-5), w)
    u = (m[..., 0, 0] * x + m[..., 0, 1] * y + m[..., 0, 2]) / safe
    v = (m[..., 1, 0] * x + m[..., 1, 1] * y + m[..., 1, 2]) / safe
    return torch.stack([u, v], -1), w


def inverse_of(quad: torch.Tensor) -> torch.Tensor:
    """Frame -> unit square of the quadrilateral, scaled so that w = 1 at its centre."""
    back = torch.linalg.inv(square_to_quad(quad))
    centre = torch.cat([quad.mean(1), torch.ones(len(quad), 1)], 1)
    return back / (back[:, 2:] @ centre[..., None])


def detail(maps: torch.Tensor, at: torch.Tensor, side: int, size: tuple[int, int]) -> torch.Tensor:
    """log2 of texels per output pixel at frame points [n,2]; maps carry the frame to a texture's unit square."""

    def look(shift: tuple[float, float]) -> torch.Tensor:
        p = torch.cat([at + torch.tensor(shift), torch.ones(len(at), 1)], 1)
        q = (maps @ p[..., None])[..., 0]
        return q[:, :2] / q[:, 2:]

    a, b = (
        look((0.5 / size[1], 0.0)) - look((-0.5 / size[1], 0.0)),
        look((0.0, 0.5 / size[0])) - look((0.0, -0.5 / size[0])),
    )
    area = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).abs()
    return 0.5 * torch.log2(area.clamp(min=1e-12)) + torch.log2(torch.tensor(float(side)))


def soften(texture: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """Average textures [n,c,s,s] down to their nearest mip level [n] (on the CPU), so that sampling does not alias."""
    nearest = (level + 0.2).round().clamp(0, 4).int()
    for k in range(1, 5):
        rows = (nearest == k).nonzero()[:, 0].to(texture.device)
        if len(rows):
            low = F.avg_pool2d(texture[rows], 2**k)
            texture[rows] = F.interpolate(low, size=texture.shape[-2:], mode="bilinear", align_corners=False)
    return texture


def look_up(texture: torch.Tensor, uv: torch.Tensor, padding: str = "border") -> torch.Tensor:
    """Texture [n,c,s,s] at unit coordinates [n,h,w,2]."""
    return F.grid_sample(texture, uv * 2 - 1, mode="bilinear", padding_mode=padding, align_corners=False)


def soft_edge(distance: torch.Tensor) -> torch.Tensor:
    """Coverage 0..1 of pixels from a signed distance field [n,h,w] in any unit, negative inside."""
    gx = F.pad(distance[:, :, 1:] - distance[:, :, :-1], (0, 1), mode="replicate")
    gy = F.pad(distance[:, 1:] - distance[:, :-1], (0, 0, 0, 1), mode="replicate")
    return (0.5 - distance / (gx * gx + gy * gy).sqrt().clamp(min=1e-6)).clamp(0, 1)[:, None]


def rounded_distance(uv: torch.Tensor, aspect: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """Signed distance to the unit square of the given aspect with rounded corners; unit = its shorter side."""
    size = torch.stack([aspect, torch.ones_like(aspect)], -1) / aspect.clamp(max=1)[:, None]
    r = radius[:, None, None]
    q = (uv - 0.5).abs() * size[:, None, None] - size[:, None, None] / 2 + r[..., None]
    return q.clamp(min=0).norm(dim=-1) + q.amax(-1).clamp(max=0) - r


def gaussian(sigma: float, device: torch.device) -> torch.Tensor:
    reach = max(1, int(3 * sigma))
    x = torch.arange(-reach, reach + 1, device=device, dtype=torch.float32)
    k = torch.exp(-0.5 * (x / sigma) ** 2)
    return k / k.sum()


def blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Separable Gaussian, the same for the whole batch."""
    c, k = image.shape[1], gaussian(sigma, image.device)
    r = len(k) // 2
    image = F.conv2d(F.pad(image, (r, r, 0, 0), mode="replicate"), k.view(1, 1, 1, -1).repeat(c, 1, 1, 1), groups=c)
    return F.conv2d(F.pad(image, (0, 0, r, r), mode="replicate"), k.view(1, 1, -1, 1).repeat(c, 1, 1, 1), groups=c)


def shadow_of(alpha: torch.Tensor, offset: torch.Tensor, softness: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Blurred, shifted copy of a mask [n,1,h,w]; offset [n,2] in frame units, softness [n] 0 sharp .. 1 wide."""
    unit = max(1, min(alpha.shape[-2:]) // 96)
    low = F.avg_pool2d(alpha, unit)
    s = softness[:, None, None, None]
    low = blur(low, 0.8) * (1 - s) + blur(low, 4.0) * s
    return F.grid_sample(low, (grid[None] - offset[:, None, None]) * 2 - 1, padding_mode="border", align_corners=False)


def over(canvas: torch.Tensor, colour: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    return canvas + (colour - canvas) * alpha


def smooth_field(coarse: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Random numbers [n,c,a,b] grown to a smooth field [n,c,h,w]."""
    return F.interpolate(coarse, size=size, mode="bicubic", align_corners=True)
