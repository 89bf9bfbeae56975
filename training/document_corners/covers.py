"""Everything a scanner is shown that is not a plain sheet: cards, covers, magazines, notebooks, open books.

Same painters as in pages.py: (rng, h, w) -> uint8 RGB [h, w, 3].
"""

from __future__ import annotations

import cv2
import numpy as np

from training.document_corners import pages, pictures
from training.document_corners import paint as p


def ground(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """A printed ground: flat, gradient, texture or picture."""
    kind = rng.random()
    if kind < 0.35:
        return p.blank(h, w, p.any_colour(rng))
    if kind < 0.6:
        axis = np.linspace(0, 1, h, dtype=np.float32)[:, None].repeat(w, 1)
        axis = axis if rng.random() < 0.5 else np.linspace(0, 1, w, dtype=np.float32)[None].repeat(h, 0)
        return p.ramp(rng, axis, [p.any_colour(rng), p.any_colour(rng)])
    if kind < 0.75:
        return p.ramp(rng, p.fractal(rng, h, w, 1, 5), [p.any_colour(rng), p.any_colour(rng)])
    return pictures.picture(rng, h, w)


def lettering(rng: np.random.Generator, image: np.ndarray, lines: int) -> None:
    """Large lines anywhere, readable on what is below."""
    h, w = image.shape[:2]
    for _ in range(lines):
        y, x = int(rng.uniform(0.03, 0.88) * h), int(rng.uniform(0.03, 0.4) * w)
        size = int(np.clip(h * rng.uniform(0.03, 0.16), 6, 90))
        here = tuple(int(c) for c in image[min(h - 1, y + size // 2), min(w - 1, x + size)])
        p.headline(rng, image, x, y, int(w * 0.95) - x, size, p.contrasting(rng, here))


def blocks(rng: np.random.Generator, image: np.ndarray, count: int) -> None:
    """Full-width or full-height bands and boxes, many of them touching the border."""
    h, w = image.shape[:2]
    for _ in range(count):
        a, b = np.sort(rng.uniform(-0.1, 1.1, 2))
        c, d = np.sort(rng.uniform(-0.1, 1.1, 2))
        style = rng.random()
        if style < 0.35:
            c, d = 0, 1
        elif style < 0.65:
            a, b = 0, 1
        box = [int(np.clip(v, 0, 1) * s) for v, s in ((a, h), (b, h), (c, w), (d, w))]
        if box[1] - box[0] > 3 and box[3] - box[2] > 3:
            part = image[box[0] : box[1], box[2] : box[3]]
            part[:] = (
                p.any_colour(rng)
                if rng.random() < 0.65
                else pictures.picture(rng, *part.shape[:2])[: len(part), : part.shape[1]]
            )


def magazine(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Full-bleed pictures, colour blocks, big type, columns."""
    image = ground(rng, h, w)
    blocks(rng, image, int(rng.integers(0, 5)))
    if rng.random() < 0.25:  # a panel that looks like a page of its own
        m = (rng.uniform(0.03, 0.2, 4) * [h, h, w, w]).astype(int)
        image[m[0] : h - m[1], m[2] : w - m[3]] = p.paper(rng) if rng.random() < 0.6 else p.any_colour(rng)
    lettering(rng, image, int(rng.integers(1, 6)))
    for _ in range(int(rng.integers(0, 4))):
        x, y = int(rng.uniform(0.03, 0.6) * w), int(rng.uniform(0.03, 0.8) * h)
        colour = p.contrasting(rng, tuple(int(c) for c in image[y, x]))
        box = (x, y, min(w - 8, x + int(w * rng.uniform(0.2, 0.5))), min(h - 8, y + int(h * rng.uniform(0.1, 0.4))))
        p.paragraph(rng, image, box, int(rng.integers(3, 7)), colour, p.any_face(rng))
    return image


def cover(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """A book cover: ground, frame, title, author, a spine fold at one side."""
    image = ground(rng, h, w)
    if rng.random() < 0.4:
        blocks(rng, image, int(rng.integers(1, 3)))
    if rng.random() < 0.3:
        inset = int(min(h, w) * rng.uniform(0.03, 0.1))
        cv2.rectangle(image, (inset, inset), (w - inset, h - inset), p.any_colour(rng), int(rng.integers(1, 6)))
    lettering(rng, image, int(rng.integers(1, 4)))
    if rng.random() < 0.6:
        x = int(w * rng.uniform(0.01, 0.06))
        image[:, :x] = (image[:, :x] * rng.uniform(0.6, 1)).astype(np.uint8)
        cv2.line(image, (x, 0), (x, h), tuple(int(c * 0.6) for c in image[h // 2, x]), int(rng.integers(1, 4)))
    if rng.random() < 0.3:
        image = p.modulate(image, p.fractal(rng, h, w, 5, 8), rng.uniform(0.05, 0.25))
    return image


def two_tone(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """A notebook cover of two materials: cloth spine strip, corners, label, elastic band."""
    image = p.blank(h, w, p.any_colour(rng))
    image = p.modulate(image, p.fractal(rng, h, w, 4, 8), rng.uniform(0, 0.15))
    strip = p.any_colour(rng) if rng.random() < 0.6 else p.grey(rng, 0.02, 0.25)
    wide = int(w * rng.uniform(0.08, 0.5))
    style = rng.random()
    if style < 0.65:
        image[:, :wide] = strip
    elif style < 0.85:
        image[: int(h * rng.uniform(0.1, 0.6))] = strip
    else:
        cv2.fillPoly(image, [np.array([[0, 0], [wide, 0], [0, wide]])], strip)
        cv2.fillPoly(image, [np.array([[w, h], [w - wide, h], [w, h - wide]])], strip)
    if rng.random() < 0.4:
        a, b = int(w * rng.uniform(0.5, 0.7)), int(h * rng.uniform(0.15, 0.4))
        cv2.rectangle(image, (a - w // 5, b), (a + w // 5, b + h // 6), p.paper(rng), -1)
        p.scribble(rng, image, a - w // 6, b + h // 10, w // 3, 14, p.ink(rng))
    if rng.random() < 0.3:
        x = int(w * rng.uniform(0.8, 0.95))
        cv2.line(image, (x, 0), (x, h), p.any_colour(rng), int(w * rng.uniform(0.01, 0.03)) + 1)
    if rng.random() < 0.5:
        lettering(rng, image, 1)
    return image


def spiral(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """A page or cover with wire binding along the left or the top."""
    painter = (pages.ruled, pages.notes, two_tone, cover)[int(rng.integers(4))]
    image = painter(rng, h, w)
    top = rng.random() < 0.4
    long = w if top else h
    pitch = long / int(rng.integers(14, 40))
    edge, hole = int(min(h, w) * rng.uniform(0.015, 0.035)), max(2, int(pitch * 0.22))
    dark, wire = p.grey(rng, 0, 0.3), p.grey(rng, 0.2, 0.9)
    for k in range(int(long / pitch)):
        at = int((k + 0.5) * pitch)
        centre, end = ((at, edge), (at, 0)) if top else ((edge, at), (0, at))
        cv2.circle(image, centre, hole, dark, -1, cv2.LINE_AA)
        cv2.line(image, centre, end, wire, max(1, hole // 2), cv2.LINE_AA)
    return image


def open_book(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Two facing pages with a shaded gutter; the document is the whole spread."""
    half = w // 2
    painters = (pages.letter, pages.article, pages.report, pages.ruled, pages.notes, pages.plain, magazine)
    same = painters[int(rng.integers(len(painters)))]
    other = same if rng.random() < 0.7 else painters[int(rng.integers(len(painters)))]
    image = np.concatenate([same(rng, h, half), other(rng, h, w - half)], 1)
    if rng.random() < 0.6:
        tint = np.array(p.paper(rng)) / 255
        image = np.clip(image * tint, 0, 255).astype(np.uint8)
    x = np.abs(np.arange(w) - half) / w
    shade = 1 - rng.uniform(0.2, 0.75) * np.exp(-((x / rng.uniform(0.01, 0.08)) ** 1.2))
    return (image * shade[None, :, None]).astype(np.uint8)


def identity(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Identity card, licence, badge: fine ground, portrait, fields, stripes."""
    tone = p.hsv(rng.random(), rng.uniform(0.03, 0.5), rng.uniform(0.7, 1))
    image = p.ramp(rng, pictures.waves(rng, h, w)[..., 0] / 255, [tone, p.paper(rng)])
    stripes(rng, image, int(rng.integers(0, 3)))
    a, b = int(h * rng.uniform(0.3, 0.65)), int(w * rng.uniform(0.18, 0.3))
    y, x = int(h * rng.uniform(0.18, 0.3)), int(w * rng.choice([0.04, 0.06, 0.68]))
    if rng.random() < 0.85:
        image[y : y + a, x : x + b] = pictures.portrait(rng, a, b)[: h - y, : w - x]
    left = int(w * 0.36) if x < w // 2 else int(w * 0.06)
    colour, face = p.ink(rng), p.any_face(rng)
    p.headline(rng, image, left, int(h * 0.05), int(w * 0.55), int(h * rng.uniform(0.06, 0.11)), p.ink(rng))
    size = int(h * rng.uniform(0.025, 0.05))
    p.paragraph(rng, image, (left, int(h * 0.25), left + int(w * 0.5), int(h * 0.78)), size, colour, face)
    if rng.random() < 0.4:
        for y in (0.86, 0.94):
            p.text_line(
                rng,
                image,
                int(w * 0.04),
                int(h * y),
                int(w * 0.92),
                int(h * 0.04),
                (25, 25, 25),
                cv2.FONT_HERSHEY_PLAIN,
            )
    return image


def stripes(rng: np.random.Generator, image: np.ndarray, count: int) -> None:
    """Bands from side to side: magnetic stripes, headers, logos' grounds."""
    h = image.shape[0]
    for _ in range(count):
        tall = int(h * rng.uniform(0.06, 0.32))
        y = int(rng.choice([0, h - tall, rng.uniform(0.03, 0.8) * h]))
        image[max(0, y) : y + tall] = p.grey(rng, 0, 0.15) if rng.random() < 0.45 else p.any_colour(rng)


def bank_card(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Payment, membership, transport card; the back has a dark stripe."""
    image = ground(rng, h, w)
    stripes(rng, image, int(rng.choice([0, 0, 1, 1, 2])))
    if rng.random() < 0.6:
        a, b = int(w * 0.08), int(h * 0.36)
        cv2.rectangle(
            image, (a, b), (a + int(w * 0.13), b + int(h * 0.18)), p.hsv(0.13, 0.4, rng.uniform(0.6, 0.9)), -1
        )
    colour = p.contrasting(rng, tuple(int(c) for c in image[int(h * 0.7), int(w * 0.4)]))
    p.text_line(
        rng, image, int(w * 0.08), int(h * 0.68), int(w * 0.8), int(h * 0.07), colour, cv2.FONT_HERSHEY_PLAIN, 2
    )
    p.text_line(rng, image, int(w * 0.08), int(h * 0.88), int(w * 0.5), int(h * 0.05), colour, p.any_face(rng))
    p.headline(rng, image, int(w * 0.55), int(h * 0.06), int(w * 0.4), int(h * 0.13), colour)
    return image


def business_card(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    image = ground(rng, h, w) if rng.random() < 0.45 else pages.sheet(rng, h, w)
    stripes(rng, image, int(rng.choice([0, 0, 1])))
    colour = p.contrasting(rng, tuple(int(c) for c in image[h // 2, w // 2]))
    x = int(w * rng.uniform(0.05, 0.5))
    p.headline(rng, image, x, int(h * 0.2), w - x - 5, int(h * rng.uniform(0.1, 0.2)), colour)
    p.paragraph(rng, image, (x, int(h * 0.5), w - 10, int(h * 0.9)), int(h * 0.05), colour, p.any_face(rng))
    return image


def sticky(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    tone = p.hsv(rng.choice([0.15, 0.16, 0.9, 0.35, 0.55, 0.08]), rng.uniform(0.3, 0.85), rng.uniform(0.8, 1))
    image = p.blank(h, w, tone)
    if rng.random() < 0.8:
        pages.handwriting(rng, image, int(rng.integers(30, 70)), int(0.05 * h))
    return image


def envelope(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    tone = (
        p.paper(rng)
        if rng.random() < 0.6
        else p.hsv(rng.uniform(0.06, 0.12), rng.uniform(0.2, 0.5), rng.uniform(0.5, 0.8))
    )
    image = p.blank(h, w, tone)
    if rng.random() < 0.4:
        line = tuple(int(c * 0.85) for c in tone)
        cv2.polylines(
            image, [np.array([[0, 0], [w // 2, int(h * rng.uniform(0.4, 0.7))], [w, 0]])], False, line, 2, cv2.LINE_AA
        )
    else:
        p.paragraph(rng, image, (w // 2, h // 2, w - 20, int(h * 0.8)), 9, p.ink(rng), p.any_face(rng))
        image[10 : h // 5, w - w // 8 : w - 10] = pictures.picture(rng, h // 5, w // 8)[: h // 5 - 10, : w // 8 - 10]
    return image


def dark_print(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """Light text on a dark ground: posters, slides, menus."""
    return 255 - pages.article(rng, h, w) if rng.random() < 0.5 else 255 - pages.plain(rng, h, w)


def menu(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """A leaflet: coloured panels, each with type or a picture."""
    image = p.blank(h, w, p.paper(rng))
    panels = int(rng.integers(2, 4))
    for k in range(panels):
        part = image[:, k * w // panels : (k + 1) * w // panels]
        painter = (magazine, pages.article, ground, pages.plain)[int(rng.integers(4))]
        part[:] = painter(rng, h, part.shape[1])
    return image


KINDS = {
    "magazine": (magazine, 10, (0.65, 0.85), 0.0, 0.8, (24, 32)),
    "cover": (cover, 9, (0.58, 0.95), 0.03, 0.6, (17, 30)),
    "two_tone": (two_tone, 8, (0.60, 0.90), 0.06, 0.3, (14, 30)),
    "spiral": (spiral, 4, (0.60, 0.95), 0.05, 0.2, (14, 30)),
    "open_book": (open_book, 6, (1.15, 1.60), 0.02, 0.2, (25, 45)),
    "identity": (identity, 6, (1.40, 1.62), 0.10, 0.7, (8.6, 8.6)),
    "bank_card": (bank_card, 5, (1.50, 1.62), 0.10, 0.7, (8.6, 8.6)),
    "business_card": (business_card, 4, (1.55, 1.85), 0.04, 0.3, (8.5, 9)),
    "sticky": (sticky, 2, (0.95, 1.30), 0.0, 0.0, (7, 9)),
    "envelope": (envelope, 2, (1.40, 2.20), 0.0, 0.1, (16, 24)),
    "dark_print": (dark_print, 3, (0.60, 0.90), 0.0, 0.4, (18, 30)),
    "menu": (menu, 3, (0.70, 1.60), 0.0, 0.6, (18, 40)),
}
