"""The texture bank: every page, background and cut-out of a run, painted once on all cores.

Arrays are uint8, channels first, ready to be sampled on the GPU; a picture's seed is its row, so a bank
depends only on its `Counts` and seed, not on the number of processes.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from training.document_corners import backgrounds, covers, objects, pages

PAGES = {**pages.KINDS, **covers.KINDS}
PAGE_NAMES = tuple(PAGES)
GROUNDS = backgrounds.KINDS
OBJECT_NAMES = tuple(objects.OBJECTS)


@dataclass(frozen=True)
class Counts:
    """How many pictures of each sort, and their side lengths in pixels."""

    pages: int = 9000
    grounds: int = 4000
    objects: int = 2500
    fingers: int = 600
    palms: int = 400
    page_side: int = 512
    ground_side: int = 512
    object_side: int = 192


@dataclass
class Bank:
    """pages [P,3,N,N]; grounds [G,3,M,M]; objects, fingers, palms [.,4,K,K]; facts are float32 columns.

    page_facts: kind, aspect, radius, gloss, cm (longer side). ground_facts: weight with a page, without one.
    object_facts: aspect, cm, kind; finger_facts and palm_facts: aspect.
    """

    pages: np.ndarray
    page_facts: np.ndarray
    grounds: np.ndarray
    ground_facts: np.ndarray
    objects: np.ndarray
    object_facts: np.ndarray
    fingers: np.ndarray
    finger_facts: np.ndarray
    palms: np.ndarray
    palm_facts: np.ndarray


def proportioned(aspect: float, side: int) -> tuple[int, int]:
    """Height and width of the given aspect (w / h) with an area of side²."""
    return max(8, round(side / aspect**0.5)), max(8, round(side * aspect**0.5))


def squared(image: np.ndarray, side: int) -> np.ndarray:
    """Stretch to a square, channels first."""
    return np.ascontiguousarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).transpose(2, 0, 1))


def share(names: tuple[str, ...], weights: list[float], row: int) -> str:
    """The kind of a row: golden-ratio steps through the shares, so that small banks hold every kind too."""
    total = np.cumsum(weights) / np.sum(weights)
    return names[int(np.searchsorted(total, (row * 0.6180339887498949 + 0.5) % 1.0, side="right"))]


def make_page(rng: np.random.Generator, row: int, side: int) -> tuple[np.ndarray, list[float]]:
    kind = share(PAGE_NAMES, [k[1] for k in PAGES.values()], row)
    painter, _, aspects, radius, gloss, cm = PAGES[kind]
    aspect = float(np.exp(rng.uniform(np.log(aspects[0]), np.log(aspects[1]))))
    if aspect < 1 and rng.random() < 0.1:
        aspect = 1 / aspect
    image = painter(rng, *proportioned(aspect, side))
    facts = [PAGE_NAMES.index(kind), aspect, rng.uniform(0, radius), gloss * rng.random(), rng.uniform(*cm)]
    return squared(image, side), facts


def make_ground(rng: np.random.Generator, row: int, side: int) -> tuple[np.ndarray, list[float]]:
    kind = share(tuple(GROUNDS), list(ground_mix()), row)
    painter, with_page, without = GROUNDS[kind]
    mix = ground_mix()[tuple(GROUNDS).index(kind)]
    return squared(painter(rng, side), side), [with_page / mix, without / mix]


def ground_mix() -> np.ndarray:
    weights = np.array([(a + b) / 2 for _, a, b in GROUNDS.values()], float)
    return weights / weights.sum()


def make_object(rng: np.random.Generator, row: int, side: int) -> tuple[np.ndarray, list[float]]:
    kind = share(OBJECT_NAMES, [k[1] for k in objects.OBJECTS.values()], row)
    painter, _, aspects, cm = objects.OBJECTS[kind]
    aspect = rng.uniform(*aspects)
    return squared(painter(rng, *proportioned(aspect, side)), side), [
        aspect,
        rng.uniform(*cm),
        OBJECT_NAMES.index(kind),
    ]


def make_fingers(rng: np.random.Generator, row: int, side: int) -> tuple[np.ndarray, list[float]]:
    painter, aspects = objects.FINGERS
    aspect = rng.uniform(*aspects)
    return squared(painter(rng, *proportioned(aspect, side)), side), [aspect]


def make_palm(rng: np.random.Generator, row: int, side: int) -> tuple[np.ndarray, list[float]]:
    painter, aspects = objects.PALM
    aspect = rng.uniform(*aspects)
    return squared(painter(rng, *proportioned(aspect, side)), side), [aspect]


# name in Bank: (maker, channels, name of its facts, number of facts)
MAKERS = {
    "pages": (make_page, 3, "page_facts", 5),
    "grounds": (make_ground, 3, "ground_facts", 2),
    "objects": (make_object, 4, "object_facts", 3),
    "fingers": (make_fingers, 4, "finger_facts", 1),
    "palms": (make_palm, 4, "palm_facts", 1),
}


def side_of(counts: Counts, name: str) -> int:
    return {"pages": counts.page_side, "grounds": counts.ground_side}.get(name, counts.object_side)


def open_pair(folder: str, counts: Counts, name: str, mode: str) -> tuple[np.memmap, np.memmap]:
    _, channels, _, columns = MAKERS[name]
    n, side = getattr(counts, name), side_of(counts, name)
    images = np.memmap(Path(folder) / f"{name}.u8", np.uint8, mode, shape=(n, channels, side, side))
    return images, np.memmap(Path(folder) / f"{name}.f4", np.float32, mode, shape=(n, columns))


def paint_rows(job: tuple[str, Counts, str, int, int, int]) -> int:
    """One worker's job: rows start..stop of one array."""
    folder, counts, name, seed, start, stop = job
    cv2.setNumThreads(1)
    images, facts = open_pair(folder, counts, name, "r+")
    for row in range(start, stop):
        rng = np.random.default_rng((seed, list(MAKERS).index(name), row))
        images[row], facts[row] = MAKERS[name][0](rng, row, side_of(counts, name))
    return stop - start


def paint_bank(folder: Path, counts: Counts, seed: int, processes: int = 1, progress: bool = False) -> None:
    """Paint everything into files in folder; with processes > 1 on that many cores."""
    (folder / "counts.json").write_text(json.dumps(asdict(counts)))
    for name in MAKERS:
        open_pair(str(folder), counts, name, "w+")
    jobs = [
        (str(folder), counts, name, seed, start, min(start + 25, getattr(counts, name)))
        for name in MAKERS
        for start in range(0, getattr(counts, name), 25)
    ]
    if processes == 1:
        for job in jobs:
            paint_rows(job)
        return
    done = 0
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for count in pool.imap_unordered(paint_rows, jobs):
            done += count
            if progress and done % 2500 < count:
                print(f"painted {done}", flush=True)


def open_bank(folder: Path) -> Bank:
    """Map a painted bank into memory."""
    counts = Counts(**json.loads((folder / "counts.json").read_text()))
    arrays = {}
    for name, (_, _, facts_name, _) in MAKERS.items():
        # Copy-on-write maps stay valid after the files are unlinked, and nothing is read before it is used.
        images, facts = open_pair(str(folder), counts, name, "c")
        arrays[name], arrays[facts_name] = np.asarray(images), np.asarray(facts)
    return Bank(**arrays)


def make_bank(counts: Counts, seed: int, processes: int = 1) -> Bank:
    """Paint a bank and read it, leaving no files."""
    with tempfile.TemporaryDirectory(prefix="document_corners_") as folder:
        paint_bank(Path(folder), counts, seed, processes)
        return open_bank(Path(folder))
