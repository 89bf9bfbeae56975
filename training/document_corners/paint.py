"""Brushes shared by every texture: colours, noise, text, tables.

Pictures are uint8 RGB arrays [h, w, 3]; every function draws from the numpy Generator it is given, so that
one seed always paints the same picture.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts")
LETTERS = "eeeeaaaaiiiooouuttttnnnnsssrrrhhlldddcummfpgwybvkxjqz"
HERSHEY = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_COMPLEX_SMALL,
)
HANDWRITING = (cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)

Colour = tuple[int, int, int]


@lru_cache(maxsize=1)
def font_files() -> tuple[str, ...]:
    """Outline fonts of this machine, or none; DOCUMENT_CORNERS_FONTS names one more folder."""
    folders = [*FONT_FOLDERS, os.environ.get("DOCUMENT_CORNERS_FONTS", "")]
    try:
        import matplotlib

        folders.append(matplotlib.get_data_path())
    except ImportError:
        pass  # one source of fonts less; Hershey strokes always work
    found = {str(f) for folder in folders if folder for f in Path(folder).rglob("*.ttf")}
    return tuple(sorted(f for f in found if not any(w in f for w in ("STIX", "Math", "cm", "Emoji"))))


@lru_cache(maxsize=256)
def font(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


# --- colours ---------------------------------------------------------------------------------------------


def hsv(h: float, s: float, v: float) -> Colour:
    """Hue 0..1, saturation 0..1, value 0..1 -> RGB 0..255."""
    i = int(h * 6) % 6
    f = h * 6 - int(h * 6)
    p, q, t = v * (1 - s), v * (1 - s * f), v * (1 - s * (1 - f))
    r, g, b = ((v, t, p), (q, v, p), (p, v, t), (p, q, v), (t, p, v), (v, p, q))[i]
    return int(r * 255), int(g * 255), int(b * 255)


def any_colour(rng: np.random.Generator) -> Colour:
    return hsv(rng.random(), rng.random() ** 1.9, rng.uniform(0.05, 1))


def vivid(rng: np.random.Generator) -> Colour:
    return hsv(rng.random(), rng.uniform(0.5, 1), rng.uniform(0.35, 1))


def muted(rng: np.random.Generator) -> Colour:
    return hsv(rng.random(), rng.uniform(0, 0.35), rng.uniform(0.15, 0.95))


def grey(rng: np.random.Generator, low: float = 0.0, high: float = 1.0) -> Colour:
    return hsv(rng.random(), rng.random() * 0.06, rng.uniform(low, high))


def paper(rng: np.random.Generator) -> Colour:
    """White mostly, cream or pastel sometimes."""
    kind = rng.random()
    if kind < 0.7:
        return hsv(rng.uniform(0.05, 0.65), rng.random() * 0.05, rng.uniform(0.86, 1))
    if kind < 0.88:
        return hsv(rng.uniform(0.07, 0.15), rng.uniform(0.06, 0.3), rng.uniform(0.75, 0.98))
    return hsv(rng.random(), rng.uniform(0.08, 0.4), rng.uniform(0.75, 1))


def ink(rng: np.random.Generator) -> Colour:
    kind = rng.random()
    if kind < 0.75:
        return grey(rng, 0, 0.35)
    if kind < 0.9:
        return hsv(rng.uniform(0.55, 0.7), rng.uniform(0.5, 1), rng.uniform(0.2, 0.6))
    return hsv(rng.random(), rng.uniform(0.6, 1), rng.uniform(0.2, 0.7))


def contrasting(rng: np.random.Generator, ground: Colour) -> Colour:
    """A colour that can be read on the given one."""
    light = 0.3 * ground[0] + 0.59 * ground[1] + 0.11 * ground[2]
    return hsv(rng.random(), rng.random() * 0.9, rng.uniform(0, 0.3)) if light > 120 else grey(rng, 0.75, 1)


def blank(h: int, w: int, colour: Colour) -> np.ndarray:
    return np.full((h, w, 3), colour, np.uint8)


# --- noise -----------------------------------------------------------------------------------------------


def fractal(rng: np.random.Generator, h: int, w: int, first: int = 2, last: int = 7, decay: float = 0.55) -> np.ndarray:
    """Sum of smooth random grids of 2^first .. 2^last cells a side, scaled to 0..1; float32 [h, w]."""
    total = np.zeros((h, w), np.float32)
    strength = 1.0
    for octave in range(first, last + 1):
        cells = 2**octave
        grid = rng.random((max(2, cells * h // max(h, w)), max(2, cells * w // max(h, w))), dtype=np.float32)
        total += strength * cv2.resize(grid, (w, h), interpolation=cv2.INTER_CUBIC)
        strength *= decay
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def ramp(rng: np.random.Generator, field: np.ndarray, colours: list[Colour]) -> np.ndarray:
    """Map a 0..1 field through a smooth colour ramp."""
    stops = np.linspace(0, 1, len(colours))
    table = np.stack([np.interp(np.linspace(0, 1, 256), stops, [c[k] for c in colours]) for k in range(3)], 1)
    return table.astype(np.uint8)[(np.clip(field, 0, 1) * 255).astype(np.uint8)]


def modulate(image: np.ndarray, field: np.ndarray, amount: float) -> np.ndarray:
    """Multiply by 1 ± amount where field goes 0..1."""
    factor = 1 + amount * (2 * field.astype(np.float32) - 1)
    return np.clip(image.astype(np.float32) * (factor[..., None] if factor.ndim == 2 else factor), 0, 255).astype(
        np.uint8
    )


def grain(rng: np.random.Generator, image: np.ndarray, sigma: float) -> np.ndarray:
    noise = rng.standard_normal(image.shape[:2], dtype=np.float32) * sigma
    return np.clip(image.astype(np.float32) + noise[..., None], 0, 255).astype(np.uint8)


# --- text ------------------------------------------------------------------------------------------------


def word(rng: np.random.Generator) -> str:
    if rng.random() < 0.12:
        return str(int(rng.integers(0, 10 ** int(rng.integers(1, 6)))))
    letters = "".join(LETTERS[i] for i in rng.integers(0, len(LETTERS), int(rng.integers(1, 11))))
    style = rng.random()
    return letters.upper() if style < 0.08 else letters.capitalize() if style < 0.25 else letters


def glyph_line(rng: np.random.Generator, image: np.ndarray, x: int, y: int, w: int, size: int, colour: Colour) -> None:
    """A line of square, stroke-built signs, like Chinese print."""
    at = x
    while at + size <= x + w:
        for _ in range(int(rng.integers(3, 7))):
            a = rng.integers(0, size, 2)
            b = (
                (int(rng.integers(0, size)), int(a[1]))
                if rng.random() < 0.6
                else (int(a[0]), int(rng.integers(0, size)))
            )
            cv2.line(image, (at + int(a[0]), y - int(a[1])), (at + b[0], y - b[1]), colour, 1, cv2.LINE_AA)
        at += size + max(1, size // 6) + (size if rng.random() < 0.06 else 0)


def text_line(
    rng: np.random.Generator,
    image: np.ndarray,
    x: int,
    y: int,
    w: int,
    size: int,
    colour: Colour,
    face: int,
    bold: int = 1,
) -> None:
    """Random words from (x, baseline y), no wider than w; size is the letter height in pixels."""
    if face == -1:
        glyph_line(rng, image, x, y, w, max(5, size), colour)
        return
    scale = size / 21.0
    count = max(1, int(w / (size * 4.2)))
    text = " ".join(word(rng) for _ in range(count))
    width = cv2.getTextSize(text, face, scale, bold)[0][0]
    while width > w and len(text) > 1:
        text = text[: max(1, int(len(text) * w / width) - 1)]
        width = cv2.getTextSize(text, face, scale, bold)[0][0]
    cv2.putText(image, text, (int(x), int(y)), face, scale, colour, bold, cv2.LINE_AA)


def any_face(rng: np.random.Generator) -> int:
    """A Hershey face, or -1 for stroke-built signs."""
    return -1 if rng.random() < 0.18 else int(rng.choice(HERSHEY))


def paragraph(
    rng: np.random.Generator, image: np.ndarray, box: tuple[int, int, int, int], size: int, colour: Colour, face: int
) -> None:
    """Fill box (x0, y0, x1, y1) with lines of text; the last line of each paragraph is short."""
    x0, y0, x1, y1 = box
    pitch = size * rng.uniform(1.5, 2.3)
    y = y0 + size
    bold = 1
    while y < y1:
        last = rng.random() < 0.16
        width = (x1 - x0) * (rng.uniform(0.25, 0.9) if last else rng.uniform(0.95, 1))
        text_line(rng, image, x0, int(y), int(width), size, colour, face, bold)
        y += pitch * (1.6 if last else 1)


def headline(rng: np.random.Generator, image: np.ndarray, x: int, y: int, w: int, size: int, colour: Colour) -> None:
    """Large type from (x, top y): an outline font where this machine has one."""
    fonts = font_files()
    if not fonts or rng.random() < 0.3:
        text_line(rng, image, x, y + size, w, size, colour, int(rng.choice(HERSHEY)), max(1, size // 9))
        return
    face = font(fonts[int(rng.integers(len(fonts)))], max(6, int(size)))
    text = " ".join(word(rng).capitalize() for _ in range(int(rng.integers(1, 5))))
    while face.getlength(text) > w and len(text) > 1:
        text = text[:-1]
    canvas = Image.fromarray(image)
    ImageDraw.Draw(canvas).text((x, y), text, font=face, fill=colour)
    image[:] = np.asarray(canvas)


def scribble(rng: np.random.Generator, image: np.ndarray, x: int, y: int, w: int, size: int, colour: Colour) -> None:
    """A line of handwriting: a wavy pen stroke broken into words."""
    at = float(x)
    bold = 1 if size < 14 else 2
    while at < x + w - size:
        length = rng.uniform(1.2, 5) * size
        t = np.arange(0, min(length, x + w - at), max(1.0, size / 8))
        tall = (rng.random(len(t)) < 0.12) * rng.choice([-1.3, -1.3, 0.9], len(t))
        up = size * 0.35 * np.sin(t * rng.uniform(1.6, 2.6) * 2 / size * np.pi) + size * 0.5 * tall
        points = np.stack([at + t + size * 0.25 * np.sin(t * 7 / size), y - size * 0.3 + up], 1)
        cv2.polylines(image, [(points * 8).astype(np.int32)], False, colour, bold, cv2.LINE_AA, 3)
        at += length + size * rng.uniform(0.4, 0.9)


def signature(rng: np.random.Generator, image: np.ndarray, x: int, y: int, w: int, colour: Colour) -> None:
    t = np.linspace(0, 1, 60)
    wave = sum(rng.uniform(0.2, 1) * np.sin(t * f + rng.uniform(0, 6)) for f in rng.uniform(8, 50, 4))
    points = np.stack([x + t * w + 0.06 * w * np.cos(t * 40), y - wave * w * 0.08 * (1 - 0.6 * t)], 1)
    cv2.polylines(image, [(points * 8).astype(np.int32)], False, colour, 1, cv2.LINE_AA, 3)


# --- furniture of a page ---------------------------------------------------------------------------------


def table(
    rng: np.random.Generator, image: np.ndarray, box: tuple[int, int, int, int], colour: Colour, face: int
) -> None:
    """A grid with text in most cells; header and zebra rows sometimes."""
    x0, y0, x1, y1 = box
    rows = max(2, int((y1 - y0) / rng.uniform(14, 30)))
    cols = int(rng.integers(2, 7))
    xs = np.sort(
        np.concatenate([[x0, x1], x0 + (x1 - x0) * (np.arange(1, cols) + rng.uniform(-0.25, 0.25, cols - 1)) / cols])
    )
    ys = np.linspace(y0, y1, rows + 1)
    head, zebra = rng.random() < 0.5, rng.random() < 0.3
    fill, stripe = (vivid(rng) if rng.random() < 0.5 else grey(rng, 0.6, 0.9)), grey(rng, 0.85, 0.95)
    for r in range(rows):
        if (head and r == 0) or (zebra and r % 2):
            tone = fill if head and r == 0 else stripe
            cv2.rectangle(image, (x0, int(ys[r])), (x1, int(ys[r + 1])), tone, -1)
        for c in range(cols):
            if rng.random() < 0.8:
                size = int(np.clip((ys[1] - ys[0]) * 0.4, 4, 10))
                text_line(
                    rng, image, int(xs[c]) + 3, int(ys[r + 1]) - 4, int(xs[c + 1] - xs[c]) - 6, size, colour, face
                )
    if rng.random() < 0.8:
        for y in ys:
            cv2.line(image, (x0, int(y)), (x1, int(y)), colour, 1)
        if rng.random() < 0.7:
            for x in xs:
                cv2.line(image, (int(x), y0), (int(x), y1), colour, 1)


def bars(rng: np.random.Generator, image: np.ndarray, box: tuple[int, int, int, int], square: bool) -> None:
    """A barcode, or with square a QR-like field."""
    x0, y0, x1, y1 = box
    n = int(rng.integers(18, 40))
    cells = rng.random((n, n)) < 0.5 if square else np.repeat(rng.random((1, n * 2)) < 0.5, 2, 0)
    code = np.where(cells[..., None], np.uint8(20), np.uint8(245)).repeat(3, -1)
    if x1 - x0 > 2 and y1 - y0 > 2:
        image[y0:y1, x0:x1] = cv2.resize(code, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)
