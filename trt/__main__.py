"""`python -m trt build | run | check | halve | quantise`; on the GPU's machine numpy and tensorrt are enough."""

import argparse
import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import picture
from trt import cache, calibrate, check, mixed, quantise, reference, ways
from trt.errors import TrtError
from trt.produce import Proof, in_pieces
from trt.recipe import PRECISIONS, Recipe, read_shapes
from trt.runner import Runner


def say(event: dict[str, Any]) -> None:
    """One line of JSON, written at once; the reader may be waiting for it, and others may write to the same place."""
    print(json.dumps(event) + "\n", end="", flush=True)


def also_into(path: Path | None) -> Callable[[dict[str, Any]], None]:
    """`say`, and the same into a file that others look at. They only know less where it cannot be written."""

    def tell(event: dict[str, Any]) -> None:
        say(event)
        if path is not None:
            with contextlib.suppress(TrtError):
                cache.write_whole(path, json.dumps({**event, "at": time.time()}).encode())

    return tell


def paced(tell: Callable[[dict[str, Any]], None], every_s: float = 0.5) -> Callable[[dict[str, Any]], None]:
    """Not every single step of a stage, and never the same stage without its first."""
    last: dict[str, Any] = {"stage": "", "at": 0.0}

    def maybe(event: dict[str, Any]) -> None:
        now = time.monotonic()
        if event["stage"] != last["stage"] or now - last["at"] >= every_s:
            last.update(stage=event["stage"], at=now)
            tell(event)

    return maybe


def read_model(path: Path) -> bytes:
    """The bytes of a file. Raises TrtError: invalid."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise TrtError("invalid", f"{path} cannot be read ({error.strerror})") from error


def preprocessing(path: Path | None) -> dict[str, Any] | None:
    """The rule for pictures in a model.json."""
    if path is None:
        return None
    try:
        spec = dict(json.loads(read_model(path))["preprocess"])
        return picture.complete(spec, str(spec.pop("input", "")))
    except (ValueError, KeyError, TypeError, picture.PictureError) as error:
        raise TrtError("invalid", f"{path} has no usable preprocessing ({error})") from error


def build_engine(given: argparse.Namespace) -> None:
    """The command `build`."""
    os.nice(given.nice)
    onnx = read_model(given.model)
    if given.expect not in ("", hashlib.sha256(onnx).hexdigest()):
        raise TrtError("invalid", f"{given.model} is not the file that was expected")
    recipe = Recipe(given.precision, dict(map(read_shapes, given.shape)), given.quick, given.workspace_mb)
    tolerance = check.TOLERANCES[given.precision] if given.tolerance is None else given.tolerance
    measure = given.measure
    if measure is None:  # Q/DQ nodes are somebody's choice already: the engine need only be the same as they
        ready = given.precision == "int8" and quantise.has_integers(onnx)
        measure = "typical" if ready else "largest"
    known = reference.read(given.reference) if given.reference else None
    rows = partial(calibrate.samples, given.calibrate, preprocessing(given.preprocess)) if given.calibrate else None
    float32 = tuple(json.loads(read_model(given.float32))) if given.float32 else None
    tell = also_into(given.progress)
    all_of_it = ways.Given(onnx, Proof(tolerance, known, measure), rows, given.table, float32, given.timing)
    done = ways.within(all_of_it, recipe, given.output, paced(tell, given.every_s))
    tell({**done, "model": given.model.name})


def load(path: Path) -> Runner:
    """A kept engine. Raises TrtError: invalid."""
    plan = cache.EngineCache(path.parent).load(path)
    if plan is None:
        raise TrtError("invalid", f"{path} is missing, damaged, or no engine of this program")
    return Runner(plan)


def run_engine(given: argparse.Namespace) -> None:
    """The command `run`: also how long one run takes, copies to and from the GPU included."""
    runner = load(given.engine)
    try:
        with np.load(given.input, allow_pickle=False) as archive:
            names = archive.files
            feeds = {name.removeprefix("in:"): archive[name] for name in names if not name.startswith("out:")}
        found = in_pieces(runner, feeds)
        times = []
        single = {name: np.ascontiguousarray(array[:1]) for name, array in feeds.items()}
        for _ in range(given.repeat):
            began = time.perf_counter()
            runner.run(single)
            times.append((time.perf_counter() - began) * 1000)
    except (OSError, ValueError) as error:
        raise TrtError("invalid", f"{given.input} cannot be read ({error})") from error
    finally:
        runner.close()
    if given.output:
        np.savez(given.output, **{f"out:{name}": array for name, array in found.items()})
    report: dict[str, Any] = {"stage": "done", "outputs": {name: list(array.shape) for name, array in found.items()}}
    if times:
        report |= {"medianMs": round(float(np.median(times)), 4), "p95Ms": round(float(np.quantile(times, 0.95)), 4)}
    say(report)


def check_engine(given: argparse.Namespace) -> None:
    """The command `check`."""
    runner = load(given.engine)
    try:
        feeds, wanted = reference.read(given.reference)
        errors = check.compare(in_pieces(runner, feeds), wanted)
    finally:
        runner.close()
    say({"stage": "done", "errors": {name: asdict(found) for name, found in errors.items()}})
    check.require(errors, given.tolerance, given.measure)


def quantise_model(given: argparse.Namespace) -> None:
    """The command `quantise`."""
    found = calibrate.samples(given.calibrate, preprocessing(given.preprocess))
    rows = list(islice(found, given.samples + given.trial))
    held, known = rows[: given.trial], rows[given.trial :]
    if not known:
        raise TrtError("invalid", f"{len(rows)} samples are too few: {given.trial} are kept for measuring")
    trial = {name: np.concatenate([row[name] for row in held]) for name in held[0]}
    tell = paced(lambda event: say(event))
    made, plan = quantise.plan(read_model(given.model), known, trial, given.tolerance, given.measure,
                               lambda words: tell({"stage": "trying", "convolution": words}))  # fmt: skip
    cache.write_whole(given.output, made)
    errors = {name: asdict(found) for name, found in plan.errors.items()}
    say({"stage": "done", "inIntegers": len(plan.chosen), "convolutions": plan.convolutions, "errors": errors})


def halve_model(given: argparse.Namespace) -> None:
    """The command `halve`."""
    feeds, _ = reference.read(given.reference)
    nodes = mixed.in_float32(read_model(given.model), feeds, given.tolerance)
    cache.write_whole(given.output, json.dumps(nodes).encode())
    say({"stage": "done", "inFloat32": len(nodes)})


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = argparse.ArgumentParser(prog="python -m trt", description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="an ONNX model into an engine, checked before it is kept")
    build.set_defaults(command=build_engine)
    build.add_argument("model", type=Path)
    build.add_argument("-o", "--output", type=Path, required=True)
    build.add_argument("--precision", choices=PRECISIONS, default="fp16")
    build.add_argument("--shape", action="append", required=True, metavar="NAME=SMALLEST,USUAL,LARGEST",
                       help="shapes like 1x3x256x256; one alone is fixed")  # fmt: skip
    build.add_argument("--quick", action="store_true", help="a short build: time convolutions' own kernels only")
    build.add_argument("--nice", type=int, default=0, help="give way to other processes by so much")
    build.add_argument("--expect", default="", metavar="SHA256", help="refuse another model than this one")
    build.add_argument("--workspace-mb", type=int, default=1024)
    build.add_argument("--calibrate", type=Path, help="folder of pictures or .npz files, or one .npz, for int8")
    build.add_argument("--preprocess", type=Path, help="model.json that says how a picture becomes the input")
    build.add_argument("--table", type=Path, help="the calibration's table: read when it is there, else written")
    build.add_argument("--timing", type=Path, help="times of layers' candidates on this GPU: read, then written")
    build.add_argument("--progress", type=Path, help="a file for each line of progress, the last one only")
    build.add_argument("--every-s", type=float, default=0.5, help="seconds between lines of progress")
    build.add_argument("--reference", type=Path, help=".npz with in:NAME and out:NAME; else ONNX Runtime is asked")
    build.add_argument("--float32", type=Path, help="the nodes to leave in float32, as `halve` lists them")
    build.add_argument("--tolerance", type=float, help="error over the range of an output")
    build.add_argument("--measure", choices=check.MEASURES, help="of the errors; else the largest, but for Q/DQ nodes")
    run = commands.add_parser("run", help="an engine on the arrays of a .npz")
    run.set_defaults(command=run_engine)
    run.add_argument("engine", type=Path)
    run.add_argument("--input", type=Path, required=True)
    run.add_argument("--output", type=Path)
    run.add_argument("--repeat", type=int, default=0, help="time so many runs of the first row")
    compare = commands.add_parser("check", help="an engine against reference outputs")
    compare.set_defaults(command=check_engine)
    compare.add_argument("engine", type=Path)
    compare.add_argument("--reference", type=Path, required=True)
    compare.add_argument("--tolerance", type=float, default=1e-2)
    compare.add_argument("--measure", choices=check.MEASURES, default="largest")
    half = commands.add_parser("halve", help="which nodes half precision must leave in float32, for `build`")
    half.set_defaults(command=halve_model)
    half.add_argument("model", type=Path)
    half.add_argument("-o", "--output", type=Path, required=True)
    half.add_argument("--reference", type=Path, required=True, help=".npz with in:NAME and out:NAME")
    half.add_argument("--tolerance", type=float, default=6e-3, help="below the engine's, which rounds once more")
    into = commands.add_parser("quantise", help="a model with Q/DQ nodes, in integers as far as a tolerance allows")
    into.set_defaults(command=quantise_model)
    into.add_argument("model", type=Path)
    into.add_argument("-o", "--output", type=Path, required=True)
    into.add_argument("--calibrate", type=Path, required=True)
    into.add_argument("--preprocess", type=Path)
    into.add_argument("--samples", type=int, default=24, help="rows to calibrate with")
    into.add_argument("--trial", type=int, default=12, help="further rows to measure the errors with")
    into.add_argument("--tolerance", type=float, default=8e-3, help="below the engine's, which rounds once more")
    into.add_argument("--measure", choices=check.MEASURES, default="typical")
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: done; 1: it cannot be done, and the last line says why; 2: wrong usage."""
    given = parser().parse_args(arguments)
    try:
        given.command(given)
    except TrtError as error:
        also_into(getattr(given, "progress", None))({"stage": "failed", "kind": error.kind, "reason": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
