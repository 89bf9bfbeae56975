"""A picture that is nobody's: what trial inputs look like where a model takes pictures.

Noise says little about a net that was trained on photographs: its first layers average it away, and what comes after
sees values that it never meets in use. This has what pictures have: light that falls off, edges at all angles, flat
places, writing of several sizes, saturated colours and some grain.
"""

from __future__ import annotations

import numpy as np

_DISCS = 12
_GLYPH = (7, 5)


def draw(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    """uint8 [height, width, channels], the same for the same arguments."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    light = 150 + 90 * np.cos(2.5 * y / height + rng.uniform(-1, 1)) * np.cos(2 * x / width - rng.uniform(0, 1))
    picture = light[..., None] * rng.uniform(0.8, 1.0, channels)
    for _ in range(_DISCS):
        centre, radius = rng.uniform(0, 1, 2) * (height, width), rng.uniform(0.03, 0.22) * min(height, width)
        squash, turn = rng.uniform(0.3, 1.0), rng.uniform(0, np.pi)
        u, v = y - centre[0], x - centre[1]
        along, across = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
        inside = along**2 + (across / squash) ** 2 < radius**2
        if rng.random() < 0.3:
            inside = (np.abs(along) < radius) & (np.abs(across) < radius * squash)
        picture[inside] = rng.uniform(0, 255, channels)
    _write(picture, rng)
    picture += rng.normal(0, 4, picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _write(picture: np.ndarray, rng: np.random.Generator) -> None:
    """Rows of invented letters, dark or bright, from a few pixels high to a fifth of the picture."""
    height, width = picture.shape[:2]
    top = int(rng.integers(1, 6))
    while True:
        scale = int(rng.integers(1, max(2, min(height // 40, 6)) + 1))
        tall, wide = _GLYPH[0] * scale, (_GLYPH[1] + 1) * scale
        left, right = sorted(int(v) for v in rng.uniform(0, width, 2))
        if top + tall > height:
            return
        letters = max((right - left) // wide, 0)
        for number in range(letters):
            if rng.random() < 0.15:
                continue  # between two words
            glyph = np.kron(rng.random(_GLYPH) < 0.45, np.ones((scale, scale), bool))
            at = picture[top:top + tall, left + number * wide:left + number * wide + glyph.shape[1]]
            at[glyph] = 25
        top += int(tall * rng.uniform(1.3, 2.5)) + 1
