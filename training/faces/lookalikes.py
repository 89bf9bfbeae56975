"""Drawn things with something of a face in them: dials, buttons, sockets, animals' heads, letters, folds of cloth.
They hold no person's face, and a network that has not seen their like takes them for one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from training.faces.sources import SIDE
from training.faces.textures import colours

Colour = list[float]


def ground(rng: np.random.Generator) -> np.ndarray:
    """Something to draw on: a soft gradient with grain."""
    corners = np.clip(colours(rng, 1)[0] + rng.normal(0, 30, (2, 2, 3)), 0, 255).astype(np.float32)
    smooth = cv2.resize(corners, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    grain = rng.normal(0, float(rng.uniform(0, 8)), (SIDE, SIDE, 1)).astype(np.float32)
    return np.clip(smooth + grain, 0, 255).astype(np.uint8)


def sizes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Radii in pixels, evenly in their logarithm, the largest first so that small ones stay visible."""
    return np.sort(np.exp(rng.uniform(np.log(4), np.log(110), count)))[::-1]


def shade(rng: np.random.Generator, colour: Colour, by: float) -> Colour:
    return np.clip(np.array(colour) * by + rng.normal(0, 6, 3), 0, 255).tolist()


def spot(canvas: np.ndarray, x: float, y: float, rx: float, ry: float, colour: Colour, wide: int = -1) -> None:
    """An upright ellipse, with a quarter of a pixel's precision."""
    centre = (round(4 * x), round(4 * y))
    axes = (max(2, round(4 * rx)), max(2, round(4 * ry)))
    cv2.ellipse(canvas, centre, axes, 0, 0, 360, colour, wide, cv2.LINE_AA, 2)


def dial(canvas: np.ndarray, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    """A clock or meter: a rim, ticks or numbers around it, hands."""
    face, ink = colours(rng, 1)[0].tolist(), colours(rng, 1)[0].tolist()
    spot(canvas, x, y, r, r, ink)
    spot(canvas, x, y, r * 0.88, r * 0.88, face)
    line = max(1, round(r / 18))
    number = int(rng.choice([4, 6, 8, 12, 24]))
    for turn in np.arange(number) * 2 * np.pi / number:
        way = np.array([np.sin(turn), -np.cos(turn)])
        ends = [tuple(int(v) for v in np.array([x, y]) + way * r * k) for k in (0.7, 0.84)]
        cv2.line(canvas, *ends, ink, line, cv2.LINE_AA)
    for long in (0.4, 0.65, 0.75)[: int(rng.integers(1, 4))]:
        turn = rng.uniform(0, 2 * np.pi)
        end = (int(x + np.sin(turn) * long * r), int(y - np.cos(turn) * long * r))
        cv2.line(canvas, (int(x), int(y)), end, ink, line + 1, cv2.LINE_AA)


def holes(canvas: np.ndarray, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    """A button, a plug's socket, a wheel, a car's front: a round or square plate with dark places in some order."""
    plate = colours(rng, 1)[0].tolist()
    dark = shade(rng, plate, rng.uniform(0.1, 0.6))
    tall = r * rng.uniform(0.75, 1.25)
    if rng.random() < 0.6:
        spot(canvas, x, y, r, tall, plate)
    else:
        cv2.rectangle(canvas, (int(x - r), int(y - tall)), (int(x + r), int(y + tall)), plate, -1, cv2.LINE_AA)
    count, turn = int(rng.integers(2, 7)), rng.uniform(0, 2 * np.pi)
    ring, small = rng.uniform(0.3, 0.65), rng.uniform(0.08, 0.24)
    for k in range(count):
        a = turn + 2 * np.pi * k / count
        spot(canvas, x + np.cos(a) * ring * r, y + np.sin(a) * ring * tall, small * r, small * r, dark)
    if rng.random() < 0.4:
        spot(canvas, x, y, r * 0.15, r * 0.15, dark)
    if rng.random() < 0.3:
        low = int(y + tall * rng.uniform(0.3, 0.8))
        cv2.line(canvas, (int(x - r * 0.6), low), (int(x + r * 0.6), low), dark, max(1, int(r / 10)), cv2.LINE_AA)


def animal(canvas: np.ndarray, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    """A head with fur, ears, round eyes at the sides, a muzzle with a dark nose: cat, dog, bear, owl."""
    fur = np.clip(np.array([rng.uniform(20, 245)] * 3) * rng.uniform(0.6, 1.1, 3), 0, 255).tolist()
    dark, pale = shade(rng, fur, 0.5), shade(rng, fur, 1.4)
    for side in (-1, 1):  # ears: pointed, round or hanging
        base = np.array([x + side * r * 0.6, y - r * 0.6])
        kind = rng.random()
        if kind < 0.5:
            tip = base + np.array([side * r * rng.uniform(0.0, 0.4), -r * rng.uniform(0.4, 0.8)])
            ear = np.array([base + [-side * r * 0.4, 0], tip, base + [side * r * 0.35, r * 0.4]])
            cv2.fillPoly(canvas, [ear.astype(np.int32)], dark, cv2.LINE_AA)
        else:
            spot(canvas, *base, r * 0.35, r * (0.35 if kind < 0.75 else 0.8), dark)
    spot(canvas, x, y, r, r * rng.uniform(0.8, 1.1), fur)
    hairs(canvas, rng, x, y, r, [dark, pale])
    apart, high, eye = rng.uniform(0.35, 0.55), rng.uniform(-0.25, 0.05), rng.uniform(0.1, 0.2)
    iris = colours(rng, 1)[0].tolist()
    for side in (-1, 1):
        at = (x + side * apart * r, y + high * r)
        spot(canvas, *at, eye * r * 1.2, eye * r * 1.2, dark)
        spot(canvas, *at, eye * r, eye * r, iris if rng.random() < 0.7 else [10, 10, 10])
        spot(canvas, *at, eye * r * rng.uniform(0.2, 0.7), eye * r * 0.7, [8, 8, 8])
    spot(canvas, x, y + r * 0.5, r * rng.uniform(0.3, 0.5), r * rng.uniform(0.25, 0.4), pale)
    spot(canvas, x, y + r * rng.uniform(0.3, 0.42), r * rng.uniform(0.1, 0.2), r * 0.1, [15, 12, 12])
    if rng.random() < 0.6:
        cv2.line(
            canvas, (int(x), int(y + r * 0.4)), (int(x), int(y + r * 0.65)), dark, max(1, int(r / 25)), cv2.LINE_AA
        )


def hairs(canvas: np.ndarray, rng: np.random.Generator, x: float, y: float, r: float, tones: list[Colour]) -> None:
    for _ in range(int(min(500, 6 * r))):
        a, far = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
        start = np.array([x + np.cos(a) * far * r, y + np.sin(a) * far * r])
        end = start + np.array([np.cos(a), np.sin(a) + 0.3]) * r * 0.12
        tone = tones[int(rng.integers(len(tones)))]
        cv2.line(canvas, tuple(start.astype(int).tolist()), tuple(end.astype(int).tolist()), tone, 1, cv2.LINE_AA)


FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX,
         cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)  # fmt: skip
LETTERS = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789()[]{}%&@#:;.,-=+*/       ")


def letters(rng: np.random.Generator) -> np.ndarray:
    """Pages, signs and screens: lines of letters of one or of many sizes, dark on pale or pale on dark."""
    canvas = ground(rng)
    pale = float(canvas.mean()) > 120
    ink = (colours(rng, 1)[0] * 0.35 + (0 if pale else 165)).tolist()
    font, common = int(rng.choice(FONTS)), float(np.exp(rng.uniform(np.log(0.22), np.log(1.2))))
    y = int(rng.integers(8, 40))
    while y < SIDE:
        scale = common if rng.random() < 0.75 else float(np.exp(rng.uniform(np.log(0.25), np.log(3.5))))
        text = "".join(rng.choice(LETTERS, int(rng.integers(3, 70))))
        start = (int(rng.integers(4, 80)), y)
        cv2.putText(canvas, text, start, font, scale, ink, max(1, round(scale * rng.uniform(0.8, 2.6))), cv2.LINE_AA)
        y += round(scale * rng.uniform(28, 44)) + 2
    return canvas


def folds(rng: np.random.Generator) -> np.ndarray:
    """Cloth: creases from light to dark across one tone, sometimes with dots or stripes that follow them."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE
    coarse = rng.normal(0, 1, (2, 6, 6)).astype(np.float32)
    bend = [cv2.resize(c, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) * 0.12 for c in coarse]
    u, v, light = x + bend[0], y + bend[1], np.zeros_like(x)
    for _ in range(int(rng.integers(3, 9))):
        a, waves = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(np.log(2), np.log(25)))
        light += np.abs(np.sin((np.cos(a) * u + np.sin(a) * v) * waves + rng.uniform(0, 6))) ** rng.uniform(0.6, 4)
    light = (light - light.mean()) / max(1e-3, float(light.std()))
    cloth = colours(rng, 1)[0] * (1 + light[..., None] * rng.uniform(0.08, 0.4))
    if rng.random() < 0.5:
        every = np.exp(rng.uniform(np.log(8), np.log(60)))
        dots = (np.sin(u * every * 6.28) > 0.3) & ((np.sin(v * every * 6.28) > 0.3) | bool(rng.random() < 0.4))
        cloth = np.where(dots[..., None], cloth * 0.3 + colours(rng, 1)[0] * 0.7, cloth)
    return np.clip(cloth, 0, 255).astype(np.uint8)


def things(rng: np.random.Generator) -> np.ndarray:
    """Dials, plates with holes and animals' heads of all sizes beside and over one another."""
    canvas = ground(rng) if rng.random() < 0.6 else folds(rng)
    kinds = (dial, holes, animal)
    for r in sizes(rng, int(rng.integers(6, 70))):
        x, y = rng.uniform(0, SIDE, 2)
        kinds[int(rng.integers(3))](canvas, rng, float(x), float(y), float(r))
    return cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.3, 1.3)))


def lookalikes(count: int, seed: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [count,3,512,512] and sizes [count,2]; a picture depends on the seed and its number only."""

    def one(number: int) -> np.ndarray:
        rng = np.random.default_rng([seed, number])
        drawn = (things, letters, things, folds)[number % 4](rng).astype(np.float32)
        grey = drawn.mean(2, keepdims=True)
        return (grey + (drawn - grey) * rng.uniform(0.1, 0.9)).astype(np.uint8).transpose(2, 0, 1)

    with ThreadPoolExecutor(8) as pool:
        made = np.stack(list(pool.map(one, range(count))))
    return made, np.full((count, 2), SIDE, np.float32)
