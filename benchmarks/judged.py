"""Pictures that models are judged on, and how much two answers have in common."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "seven", "wizards", "1984", "No. 42", "17.50"]
LEVEL, LEAST_PIXELS, IOU = 0.3, 12, 0.5
SURE = 0.3
"""Probability of the first class from which on a classifier is taken to recognise a picture."""
Box = tuple[int, int, int, int]


def crops(files: list[Path], count: int, seed: int) -> list[Image.Image]:
    """Random parts of photos, as often from each as from any other, some mirrored, some darker."""
    rng, made = np.random.default_rng(seed), []
    for i in range(count):
        image = Image.open(files[i % len(files)]).convert("RGB")
        share = rng.uniform(0.5, 1.0)
        width, height = max(32, int(image.width * share)), max(32, int(image.height * share))
        left, top = (int(rng.integers(0, max(1, room))) for room in (image.width - width, image.height - height))
        part = image.crop((left, top, left + width, top + height)).resize((256, 256), Image.Resampling.BILINEAR)
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part
        levels = np.minimum(np.arange(256) * rng.uniform(0.6, 1.2), 255).astype(int)
        made.append(part.point(list(levels) * 3))
    return made


def pages(count: int, seed: int) -> list[Image.Image]:
    """Lines of words in several sizes and colours on uneven paper, a little turned."""
    rng, made = np.random.default_rng(seed), []
    for _ in range(count):
        light = rng.integers(150, 256)
        shade = np.linspace(0, rng.uniform(-60, 0), 320)[:, None] * rng.random() + np.zeros((1, 320))
        paper = np.clip(light + shade[..., None] + rng.normal(0, 3, (320, 320, 3)), 0, 255).astype(np.uint8)
        page, at = Image.fromarray(paper), int(rng.integers(5, 30))
        draw = ImageDraw.Draw(page)
        while at < 300:
            size, words = int(rng.integers(11, 34)), rng.choice(WORDS, int(rng.integers(1, 6)))
            ink = tuple(int(v) for v in rng.integers(0, 90, 3))
            draw.text((int(rng.integers(4, 90)), at), " ".join(words), ink, ImageFont.load_default(size))
            at += int(size * rng.uniform(1.3, 2.4))
        paper_colour = (int(light),) * 3
        made.append(page.rotate(rng.uniform(-6, 6), Image.Resampling.BILINEAR, fillcolor=paper_colour))
    return made


def boxes(scores: np.ndarray) -> list[Box]:
    """Around each connected part of a map [1, 1, H, W] above the level: left, top, right, bottom."""
    mask = scores[0, 0] > LEVEL
    return list(_boxes(mask.tobytes(), mask.shape))


@lru_cache(maxsize=1024)
def _boxes(data: bytes, shape: tuple[int, int]) -> tuple[Box, ...]:
    mask = np.frombuffer(data, bool).reshape(shape)
    found, seen = [], np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        if seen[y, x]:
            continue
        stack, rows, columns = [(y, x)], [], []
        seen[y, x] = True
        while stack:
            b, a = stack.pop()
            rows.append(b)
            columns.append(a)
            for v, u in ((b - 1, a), (b + 1, a), (b, a - 1), (b, a + 1)):
                if 0 <= v < mask.shape[0] and 0 <= u < mask.shape[1] and mask[v, u] and not seen[v, u]:
                    seen[v, u] = True
                    stack.append((v, u))
        if len(rows) >= LEAST_PIXELS:
            found.append((int(min(columns)), int(min(rows)), int(max(columns)) + 1, int(max(rows)) + 1))
    return tuple(found)


def overlap(a: Box, b: Box) -> float:
    """Of two boxes, as a share of what they cover together."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def agreement(exact: list[np.ndarray], found: list[np.ndarray]) -> float:
    """Classifiers: how often the first class is the same. Maps of text: F1 of the boxes, paired by overlap."""
    if exact[0].ndim != 4:
        return float(np.mean([np.argmax(a) == np.argmax(b) for a, b in zip(exact, found, strict=True)]))
    same = total = 0
    for a, b in zip(exact, found, strict=True):
        ours, left = boxes(a), boxes(b)
        total += len(ours) + len(left)
        for box in ours:
            best = max(left, key=lambda other, box=box: overlap(box, other), default=None)
            if best is not None and overlap(box, best) >= IOU:
                left.remove(best)
                same += 2
    return same / total if total else 1.0


def first_probability(scores: np.ndarray) -> float:
    """Of a row of scores, or of probabilities."""
    row = scores.reshape(-1).astype(np.float64)
    if row.min() < 0 or abs(row.sum() - 1) > 1e-3:
        row = np.exp(row - row.max())
    return float(row.max() / row.sum())


def judge(exact: list[np.ndarray], found: list[np.ndarray], count: int) -> str:
    """Cells: worst error over the range, agreement, and in brackets that on any picture, as the first `count` are."""
    worst = max(float(np.abs(a - b).max()) for a, b in zip(exact, found, strict=True))
    span = max(float(a.max()) for a in exact) - min(float(a.min()) for a in exact)
    sure = [k for k, a in enumerate(exact) if a.ndim == 4 or first_probability(a) >= SURE]

    def same(places: list[int]) -> str:
        return f"{100 * agreement([exact[k] for k in places], [found[k] for k in places]):.1f} %"

    chosen = f" ({same(list(range(count)))})" if sure != list(range(count)) else ""
    return f"{worst / span:.1e} | {same(sure)} of {len(sure)}{chosen}"
