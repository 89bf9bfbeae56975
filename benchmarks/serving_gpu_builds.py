"""What serving_gpu.py measures: a folder for each model, and engines built from it, one after the other.

A folder holds model.onnx (opset 13), model.json (its `preprocess`), reference.npz (in:NAME and out:NAME from ONNX
Runtime), and model.int8.NOTE.onnx with Q/DQ nodes; beside the folders lie `pictures/` to calibrate with.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trt import TrtError, mixed, quantise, reference
from trt.__main__ import preprocessing
from trt.calibrate import PICTURES, samples
from trt.check import MEASURES

REPO = Path(__file__).resolve().parent.parent
MOST, USUAL = 32, 16
HELD, QUANTISED_WITHIN, HALVED_WITHIN = 12, 8e-3, 3.5e-3


def say(**event: Any) -> None:
    """One line of JSON; the reader may be waiting for it."""
    print(json.dumps(event), flush=True)


def shapes(folder: Path) -> tuple[str, tuple[int, ...]]:
    """The input's name and the shape of a row."""
    feeds, _ = reference.read(folder / "reference.npz")
    (name, rows), = feeds.items()
    return name, rows.shape[1:]


def build_command(folder: Path, kind: str, path: Path, counts: tuple[int, ...] = (1, USUAL, MOST)) -> list[str]:
    """kind: fp32, fp16, int8 (calibrated), or int8:NOTE (from model.int8.NOTE.onnx). counts: of rows at a time."""
    precision, _, note = kind.partition(":")
    model = folder / (f"model.int8.{note}.onnx" if note else "model.onnx")
    name, rest = shapes(folder)
    sizes = ",".join("x".join(map(str, (rows, *rest))) for rows in counts)
    command = [sys.executable, "-m", "trt", "build", model, "-o", path, "--precision", precision, "--quick",
               "--shape", f"{name}={sizes}", "--reference", folder / "reference.npz", "--tolerance", "9",
               "--measure", "largest", "--every-s", "15",
               "--timing", path.with_name(f"{folder.name}.timing")]  # fmt: skip
    if (nodes := model.with_suffix(".float32.json")).is_file() and precision != "fp32":
        command += ["--float32", nodes]
    if kind == "int8":
        command += ["--calibrate", folder.parent / "pictures", "--preprocess", folder / "model.json",
                    "--table", path.with_suffix(".table")]  # fmt: skip
    return list(map(str, command))


def engine_path(work: Path, name: str, kind: str) -> Path:
    """Where an engine is kept; its report lies beside it."""
    return work / f"{name}.{kind.replace(':', '.')}.engine"


def environment(gpu: int) -> dict[str, str]:
    """For a process that sees one GPU. What CUDA's driver compiles is kept for the next process, however much it is."""
    modules = os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH", "")]))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    device = visible[gpu] if gpu < len(visible) and visible[gpu] else str(gpu)
    return {**os.environ, "PYTHONPATH": modules, "CUDA_VISIBLE_DEVICES": device, "CUDA_CACHE_MAXSIZE": str(4 << 30)}


def run_build(folder: Path, kind: str, path: Path, gpu: int, until: float) -> dict[str, Any]:
    """`python -m trt build` in a process of its own; its lines are passed on. Returns the last one: how it went."""
    about, report = path.with_suffix(".json"), {}
    if about.is_file() and path.is_file():
        return {**json.loads(about.read_text()), "earlier": True}
    began = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        command, pipes = build_command(folder, kind, path), {"stdout": subprocess.PIPE, "stderr": errors}
        with subprocess.Popen(command, env=environment(gpu), text=True, **pipes) as process:
            timer = threading.Timer(max(0.1, until - time.monotonic()), process.kill)
            timer.start()
            for line in process.stdout or ():
                if line.startswith("{"):
                    report = json.loads(line)
                    say(**{**report, "what": "build", "model": folder.name, "engine": kind, "gpu": gpu})
        timer.cancel()
        errors.seek(0)
        tail = errors.read().strip()[-300:]
    if report.get("stage") == "done":
        about.write_text(json.dumps(report))
    elif report.get("stage") != "failed":
        how = "out of time" if time.monotonic() >= until else f"it ended with status {process.returncode} {tail}"
        reason = f"{how} after {time.monotonic() - began:.0f} s, {report.get('steps', 0)} layers timed"
        report = {"stage": "failed", "reason": reason}
        say(what="build", model=folder.name, engine=kind, gpu=gpu, **report)
    return report


def prepare(bundle: Path, pictures: Path, models: Path) -> None:
    """What a GPU's machine needs of a bundle; the first pictures are kept for measuring."""
    spec = preprocessing(bundle / "model.json")
    onnx, into = (bundle / "model.onnx").read_bytes(), models / bundle.name
    files = sorted(path for path in pictures.iterdir() if path.suffix.lower() in PICTURES)
    (models / "pictures").mkdir(parents=True, exist_ok=True)
    into.mkdir(exist_ok=True)
    for path in files[HELD:]:
        shutil.copy(path, models / "pictures")
    for name in ("model.json", "model.onnx"):
        shutil.copy(bundle / name, into)
    rows = list(samples(pictures, spec))
    trial = {name: np.concatenate([row[name] for row in rows[:HELD]]) for name in rows[0]}
    known = {name: array[: HELD // 2] for name, array in trial.items()}
    answers = reference.by_onnxruntime(onnx, known)
    np.savez_compressed(into / "reference.npz", **{f"in:{name}": array for name, array in known.items()},
                        **{f"out:{name}": array for name, array in answers.items()})  # fmt: skip
    (into / "model.float32.json").write_text(json.dumps(mixed.in_float32(onnx, known, HALVED_WITHIN)))
    for measure in MEASURES:
        try:
            made, plan = quantise.plan(onnx, rows[HELD : 3 * HELD], trial, QUANTISED_WITHIN, measure)
        except TrtError as error:
            say(what="prepared", model=bundle.name, measure=measure, reason=str(error))
            continue
        (into / f"model.int8.{measure}.onnx").write_bytes(made)
        say(what="prepared", model=bundle.name, measure=measure, inIntegers=len(plan.chosen), of=plan.convolutions)


def kinds(folder: Path) -> Iterator[str]:
    """The engines of a model, the most wanted and the quickest to build first."""
    yield from ("fp32", "fp16")
    for path in sorted(folder.glob("model.int8.*.onnx"), reverse=True):
        yield f"int8:{path.name.split('.')[2]}"
    yield "int8"
