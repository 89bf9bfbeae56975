"""Batches for training: composited in place, or by producer processes that run beside the trainer.

A producer has its own interpreter, its own copy of the bank on its device, and its own slots in files mapped
by both sides (shared memory proper can be too small in a container); photos travel as bytes, which loses
nothing because the camera rounds to 1/255.
"""

from __future__ import annotations

import math
import queue
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.multiprocessing as mp

from training.document_corners.bank import open_bank
from training.document_corners.camera import develop
from training.document_corners.compose import Studio
from training.document_corners.losses import outlines
from training.document_corners.network import SIDE
from training.document_corners.scene import Dice, Recipe

RENDER = 320  # pixels a side of a scene before the camera scales it down to 256
SLOTS = 3  # batches in flight per producer
PATIENCE_S = 240  # a producer's first batch includes starting CUDA and loading the bank


@dataclass
class Batch:
    """photo uint8 [n,3,256,256]; corners float32 [n,4,2]; present bool [n]; outline uint8 [n,2,g,g] (mask, border)."""

    photo: torch.Tensor
    corners: torch.Tensor
    present: torch.Tensor
    outline: torch.Tensor

    def to(self, device: torch.device | str) -> Batch:
        return Batch(*(t.to(device) for t in (self.photo, self.corners, self.present, self.outline)))


class Source:
    """Endless batches on one device, a function of the bank and the seed."""

    def __init__(self, studio: Studio, recipe: Recipe, batch: int, seed: int) -> None:
        self.studio, self.recipe, self.batch = studio, recipe, batch
        self.dice = Dice(seed)
        self.generator = torch.Generator(studio.device).manual_seed(seed)

    def next(self) -> Batch:
        shot = self.studio.shoot(self.dice, self.recipe, self.batch)
        photo = develop(shot.image, (SIDE, SIDE), self.dice, self.recipe, self.generator)
        outline = (outlines(shot.mask) * 255).round().byte()
        return Batch((photo * 255).round().byte(), shot.corners, shot.present, outline)


def open_slots(folder: Path, name: int, batch: int) -> list[Batch]:
    """The slots of producer `name`, mapped from files in folder; made when missing."""
    cells = outlines(torch.zeros(1, 1, SIDE, SIDE)).shape[-1]

    def mapped(slot: int, part: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        path = str(folder / f"slot_{name}_{slot}_{part}")
        return torch.from_file(path, shared=True, size=math.prod(shape), dtype=dtype).view(shape)

    return [
        Batch(
            mapped(slot, "photo", (batch, 3, SIDE, SIDE), torch.uint8),
            mapped(slot, "corners", (batch, 4, 2), torch.float32),
            mapped(slot, "present", (batch,), torch.bool),
            mapped(slot, "outline", (batch, 2, cells, cells), torch.uint8),
        )
        for slot in range(SLOTS)
    ]


def produce(folder: Path, device: str, batch: int, seed: int, free: mp.Queue, ready: mp.Queue, name: int) -> None:
    """A producer's life: fill free slots until None comes."""
    torch.set_num_threads(2)
    slots = open_slots(folder, name, batch)
    source = Source(Studio(open_bank(folder), (RENDER, RENDER), device), Recipe(), batch, seed)
    while (slot := free.get()) is not None:
        made = source.next()
        for part in ("photo", "corners", "present", "outline"):
            getattr(slots[slot], part).copy_(getattr(made, part))
        ready.put((name, slot))


class Producers:
    """`next_to()` gives batches in the order they come; `close()` ends the processes."""

    def __init__(self, folder: Path, devices: list[str], batch: int, seed: int) -> None:
        context = mp.get_context("spawn")
        self.ready, self.free, self.slots, self.workers = context.Queue(), [], [], []
        for name, device in enumerate(devices):
            self.slots.append(open_slots(folder, name, batch))
            free = context.Queue()
            for slot in range(SLOTS):
                free.put(slot)
            job = (folder, device, batch, seed + 1000 * name, free, self.ready, name)
            worker = context.Process(target=produce, args=job, daemon=True)
            worker.start()
            self.free.append(free)
            self.workers.append(worker)

    def next_to(self, device: str) -> Batch:
        """The next batch, copied to device; its slot is free again."""
        try:
            name, slot = self.ready.get(timeout=PATIENCE_S)
        except queue.Empty:
            codes = [w.exitcode for w in self.workers]
            raise RuntimeError(f"no batch came within {PATIENCE_S} s; exit codes of the producers: {codes}") from None
        made = self.slots[name][slot].to(device)
        self.free[name].put(slot)
        return made

    def close(self) -> None:
        for free in self.free:
            free.put(None)
        for worker in self.workers:
            worker.join(20)
            if worker.is_alive():
                worker.terminate()
