"""TensorRT on this machine's GPU against ONNX Runtime on its CPU: error, latency, throughput with and without batching.

usage: python benchmarks/serving_gpu.py --prepare BUNDLE --prepare BUNDLE --pictures FOLDER MODELS   (no GPU needed)
       python benchmarks/serving_gpu.py MODELS [--minutes 7] [--work FOLDER] [--only NAME]

MODELS then holds a folder per model: model.onnx (opset 13), model.json (its `preprocess`), reference.npz (in:NAME and
out:NAME from ONNX Runtime), and model.int8.NOTE.onnx with Q/DQ nodes; beside them `pictures/` to calibrate with. On the
GPU's machine numpy, tensorrt and onnxruntime are enough. One JSON object per line as things become known, the table at
the end; a stage that fails or runs out of time leaves a gap in it. Where there is no GPU it says so.
"""

import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from trt import EngineCache, Runner, TrtError, compare, library, quantise, reference  # noqa: E402
from trt.__main__ import preprocessing  # noqa: E402
from trt.calibrate import PICTURES, samples  # noqa: E402
from trt.check import MEASURES  # noqa: E402
from trt.cuda import cuda  # noqa: E402
from trt.produce import in_pieces  # noqa: E402
from webapp.batcher import Batcher  # noqa: E402

CLIENTS, MOST, USUAL, BUFFERS = 64, 32, 16, 4
LATENCY_RUNS, SECONDS = 400, 2.5
HELD, QUANTISED_WITHIN = 12, 8e-3
BUILD_SHARE = 0.7  # of the whole time


def say(**event: Any) -> None:
    print(json.dumps(event), flush=True)


@dataclass
class Build:
    """One engine and how its build went."""

    model: str
    kind: str
    path: Path
    report: dict[str, Any] = field(default_factory=dict)


def shapes(folder: Path) -> tuple[str, tuple[int, ...]]:
    """The input's name and the shape of a row."""
    feeds, _ = reference.read(folder / "reference.npz")
    (name, rows), = feeds.items()
    return name, rows.shape[1:]


def build_command(folder: Path, kind: str, path: Path) -> list[str]:
    """kind: fp32, fp16, int8 (calibrated), or int8:NOTE (from model.int8.NOTE.onnx)."""
    precision, _, note = kind.partition(":")
    model = folder / (f"model.int8.{note}.onnx" if note else "model.onnx")
    name, rest = shapes(folder)
    sizes = ",".join("x".join(map(str, (rows, *rest))) for rows in (1, USUAL, MOST))
    command = [sys.executable, "-m", "trt", "build", model, "-o", path, "--precision", precision, "--quick",
               "--shape", f"{name}={sizes}", "--reference", folder / "reference.npz", "--tolerance", "9",
               "--timing", path.with_name(f"{folder.name}.timing"), "--every-s", "15"]  # fmt: skip
    if kind == "int8":
        command += ["--calibrate", folder.parent / "pictures", "--preprocess", folder / "model.json",
                    "--table", path.with_suffix(".table")]  # fmt: skip
    return list(map(str, command))


def run_build(build: Build, folder: Path, gpu: int, until: float) -> None:
    """`python -m trt build` in a process of its own; its lines are passed on, the last one says how it went."""
    if (about := build.path.with_suffix(".json")).is_file() and build.path.is_file():
        build.report = json.loads(about.read_text())
        say(what="build", model=build.model, engine=build.kind, seconds=build.report["seconds"], how="earlier")
        return
    modules = os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": modules, "CUDA_VISIBLE_DEVICES": str(gpu)}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(build_command(folder, build.kind, build.path), env=environment, text=True,
                                   stdout=subprocess.PIPE, stderr=errors)  # fmt: skip
        timer = threading.Timer(max(0.1, until - time.monotonic()), process.kill)
        timer.start()
        for line in process.stdout or ():
            if line.startswith("{"):
                build.report = json.loads(line)
                say(**{**build.report, "what": "build", "model": build.model, "engine": build.kind})
        process.wait()
        timer.cancel()
        errors.seek(0)
        tail = errors.read().strip()[-300:]
    if build.report.get("stage") == "done":
        about.write_text(json.dumps(build.report))
    elif build.report.get("stage") != "failed":
        build.report = {"stage": "failed", "reason": f"ended after {build.report} {tail}"}
        say(what="build", model=build.model, engine=build.kind, **build.report)


def build_all(builds: dict[tuple[str, str], Build], folders: list[Path], until: float) -> None:
    """The engines of a model one after the other, for each profits from the times of the last; models side by side."""
    gpus = gpu_count()

    def of_model(k: int) -> None:
        for build in builds.values():
            if build.model == folders[k].name and time.monotonic() < until:
                run_build(build, folders[k], k % gpus, until)

    threads = [threading.Thread(target=of_model, args=(k,)) for k in range(len(folders))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def gpu_count() -> int:
    """How many GPUs this process sees."""
    count = ctypes.c_int()
    cuda().cudaGetDeviceCount(ctypes.byref(count))
    return max(1, count.value)


def latency(run: Callable[[], Any], runs: int = LATENCY_RUNS) -> dict[str, float]:
    """Median and 95th percentile in milliseconds, of as many runs as fit into SECONDS."""
    for _ in range(10):
        run()
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < runs and (began := time.perf_counter()) < end:
        run()
        times.append((time.perf_counter() - began) * 1000)
    return {"medianMs": round(float(np.median(times)), 4), "p95Ms": round(float(np.quantile(times, 0.95)), 4)}


def crowd(run: Callable[[dict], Any], feeds: list[dict], seconds: float = SECONDS) -> dict[str, Any]:
    """CLIENTS threads ask one after the other, each for one row: answers per second, and how long an answer took."""
    times: list[list[float]] = [[] for _ in range(CLIENTS)]
    failures: Counter[str] = Counter()
    start, begin, end = threading.Barrier(CLIENTS + 1), [0.0], [0.0]

    def client(k: int) -> None:
        mine = feeds[k % len(feeds)]
        start.wait()
        while (now := time.perf_counter()) < end[0]:
            try:
                run(mine)
            except Exception as error:
                failures[f"{type(error).__name__}: {error}"[:120]] += 1
                continue
            if now > begin[0]:
                times[k].append(time.perf_counter() - now)

    threads = [threading.Thread(target=client, args=(k,), daemon=True) for k in range(CLIENTS)]
    for thread in threads:
        thread.start()
    begin[0] = time.perf_counter() + 0.5  # warming up
    end[0] = begin[0] + seconds
    start.wait()
    for thread in threads:
        thread.join(seconds + 30)
    everyone = sorted(t for mine in times for t in mine)
    found: dict[str, Any] = {"perSecond": round(len(everyone) / seconds, 1)}
    if everyone:
        found |= {"p50Ms": round(everyone[len(everyone) // 2] * 1000, 2),
                  "p99Ms": round(everyone[int(len(everyone) * 0.99)] * 1000, 2)}  # fmt: skip
    return found | ({"failures": dict(failures)} if failures else {})


def measure_engine(build: Build, folder: Path) -> dict[str, Any]:
    """Everything about one engine."""
    plan = EngineCache(build.path.parent).load(build.path)
    if plan is None:
        raise TrtError("invalid", build.report.get("reason", "there is no engine"))
    feeds, wanted = reference.read(folder / "reference.npz")
    rows = [{name: np.ascontiguousarray(array[k : k + 1]) for name, array in feeds.items()} for k in range(4)]
    runner = Runner(plan, BUFFERS)
    try:
        errors = compare(in_pieces(runner, feeds), wanted)
        found: dict[str, Any] = {
            "largestError": max(e.largest for e in errors.values()),
            "typicalError": max(e.typical for e in errors.values()),
            "batch1": latency(lambda: runner.run(rows[0])),
            "batch1OnTheGpu": latency(lambda: on_the_gpu(runner, rows[0])),
            "fullBatch": full_batch(runner, rows[0]),
        }
        say(what="engine", model=build.model, engine=build.kind, **found)
        for label, most in (("single", 1), ("batched", MOST)):
            sizes: Counter[int] = Counter()
            batcher = Batcher(runner, max_rows=most, watch=lambda count, _, sizes=sizes: sizes.update([count]))
            found[label] = crowd(lambda feed, b=batcher: b.run(feed, time.monotonic() + 20), rows)
            total = sum(count * times for count, times in sizes.items())
            found[label]["meanBatch"] = round(total / max(1, sum(sizes.values())), 1)
            say(what="throughput", model=build.model, engine=build.kind, how=label, **found[label])
    finally:
        runner.close()
    return found


def on_the_gpu(runner: Runner, feeds: dict[str, np.ndarray]) -> None:
    """One run without the copies."""
    runner.set_shapes({name: array.shape for name, array in feeds.items()})
    runner.context.execute_async_v3(runner.stream)
    runner.cuda.cudaStreamSynchronize(runner.stream)


def full_batch(runner: Runner, row: dict[str, np.ndarray]) -> dict[str, float]:
    """A run of MOST rows, copies between host and GPU included, without filling the buffers."""
    shapes = {name: (MOST, *array.shape[1:]) for name, array in row.items()}
    return latency(lambda: runner.execute(runner.buffers[0], shapes), 40)


def measure_cpu(folder: Path) -> dict[str, Any]:
    """ONNX Runtime on the CPU: as many runs at a time as cores, one thread each; batch 1 also on all cores."""
    import onnxruntime

    feeds, _ = reference.read(folder / "reference.npz")
    rows = [{name: np.ascontiguousarray(array[k : k + 1]) for name, array in feeds.items()} for k in range(4)]
    cores = len(os.sched_getaffinity(0))

    def session(threads: int) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])

    one, turns = session(1), threading.BoundedSemaphore(cores)

    def in_turn(feed: dict) -> None:
        with turns:
            one.run(None, feed)

    everyone = session(cores)
    found = {
        "cores": cores,
        "batch1": latency(lambda: one.run(None, rows[0]), 60),
        "batch1AllCores": latency(lambda: everyone.run(None, rows[0]), 60),
    }
    found["single"] = crowd(in_turn, rows)
    say(what="cpu", model=folder.name, **found)
    return found


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
    for measure in MEASURES:
        try:
            made, plan = quantise.plan(onnx, rows[HELD : 3 * HELD], trial, QUANTISED_WITHIN, measure)
        except TrtError as error:
            say(what="prepared", model=bundle.name, measure=measure, reason=str(error))
            continue
        (into / f"model.int8.{measure}.onnx").write_bytes(made)
        say(what="prepared", model=bundle.name, measure=measure, inIntegers=len(plan.chosen), of=plan.convolutions)


def kinds(folder: Path) -> Iterator[str]:
    """The engines to build for a model."""
    yield from ("fp16", "fp32")
    for path in sorted(folder.glob("model.int8.*.onnx"), reverse=True):
        yield f"int8:{path.name.split('.')[2]}"
    yield "int8"


def table(results: dict[tuple[str, str], dict[str, Any]], builds: dict[tuple[str, str], Build]) -> str:
    """For the README."""
    lines = ["| model | engine | build s | largest error | typical | batch 1, ms | of it GPU | 64 clients, single /s "
             "| batched /s | gain | p99 ms | mean batch |", "|---|---|" + "---:|" * 10]  # fmt: skip
    for (model, kind), found in results.items():
        single, batched = found.get("single", {}), found.get("batched", {})
        gain = batched["perSecond"] / single["perSecond"] if batched and single.get("perSecond") else 0
        build = builds.get((model, kind))
        cells = [
            model, kind, f"{build.report.get('seconds', 0):.0f}" if build else "–",
            f"{found['largestError']:.1e}" if "largestError" in found else "–",
            f"{found['typicalError']:.1e}" if "typicalError" in found else "–",
            f"{found['batch1']['medianMs']:.3f}" if "batch1" in found else "–",
            f"{found['batch1OnTheGpu']['medianMs']:.3f}" if "batch1OnTheGpu" in found else "–",
            f"{single.get('perSecond', 0):.0f}", f"{batched['perSecond']:.0f}" if batched else "–",
            f"{gain:.1f}×" if gain else "–", str((batched or single).get("p99Ms", "–")),
            str(batched.get("meanBatch", "–")),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="?")
    parser.add_argument("--prepare", type=Path, action="append", default=[], help="a bundle with model.onnx")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--only", action="append", help="an engine: fp32, fp16, int8, int8:NOTE")
    given = parser.parse_args()
    if given.prepare:
        if given.models is None or given.pictures is None:
            parser.error("--prepare needs --pictures and MODELS")
        for bundle in given.prepare:
            prepare(bundle, given.pictures, given.models)
        return 0
    try:
        trt, gpu = library.tensorrt(), cuda().gpu()
    except TrtError as error:
        print(f"nothing to measure here: {error}")
        return 0
    if given.models is None:
        parser.error("name the folder of the models")
    began = time.monotonic()
    say(what="machine", gpu=gpu, tensorrt=trt.__version__, cores=len(os.sched_getaffinity(0)))
    folders = sorted(path.parent for path in given.models.glob("*/reference.npz"))
    work = given.work or Path(tempfile.mkdtemp(prefix="serving-gpu-"))
    work.mkdir(parents=True, exist_ok=True)
    builds = {
        (folder.name, kind): Build(folder.name, kind, work / f"{folder.name}.{kind.replace(':', '.')}.engine")
        for folder in folders
        for kind in kinds(folder)
        if not given.only or kind in given.only
    }
    build_all(builds, folders, began + given.minutes * 60 * BUILD_SHARE)
    if given.build_only:
        return 0
    results: dict[tuple[str, str], dict[str, Any]] = {}
    by_name = {folder.name: folder for folder in folders}
    stages: list[tuple[tuple[str, str], Callable[[], dict]]] = [
        ((folder.name, "ONNX Runtime, CPU"), lambda folder=folder: measure_cpu(folder)) for folder in folders
    ]
    stages += [(key, lambda build=build: measure_engine(build, by_name[build.model])) for key, build in builds.items()]
    for key, stage in stages:
        if time.monotonic() - began > given.minutes * 60 - 15:
            say(what="skipped", model=key[0], engine=key[1], reason="out of time")
            continue
        try:
            results[key] = stage()
        except Exception as error:  # a gap in the table, and the rest of it
            say(what="failed", model=key[0], engine=key[1], reason=f"{type(error).__name__}: {error}"[:300])
    print(table(dict(sorted(results.items())), builds), flush=True)
    say(what="end", seconds=round(time.monotonic() - began))
    return 0


if __name__ == "__main__":
    sys.exit(main())
