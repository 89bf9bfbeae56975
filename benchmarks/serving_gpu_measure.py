"""What serving_gpu.py measures in a process: a TensorRT engine, and ONNX Runtime on the CPU."""

import ctypes
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving_gpu_builds import MOST
from trt import EngineCache, Runner, TrtError, compare, reference
from trt.cuda import cuda
from trt.produce import in_pieces
from webapp.batcher import Batcher

CLIENTS, BUFFERS = 64, 4
LATENCY_RUNS = 300


def gpu_count() -> int:
    """How many GPUs this process sees."""
    count = ctypes.c_int()
    cuda().cudaGetDeviceCount(ctypes.byref(count))
    return max(1, count.value)


def latency(run: Callable[[], Any], seconds: float, runs: int = LATENCY_RUNS) -> dict[str, float]:
    """Median and 95th percentile in milliseconds, of as many runs as fit into so many seconds."""
    for _ in range(10):
        run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < runs and (began := time.perf_counter()) < end:
        run()
        times.append((time.perf_counter() - began) * 1000)
    return {"medianMs": round(float(np.median(times)), 4), "p95Ms": round(float(np.quantile(times, 0.95)), 4)}


def crowd(run: Callable[[dict], Any], feeds: list[dict], seconds: float) -> dict[str, Any]:
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
    begin[0] = time.perf_counter() + seconds / 4  # warming up
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


def measure_engine(folder: Path, path: Path, seconds: float) -> dict[str, Any]:
    """Everything about one engine."""
    plan = EngineCache(path.parent).load(path)
    if plan is None:
        raise TrtError("invalid", f"{path} is no engine")
    feeds, wanted = reference.read(folder / "reference.npz")
    rows = [{name: np.ascontiguousarray(array[k : k + 1]) for name, array in feeds.items()} for k in range(4)]
    runner = Runner(plan, BUFFERS)
    try:
        errors = compare(in_pieces(runner, feeds), wanted)
        found: dict[str, Any] = {
            "largestError": max(e.largest for e in errors.values()),
            "typicalError": max(e.typical for e in errors.values()),
            "batch1": latency(lambda: runner.run(rows[0]), seconds),
            "batch1OnTheGpu": latency(partial(on_the_gpu, runner, rows[0], 1), seconds),
            "fullBatch": latency(partial(full_batch, runner, rows[0]), seconds, 40),
            "fullBatchOnTheGpu": latency(partial(on_the_gpu, runner, rows[0], MOST), seconds, 40),
        }
        for label, most in (("single", 1), ("batched", MOST)):
            sizes: Counter[int] = Counter()
            batcher = Batcher(runner, max_rows=most, watch=lambda count, _, sizes=sizes: sizes.update([count]))
            found[label] = crowd(lambda feed, b=batcher: b.run(feed, time.monotonic() + 20), rows, seconds)
            total = sum(count * times for count, times in sizes.items())
            found[label]["meanBatch"] = round(total / max(1, sum(sizes.values())), 1)
    finally:
        runner.close()
    return found


def on_the_gpu(runner: Runner, row: dict[str, np.ndarray], rows: int) -> None:
    """One run of so many rows, without the copies."""
    runner.set_shapes({name: (rows, *array.shape[1:]) for name, array in row.items()})
    runner.context.execute_async_v3(runner.stream)
    runner.cuda.cudaStreamSynchronize(runner.stream)


def full_batch(runner: Runner, row: dict[str, np.ndarray]) -> None:
    """A run of MOST rows, copies between host and GPU included, without filling the buffers."""
    runner.execute(runner.buffers[0], {name: (MOST, *array.shape[1:]) for name, array in row.items()})


def measure_cpu(folder: Path, seconds: float) -> dict[str, Any]:
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
        "batch1": latency(lambda: one.run(None, rows[0]), seconds, 60),
        "batch1AllCores": latency(lambda: everyone.run(None, rows[0]), seconds, 60),
    }
    found["single"] = crowd(in_turn, rows, seconds)
    return found
