"""TensorRT on a machine's GPUs against ONNX Runtime on its CPU: error, latency, throughput with and without batching.

usage: python benchmarks/serving_gpu.py --prepare BUNDLE --prepare BUNDLE --pictures FOLDER MODELS   (no GPU needed)
       python benchmarks/serving_gpu.py MODELS [--minutes 9] [--work FOLDER] [--only ENGINE] [--model NAME]

Where there is no GPU it says so. On the GPU's machine numpy, tensorrt and onnxruntime are enough. Each GPU builds one
engine after the other, fp32 of every model first, then fp16, int8 with Q/DQ nodes, int8 that is calibrated; each is
measured as soon as it is built, while nothing else uses that GPU, in a process of its own. What is known so far lies in
the work folder at any time, as results.json and table.md: a run that is cut off has lost the engine that it was
building, and the next one with the same folder goes on from there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from benchmarks.serving_gpu_builds import (  # noqa: E402
    MOST,
    engine_path,
    environment,
    kinds,
    prepare,
    run_build,
    say,
)
from benchmarks.serving_gpu_measure import CLIENTS, gpu_count, measure_cpu, measure_engine  # noqa: E402
from trt import TrtError, library  # noqa: E402
from trt.cuda import cuda  # noqa: E402

CORES = 4
"""For a measurement: on more, threads that wait for Python's lock sleep on cores that first have to wake up."""
MEASURE_S, LEAST_BUILD_S, END_S = 60, 30, 5  # limits: of a measurement, below which no build begins, before the end
CPU = "ONNX Runtime, CPU"


class Results:
    """What is known so far, in the work folder at any time."""

    def __init__(self, work: Path) -> None:
        self.work, self.lock = work, threading.Lock()
        path = work / "results.json"
        self.found: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}

    def known(self, model: str, kind: str) -> bool:
        """Whether that was measured."""
        return "batch1" in self.found.get(f"{model} | {kind}", {})

    def note(self, model: str, kind: str, **more: Any) -> None:
        """Add it, and write everything."""
        with self.lock:
            self.found.setdefault(f"{model} | {kind}", {}).update(more)
            for name, text in (("results.json", json.dumps(self.found, indent=1)), ("table.md", table(self.found))):
                part = self.work / f"{name}.part"
                part.write_text(text)
                part.replace(self.work / name)
        say(what="result", model=model, engine=kind, **more)


def table(results: dict[str, dict[str, Any]]) -> str:
    """For the README. Times of a run on the GPU alone are in brackets."""
    columns = ("model", "engine", "build s", "largest error", "typical", "batch 1, ms", f"batch {MOST}, ms",
               f"{CLIENTS} clients, single /s", "batched /s", "gain", "p99 ms", "mean batch")  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---|---|" + "---:|" * (len(columns) - 2)]

    def cell(found: dict[str, Any], key: str, form: str) -> str:
        return format(found[key], form) if key in found else "–"

    def times(found: dict[str, Any], key: str) -> str:
        alone = found.get(f"{key}OnTheGpu", {})
        return cell(found.get(key, {}), "medianMs", ".3f") + (f" ({alone['medianMs']:.3f})" if alone else "")

    for key, found in sorted(results.items()):
        single, batched = found.get("single", {}), found.get("batched", {})
        gain = f"{batched['perSecond'] / single['perSecond']:.1f}×" if batched and single.get("perSecond") else "–"
        lines.append(
            f"| {key} | {cell(found, 'buildSeconds', '.0f')} | {cell(found, 'largestError', '.1e')} "
            f"| {cell(found, 'typicalError', '.1e')} | {times(found, 'batch1')} | {times(found, 'fullBatch')} "
            f"| {cell(single, 'perSecond', '.0f')} | {cell(batched, 'perSecond', '.0f')} | {gain} "
            f"| {cell(batched or single, 'p99Ms', '.1f')} | {cell(batched, 'meanBatch', '.1f')} |"
            + (f" {found['problem']}" if "problem" in found else "")
        )
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Place:
    """Where a chain works: one GPU and the cores to measure on; `seconds` for each part of a measurement."""

    work: Path
    gpu: int
    cores: tuple[int, ...]
    seconds: float


def measure_apart(place: Place, folder: Path, kind: str, limit_s: float) -> dict[str, Any]:
    """`measure_engine` in a process of its own: one that crashes or hangs takes nothing else along."""
    command = [sys.executable, __file__, str(folder.parent), "--work", str(place.work), "--measure", folder.name, kind,
               "--cores", ",".join(map(str, place.cores)), "--seconds", str(place.seconds)]  # fmt: skip
    try:
        done = subprocess.run(command, env=environment(place.gpu), capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return {"problem": f"measuring did not end within {limit_s:.0f} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        return {"problem": f"measuring ended with status {done.returncode}: {done.stderr.strip()[-200:]}"}
    return json.loads(lines[-1])


def chain(place: Place, tasks: list[tuple[Path, str]], until: float, results: Results) -> None:
    """Build and measure one engine after the other on one GPU."""
    for folder, kind in tasks:
        if results.known(folder.name, kind):
            continue
        path = engine_path(place.work, folder.name, kind)
        left = until - time.monotonic()
        if left < (END_S if path.is_file() else LEAST_BUILD_S):
            say(what="skipped", model=folder.name, engine=kind, reason="out of time")
            continue
        report = run_build(folder, kind, path, place.gpu, until - 2 * END_S)
        if report.get("stage") != "done":
            results.note(folder.name, kind, problem=report.get("reason", "it was not built"))
            continue
        found = measure_apart(place, folder, kind, max(END_S, min(MEASURE_S, until - time.monotonic())))
        results.note(folder.name, kind, buildSeconds=report["seconds"], **({"problem": ""} | found))


def tasks_of(folders: list[Path], wanted: list[str] | None) -> list[tuple[Path, str]]:
    """Every engine of every model: one kind after the other, so that each kind is there for all before the next."""
    order = wanted or ["fp32", "fp16", "int8:largest", "int8:typical", "int8"]
    rank = {kind: place for place, kind in enumerate(order)}
    found = [(folder, kind) for folder in folders for kind in kinds(folder) if not wanted or kind in wanted]
    return sorted(found, key=lambda task: rank.get(task[1], 9))


def run_all(folders: list[Path], given: argparse.Namespace, work: Path) -> None:
    """The CPU's figures first, while the GPUs are idle; then a chain for each GPU."""
    until, results = time.monotonic() + given.minutes * 60, Results(work)
    for folder in folders:
        if not results.known(folder.name, CPU):
            try:
                results.note(folder.name, CPU, **measure_cpu(folder, given.seconds))
            except Exception as error:  # a gap in the table, and the rest of it
                results.note(folder.name, CPU, problem=f"{type(error).__name__}: {error}"[:300])
    gpus, cores = gpu_count(), sorted(os.sched_getaffinity(0))
    tasks = tasks_of(folders, given.only)
    threads = []
    for gpu in range(gpus):
        mine = [task for task in tasks if folders.index(task[0]) % gpus == gpu]
        share = cores[gpu * len(cores) // gpus : (gpu + 1) * len(cores) // gpus] or cores
        place = Place(work, gpu, tuple(share[:CORES]), given.seconds)
        threads.append(threading.Thread(target=chain, args=(place, mine, until, results)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print((work / "table.md").read_text(), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="?")
    parser.add_argument("--prepare", type=Path, action="append", default=[], help="a bundle with model.onnx")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each part of a measurement")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--only", action="append", help="an engine: fp32, fp16, int8, int8:NOTE")
    parser.add_argument("--model", action="append", help="a model's folder")
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "ENGINE"), help="an engine that was built, here")
    parser.add_argument("--cores", help="numbers of those to use, separated by commas")
    given = parser.parse_args()
    if given.prepare:
        if given.models is None or given.pictures is None:
            parser.error("--prepare needs --pictures and MODELS")
        for bundle in given.prepare:
            prepare(bundle, given.pictures, given.models)
        return 0
    if given.cores:
        os.sched_setaffinity(0, set(map(int, given.cores.split(","))))
    try:
        trt, gpu = library.tensorrt(), cuda().gpu()
    except TrtError as error:
        print(f"nothing to measure here: {error}")
        return 0
    if given.models is None:
        parser.error("name the folder of the models")
    if given.measure:
        name, kind = given.measure
        say(**measure_engine(given.models / name, engine_path(given.work, name, kind), given.seconds))
        return 0
    began = time.monotonic()
    say(what="machine", gpu=gpu, gpus=gpu_count(), tensorrt=trt.__version__, cores=len(os.sched_getaffinity(0)))
    folders = sorted(path.parent for path in given.models.glob("*/reference.npz"))
    folders = [folder for folder in folders if not given.model or folder.name in given.model]
    work = given.work or Path(tempfile.mkdtemp(prefix="serving-gpu-"))
    work.mkdir(parents=True, exist_ok=True)
    run_all(folders, given, work)
    say(what="end", seconds=round(time.monotonic() - began), work=str(work))
    return 0


if __name__ == "__main__":
    sys.exit(main())
