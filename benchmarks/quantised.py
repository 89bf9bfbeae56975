"""What int8 costs and saves: size, and agreement with float32 on pictures that calibration has not seen.

    python benchmarks/quantised.py [--models DIR] [--pictures DIR …] [--budget E] [--count 200]

Trained models from the folder of real models beside the checkout, each converted twice, run in the WASM kernels under
Node. Classifiers: crops of photos, split by photo between calibration and test; how often the first class is the same.
The text detector: drawn pages; boxes of both answers paired by overlap, F1 of int8's against float32's.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO)]

import numpy as np  # noqa: E402
from PIL import Image, ImageDraw, ImageFont  # noqa: E402

from converter import convert  # noqa: E402
from converter.executor import Executor  # noqa: E402
from converter.preprocess import apply  # noqa: E402
from converter.read.bundle import load_bundle  # noqa: E402

SHARED = REPO.parent / "shared"
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "gesture_rec_mobilenetv2": ("classes", {**IMAGENET, "size": [224, 224]}),
    "cls_shufflenetv2_x0_25_pir": ("classes", {**IMAGENET, "size": [224, 224]}),
    "ppocrv3_det_ch": ("boxes", {**IMAGENET, "size": [320, 320], "channels": "bgr"}),
}
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "seven", "wizards", "1984", "No. 42", "17.50"]
THRESHOLD, LEAST_PIXELS = 0.3, 12


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


def boxes(probability: np.ndarray) -> list[tuple[int, int, int, int]]:
    """[H, W] → left, top, right, bottom of every connected piece above the threshold, small ones left out."""
    mask, found = probability > THRESHOLD, []
    while True:
        left = np.argwhere(mask)
        if not len(left):
            return found
        piece, grown = np.zeros_like(mask), np.zeros_like(mask)
        grown[tuple(left[0])] = True
        while (grown != piece).any():
            piece = grown.copy()
            for axis in (0, 1):
                for by in (1, -1):
                    moved = np.roll(piece, by, axis)
                    edge = [slice(None)] * 2
                    edge[axis] = slice(0, 1) if by == 1 else slice(-1, None)
                    moved[tuple(edge)] = False
                    grown |= moved & mask
        mask &= ~piece
        if piece.sum() >= LEAST_PIXELS:
            rows, columns = np.where(piece.any(1))[0], np.where(piece.any(0))[0]
            found.append((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))


def overlap(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0, width) * max(0, height)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def paired(exact: np.ndarray, found: np.ndarray) -> tuple[int, int, int]:
    """(pairs that overlap by half or more, boxes of the one, boxes of the other)."""
    ours, theirs = boxes(found.reshape(found.shape[-2:])), boxes(exact.reshape(exact.shape[-2:]))
    pairs = 0
    for box in theirs:
        best = max(ours, key=lambda other, box=box: overlap(box, other), default=None)
        if best is not None and overlap(box, best) >= 0.5:
            ours.remove(best)
            pairs += 1
    return pairs, len(theirs), len(ours) + pairs


def agreement(kind: str, answers: list[tuple[np.ndarray, np.ndarray]]) -> float:
    if kind == "classes":
        return float(np.mean([exact.argmax() == found.argmax() for exact, found in answers]))
    pairs, theirs, ours = np.sum([paired(exact, found) for exact, found in answers], axis=0)
    return float(2 * pairs / (theirs + ours))


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("chunk_*.dat"))


def row(name: str, source: Path, seen: list[Image.Image], unseen: list[Image.Image], budget: float | None,
        say: Callable[[str], None]) -> str:
    kind, spec = MODELS[name]
    with tempfile.TemporaryDirectory(prefix="inpage-quantised-") as work:
        folder = Path(work)
        (folder / "pictures").mkdir()
        for i, picture in enumerate(seen):
            picture.save(folder / "pictures" / f"{i:04}.png")
        convert(source, folder / "float32", preprocess=dict(spec), verify=False)
        began = time.monotonic()
        report = convert(source, folder / "int8", preprocess=dict(spec), precision="int8", progress=say,
                         calibrate=folder / "pictures", error_budget=budget)
        seconds, answers = time.monotonic() - began, []
        graphs = [load_bundle(folder / which) for which in ("float32", "int8")]
        full = graphs[0].meta["preprocess"]
        with Executor(graphs[0], graphs[0].outputs) as exact, Executor(graphs[1], graphs[1].outputs) as found:
            for picture in unseen:
                feeds = {graphs[0].inputs[0]: apply(full, np.asarray(picture.convert("RGBA")))}
                answers.append(tuple(next(iter(run(feeds).values())) for run in (exact, found)))
        apart = [a.astype(np.float64) - b for a, b in answers]
        deviation = np.std([a for a, _ in answers])
        layers = report.quantisation["layers"] if report.quantisation else []
        counts = [sum(layer["precision"] == which for layer in layers) for which in
                  ("int8 of 7 bits", "int8", "int8, weights of 12 bits", "float")]
        share = bytes_of(folder / "int8") / bytes_of(folder / "float32")
        sizes = " | ".join(f"{bytes_of(folder / which) / 1e6:.2f}" for which in ("float32", "int8"))
        error = np.sqrt(np.mean(np.square(apart))) / deviation
        return (f"| {name} | {sizes} | {share:.3f} | {' / '.join(map(str, counts))} | {error:.3f} "
                f"| {100 * agreement(kind, answers):.1f} % of {len(answers)} | {seconds:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=SHARED / "models")
    parser.add_argument("--only", choices=MODELS, action="append")
    parser.add_argument("--pictures", type=Path, action="append", help="folders of photos")
    parser.add_argument("--budget", type=float)
    parser.add_argument("--seen", type=int, default=100, help="pictures to calibrate on")
    parser.add_argument("--count", type=int, default=200, help="pictures to compare on")
    args = parser.parse_args()
    folders = args.pictures or [SHARED / "photos", SHARED / "faces"]
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    print("| model | float32, MB | int8, MB | size | layers of 7 / 8 / 12-bit weights / float | error | same answer | "
          "seconds |\n|---|---:|---:|---:|---|---:|---:|---:|")
    for name in args.only or MODELS:
        if not (args.models / name).is_dir():
            print(f"{name} is not in {args.models}: left out", file=sys.stderr)
            continue
        if MODELS[name][0] == "classes":
            seen, unseen = crops(files[::2], args.seen, 1), crops(files[1::2], args.count, 2)
        else:
            seen, unseen = pages(args.seen, 1), pages(args.count, 2)
        print(row(name, args.models / name, seen, unseen, args.budget, lambda step: print(step, file=sys.stderr)),
              flush=True)


if __name__ == "__main__":
    main()
