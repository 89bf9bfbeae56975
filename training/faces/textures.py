"""Pictures that hold no face and no object either: overlapping shapes, invented writing, noise, shuffled photographs.
What a detector takes for a face of ten pixels is mostly of this kind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from training.faces.sources import SIDE, Scenes


def colours(rng: np.random.Generator, n: int) -> np.ndarray:
    """Related colours [n,3]: a few tones of one palette."""
    base = rng.integers(0, 256, (max(2, n // 12), 3))
    return np.clip(base[rng.integers(len(base), size=n)] + rng.normal(0, 25, (n, 3)), 0, 255)


def leaves(rng: np.random.Generator) -> np.ndarray:
    """Shapes of all sizes over one another, as in natural pictures (sizes by an inverse cube law)."""
    canvas = np.full((SIDE, SIDE, 3), colours(rng, 1)[0], np.uint8)
    count = int(rng.integers(300, 1600))
    radii = np.clip(5 / np.sqrt(rng.random(count) + 1e-4), 4, 180)
    radii[::-1].sort()
    for radius, colour in zip(radii, colours(rng, count).tolist(), strict=True):
        centre = tuple(int(v) for v in rng.integers(0, SIDE, 2))
        axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.3, 1.0))))
        turn = float(rng.uniform(0, 180))
        if rng.random() < 0.5:
            cv2.ellipse(canvas, centre, axes, turn, 0, 360, colour, -1, cv2.LINE_AA)
        else:
            corners = cv2.boxPoints((centre, (2 * axes[0], 2 * axes[1]), turn))
            cv2.fillPoly(canvas, [corners.astype(np.int32)], colour, cv2.LINE_AA)
    return canvas


def writing(rng: np.random.Generator) -> np.ndarray:
    """Lines of invented signs: strokes, boxes and dots in cells, from six pixels to sixty."""
    paper, ink = colours(rng, 2)
    if rng.random() < 0.7:
        paper, ink = np.clip(paper * 0.3 + 170, 0, 255), ink * 0.4
    canvas = np.full((SIDE, SIDE, 3), paper, np.uint8)
    y = int(rng.integers(4, 30))
    while y < SIDE - 10:
        size = int(np.exp(rng.uniform(np.log(6), np.log(60))))
        x = int(rng.integers(4, 60))
        while x < SIDE - size:
            if rng.random() < 0.9:
                sign(canvas, rng, x, y, size, ink.tolist())
            x += int(size * rng.uniform(0.9, 1.4))
        y += int(size * rng.uniform(1.2, 2.0))
    return cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.3, 1.2)))


def sign(canvas: np.ndarray, rng: np.random.Generator, x: int, y: int, size: int, ink: list[float]) -> None:
    wide = max(1, round(size * rng.uniform(0.05, 0.14)))
    for _ in range(int(rng.integers(2, 7))):
        a, b = rng.integers(0, 4, 2) * size / 4, rng.integers(0, 4, 2) * size / 4
        kind = rng.random()
        if kind < 0.7:
            b = np.array([a[0], b[1]]) if kind < 0.3 else np.array([b[0], a[1]]) if kind < 0.6 else b
            cv2.line(canvas, (int(x + a[0]), int(y + a[1])), (int(x + b[0]), int(y + b[1])), ink, wide, cv2.LINE_AA)
        elif kind < 0.85:
            cv2.rectangle(canvas, (int(x + a[0]), int(y + a[1])), (int(x + b[0]), int(y + b[1])), ink, wide)
        else:
            cv2.circle(canvas, (int(x + a[0]), int(y + a[1])), max(1, size // 6), ink, wide if kind < 0.93 else -1)


def noise(rng: np.random.Generator) -> np.ndarray:
    """Clouds of several finenesses, in colours."""
    total = np.zeros((SIDE, SIDE, 3), np.float32)
    for cells in (4, 12, 36, 108, 256):
        coarse = rng.normal(0, 1, (cells, cells, 3)).astype(np.float32)
        coarse = coarse * 0.4 + coarse.mean(2, keepdims=True)
        total += cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) * rng.uniform(0.2, 1.0)
    return np.clip(total * rng.uniform(15, 50) + colours(rng, 1)[0], 0, 255).astype(np.uint8)


def shuffled(rng: np.random.Generator, scenes: Scenes) -> np.ndarray:
    """A photograph cut into pieces smaller than half a face, which are turned and exchanged: skin and hair, no face."""
    row = int(rng.integers(len(scenes.sizes)))
    w, h = scenes.sizes[row].astype(int)
    picture = scenes.pictures[row].transpose(1, 2, 0)[:h, :w]
    faces = scenes.boxes[row][scenes.boxes[row, :, 2] > 0]
    size = float(np.median(faces[:, 2:].min(1))) if len(faces) else 60.0
    side = int(np.clip(size * rng.uniform(0.25, 0.45), 8, 128))
    picture = cv2.resize(np.ascontiguousarray(picture), (max(1, w // side) * side, max(1, h // side) * side))
    rows, columns = picture.shape[0] // side, picture.shape[1] // side
    pieces = picture.reshape(rows, side, columns, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    pieces = np.stack([np.rot90(p, int(rng.integers(4))) for p in pieces[rng.permutation(len(pieces))]])
    mixed = pieces.reshape(rows, columns, side, side, 3).swapaxes(1, 2).reshape(picture.shape)
    return cv2.resize(mixed, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def textures(count: int, scenes: Scenes, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [count,3,512,512] and sizes [count,2]; a picture depends on the seed and its number only."""

    def one(number: int) -> np.ndarray:
        rng = np.random.default_rng([seed, number])
        kind = number % 4
        drawn = shuffled(rng, scenes) if kind == 3 else (leaves, writing, noise)[kind](rng)
        return drawn.transpose(2, 0, 1)

    with ThreadPoolExecutor(8) as pool:
        made = np.stack(list(pool.map(one, range(count))))
    return made, np.full((count, 2), SIDE, np.float32)
