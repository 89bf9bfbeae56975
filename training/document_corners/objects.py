"""Things beside, under and on documents: RGBA cut-outs uint8 [n, n, 4], stretched to the square.

Painters get (rng, h, w) with the real proportions. Hands are painted in a neutral tone: the compositor
tints them, so that all fingers of one photo share one skin.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.document_corners import paint as p
from training.document_corners import pictures

Layer = np.ndarray


def empty(h: int, w: int) -> Layer:
    return np.zeros((h, w, 4), np.uint8)


def fill(layer: Layer, mask: np.ndarray, colour: p.Colour) -> None:
    layer[mask > 0] = (*colour, 255)


def rounded(h: int, w: int, radius: float, inset: int = 1) -> np.ndarray:
    """Mask of a rounded rectangle, uint8 0/255."""
    mask = np.zeros((h, w), np.uint8)
    r = int(max(1, radius * min(h, w)))
    cv2.rectangle(mask, (inset + r, inset), (w - 1 - inset - r, h - 1 - inset), 255, -1)
    cv2.rectangle(mask, (inset, inset + r), (w - 1 - inset, h - 1 - inset - r), 255, -1)
    for x in (inset + r, w - 1 - inset - r):
        for y in (inset + r, h - 1 - inset - r):
            cv2.circle(mask, (x, y), r, 255, -1)
    return mask


def volume(layer: Layer, strength: float) -> None:
    """Shade towards the silhouette, as a round body is."""
    inside = cv2.distanceTransform((layer[..., 3] > 0).astype(np.uint8), cv2.DIST_L2, 3)
    depth = np.clip(inside / max(float(inside.max()), 1.0), 0, 1) ** 0.5
    layer[..., :3] = (layer[..., :3] * (1 - strength + strength * depth[..., None])).astype(np.uint8)


def stick(rng: np.random.Generator, h: int, w: int) -> Layer:
    """Pen, pencil, ruler, cable end, cutlery: long along y."""
    layer = empty(h, w)
    fill(layer, rounded(h, w, 0.4), p.any_colour(rng))
    for _ in range(int(rng.integers(1, 4))):
        y = int(rng.uniform(0, 0.9) * h)
        part = layer[y : y + int(h * rng.uniform(0.03, 0.25))]
        part[part[..., 3] > 0, :3] = p.any_colour(rng)
    across = np.exp(-(((np.arange(w) / w - rng.uniform(0.3, 0.7)) / 0.25) ** 2))
    layer[..., :3] = (layer[..., :3] * (0.55 + 0.45 * across[None, :, None])).astype(np.uint8)
    return layer


def device(rng: np.random.Generator, h: int, w: int) -> Layer:
    """Phone or tablet: dark slab, screen on or off."""
    layer = empty(h, w)
    fill(
        layer,
        rounded(h, w, rng.uniform(0.03, 0.15)),
        p.grey(rng, 0, 0.25) if rng.random() < 0.75 else p.any_colour(rng),
    )
    m = max(3, int(min(h, w) * rng.uniform(0.02, 0.09)))
    screen = layer[m * 2 : h - m * 2, m : w - m, :3] if rng.random() < 0.5 else layer[m : h - m, m : w - m, :3]
    if rng.random() < 0.45:
        screen[:] = p.grey(rng, 0, 0.12)
    else:
        screen[:] = desktop(rng, *screen.shape[:2])
    return layer


def desktop(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    """What a screen shows: wallpaper, windows, lines of text."""
    image = pictures.picture(rng, h, w)[:h, :w].copy()
    for _ in range(int(rng.integers(0, 4))):
        x0, x1 = np.sort(rng.integers(0, w, 2))
        y0, y1 = np.sort(rng.integers(0, h, 2))
        tone = p.grey(rng, 0.85, 1) if rng.random() < 0.6 else p.grey(rng, 0.05, 0.2)
        cv2.rectangle(image, (int(x0), int(y0)), (int(x1), int(y1)), tone, -1)
        p.paragraph(
            rng, image, (int(x0) + 3, int(y0) + 3, int(x1) - 3, int(y1) - 3), 4, p.contrasting(rng, tone), p.HERSHEY[0]
        )
    return image


def keys(rng: np.random.Generator, layer: Layer, box: tuple[int, int, int, int]) -> None:
    x0, y0, x1, y1 = box
    cap, rows = (p.grey(rng, 0.05, 0.3), 5) if rng.random() < 0.6 else (p.grey(rng, 0.75, 1), 6)
    pitch = max(5, (y1 - y0) // rows)
    for y in range(y0, y1 - pitch + 1, pitch):
        for x in range(x0, x1 - pitch + 1, pitch):
            cv2.rectangle(layer, (x, y), (x + pitch - 2, y + pitch - 2), (*cap, 255), -1)


def keyboard(rng: np.random.Generator, h: int, w: int) -> Layer:
    layer = empty(h, w)
    fill(layer, rounded(h, w, 0.06), p.grey(rng, 0.02, 0.95))
    m = max(3, h // 12)
    keys(rng, layer, (m, m, w - m, h - m))
    return layer


def laptop(rng: np.random.Generator, h: int, w: int) -> Layer:
    """Seen from above and in front: a lit screen over a keyboard half."""
    layer = empty(h, w)
    fill(layer, rounded(h, w, 0.03), p.grey(rng, 0.05, 0.85))
    half, m = int(h * rng.uniform(0.45, 0.6)), max(3, w // 40)
    screen = layer[m : half - m, m : w - m, :3]
    screen[:] = desktop(rng, *screen.shape[:2]) if rng.random() < 0.7 else p.grey(rng, 0, 0.15)
    keys(rng, layer, (w // 10, half + m, w - w // 10, half + int((h - half) * 0.6)))
    cv2.rectangle(layer, (w // 3, h - int((h - half) * 0.33)), (2 * w // 3, h - m), (*p.grey(rng, 0.2, 0.8), 255), 1)
    return layer


def cup(rng: np.random.Generator, h: int, w: int) -> Layer:
    """A cup, plate, bowl, coin or lid from above: rings."""
    layer = empty(h, w)
    centre, r = (w // 2, h // 2), int(min(h, w) * 0.44)
    colour = p.any_colour(rng) if rng.random() < 0.5 else p.grey(rng, 0.7, 1)
    if rng.random() < 0.5:
        cv2.ellipse(layer, (w // 2 + int(r * 0.9), h // 2), (r // 4, r // 6), 0, 0, 360, (*colour, 255), 6, cv2.LINE_AA)
        r = int(r * 0.85)
    cv2.circle(layer, centre, r, (*colour, 255), -1)
    cv2.circle(
        layer, centre, int(r * rng.uniform(0.75, 0.92)), (*tuple(int(c * 0.8) for c in colour), 255), -1, cv2.LINE_AA
    )
    if rng.random() < 0.7:
        cv2.circle(layer, centre, int(r * rng.uniform(0.4, 0.8)), (*p.any_colour(rng), 255), -1, cv2.LINE_AA)
    return layer


def blob(rng: np.random.Generator, h: int, w: int) -> Layer:
    """Mouse, stone, fruit, purse, crumpled cloth: a rounded random body."""
    layer = empty(h, w)
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = 0.36 + 0.05 * sum(np.sin(k * angles + rng.uniform(0, 6)) * rng.uniform(0, 1) / k for k in (1, 2, 3, 4))
    points = np.stack([w / 2 + w * radius * np.cos(angles), h / 2 + h * radius * np.sin(angles)], 1).astype(np.int32)
    mask = np.zeros((h, w), np.uint8)
    cv2.fillPoly(mask, [points], 255)
    fill(layer, mask, p.any_colour(rng))
    volume(layer, rng.uniform(0.3, 0.8))
    if rng.random() < 0.4:
        layer[..., :3] = p.modulate(layer[..., :3], p.fractal(rng, h, w, 3, 7), rng.uniform(0.1, 0.4))
    return layer


def box(rng: np.random.Generator, h: int, w: int) -> Layer:
    """A calculator, wallet, packet, stapler, mouse mat: thick, printed or plain."""
    layer = empty(h, w)
    # Without keys it is dark: a light empty rectangle would be a sheet of paper.
    keyed = rng.random() < 0.5
    tone = p.any_colour(rng) if keyed else p.hsv(rng.random(), rng.random(), rng.uniform(0.05, 0.45))
    fill(layer, rounded(h, w, rng.uniform(0.01, 0.25)), tone)
    if keyed:
        keys(rng, layer, (w // 8, h // 3, w - w // 8, h - h // 10))
    side = max(2, int(min(h, w) * rng.uniform(0.02, 0.12)))
    layer[h - side :, :, :3] = (layer[h - side :, :, :3] * 0.5).astype(np.uint8)
    return layer


def cable(rng: np.random.Generator, h: int, w: int) -> Layer:
    """A cable, glasses' frame, string, rubber band: curves."""
    layer = empty(h, w)
    t = np.linspace(0, 1, 80)
    x = 0.5 + 0.4 * sum(rng.uniform(-1, 1) * np.sin(k * t * 6 + rng.uniform(0, 6)) / k for k in (1, 2))
    y = 0.5 + 0.4 * sum(rng.uniform(-1, 1) * np.cos(k * t * 6 + rng.uniform(0, 6)) / k for k in (1, 2))
    points = np.stack([x * w, y * h], 1).astype(np.int32)
    cv2.polylines(layer, [points], rng.random() < 0.3, (*p.any_colour(rng), 255), int(rng.integers(2, 9)), cv2.LINE_AA)
    return layer


def plant(rng: np.random.Generator, h: int, w: int) -> Layer:
    layer = empty(h, w)
    for _ in range(int(rng.integers(5, 22))):
        tone = p.hsv(rng.uniform(0.2, 0.42), rng.uniform(0.3, 0.9), rng.uniform(0.2, 0.8))
        angle, long = rng.uniform(0, 360), rng.uniform(0.15, 0.42) * min(h, w)
        centre = (
            int(w / 2 + long * np.cos(np.radians(angle)) * 0.9),
            int(h / 2 + long * np.sin(np.radians(angle)) * 0.9),
        )
        cv2.ellipse(layer, centre, (int(long / 1.6), int(long / 5)), angle, 0, 360, (*tone, 255), -1, cv2.LINE_AA)
    return layer


# --- hands, neutral tone ---------------------------------------------------------------------------------


def finger(rng: np.random.Generator, layer: Layer, root: np.ndarray, tip: np.ndarray, thick: float) -> None:
    """A tapered, slightly bent finger from root to tip (pixels), shaded across, with a nail sometimes."""
    h, w = layer.shape[:2]
    bend = np.array([tip[1] - root[1], root[0] - tip[0]]) * rng.uniform(-0.12, 0.12)
    t = np.linspace(0, 1, 24)[:, None]
    spine = (1 - t) ** 2 * root + 2 * t * (1 - t) * ((root + tip) / 2 + bend) + t**2 * tip
    mask = np.zeros((h, w), np.uint8)
    for k, (x, y) in enumerate(spine):
        r = thick * (1 - 0.22 * k / 23) * (1.05 if k in (9, 10, 11) else 1)
        cv2.circle(mask, (int(x), int(y)), max(1, int(r)), 255, -1, cv2.LINE_AA)
    inside = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3)
    shade = 0.62 + 0.38 * np.sqrt(np.clip(inside / thick, 0, 1))
    tone = np.array([235, 228, 224]) * rng.uniform(0.92, 1.05)
    on = mask > 127
    layer[on, :3] = np.clip(shade[on, None] * tone, 0, 255).astype(np.uint8)
    layer[on, 3] = 255
    if rng.random() < 0.6:
        along = np.degrees(np.arctan2(*(spine[-1] - spine[-4])[::-1]))
        at = spine[-2].astype(int)
        axes = (int(thick * 0.55), int(thick * 0.42))
        cv2.ellipse(layer, (int(at[0]), int(at[1])), axes, along, 0, 360, (255, 235, 230, 255), -1, cv2.LINE_AA)
    for k in (10, 11, 17):
        x, y = spine[k]
        cv2.line(
            layer, (int(x - thick * 0.4), int(y)), (int(x + thick * 0.4), int(y)), (190, 170, 165, 255), 1, cv2.LINE_AA
        )


def fingers(rng: np.random.Generator, h: int, w: int) -> Layer:
    """One to four finger tips coming up from the lower border; the tips are near the upper one."""
    layer = empty(h, w)
    n = int(rng.choice([1, 1, 1, 2, 3, 4]))
    thick = w * (0.26 if n == 1 else 0.42 / n) * rng.uniform(0.85, 1.1)
    lean = rng.uniform(-0.25, 0.25) * w
    for k in range(n):
        x = w * (k + 1) / (n + 1)
        tip = np.array([x + lean * 0.6, h * (0.1 + 0.14 * abs(k - (n - 1) / 2) * rng.uniform(0.5, 1.5)) + thick])
        finger(rng, layer, np.array([x - lean * 0.4, h + thick]), tip, thick)
    return layer


def palm(rng: np.random.Generator, h: int, w: int) -> Layer:
    """An open or holding hand with the forearm leaving at the lower border."""
    layer = empty(h, w)
    wrist = np.array([w * rng.uniform(0.42, 0.58), h * 1.0])
    centre = np.array([w * 0.5, h * 0.6])
    mask = np.zeros((h, w), np.uint8)
    cv2.ellipse(mask, (int(centre[0]), int(centre[1])), (int(w * 0.22), int(h * 0.2)), 0, 0, 360, 255, -1)
    cv2.line(mask, tuple(int(v) for v in centre), tuple(int(v) for v in wrist), 255, int(w * 0.26))
    fill(layer, mask, (228, 220, 216))
    volume(layer, 0.3)
    thick = w * 0.055
    for k, x in enumerate(np.linspace(0.34, 0.66, 4)):
        long = (0.30, 0.36, 0.34, 0.26)[k] * h * rng.uniform(0.7, 1.05)
        tip = np.array([w * (x + (x - 0.5) * rng.uniform(0.1, 0.7)), h * 0.47 - long])
        finger(rng, layer, np.array([w * x, h * 0.52]), tip, thick)
    side = rng.choice([-1, 1])
    finger(
        rng,
        layer,
        centre + [side * w * 0.16, h * 0.05],
        centre + [side * w * 0.38, -h * rng.uniform(0, 0.22)],
        thick * 1.2,
    )
    if rng.random() < 0.5:
        sleeve = p.any_colour(rng)
        cover = layer[int(h * rng.uniform(0.82, 0.92)) :]
        cover[cover[..., 3] > 0, :3] = sleeve
    return layer


# name: (painter, share, lowest and highest aspect, longer side in cm)
OBJECTS = {
    "stick": (stick, 8, (0.04, 0.12), (10, 20)),
    "device": (device, 5, (0.45, 0.75), (12, 26)),
    "keyboard": (keyboard, 3, (2.2, 3.5), (28, 44)),
    "laptop": (laptop, 4, (0.85, 1.3), (30, 42)),
    "cup": (cup, 4, (0.95, 1.05), (3, 24)),
    "blob": (blob, 4, (0.6, 1.6), (3, 20)),
    "box": (box, 3, (0.5, 1.9), (4, 18)),
    "cable": (cable, 3, (0.6, 1.6), (8, 40)),
    "plant": (plant, 2, (0.8, 1.2), (8, 35)),
}
FINGERS = (fingers, (0.4, 0.9))
PALM = (palm, (0.75, 0.95))
