"""Sheets: letters, forms, tables, receipts, squared paper, blanks — one painter per kind.

A painter gets (rng, h, w) and returns uint8 RGB [h, w, 3], the flat sheet seen from above; `KINDS` adds its
share of the bank and the range of aspect ratios (width / height).
"""

from __future__ import annotations

import cv2
import numpy as np

from training.document_corners import paint as p
from training.document_corners import pictures


def margins(rng: np.random.Generator, h: int, w: int) -> tuple[int, int, int, int]:
    m = rng.uniform(0.03, 0.13) * min(h, w)
    return (
        int(m * rng.uniform(0.7, 1.3)),
        int(m * rng.uniform(0.7, 1.6)),
        int(w - m),
        int(h - m * rng.uniform(0.7, 1.5)),
    )


def sheet(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Empty paper, slightly uneven; stained or yellowed sometimes."""
    image = p.blank(h, w, p.paper(rng))
    if rng.random() < 0.5:
        image = p.modulate(image, p.fractal(rng, h, w, 1, 6), rng.uniform(0.01, 0.06))
    if rng.random() < 0.08:
        spots = np.clip(p.fractal(rng, h, w, 2, 5) * 2.2 - 1.2, 0, 1)[..., None]
        image = (image * (1 - 0.5 * spots) + np.array([150, 110, 60]) * 0.5 * spots).astype(np.uint8)
    return image


def letter(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    image = sheet(rng, h, w)
    x0, y0, x1, y1 = margins(rng, h, w)
    colour, face = p.ink(rng), p.any_face(rng)
    size = int(rng.integers(4, 10))
    y = y0
    if rng.random() < 0.5:
        p.headline(rng, image, x0, y, x1 - x0, int(size * rng.uniform(1.5, 4)), p.ink(rng))
        y += size * 5
    if rng.random() < 0.4:
        for k in range(int(rng.integers(2, 5))):
            p.text_line(rng, image, x0, int(y + (k + 1) * size * 1.7), (x1 - x0) // 3, size, colour, face)
        y += size * 12
    end = y1 if rng.random() < 0.6 else int(y + (y1 - y) * rng.uniform(0.25, 0.9))
    p.paragraph(rng, image, (x0, int(y), x1, end), size, colour, face)
    if end < y1 - 30 and rng.random() < 0.6:
        p.signature(rng, image, x0 + int((x1 - x0) * rng.random() * 0.6), end + 25, (x1 - x0) // 4, p.ink(rng))
    return image


def article(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Columns with a title, pictures and captions: papers, newspapers, leaflets."""
    image = sheet(rng, h, w)
    x0, y0, x1, y1 = margins(rng, h, w)
    colour, face = p.ink(rng), p.any_face(rng)
    size = int(rng.integers(3, 7))
    if rng.random() < 0.75:
        big = int(h * rng.uniform(0.03, 0.12))
        p.headline(rng, image, x0, y0, x1 - x0, big, p.ink(rng))
        y0 += int(big * 1.5)
    cols = int(rng.integers(1, 5))
    gap = int(0.03 * w)
    wide = (x1 - x0 - gap * (cols - 1)) // cols
    for c in range(cols):
        x, y = x0 + c * (wide + gap), y0
        while y < y1 - 10:
            tall = int((y1 - y0) * rng.uniform(0.12, 0.5))
            bottom = min(y1, y + tall)
            if rng.random() < 0.25 and bottom - y > 12:
                image[y:bottom, x : x + wide] = pictures.picture(rng, bottom - y, wide)[: bottom - y, :wide]
            else:
                p.paragraph(rng, image, (x, y, x + wide, bottom), size, colour, face)
            y = bottom + size * 2
    return image


def form(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Boxes, labels, rules and check marks."""
    image = sheet(rng, h, w)
    x0, y0, x1, y1 = margins(rng, h, w)
    colour, face = p.ink(rng), p.any_face(rng)
    p.headline(rng, image, x0, y0, x1 - x0, int(h * rng.uniform(0.02, 0.05)), colour)
    y = y0 + int(h * 0.08)
    tint = p.hsv(rng.random(), rng.uniform(0, 0.4), rng.uniform(0.75, 0.97))
    while y < y1 - 12:
        tall = int(rng.uniform(0.025, 0.07) * h)
        edges = np.linspace(x0, x1, int(rng.integers(2, 5)))
        for a, b in zip(edges[:-1].astype(int), edges[1:].astype(int), strict=True):
            style = rng.random()
            if style < 0.25:
                cv2.rectangle(image, (a, y), (b, y + tall), tint, -1)
            if style < 0.7:
                cv2.rectangle(image, (a, y), (b, y + tall), colour, 1)
            else:
                cv2.line(image, (a, y + tall - 2), (b - 5, y + tall - 2), colour, 1)
            p.text_line(rng, image, a + 3, y + tall // 2 + 2, (b - a) // 2, max(4, tall // 4), colour, face)
            if rng.random() < 0.4:
                p.scribble(rng, image, (a + b) // 2, y + tall - 4, (b - a) // 2, max(6, tall // 2), p.ink(rng))
        y += tall + (int(rng.integers(2, 14)) if rng.random() < 0.4 else 0)
    if rng.random() < 0.3:
        side = int(0.1 * w)
        p.bars(rng, image, (x1 - side, y0, x1, y0 + side), rng.random() < 0.5)
    return image


def invoice(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    image = sheet(rng, h, w)
    x0, y0, x1, y1 = margins(rng, h, w)
    colour, face = p.ink(rng), p.any_face(rng)
    if rng.random() < 0.4:
        band = int(h * rng.uniform(0.04, 0.14))
        image[:band] = p.vivid(rng)
        y0 = max(y0, band + 6)
    p.headline(rng, image, x0, y0, (x1 - x0) // 2, int(h * 0.05), p.vivid(rng))
    middle = (x0 + x1) // 2
    p.paragraph(rng, image, (x0, y0 + int(h * 0.08), middle - 20, y0 + int(h * 0.2)), 5, colour, face)
    p.paragraph(rng, image, (middle + 20, y0, x1, y0 + int(h * 0.16)), 5, colour, face)
    top = y0 + int(h * rng.uniform(0.22, 0.32))
    end = top + int((y1 - top) * rng.uniform(0.35, 0.8))
    p.table(rng, image, (x0, top, x1, end), colour, face)
    p.paragraph(rng, image, (middle, end + 8, x1, min(y1, end + 60)), 6, colour, face)
    if rng.random() < 0.35:
        centre, radius = (int(rng.integers(x0, x1)), int(rng.integers(end, y1 + 1))), int(w * rng.uniform(0.06, 0.12))
        cv2.circle(image, centre, radius, (200, 40, 50), 2, cv2.LINE_AA)
        cv2.circle(image, centre, radius // 2, (200, 60, 60), 2, cv2.LINE_AA)
    return image


def receipt(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    image = p.blank(h, w, p.hsv(rng.uniform(0.05, 0.7), rng.random() * 0.06, rng.uniform(0.85, 1)))
    size, face, colour = max(5, int(w / rng.uniform(22, 38))), p.any_face(rng), p.grey(rng, 0.1, 0.45)
    x0, x1, y = int(w * 0.06), int(w * 0.94), int(h * rng.uniform(0.02, 0.06))
    p.headline(rng, image, int(w * rng.uniform(0.1, 0.4)), y, int(w * 0.6), int(w * rng.uniform(0.08, 0.18)), colour)
    y += int(w * 0.28)
    while y < h * 0.97:
        style = rng.random()
        if style < 0.08:
            cv2.line(image, (x0, y), (x1, y), colour, 1)
        elif style < 0.14:
            tall = int(w * rng.uniform(0.12, 0.3))
            square = rng.random() < 0.4
            left = int(w * 0.35) if square else int(w * 0.2)
            p.bars(rng, image, (left, y, w - left, min(h - 2, y + (w - 2 * left if square else tall))), square)
            y += w - 2 * left if square else tall
        else:
            bold = 2 if rng.random() < 0.1 else 1
            p.text_line(rng, image, x0, y, int((x1 - x0) * rng.uniform(0.2, 0.65)), size, colour, face, bold)
            if rng.random() < 0.7:
                p.text_line(rng, image, int(w * 0.78), y, int(w * 0.17), size, colour, face, bold)
        y += int(size * rng.uniform(1.5, 2.1))
    return image


def ruled(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Lined, squared or dotted paper, with or without handwriting."""
    image = sheet(rng, h, w)
    line = p.hsv(rng.choice([0.55, 0.6, 0.0, 0.75, 0.35]), rng.uniform(0.1, 0.6), rng.uniform(0.6, 0.9))
    pitch = int(rng.integers(8, 26))
    top = int(rng.uniform(0, 0.12) * h)
    kind = rng.random()
    if kind < 0.15:
        image[pitch::pitch, pitch::pitch] = line
    else:
        for y in range(top + pitch, h, pitch):
            cv2.line(image, (0, y), (w, y), line, 1)
        if kind < 0.5:
            for x in range(int(rng.integers(pitch)), w, pitch):
                cv2.line(image, (x, 0), (x, h), line, 1)
    if rng.random() < 0.4:
        x = int(rng.uniform(0.06, 0.2) * w)
        cv2.line(image, (x, 0), (x, h), (220, 90, 100), 1)
    if rng.random() < 0.75:
        handwriting(rng, image, pitch, top)
    if rng.random() < 0.25:
        for y in np.linspace(h * 0.06, h * 0.94, int(rng.choice([2, 3, 4, 30]))).astype(int):
            cv2.circle(image, (int(w * 0.035), int(y)), max(2, int(w * 0.008)), p.grey(rng, 0, 0.4), -1, cv2.LINE_AA)
    return image


def handwriting(rng: np.random.Generator, image: np.ndarray, pitch: int, top: int) -> None:
    h, w = image.shape[:2]
    colour = p.ink(rng)
    last = int(h * rng.uniform(0.2, 1))
    left = int(w * rng.uniform(0.03, 0.2))
    size = int(np.clip(pitch * rng.uniform(0.45, 0.9), 5, 22))
    cursive = rng.random() < 0.6
    for y in range(top + pitch, last, pitch * (2 if pitch < 12 else 1)):
        wide = int((w - left) * rng.uniform(0.4, 0.97))
        if rng.random() < 0.1:
            continue
        if cursive:
            p.scribble(rng, image, left, y, wide, size, colour)
        else:
            p.text_line(rng, image, left, y, wide, size, colour, int(rng.choice(p.HANDWRITING)))


def notes(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Handwriting, sketches and diagrams on plain paper."""
    image = sheet(rng, h, w)
    handwriting(rng, image, int(rng.integers(14, 34)), int(rng.uniform(0.02, 0.1) * h))
    for _ in range(int(rng.integers(0, 5))):
        a, b = rng.integers(0, min(h, w), 2), rng.integers(0, min(h, w), 2)
        draw = (cv2.line, cv2.rectangle)[int(rng.integers(2))]
        draw(image, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), p.ink(rng), int(rng.integers(1, 3)), cv2.LINE_AA)
    return image


def plain(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Nothing or nearly nothing on it: the back of a sheet, a coloured card, a dark page."""
    kind = rng.random()
    if kind < 0.6:
        image = sheet(rng, h, w)
    elif kind < 0.85:
        image = p.blank(h, w, p.hsv(rng.random(), rng.uniform(0.1, 0.8), rng.uniform(0.3, 1)))
    else:
        image = p.blank(h, w, p.grey(rng, 0.03, 0.3))
    if rng.random() < 0.5:
        colour = p.contrasting(rng, tuple(int(c) for c in image[0, 0]))
        y = int(rng.uniform(0.05, 0.8) * h)
        p.text_line(
            rng,
            image,
            int(w * rng.uniform(0.05, 0.4)),
            y + 14,
            w // 2,
            int(rng.integers(5, 18)),
            colour,
            p.any_face(rng),
        )
    return image


def report(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Text with tables, charts, formulas, margins full of notes."""
    image = sheet(rng, h, w)
    x0, y0, x1, y1 = margins(rng, h, w)
    colour, face, size = p.ink(rng), p.any_face(rng), int(rng.integers(4, 8))
    y = y0
    while y < y1 - 20:
        bottom = min(y1, y + int(h * rng.uniform(0.1, 0.3)))
        kind = rng.random()
        if kind < 0.5:
            p.paragraph(rng, image, (x0, y, x1, bottom), size, colour, face)
        elif kind < 0.7:
            p.table(rng, image, (x0, y, x1, bottom), colour, face)
        elif kind < 0.85:
            chart(rng, image, (x0 + 10, y, x1 - 10, bottom))
        else:
            p.headline(rng, image, x0, y, x1 - x0, int(size * 2.2), p.ink(rng))
            bottom = y + size * 4
        y = bottom + size * 2
    return image


def chart(rng: np.random.Generator, image: np.ndarray, box: tuple[int, int, int, int]) -> None:
    x0, y0, x1, y1 = box
    cv2.rectangle(image, (x0, y0), (x1, y1), p.grey(rng, 0.2, 0.6), 1)
    n = int(rng.integers(3, 14))
    values = rng.random(n)
    xs = np.linspace(x0, x1, n + 1).astype(int)
    if rng.random() < 0.5:
        colour = p.vivid(rng)
        for a, b, v in zip(xs[:-1], xs[1:], values, strict=True):
            cv2.rectangle(image, (int(a) + 2, int(y1 - v * (y1 - y0))), (int(b) - 2, y1), colour, -1)
    else:
        for _ in range(int(rng.integers(1, 4))):
            points = np.stack([xs[1:], y1 - rng.random(n) * (y1 - y0)], 1).astype(np.int32)
            cv2.polylines(image, [points], False, p.vivid(rng), 1, cv2.LINE_AA)


# name: (painter, share, lowest and highest aspect, corner radius up to (of the shorter side), gloss, longer side in cm)
KINDS = {
    "letter": (letter, 15, (0.66, 0.80), 0.0, 0.0, (27, 30)),
    "article": (article, 10, (0.60, 0.85), 0.0, 0.2, (20, 40)),
    "form": (form, 9, (0.62, 0.95), 0.0, 0.0, (20, 30)),
    "invoice": (invoice, 8, (0.64, 0.85), 0.0, 0.0, (21, 30)),
    "receipt": (receipt, 9, (0.22, 0.60), 0.0, 0.1, (9, 28)),
    "ruled": (ruled, 9, (0.62, 0.95), 0.03, 0.0, (14, 30)),
    "notes": (notes, 5, (0.60, 1.05), 0.02, 0.0, (10, 30)),
    "plain": (plain, 7, (0.50, 1.20), 0.03, 0.1, (8, 30)),
    "report": (report, 7, (0.66, 0.80), 0.0, 0.0, (27, 30)),
}
