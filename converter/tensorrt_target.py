"""The target tensorrt: BUNDLE/tensorrt/engine, built on this machine by the code that the server builds with (trt).

An engine runs only with the GPU and the TensorRT that built it, so it is no part of what a version's digest stands
for. Where there is no GPU, what it would be built from is left ready: model.onnx in operator set 13.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converter import child
from converter.errors import ConvertError
from converter.graph import Graph
from converter.run_times import again

FOLDER, ENGINE, ABOUT = "tensorrt", "engine", "engine.json"
PRECISIONS = {"float32": "fp32", "float16": "fp16", "int8": "int8", "int8-weights": "fp32"}
MISSING = ("not_installed", "no_gpu")
BATCH = 8


@dataclass(frozen=True)
class Options:
    """shapes: "NAME=SMALLEST,USUAL,LARGEST" by input, sizes as in 1x3x224x224; inputs that are not named get batches
    up to 8 of their trial size. seconds: how long the build may take."""

    shapes: tuple[str, ...] = ()
    workspace_mb: int = 1024
    seconds: int = 1800
    quick: bool = False


def build(folder: Path, graph: Graph, precision: str, options: Options, feeds: dict[str, np.ndarray],
          expected: dict[str, np.ndarray], tolerance: float | None, work: Path) -> tuple[dict[str, Any] | None, str]:
    """Build, check against the reference answer and keep the engine; (what is known of it, "").

    (None, why) where this machine lacks TensorRT or a GPU. Raises ConvertError where the build fails, takes too long,
    or the engine's numbers are not the model's.
    """
    target = folder / FOLDER / ENGINE
    command = [sys.executable, "-m", "trt", "build", str(folder / "model.onnx"), "-o", str(target),
               "--precision", PRECISIONS[precision], "--workspace-mb", str(options.workspace_mb)]
    shapes = shapes_of(graph, options, feeds)
    for shape in shapes:
        command += ["--shape", shape]
    if options.quick:
        command.append("--quick")
    if tolerance is not None:
        command += ["--tolerance", str(tolerance)]
    fit = _fit(shapes, feeds)
    if expected and fit:  # else the builder asks ONNX Runtime, whose answers were checked already
        known = work / "known.npz"
        np.savez(known, **{f"in:{name}": array for name, array in feeds.items()},  # type: ignore[arg-type]
                 **{f"out:{name}": array for name, array in expected.items()})
        command += ["--reference", str(known)]
    last = _run(command, options.seconds)
    if last.get("stage") == "done" and target.is_file():
        about = {key: last[key] for key in ("seconds", "bytes", "errors") if key in last}
        about |= {"precision": PRECISIONS[precision], "machine": _machine(), "shapes": shapes, "takesTheTrial": fit}
        (target.parent / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        return about, ""
    reason = str(last.get("reason", "no reason given"))
    if last.get("kind") in MISSING:
        if target.parent.is_dir():
            target.parent.rmdir()
        return None, f"no TensorRT engine was built: {reason}; model.onnx is ready for a machine with a GPU"
    raise ConvertError(f"TensorRT: {reason}", where="--targets tensorrt")


def _fit(shapes: list[str], feeds: dict[str, np.ndarray]) -> bool:
    """Whether the engine will take the trial inputs. Raises ConvertError for shapes that make no sense."""
    from trt import TrtError
    from trt.recipe import read_shapes

    try:
        return all(sizes.hold(feeds[name].shape) for name, sizes in map(read_shapes, shapes))
    except TrtError as error:
        raise ConvertError(str(error), where="--tensorrt-shape") from error


def _run(command: list[str], seconds: int) -> dict[str, Any]:
    """The last line that the builder says, as JSON."""
    done = child.run(command, "TensorRT", timeout_s=seconds, where="--targets tensorrt", any_exit=True,
                     late="give it longer with --tensorrt-seconds, or say --tensorrt-quick",
                     cwd=Path(__file__).resolve().parent.parent)
    for line in reversed(done.stdout.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    raise ConvertError(f"the builder of TensorRT engines failed: {child.words(done)}", where="--targets tensorrt")


def shapes_of(graph: Graph, options: Options, feeds: dict[str, np.ndarray]) -> list[str]:
    """One --shape per input: as given, else as tried, in batches where the first size is open."""
    given = {text.partition("=")[0]: text for text in options.shapes}
    unknown = sorted(set(given) - set(graph.inputs))
    if unknown:
        raise ConvertError(f"--tensorrt-shape names unknown inputs {unknown}",
                           hint=f"the model's inputs are {graph.inputs}")
    found = []
    for name in graph.inputs:
        declared, tried = graph.values[name].shape, feeds[name].shape
        rows = (1, BATCH // 2, BATCH) if declared and isinstance(declared[0], str) else tried[:1] * 3
        sizes = ",".join("x".join(map(str, (count, *tried[1:]))) for count in rows)
        found.append(given.get(name, f"{name}={sizes}"))
    return found


def _machine() -> dict[str, str]:
    from trt.cuda import cuda
    from trt.library import tensorrt

    return {"tensorrt": str(tensorrt().__version__), "gpu": str(cuda().gpu())}


def run(bundle: Path, feeds: dict[str, np.ndarray], repeat: int = 1) -> tuple[dict[str, np.ndarray], list[float]]:
    """The bundle's engine, on the machine that built it."""
    from trt import EngineCache, Runner, TrtError
    from trt.produce import in_pieces

    path = bundle / FOLDER / ENGINE
    if not path.is_file():
        raise ConvertError("the bundle has no TensorRT engine", where=str(bundle),
                           hint="convert with --targets web,tensorrt on a machine with a GPU")
    plan = EngineCache(path.parent).load(path)
    if plan is None:
        raise ConvertError("is damaged", where=str(path), hint="convert the model again")
    try:
        runner = Runner(plan)
        try:
            return again(lambda: in_pieces(runner, feeds), repeat)
        finally:
            runner.close()
    except TrtError as error:
        raise ConvertError(f"TensorRT cannot run the engine: {error}", where=str(path)) from error
