"""TensorRT's rows of the table of targets.py, for a machine that has a GPU and little else.

    python benchmarks/targets_gpu.py FOLDER --prepare [--only NAME …] [--mobilenet FOLDER]   (where ../shared is)
    python benchmarks/targets_gpu.py FOLDER --work FOLDER [--minutes 5]                      (where the GPU is)

--prepare leaves a folder for each model: float32's ONNX, the one with Q/DQ nodes that `--precision int8` makes for
TensorRT, and the pictures that judge. The GPU's machine needs numpy, Pillow, tensorrt and onnxruntime, which gives
float32's answers on its CPU. One process for each model builds fp16, int8 and fp32, for one picture at a time; with
several GPUs they share the models. What is known lies in the work folder at any time, as NAME.json and table.md: a run
that is cut off has lost the engine that it was building, and the next one goes on from there.

ms: the median of a run with the copies to and from the GPU, in brackets without. Sizes are held to float32's ONNX.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO), str(REPO / "benchmarks")]

from judged import judge  # noqa: E402  (beside this script)

from benchmarks.serving_gpu_builds import build_command, engine_path, environment  # noqa: E402
from benchmarks.serving_gpu_measure import gpu_count, latency, on_the_gpu  # noqa: E402
from trt import EngineCache, Runner, TrtError, reference  # noqa: E402
from trt.__main__ import preprocessing  # noqa: E402
from trt.calibrate import samples  # noqa: E402
from trt.cuda import cuda  # noqa: E402

KINDS = ("fp16", "int8:qdq", "fp32")
PROOF, RUNS, SECONDS, QUALITY = 4, 200, 3, 60
MEASURE_S = 40  # kept for measuring a model's engines
Feeds = list[dict[str, np.ndarray]]


def packed(picture: Image.Image) -> Image.Image:
    """As it is seen at the other end."""
    file = BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    again = Image.open(file)
    again.packed = file.getvalue()
    return again


def prepare(given: argparse.Namespace) -> None:
    """What a GPU's machine needs of each model."""
    import targets

    for case in targets.cases(given):
        folder = given.folder / case.name
        with tempfile.TemporaryDirectory(prefix="inpage-targets-") as name:
            work = Path(name)
            targets.typical_into(work / "typical", case)
            for precision, more in (("float32", {}), ("int8", {"calibrate": work / "typical"})):
                targets.convert(case.source, work / precision, name=case.name, precision=precision,
                                targets=("web", "tensorrt"), preprocess=dict(case.spec), **more)
            case.judging = [packed(picture) for picture in case.judging]
            targets.choose(case, work / "float32", given.count)
            (folder / "pictures").mkdir(parents=True, exist_ok=True)
            for name in ("model.onnx", "model.json"):
                shutil.copy(work / "float32" / name, folder)
            shutil.copy(work / "int8" / "model.onnx", folder / "model.int8.qdq.onnx")
            for k, picture in enumerate(case.judging):
                (folder / "pictures" / f"{k:04}.jpg").write_bytes(picture.packed)
        print(f"{case.name}: {len(case.judging)} pictures", flush=True)


def answers_of(folder: Path, feeds: Feeds) -> list[np.ndarray]:
    """float32's, on the CPU; the first few are what a build is checked with."""
    session = reference.session((folder / "model.onnx").read_bytes())
    name = session.get_outputs()[0].name
    found = [session.run([name], feed)[0] for feed in feeds]
    first = {f"in:{key}": np.concatenate([feed[key] for feed in feeds[:PROOF]]) for key in feeds[0]}
    np.savez(folder / "reference.npz", **first, **{f"out:{name}": np.concatenate(found[:PROOF])})
    return found


def measure(path: Path, feeds: Feeds, exact: list[np.ndarray], count: int) -> dict[str, Any]:
    """Everything about an engine that was built."""
    plan = EngineCache(path.parent).load(path)
    if plan is None:
        raise TrtError("invalid", f"{path} is no engine")
    runner = Runner(plan)
    try:
        found = [next(iter(runner.run(feed).values())) for feed in feeds]
        return {"bytes": len(plan), "judged": judge(exact, found, count),
                "ms": latency(lambda: runner.run(feeds[0]), SECONDS, RUNS)["medianMs"],
                "onTheGpuMs": latency(lambda: on_the_gpu(runner, feeds[0], 1), SECONDS, RUNS)["medianMs"]}
    finally:
        runner.close()


class Known:
    """What is known of a model, in NAME.json in the work folder at any time."""

    def __init__(self, work: Path, name: str) -> None:
        self.path, self.name = work / f"{name}.json", name
        self.found: dict[str, Any] = json.loads(self.path.read_text()) if self.path.is_file() else {}

    def missing(self) -> list[str]:
        """Engines that were not measured."""
        return [kind for kind in KINDS if "judged" not in self.found.get(kind, {})]

    def note(self, kind: str, **more: Any) -> None:
        """Add that."""
        self.found.setdefault(kind, {}).update(more)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.found, indent=1))
        part.replace(self.path)


def measure_all(folder: Path, work: Path, count: int) -> None:
    """Measure what was built of a model."""
    known = Known(work, folder.name)
    feeds = list(samples(folder / "pictures", preprocessing(folder / "model.json")))
    exact = answers_of(folder, feeds)
    for kind in known.missing():
        engine = engine_path(work, folder.name, kind)
        if not engine.is_file():
            continue
        try:
            known.note(kind, **measure(engine, feeds, exact, count), problem="")
        except TrtError as error:
            known.note(kind, problem=str(error))
        print(json.dumps({"model": folder.name, "engine": kind, **known.found[kind]}), flush=True)


def table(folders: list[Path], work: Path) -> str:
    """Rows as those of targets.py."""
    lines = []
    for folder in folders:
        known, whole = Known(work, folder.name).found, (folder / "model.onnx").stat().st_size
        for kind in filter(known.get, KINDS):
            found = known[kind]
            cells = f"– | – | {found.get('problem')} | – | –"
            if "judged" in found:
                cells = (f"{found['bytes'] / 1000:.0f} | {found['bytes'] / whole:.3f} | {found['judged']} | "
                         f"{found['ms']:.3f} ({found['onTheGpuMs']:.3f})")
            lines.append(f"| {folder.name} | tensorrt | {kind.split(':')[0]} | {cells} |\n")
    return "".join(lines)


def build_all(folders: list[Path], work: Path, until: float) -> None:
    """Build what is missing, all at once: a build needs a core for minutes, and the GPU for a fraction of that."""
    began, gpus = time.monotonic(), gpu_count()
    under_way: list[tuple[Known, str, subprocess.Popen]] = []
    for folder in folders:
        known = Known(work, folder.name)
        for kind in known.missing():
            path = engine_path(work, folder.name, kind)
            if not path.is_file():
                # Beside one another each has times of its own, or one that ends would write over another's.
                more = ["--timing", str(path.with_suffix(".timing")), "--every-s", "60"]
                command = [*build_command(folder, kind, path, (1, 1, 1)), *more]
                build = subprocess.Popen(command, env=environment(len(under_way) % gpus))
                under_way.append((known, kind, build))
    while under_way:
        for one in list(under_way):
            known, kind, build = one
            if build.poll() is None and time.monotonic() < until:
                continue
            problem = "out of time" if build.poll() is None else "it was not built" if build.returncode else ""
            build.kill()
            build.wait()
            under_way.remove(one)
            known.note(kind, buildSeconds=round(time.monotonic() - began), problem=problem)
            if problem:
                print(json.dumps({"model": known.name, "engine": kind, **known.found[kind]}), flush=True)
        time.sleep(0.1)


def all_models(given: argparse.Namespace) -> None:
    """Every build, then each model's engines by themselves, in a process of their own; the table so far at the end."""
    until = time.monotonic() + given.minutes * 60
    folders = sorted(path.parent for path in given.folder.glob("*/model.onnx")
                     if not given.only or path.parent.name in given.only)
    open_ones = [folder for folder in folders if Known(given.work, folder.name).missing()]
    for folder in open_ones:
        if not (folder / "reference.npz").is_file():
            answers_of(folder, list(islice(samples(folder / "pictures", preprocessing(folder / "model.json")), PROOF)))
    build_all(open_ones, given.work, until - min(MEASURE_S * len(open_ones), 30 * given.minutes))
    for folder in open_ones:
        command = [sys.executable, __file__, str(given.folder), "--work", str(given.work), "--model", folder.name,
                   "--count", str(given.count)]
        try:
            if code := subprocess.run(command, timeout=max(0.1, until - time.monotonic())).returncode:
                print(f"{folder.name} ended with status {code}", flush=True)
        except subprocess.TimeoutExpired:
            print(f"{folder.name}: out of time", flush=True)
    (given.work / "table.md").write_text(table(folders, given.work))
    print((given.work / "table.md").read_text(), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--only", action="append", help="names of models")
    parser.add_argument("--mobilenet", type=Path)
    parser.add_argument("--seen", type=int, default=100, help="pictures that calibrate")
    parser.add_argument("--count", type=int, default=200, help="pictures that judge")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--model", help="measure what was built of this model, in this process")
    given = parser.parse_args()
    if given.prepare:
        prepare(given)
        return 0
    try:
        cuda().gpu()
    except TrtError as error:
        print(f"nothing to measure here: {error}")
        return 0
    given.work = given.work or Path(tempfile.mkdtemp(prefix="targets-gpu-"))
    given.work.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("CUDA_MODULE_LOADING", "LAZY")
    if given.model:
        measure_all(given.folder / given.model, given.work, given.count)
    else:
        all_models(given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
