"""Photo-like pictures, for prints and for what lies behind: (rng, h, w) -> uint8 RGB [h, w, 3]."""

from __future__ import annotations

import cv2
import numpy as np

from training.document_corners import paint as p


def dead_leaves(rng: np.random.Generator, h: int, w: int, count: int = 160) -> np.ndarray:
    """Overlapping random shapes, large below and small on top: the edge statistics of natural photos."""
    palette = [p.any_colour(rng) for _ in range(int(rng.integers(3, 12)))]
    image = p.blank(h, w, palette[0])
    sizes = np.sort(rng.pareto(1.6, count) + 0.25)[::-1] * min(h, w) * 0.06
    for size in np.clip(sizes, 2, 0.5 * max(h, w)):
        base = palette[int(rng.integers(len(palette)))]
        colour = tuple(int(np.clip(c + rng.normal(0, 18), 0, 255)) for c in base)
        centre = (int(rng.integers(w)), int(rng.integers(h)))
        kind = rng.random()
        if kind < 0.5:
            axes = (int(size), int(size * rng.uniform(0.3, 1)))
            cv2.ellipse(image, centre, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
        else:
            n = int(rng.integers(3, 8))
            angles = np.sort(rng.uniform(0, 2 * np.pi, n))
            radius = size * rng.uniform(0.5, 1.2, n)
            points = np.stack([centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)], 1)
            cv2.fillPoly(image, [points.astype(np.int32)], colour, cv2.LINE_AA)
    return p.modulate(image, p.fractal(rng, h, w, 3, 7), rng.uniform(0.05, 0.3))


def scenery(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Sky, hills and ground in bands of fractal noise."""
    image = p.ramp(rng, np.linspace(0, 1, h, dtype=np.float32)[:, None].repeat(w, 1), [p.muted(rng), p.any_colour(rng)])
    for layer in range(int(rng.integers(1, 5))):
        line = h * (0.25 + 0.18 * layer) + h * rng.uniform(0.05, 0.3) * p.fractal(rng, 8, w, 1, 6)[4]
        mask = np.arange(h)[:, None] > line[None]
        tone = p.ramp(rng, p.fractal(rng, h, w, 3, 8), [p.any_colour(rng), p.any_colour(rng)])
        image = np.where(mask[..., None], tone, image)
    return image


def portrait(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Head and shoulders built of ellipses; nobody's face."""
    image = p.ramp(rng, p.fractal(rng, h, w, 1, 4), [p.muted(rng), p.muted(rng)])
    skin = p.hsv(rng.uniform(0.02, 0.09), rng.uniform(0.2, 0.65), rng.uniform(0.3, 0.98))
    hair, shirt = p.hsv(rng.uniform(0, 0.12), rng.uniform(0.1, 0.8), rng.uniform(0.05, 0.6)), p.any_colour(rng)
    cx, cy, r = w * rng.uniform(0.35, 0.65), h * rng.uniform(0.35, 0.5), min(h, w) * rng.uniform(0.14, 0.28)

    def oval(x: float, y: float, a: float, b: float, colour: p.Colour) -> None:
        cv2.ellipse(image, (int(x), int(y)), (max(1, int(a)), max(1, int(b))), 0, 0, 360, colour, -1, cv2.LINE_AA)

    oval(cx, cy + r * 3.2, r * 2.1, r * 1.9, shirt)
    oval(cx, cy - r * 0.2, r * 1.15, r * 1.45, hair)
    cv2.rectangle(image, (int(cx - r * 0.4), int(cy)), (int(cx + r * 0.4), int(cy + r * 1.6)), skin, -1)
    oval(cx, cy, r * 0.85, r * 1.15, skin)
    dark = tuple(int(c * 0.35) for c in skin)
    for side in (-1, 1):
        oval(cx + side * r * 0.35, cy - r * 0.15, r * 0.13, r * 0.07, dark)
    oval(cx, cy + r * 0.55, r * 0.25, r * 0.06, (150, 60, 60))
    return p.modulate(image, p.fractal(rng, h, w, 1, 5), rng.uniform(0.1, 0.35))


def waves(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """A colour field folded through random sines: abstract art, water, cloth."""
    y, x = np.mgrid[0:h, 0:w].astype(np.float32) / max(h, w)
    field = np.zeros((h, w), np.float32)
    for _ in range(int(rng.integers(2, 6))):
        f = rng.uniform(2, 25, 2)
        field += np.sin(f[0] * x + f[1] * y + 2 * field + rng.uniform(0, 6))
    return p.ramp(rng, (np.tanh(field) + 1) / 2, [p.any_colour(rng) for _ in range(int(rng.integers(2, 6)))])


def picture(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Something like a photo or an illustration."""
    painters = (dead_leaves, scenery, portrait, waves)
    return painters[int(rng.choice(4, p=[0.4, 0.25, 0.2, 0.15]))](rng, max(h, 8), max(w, 8))
