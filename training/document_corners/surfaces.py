"""Tables, floors, cloth: what lies under documents. (rng, n) -> uint8 RGB [n, n, 3]."""

from __future__ import annotations

import cv2
import numpy as np

from training.document_corners import paint as p
from training.document_corners import pictures


def wood_tone(rng: np.random.Generator) -> tuple[int, int, int]:
    return p.hsv(rng.uniform(0.02, 0.12), rng.uniform(0.1, 0.75), rng.uniform(0.15, 0.95))


def grain(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Wood grain along x: stretched noise bent by slow noise; float32 0..1."""
    rows = int(rng.integers(20, 90))
    streaks = cv2.resize(
        rng.random((rows, int(rng.integers(2, 6))), dtype=np.float32), (w, h), interpolation=cv2.INTER_CUBIC
    )
    fine = cv2.resize(rng.random((h, 8), dtype=np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    bent = cv2.remap(
        streaks,
        x,
        y + rng.uniform(0, 30) * (p.fractal(rng, h, w, 1, 3) - 0.5),
        cv2.INTER_LINEAR,
        None,
        cv2.BORDER_REFLECT,
    )
    rings = 0.5 + 0.5 * np.sin(bent * rng.uniform(4, 40))
    mix = rng.uniform(0, 0.6)
    return np.clip(0.65 * ((1 - mix) * bent + mix * rings) + 0.35 * fine, 0, 1)


def wood(rng: np.random.Generator, n: int) -> np.ndarray:
    """One board or planks with gaps; along x or y."""
    tone = wood_tone(rng)
    dark = tuple(int(c * rng.uniform(0.55, 0.92)) for c in tone)
    image = p.ramp(rng, grain(rng, n, n), [dark, tone])
    if rng.random() < 0.65:
        edges = np.unique(np.linspace(0, n, int(rng.integers(2, 10))).astype(int))
        gap = tuple(int(c * rng.uniform(0.2, 0.8)) for c in dark)
        for a, b in zip(edges[:-1], edges[1:], strict=True):
            image[a:b] = np.clip(np.roll(image[a:b], int(rng.integers(n)), 1) * rng.uniform(0.82, 1.12), 0, 255).astype(
                np.uint8
            )
            cv2.line(image, (0, int(a)), (n, int(a)), gap, int(rng.integers(1, 4)))
            if rng.random() < 0.5:
                x = int(rng.integers(n))
                cv2.line(image, (x, int(a)), (x, int(b)), gap, int(rng.integers(1, 3)))
    return np.ascontiguousarray(image.transpose(1, 0, 2)) if rng.random() < 0.5 else image


def fabric(rng: np.random.Generator, n: int) -> np.ndarray:
    """Weave, stripes or checks, with soft folds."""
    y, x = np.mgrid[0:n, 0:n].astype(np.float32)
    pitch = rng.uniform(3, 14)
    weave = 0.5 + 0.25 * np.sin(2 * np.pi * x / pitch) + 0.25 * np.sin(2 * np.pi * y / pitch)
    image = p.modulate(p.blank(n, n, p.any_colour(rng)), weave, rng.uniform(0.03, 0.25))
    kind = rng.random()
    if kind < 0.45:
        period, other = rng.uniform(20, 130), np.array(p.any_colour(rng))
        for axis in (x,) if kind < 0.2 else (x, y):
            band = ((axis % period) < period * rng.uniform(0.1, 0.6))[..., None]
            image = np.where(band, (image * 0.5 + other * 0.5), image).astype(np.uint8)
    folds = cv2.GaussianBlur(p.fractal(rng, n, n, 1, 4), (0, 0), 3)
    return p.grain(rng, p.modulate(image, folds, rng.uniform(0, 0.4)), rng.uniform(0, 10))


def stone(rng: np.random.Generator, n: int) -> np.ndarray:
    """Marble, granite, concrete, plaster."""
    tone = p.grey(rng, 0.15, 0.95) if rng.random() < 0.7 else p.muted(rng)
    other = tuple(int(np.clip(c * rng.uniform(0.5, 1.3), 0, 255)) for c in tone)
    field = p.fractal(rng, n, n, 1, 8, rng.uniform(0.4, 0.8))
    if rng.random() < 0.4:
        field = np.abs(2 * field - 1) ** rng.uniform(0.3, 0.9)
    image = p.ramp(rng, field, [tone, other])
    return p.grain(rng, image, rng.uniform(0, 30) if rng.random() < 0.5 else 0)


def carpet(rng: np.random.Generator, n: int) -> np.ndarray:
    """Pile carpet, felt, asphalt, grass: strong fine noise."""
    image = p.ramp(rng, p.fractal(rng, n, n, 4, 8, rng.uniform(0.8, 1.1)), [p.any_colour(rng), p.any_colour(rng)])
    image = p.grain(rng, image, rng.uniform(5, 40))
    if rng.random() < 0.4:
        pattern = pictures.waves(rng, n, n)
        image = cv2.addWeighted(image, 0.6, pattern, 0.4, 0)
    return image


def tiles(rng: np.random.Generator, n: int) -> np.ndarray:
    """Tiles, bricks, parquet: cells with joints, each a little different."""
    image = stone(rng, n) if rng.random() < 0.6 else wood(rng, n)
    tall = int(rng.integers(30, 220))
    wide = int(tall * rng.choice([1, 1, 2, 3]))
    joint, thick, shift = p.grey(rng, 0.1, 0.95), int(rng.integers(1, 7)), rng.random() < 0.4
    for row, y in enumerate(range(0, n, tall)):
        for x in range(-(wide // 2) * (row % 2) * shift, n, wide):
            cell = image[y : y + tall, max(0, x) : x + wide]
            cell[:] = np.clip(cell * rng.uniform(0.85, 1.1), 0, 255).astype(np.uint8)
            cv2.rectangle(image, (x, y), (x + wide, y + tall), joint, thick)
    return image


def plain(rng: np.random.Generator, n: int) -> np.ndarray:
    """A desk top, a wall: one tone or a slow gradient."""
    kind = rng.random()
    tone = p.grey(rng, 0.7, 1) if kind < 0.35 else p.grey(rng, 0, 0.25) if kind < 0.55 else p.any_colour(rng)
    other = tuple(int(np.clip(c * rng.uniform(0.7, 1.2), 0, 255)) for c in tone)
    image = p.ramp(rng, p.fractal(rng, n, n, 1, int(rng.integers(1, 5))), [tone, other])
    return p.grain(rng, image, rng.uniform(0, 8))


def leather(rng: np.random.Generator, n: int) -> np.ndarray:
    """Leather, faux leather, rubber: a net of fine creases."""
    field = cv2.GaussianBlur(rng.random((n, n), dtype=np.float32), (0, 0), rng.uniform(1.5, 4))
    field = np.abs((field - field.mean()) / field.std())
    return p.modulate(p.blank(n, n, p.muted(rng)), np.clip(field, 0, 1), rng.uniform(0.1, 0.4))
