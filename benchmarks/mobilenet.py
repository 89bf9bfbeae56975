"""A MobileNetV2 that was trained, for benchmarks: twenty classes of drawn patterns, ten kinds in two sizes.

    python benchmarks/mobilenet.py FOLDER [--steps 2500] [--threads 1]

Writes the model as Paddle saves it (paddle.vision.models.mobilenet_v2, 224 × 224) and says how often it is right on
patterns that it has not seen. Training is done in torch, whose convolutions are many times faster on a CPU, and the
weights are handed over; seeded, but sums differ between machines. About ten minutes on one core.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

KINDS = ("stripes", "checks", "dots", "rings", "waves", "bricks", "zigzag", "triangles", "grid", "blotches")
SIZES = ((6, 8), (13, 18))
"""Pixels from one piece to the next."""
CLASSES = len(KINDS) * len(SIZES)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Widening, channels, repeats, stride: table 2 of arXiv:1801.04381."""
STAGES = ((0.95, 64, 32), (0.05, 224, 8))
"""Share of the steps, side of the pictures, pictures a step: a piece of a pattern teaches as much, and faster."""


def pattern(kind: str, u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which of two colours, by place in units of the pattern."""
    across, down = u % 1, v % 1
    if kind == "stripes":
        return across < 0.5
    if kind == "checks":
        return (across < 0.5) ^ (down < 0.5)
    if kind == "dots":
        return (across - 0.5) ** 2 + (down - 0.5) ** 2 < 0.1
    if kind == "rings":
        return np.hypot(u - u.mean(), v - v.mean()) % 1 < 0.5
    if kind == "waves":
        return (u + 0.4 * np.sin(2 * np.pi * v / 2)) % 1 < 0.5
    if kind == "bricks":
        return (down < 0.2) | ((u / 2 + 0.5 * (np.floor(v) % 2)) % 1 < 0.1)
    if kind == "zigzag":
        return (u + 1.2 * np.abs(v / 2 % 1 - 0.5)) % 1 < 0.5
    if kind == "triangles":
        return across < down
    if kind == "grid":
        return (across < 0.2) | (down < 0.2)
    cells = rng.normal(size=(40, 40))
    rough = np.asarray(Image.fromarray(cells.astype(np.float32)).resize((400, 400), Image.Resampling.BICUBIC))
    return rough[(10 * u).astype(int) % 400, (10 * v).astype(int) % 400] > 0


def picture(label: int, side: int, rng: np.random.Generator) -> Image.Image:
    """One picture of a class: turned, in two colours, lit unevenly, more or less sharp, with noise."""
    kind, size = divmod(label, len(SIZES))
    y, x = np.mgrid[:side, :side] + rng.uniform(0, 500, 2)[:, None, None]
    turn, step = rng.uniform(0, 2 * np.pi), rng.uniform(*SIZES[size])
    u, v = (x * np.cos(turn) + y * np.sin(turn)) / step, (y * np.cos(turn) - x * np.sin(turn)) / step
    first = rng.uniform(0, 255, 3)
    colours = np.stack([first, coloured(rng, first)])
    light = 1 + rng.uniform(-0.3, 0.3) * (x - x.mean()) / side + rng.uniform(-0.3, 0.3) * (y - y.mean()) / side
    drawn = colours[pattern(KINDS[kind], u, v, rng).astype(int)] * light[:, :, None]
    image = Image.fromarray(drawn.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(rng.uniform(0, 1)))
    noisy = np.asarray(image, np.float32) + rng.normal(0, rng.uniform(0, 15), (side, side, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def coloured(rng: np.random.Generator, away: np.ndarray) -> np.ndarray:
    """A colour that stands out from another one."""
    while True:
        found = rng.uniform(0, 255, 3)
        if abs(found - away).sum() > 150:
            return found


def pictures(count: int, seed: int, side: int = 224) -> list[Image.Image]:
    """Pictures of all classes in turn."""
    rng = np.random.default_rng(seed)
    return [picture(k % CLASSES, side, rng) for k in range(count)]


def prepared(images: list[Image.Image]) -> np.ndarray:
    """[N, 3, side, side] as the network takes them."""
    stacked = np.stack([np.asarray(image, np.float32) for image in images]) / 255
    return ((stacked - np.array(MEAN, np.float32)) / np.array(STD, np.float32)).transpose(0, 3, 1, 2)


def in_torch() -> Any:
    """The network, its parameters in the order of Paddle's."""
    import torch
    from torch import nn

    def unit(into: int, out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
        return [nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(out),
                nn.ReLU6()]

    class Block(nn.Module):
        def __init__(self, into: int, out: int, stride: int, widen: int) -> None:
            super().__init__()
            inside, self.adds = into * widen, stride == 1 and into == out
            first = unit(into, inside, 1) if widen > 1 else []
            self.layers = nn.Sequential(*first, *unit(inside, inside, 3, stride, inside), *unit(inside, out, 1)[:2])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.layers(x) if self.adds else self.layers(x)

    layers, into = unit(3, 32, 3, 2), 32
    for widen, out, repeats, stride in BLOCKS:
        for k in range(repeats):
            layers.append(Block(into, out, stride if k == 0 else 1, widen))
            into = out
    layers += [*unit(into, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(1280, CLASSES)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def trained(steps: int, seed: int = 3) -> Any:
    """The network after that many steps."""
    import torch

    torch.manual_seed(seed)
    net, rng = in_torch().train(), np.random.default_rng(seed)
    learner = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.02)
    rate = torch.optim.lr_scheduler.OneCycleLR(learner, 2e-3, total_steps=steps, pct_start=0.15)
    right, began = 0.0, time.monotonic()
    for step in range(steps):
        part, reached = 0, STAGES[0][0]
        while step >= reached * steps and part + 1 < len(STAGES):
            part += 1
            reached += STAGES[part][0]
        _, side, count = STAGES[part]
        labels = rng.integers(0, CLASSES, count)
        shown = torch.from_numpy(prepared([picture(int(label), side, rng) for label in labels]))
        scores = net(shown.contiguous(memory_format=torch.channels_last))
        wanted = torch.from_numpy(labels)
        torch.nn.functional.cross_entropy(scores, wanted).backward()
        learner.step()
        learner.zero_grad()
        rate.step()
        right = 0.95 * right + 0.05 * float((scores.argmax(1) == wanted).float().mean())
        if step % 50 == 49:
            print(f"step {step + 1}: {100 * right:.1f} % right, {time.monotonic() - began:.0f} s", flush=True)
    return net.eval()


def in_paddle(net: Any) -> Any:
    """The same weights in Paddle's own MobileNetV2."""
    import paddle

    twin = paddle.vision.models.mobilenet_v2(num_classes=CLASSES)
    given = [value.detach().numpy() for name, value in net.state_dict().items() if "num_batches" not in name]
    taken = list(twin.state_dict().values())
    for value, number in zip(taken, given, strict=True):
        value.set_value(np.ascontiguousarray(number.T if number.ndim == 2 else number))
    return twin.eval()


def save(twin: Any, folder: Path) -> None:
    import paddle

    spec = [paddle.static.InputSpec([None, 3, 224, 224], "float32", name="image")]
    paddle.jit.save(twin, str(folder / "inference"), input_spec=spec)


def main() -> None:
    import paddle
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(given.threads)
    net = trained(given.steps)
    twin, images = in_paddle(net), prepared(pictures(200, 17))
    with torch.no_grad():
        first = net(torch.from_numpy(images[:8])).numpy()
    apart = np.abs(first - twin(paddle.to_tensor(images[:8])).numpy()).max()
    if apart > 1e-3:
        raise SystemExit(f"the two networks differ by {apart}")
    save(twin, given.folder)
    with torch.no_grad():
        found = np.concatenate([net(torch.from_numpy(images[k:k + 8])).argmax(1).numpy() for k in range(0, 200, 8)])
    print(f"{100 * np.mean(found == np.arange(200) % CLASSES):.1f} % of 200 right; saved in {given.folder}")


if __name__ == "__main__":
    main()
