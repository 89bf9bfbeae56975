"""From a model to an engine that may be used: built, run, its numbers compared, and only then kept."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trt import check, reference
from trt.build import build
from trt.cache import EngineCache
from trt.recipe import Recipe
from trt.runner import Runner

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Proof:
    """What an engine's numbers are compared with, and how far off they may be.

    known: inputs and the right outputs; None: something of the usual sizes, and what ONNX Runtime makes of it.
    """

    tolerance: float
    known: tuple[Arrays, Arrays] | None = None
    measure: str = "largest"


def in_pieces(runner: Runner, feeds: Arrays) -> dict[str, np.ndarray]:
    """Run any number of rows, as many at a time as the engine takes."""
    rows = min(len(array) for array in feeds.values())
    most = min(shapes.largest[0] for shapes in runner.shapes.values())
    found = [runner.run({k: array[at : at + most] for k, array in feeds.items()}) for at in range(0, rows, most)]
    return {name: np.concatenate([piece[name] for piece in found]) for name in found[0]}


def prove(plan: bytes, onnx: bytes, proof: Proof) -> dict[str, check.Errors]:
    """The errors of each output. Raises TrtError (out_of_tolerance)."""
    runner = Runner(plan)
    try:
        feeds, wanted = proof.known or invented(onnx, {name: shapes.usual for name, shapes in runner.shapes.items()})
        errors = check.compare(in_pieces(runner, feeds), wanted)
    finally:
        runner.close()
    check.require(errors, proof.tolerance, proof.measure)
    return errors


def invented(onnx: bytes, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Arrays, Arrays]:
    """Inputs of these shapes, and ONNX Runtime's answer to them."""
    feeds = reference.made_up(shapes, reference.dtypes(onnx))
    return feeds, reference.by_onnxruntime(onnx, feeds)


def produce(onnx: bytes, recipe: Recipe, path: Path, proof: Proof, *, float32: Collection[str] = (),
            calibrator: Callable[[Any], Any] | None = None, timing: Path | None = None,
            tell: Callable[[dict[str, Any]], None] = lambda event: None) -> dict[str, Any]:
    """Build, prove, keep. Returns what `tell` is told at the end; raises TrtError, and then nothing is kept.

    tell: called with {"stage": "parsing" | "building" | "checking" | "writing" | "done", "steps", "seconds", …}.
    """  # fmt: skip
    began = time.monotonic()

    def at(stage: str, steps: int = 0, **more: Any) -> dict[str, Any]:
        event = {"stage": stage, "steps": steps, "seconds": round(time.monotonic() - began, 1), **more}
        tell(event)
        return event

    plan = build(onnx, recipe, float32=float32, calibrator=calibrator, timing=timing, progress=at)
    at("checking")
    errors = prove(plan, onnx, proof)
    at("writing")
    EngineCache(path.parent).store(path, plan)
    return at("done", bytes=len(plan), errors={name: asdict(found) for name, found in errors.items()})
