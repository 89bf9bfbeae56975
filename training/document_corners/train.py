"""Train the corner network from nothing but this folder:

    python -m training.document_corners.train --out DIR [--minutes 20] [--device cuda]

paints the texture bank, then composites every batch anew on the device, trains for the given time (the
learning rate follows the clock), evaluates on held-out textures and writes DIR/checkpoint.pt, DIR/log.jsonl,
DIR/report.json and DIR/manifest.json. `--resume CHECKPOINT` starts from earlier weights.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch

from training.document_corners import losses as loss
from training.document_corners.bank import Counts, make_bank, open_bank, paint_bank
from training.document_corners.compose import Studio
from training.document_corners.evaluate import normalise, synthetic_report
from training.document_corners.feed import RENDER, Batch, Producers, Source
from training.document_corners.network import SIDE, Corners, inference_parameters
from training.document_corners.scene import Recipe

TRAIN_BANK = Counts()
TEST_BANK = Counts(pages=700, grounds=400, objects=300, fingers=100, palms=60)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=20, help="of training, painting and evaluation apart")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--resume", type=Path, help="a checkpoint whose weights to start from")
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the texture bank against the usual one")
    parser.add_argument("--keep-statistics", action="store_true", help="batch norms stay as resumed: for small batches")
    parser.add_argument("--eager", action="store_true", help="no torch.compile")
    return parser.parse_args()


def scaled(counts: Counts, scale: float) -> Counts:
    """The same bank with fewer (or more) pictures."""
    names = ("pages", "grounds", "objects", "fingers", "palms")
    changed = {n: max(12, round(getattr(counts, n) * scale)) for n in names}
    changed["pages"] = max(100, changed["pages"])  # every kind
    return Counts(**(asdict(counts) | changed))


class Average:
    """Exponential moving average of weights and buffers."""

    def __init__(self, model: Corners) -> None:
        self.model = copy.deepcopy(model).eval()
        self.steps = 0

    @torch.no_grad()
    def update(self, model: Corners) -> None:
        self.steps += 1
        decay = min(0.9995, self.steps / (self.steps + 20))
        mine, theirs = self.model.state_dict(), model.state_dict()
        floats = [k for k, v in mine.items() if v.is_floating_point()]
        torch._foreach_lerp_([mine[k] for k in floats], [theirs[k] for k in floats], 1 - decay)


def learning_rate(progress: float, top: float) -> float:
    """Warm up over a fiftieth of the time given, then half a cosine over the rest."""
    return top * min(1.0, 0.01 + progress / 0.02) * (0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def optimiser_for(model: Corners, rate: float, device: str) -> torch.optim.AdamW:
    """Weight decay on convolution and matrix weights only."""
    heavy = [p for p in model.parameters() if p.dim() > 1]
    light = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": heavy, "weight_decay": 0.02}, {"params": light, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, fused=device.startswith("cuda"))


def inputs_of(batch: Batch) -> torch.Tensor:
    return normalise(batch.photo.float() / 255).contiguous(memory_format=torch.channels_last)


def mirrored(batch: Batch) -> Batch:
    """Left and right exchanged, so are the names of the corners; a little brighter or darker."""
    gain = torch.empty((len(batch.photo), 3, 1, 1), device=batch.photo.device).uniform_(0.88, 1.12)
    photo = (batch.photo.flip(3).float() * gain).clamp(0, 255).round().byte()
    corners = batch.corners[:, [1, 0, 3, 2]].clone()
    corners[..., 0] = 1 - corners[..., 0]
    return Batch(photo, corners, batch.present, batch.outline.flip(3))


class Twice:
    """Each batch, and some time later its mirror image: compositing costs more than a training step."""

    def __init__(self, fresh: Callable[[], Batch], delay: int, seed: int) -> None:
        self.fresh, self.delay, self.kept, self.odd = fresh, delay, [], False
        self.generator = np.random.default_rng(seed)

    def next(self) -> Batch:
        self.odd = not self.odd
        if not self.odd and len(self.kept) >= self.delay:
            return mirrored(self.kept.pop(int(self.generator.integers(len(self.kept)))))
        batch = self.fresh()
        self.kept.append(batch)
        return batch


def warm_up(network: torch.nn.Module, args: argparse.Namespace) -> None:
    """Compile and tune on noise, while the bank is still being painted; the weights stay as they are."""
    noise = torch.randint(0, 255, (args.batch, 3, SIDE, SIDE), dtype=torch.uint8, device=args.device)
    kept = {k: v.clone() for k, v in network.state_dict().items()}
    with torch.autocast("cuda", torch.bfloat16):
        outputs = network(normalise(noise.float() / 255).contiguous(memory_format=torch.channels_last))
    sum(o.float().mean() for o in outputs).backward()
    network.zero_grad(set_to_none=True)
    torch.cuda.synchronize()
    network.load_state_dict(kept)


def fit(args: argparse.Namespace, model: Corners, network: torch.nn.Module, next_batch: Callable[[], Batch]) -> Average:
    """Train model for args.minutes; network is model itself or its compiled form."""
    average = Average(model)
    network.train(not args.keep_statistics)
    optimiser = optimiser_for(model, args.rate, args.device)
    batch = next_batch()  # producers take a while to start; the clock runs from here
    started, step, kept = time.time(), 0, time.time()
    with (args.out / "log.jsonl").open("a") as log:
        while time.time() - started < args.minutes * 60:
            progress = (time.time() - started) / (args.minutes * 60)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(progress, args.rate)
            with torch.autocast(args.device.split(":")[0], torch.bfloat16, enabled=args.device.startswith("cuda")):
                outputs = network(inputs_of(batch))
            terms = loss.losses(*outputs, batch.corners, batch.present, batch.outline.float() / 255)
            total = sum(loss.WEIGHTS[k] * v for k, v in terms.items())
            optimiser.zero_grad(set_to_none=True)
            total.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            average.update(model)
            batch = next_batch()
            step += 1
            if step % 100 == 0 or step % 10 == 0 and not args.device.startswith("cuda"):
                line = {"step": step, "samples": step * args.batch, "seconds": round(time.time() - started, 1)}
                line |= {k: round(v.item(), 4) for k, v in terms.items()}
                print(json.dumps(line), flush=True)
                log.write(json.dumps(line) + "\n")
                log.flush()
            if time.time() - kept > 60:
                save(args, average, step)
                kept = time.time()
    save(args, average, step)
    return average


def save(args: argparse.Namespace, average: Average, step: int) -> None:
    """Write the averaged weights, atomically."""
    part = args.out / "checkpoint.part"
    torch.save({"weights": average.model.state_dict(), "step": step, "samples": step * args.batch}, part)
    os.replace(part, args.out / "checkpoint.pt")


def manifest(args: argparse.Namespace, model: Corners) -> dict:
    device = torch.cuda.get_device_name() if args.device.startswith("cuda") else platform.processor()
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "device": device,
        "seed": args.seed,
        "minutes": args.minutes,
        "batch": args.batch,
        "rate": args.rate,
        "resumed": bool(args.resume),
        "parameters": inference_parameters(model),
        "bank": asdict(scaled(TRAIN_BANK, args.scale)),
    }


def main() -> None:
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    cores = len(os.sched_getaffinity(0))
    model = Corners().to(args.device, memory_format=torch.channels_last)
    if args.resume:
        model.load_state_dict(torch.load(args.resume, map_location=args.device)["weights"])
    (args.out / "manifest.json").write_text(json.dumps(manifest(args, model), indent=1) + "\n")
    with tempfile.TemporaryDirectory(prefix="document_corners_") as folder:
        average = train_on(args, model, Path(folder))
    test = Studio(make_bank(scaled(TEST_BANK, args.scale), args.seed + 1, cores), (RENDER, RENDER), args.device)
    report = synthetic_report(average.model, test, args.seed + 2, 256 if args.scale >= 1 else 32)
    (args.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    for name, row in report.items():
        print(name, json.dumps(row), flush=True)


def paint(args: argparse.Namespace, folder: Path) -> None:
    started = time.time()
    paint_bank(folder, scaled(TRAIN_BANK, args.scale), args.seed, len(os.sched_getaffinity(0)), progress=True)
    print(f"bank painted in {time.time() - started:.0f} s", flush=True)


def train_on(args: argparse.Namespace, model: Corners, folder: Path) -> Average:
    """With a GPU, producers composite beside the trainer: three on each device that does not train."""
    if not args.device.startswith("cuda"):
        paint(args, folder)
        studio = Studio(open_bank(folder), (RENDER, RENDER), args.device)
        return fit(args, model, model, Source(studio, Recipe(), args.batch, args.seed).next)
    others = [f"cuda:{k}" for k in range(1, torch.cuda.device_count())]
    devices = [d for d in others for _ in range(3)] + ["cuda:0"] * (1 if others else 3)

    def start() -> Producers:
        paint(args, folder)
        return Producers(folder, devices, args.batch, args.seed)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(start)
        network = model if args.eager else torch.compile(model)
        warm_up(network, args)
        producers = waiting.result()
    try:
        return fit(args, model, network, Twice(lambda: producers.next_to(args.device), 100, args.seed).next)
    finally:
        producers.close()


if __name__ == "__main__":
    main()
