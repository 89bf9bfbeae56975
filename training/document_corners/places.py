"""Rooms, streets, meadows, people, animals: what pictures without a document show. (rng, n) -> uint8 RGB [n, n, 3]."""

from __future__ import annotations

import cv2
import numpy as np

from training.document_corners import paint as p
from training.document_corners import pictures, surfaces


def bokeh(rng: np.random.Generator, n: int) -> np.ndarray:
    """A defocused place: blurred leaves and lights."""
    image = cv2.GaussianBlur(pictures.dead_leaves(rng, n, n), (0, 0), rng.uniform(4, 25))
    for _ in range(int(rng.integers(0, 20))):
        spot = np.zeros_like(image)
        cv2.circle(
            spot, (int(rng.integers(n)), int(rng.integers(n))), int(rng.integers(4, 40)), p.vivid(rng), -1, cv2.LINE_AA
        )
        image = cv2.add(image, (spot * rng.uniform(0.2, 0.8)).astype(np.uint8))
    return image


def frame(rng: np.random.Generator, image: np.ndarray, box: tuple[int, int, int, int]) -> None:
    """A window, door, screen, picture frame or cupboard: rectangles that are no document."""
    x0, y0, x1, y1 = box
    border = max(2, int(min(x1 - x0, y1 - y0) * rng.uniform(0.02, 0.12)))
    cv2.rectangle(image, (x0, y0), (x1, y1), p.any_colour(rng), -1)
    x0, y0, x1, y1 = x0 + border, y0 + border, x1 - border, y1 - border
    if x1 - x0 < 6 or y1 - y0 < 6:
        return
    kind = rng.random()
    if kind < 0.35:
        image[y0:y1, x0:x1] = pictures.picture(rng, y1 - y0, x1 - x0)[: y1 - y0, : x1 - x0]
    elif kind < 0.65:
        glass = p.hsv(rng.uniform(0.5, 0.65), rng.uniform(0, 0.5), rng.uniform(0.1, 1))
        cv2.rectangle(image, (x0, y0), (x1, y1), glass, -1)
        for _ in range(int(rng.integers(0, 3))):
            x = int(rng.integers(x0, x1))
            cv2.line(image, (x, y0), (x, y1), p.any_colour(rng), border)
    else:
        panel = p.any_colour(rng)
        rows, cols = rng.integers(1, 4), rng.integers(1, 3)
        for r in range(rows):
            for c in range(cols):
                a, b = x0 + (x1 - x0) * c // cols, y0 + (y1 - y0) * r // rows
                corner = (x0 + (x1 - x0) * (c + 1) // cols, y0 + (y1 - y0) * (r + 1) // rows)
                cv2.rectangle(image, (int(a), int(b)), (int(corner[0]), int(corner[1])), panel, border)


def room(rng: np.random.Generator, n: int) -> np.ndarray:
    """Walls, floor, furniture-like boxes, frames and people-like figures."""
    image = surfaces.plain(rng, n)
    floor = int(n * rng.uniform(0.5, 0.95))
    painter = (surfaces.wood, surfaces.carpet, surfaces.tiles, surfaces.stone)[int(rng.integers(4))]
    image[floor:] = painter(rng, n)[floor:]
    if rng.random() < 0.5:
        x, tone = int(n * rng.uniform(0.1, 0.9)), rng.uniform(0.7, 0.95)
        image[:floor, :x] = (image[:floor, :x] * tone).astype(np.uint8)
    for _ in range(int(rng.integers(1, 7))):
        x, y = int(rng.uniform(-0.1, 0.85) * n), int(rng.uniform(0, 0.7) * n)
        box = (
            max(0, x),
            y,
            min(n - 1, x + int(n * rng.uniform(0.1, 0.5))),
            min(n - 1, y + int(n * rng.uniform(0.1, 0.5))),
        )
        frame(rng, image, box)
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        wide = int(n * rng.uniform(0.15, 0.6))
        x, y = int(rng.integers(0, n - wide)), int(rng.integers(0, n - wide))
        figure = pictures.portrait(rng, wide, wide)
        keep = np.zeros((wide, wide), np.uint8)
        cv2.ellipse(keep, (wide // 2, int(wide * 0.7)), (int(wide * 0.4), int(wide * 0.65)), 0, 0, 360, 1, -1)
        part = image[y : y + wide, x : x + wide]
        part[keep > 0] = figure[keep > 0]
    return p.modulate(image, p.fractal(rng, n, n, 1, 2), rng.uniform(0, 0.4))


def clutter(rng: np.random.Generator, n: int) -> np.ndarray:
    """Shelves and piles: many boxes of any colour, none of them a page."""
    image = surfaces.plain(rng, n)
    for _ in range(int(rng.integers(10, 70))):
        x, y, w, h = rng.uniform(-0.1, 1), rng.uniform(-0.1, 1), rng.uniform(0.02, 0.3), rng.uniform(0.02, 0.3)
        box = cv2.boxPoints(((x * n, y * n), (w * n, h * n), rng.normal(0, 12))).astype(np.int32)
        cv2.fillPoly(image, [box], p.any_colour(rng), cv2.LINE_AA)
        if rng.random() < 0.4:
            cv2.polylines(image, [box], True, p.any_colour(rng), int(rng.integers(1, 5)), cv2.LINE_AA)
    return p.modulate(image, p.fractal(rng, n, n, 1, 6), rng.uniform(0, 0.3))


def fur(rng: np.random.Generator, h: int, w: int, tones: list[p.Colour]) -> np.ndarray:
    """Short strokes along a slowly turning direction: fur, grass, hair, straw."""
    image = p.ramp(rng, p.fractal(rng, h, w, 1, 5), tones)
    way = p.fractal(rng, h, w, 1, 3) * rng.uniform(2, 9)
    length = rng.uniform(4, 16)
    for y, x in zip(rng.integers(0, h, 2500).tolist(), rng.integers(0, w, 2500).tolist(), strict=True):
        shade = rng.uniform(0.6, 1.35)
        colour = tuple(int(min(255, c * shade)) for c in image[y, x].tolist())
        end = (int(x + length * np.cos(way[y, x])), int(y + length * np.sin(way[y, x])))
        cv2.line(image, (x, y), end, colour, 1, cv2.LINE_AA)
    return image


def creature(rng: np.random.Generator, n: int) -> np.ndarray:
    """An animal-like body: furry ovals, ears, eyes, before something blurred."""
    image = (bokeh, surfaces.plain, room, surfaces.carpet)[int(rng.integers(4))](rng, n)
    tone = p.hsv(rng.uniform(0.02, 0.13), rng.uniform(0, 0.6), rng.uniform(0.1, 0.95))
    coat = fur(rng, n, n, [tone, p.grey(rng, 0.05, 0.95)])
    mask = np.zeros((n, n), np.uint8)
    x, y, r = n * rng.uniform(0.3, 0.7), n * rng.uniform(0.25, 0.55), n * rng.uniform(0.14, 0.36)

    def oval(a: float, b: float, wide: float, tall: float, turn: float) -> None:
        cv2.ellipse(mask, (int(a), int(b)), (int(wide), int(tall)), turn, 0, 360, 255, -1)

    oval(x + rng.normal(0, r), y + 1.8 * r, r * rng.uniform(1, 1.9), r * rng.uniform(1, 1.7), rng.uniform(-30, 30))
    oval(x, y, r, r * rng.uniform(0.8, 1.1), 0)
    for side in (-1, 1):
        ear = np.array(
            [
                [x + side * 0.95 * r, y - 0.3 * r],
                [x + side * 0.85 * r, y - 1.45 * r],
                [x + side * 0.15 * r, y - 0.85 * r],
            ]
        )
        cv2.fillPoly(mask, [ear.astype(np.int32)], 255)
    image = np.where(cv2.GaussianBlur(mask, (0, 0), 2)[..., None] > 127, coat, image)
    for side in (-1, 1):
        eye = (int(x + side * 0.4 * r), int(y - 0.1 * r))
        cv2.circle(image, eye, max(2, int(r * 0.17)), p.hsv(rng.uniform(0.1, 0.4), 0.6, 0.7), -1, cv2.LINE_AA)
        cv2.circle(image, eye, max(1, int(r * 0.08)), (10, 10, 10), -1, cv2.LINE_AA)
    return image


def crowd(rng: np.random.Generator, n: int) -> np.ndarray:
    """People-like figures, one close or many far, before any background."""
    image = (bokeh, surfaces.plain, room, street, meadow)[int(rng.integers(5))](rng, n)
    count = int(rng.choice([1, 2, 3, 6, 14]))
    size = int(n * np.clip(rng.uniform(0.8, 1.5) / count**0.6, 0.15, 1))
    for _ in range(count):
        figure = pictures.portrait(rng, size, size)
        keep = np.zeros((size, size), np.uint8)
        cv2.ellipse(keep, (size // 2, int(size * 0.38)), (int(size * 0.27), int(size * 0.36)), 0, 0, 360, 1, -1)
        cv2.ellipse(keep, (size // 2, size), (int(size * 0.46), int(size * 0.45)), 0, 0, 360, 1, -1)
        x, y = int(rng.integers(-size // 4, n - size // 2)), int(rng.integers(0, max(1, n - size // 2)))
        part = image[y : y + size, max(0, x) : x + size]
        cut = (slice(0, part.shape[0]), slice(max(0, -x), max(0, -x) + part.shape[1]))
        part[keep[cut] > 0] = figure[cut][keep[cut] > 0]
    return image


def street(rng: np.random.Generator, n: int) -> np.ndarray:
    """Houses with rows of windows under a sky, cars as rounded boxes."""
    image = p.ramp(
        rng,
        np.linspace(0, 1, n, dtype=np.float32)[:, None].repeat(n, 1),
        [p.hsv(0.58, 0.4, 0.9), p.grey(rng, 0.5, 0.95)],
    )
    x = 0
    while x < n:
        wide, top = int(n * rng.uniform(0.12, 0.5)), int(n * rng.uniform(0.02, 0.6))
        cv2.rectangle(image, (x, top), (x + wide, n), p.muted(rng), -1)
        pitch, pane = int(rng.integers(14, 60)), p.grey(rng, 0.05, 0.9)
        for wy in range(top + pitch // 2, n - pitch, pitch):
            for wx in range(x + pitch // 3, x + wide - pitch // 2, pitch):
                cv2.rectangle(image, (wx, wy), (wx + pitch // 2, wy + int(pitch * 0.65)), pane, -1)
        x += wide
    road = int(n * rng.uniform(0.7, 0.95))
    image[road:] = p.grey(rng, 0.2, 0.6)
    for _ in range(int(rng.integers(0, 4))):
        wide, at = int(n * rng.uniform(0.1, 0.4)), int(rng.integers(0, n))
        cv2.ellipse(image, (at, road), (wide // 2, wide // 5), 0, 0, 360, p.any_colour(rng), -1, cv2.LINE_AA)
    return p.modulate(image, p.fractal(rng, n, n, 1, 7), rng.uniform(0.05, 0.3))


def table_top(rng: np.random.Generator, image: np.ndarray, far: int, near: int) -> None:
    """A desk in perspective from row far to row near: a textured trapezoid with an edge, legs and things on it."""
    n = len(image)
    middle, wide = rng.uniform(-0.1, 1.1) * n, rng.uniform(0.15, 0.9) * n * (near / n)
    lean, shrink = rng.normal(0, 0.25) * n, rng.uniform(0.35, 0.95)
    top = np.array(
        [
            [middle + lean - wide * shrink, far],
            [middle + lean + wide * shrink, far],
            [middle + wide, near],
            [middle - wide, near],
        ]
    )
    side = n // 3
    texture = (surfaces.wood, surfaces.plain, surfaces.stone)[int(rng.integers(3))](rng, side)
    square = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    to_image = cv2.getPerspectiveTransform(square, top.astype(np.float32))
    edge, leg = tuple(int(c * 0.6) for c in texture[0, 0]), p.grey(rng, 0.05, 0.7)
    for x in (top[2, 0] - 4, top[3, 0] + 4):
        cv2.line(image, (int(x), near), (int(x), n), leg, max(2, n // 60))
    for _ in range(int(rng.integers(0, 5))):
        a, size = rng.uniform(0, side, 2), rng.uniform(0.05, 0.3, 2) * side
        cv2.rectangle(
            texture, tuple(a.astype(int).tolist()), tuple((a + size).astype(int).tolist()), p.any_colour(rng), -1
        )
    mask = cv2.warpPerspective(np.full((side, side), 255, np.uint8), to_image, (n, n))
    seen = cv2.warpPerspective(texture, to_image, (n, n))
    image[mask > 127] = seen[mask > 127]
    thick = max(2, int((near - far) * 0.08))
    cv2.fillPoly(image, [np.array([top[3], top[2], top[2] + [0, thick], top[3] + [0, thick]]).astype(np.int32)], edge)


def interior(rng: np.random.Generator, n: int) -> np.ndarray:
    """A furnished room: corner of two walls, floor, windows, desks in perspective, people between them."""
    image = surfaces.plain(rng, n)
    floor = int(n * rng.uniform(0.3, 0.7))
    corner, drop = int(n * rng.uniform(-0.2, 1.2)), int(n * rng.uniform(0, 0.35))
    tone = tuple(int(c * rng.uniform(0.7, 0.97)) for c in image[0, 0])
    cv2.fillPoly(image, [np.array([[corner, 0], [n * 2, 0], [n * 2, floor + 2 * drop], [corner, floor]])], tone)
    ground = (surfaces.wood, surfaces.carpet, surfaces.tiles, surfaces.stone, surfaces.plain)[int(rng.integers(5))](
        rng, n
    )
    below = np.zeros((n, n), np.uint8)
    cv2.fillPoly(
        below, [np.array([[-n, floor + drop], [corner, floor], [n * 2, floor + drop], [n * 2, n * 2], [-n, n * 2]])], 1
    )
    image = np.where(below[..., None] > 0, ground, image)
    for _ in range(int(rng.integers(0, 4))):
        x, y, w, h = (
            rng.uniform(0, 0.9) * n,
            rng.uniform(0, 0.2) * n,
            rng.uniform(0.05, 0.4) * n,
            rng.uniform(0.1, 0.4) * n,
        )
        frame(rng, image, (int(x), int(y), min(n - 1, int(x + w)), min(n - 1, int(y + h))))
    rows = np.sort(rng.uniform(floor / n, 0.95, int(rng.integers(1, 6))))
    for row in rows:
        if rng.random() < 0.6:
            size = int(n * row * rng.uniform(0.2, 0.5))
            figure, x, y = (
                pictures.portrait(rng, size, size),
                int(rng.integers(0, n - size)),
                max(0, int(row * n) - size),
            )
            keep = np.zeros((size, size), np.uint8)
            cv2.ellipse(keep, (size // 2, int(size * 0.7)), (int(size * 0.33), int(size * 0.6)), 0, 0, 360, 1, -1)
            image[y : y + size, x : x + size][keep > 0] = figure[keep > 0]
        table_top(rng, image, int(row * n), min(n + n // 4, int(row * n + n * rng.uniform(0.05, 0.3))))
    return p.modulate(image, p.fractal(rng, n, n, 1, 2), rng.uniform(0, 0.3))


def meadow(rng: np.random.Generator, n: int) -> np.ndarray:
    """Leaves, lawns, trunks: the green outdoors."""
    image = fur(rng, n, n, [p.hsv(rng.uniform(0.18, 0.4), rng.uniform(0.2, 0.8), v) for v in (0.2, 0.5, 0.8)])
    for _ in range(int(rng.integers(0, 90))):
        tone = p.hsv(rng.uniform(0.05, 0.42), rng.uniform(0.2, 0.9), rng.uniform(0.1, 0.9))
        axes = (int(rng.integers(4, 40)), int(rng.integers(3, 14)))
        at = (int(rng.integers(n)), int(rng.integers(n)))
        cv2.ellipse(image, at, axes, rng.uniform(0, 180), 0, 360, tone, -1, cv2.LINE_AA)
    if rng.random() < 0.3:
        x = int(rng.integers(n))
        cv2.line(image, (x, 0), (x + int(rng.normal(0, 30)), n), p.hsv(0.07, 0.4, 0.3), int(rng.integers(8, 70)))
    return image
