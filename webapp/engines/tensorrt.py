"""TensorRT on the GPU, with dynamic batching. An engine is built when a model is first seen, which takes minutes."""

import hashlib
import logging
import math
import os
import sys
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

import trt
from trt import EngineCache, Recipe, Runner, Shapes, TrtError
from trt.cuda import cuda
from trt.library import make, make_log, tensorrt
from trt.runner import rows_of
from webapp.batcher import Batcher
from webapp.bundle import Bundle, NoPictures, picture_spec
from webapp.engines import onnx
from webapp.engines.base import Arrays, Engine, EngineError, Options, Pending, RunError
from webapp.engines.builds import PASSING, BuildProcess, build_of, forget
from webapp.engines.trial import trial_shape
from webapp.gate import Gate

BUFFERS = 4  # batches under way: filled, waiting for the GPU, on the GPU, read
MB = 1 << 20
USUAL_SIDE = 640  # of pictures whose size a model leaves open

log = logging.getLogger(__name__)

in_use: Counter[Path] = Counter()  # by this process
in_use_lock = threading.Lock()


class TensorRtEngine(Engine):
    """An engine for the sizes it was built for; what has another size runs on the CPU."""

    platform = "tensorrt_plan"
    batches = True

    def __init__(self, runner: Runner, bundle: Bundle, options: Options, path: Path) -> None:
        self.runner, self.bundle, self.options, self.path = runner, bundle, options, path
        self.beside: Engine | None = None
        self.lock, self.gate = threading.Lock(), Gate(options.cpu_runs, options.cpu_queue)
        self.batcher = Batcher(
            runner,
            max_rows=options.batch_rows,
            max_wait_s=options.batch_wait_s,
            queue=options.batch_queue,
            watch=lambda rows, waited_s: options.watch_batch(bundle.name, rows),
            depth=partial(options.watch_depth, runner),
        )

    def run(self, feeds: Arrays, timeout_s: float) -> Arrays:
        """All outputs by name. Raises RunError, Full or Late."""
        return self.ask(feeds, time.monotonic() + timeout_s)[0]

    def refuse(self, deadline: float) -> None:
        """Raise Full or Late where a request of a usual size would be told so at once."""
        self.batcher.refuse(deadline)

    def ask(self, feeds: Arrays, deadline: float) -> tuple[Arrays, float]:
        """The same until `deadline` (time.monotonic), and how long it waited for the GPU, in seconds."""
        if self.broken:
            raise RunError("The GPU failed; another engine takes over", 503)
        if not self.takes(feeds):
            return self.on_the_cpu(feeds, deadline)
        try:
            with self.options.batch_room:
                return self.batcher.ask({name: np.ascontiguousarray(array) for name, array in feeds.items()}, deadline)
        except TrtError as error:
            if error.kind == "invalid":  # this input's fault, though its size was within bounds
                raise RunError(str(error)) from error
            self.broken = str(error)
            log.error("the GPU failed: %s", error, extra={"model": self.bundle.name, "version": self.bundle.number})
            raise RunError("The GPU failed; another engine takes over", 503) from error

    def takes(self, feeds: Arrays) -> bool:
        """Whether the engine was built for these sizes; rows may be more, they are cut into batches."""
        rows, least = rows_of(feeds), next(iter(self.runner.shapes.values())).smallest[0]
        return (rows == least or rows > least == 1) and all(
            array.dtype == self.runner.dtypes[name]
            and self.runner.shapes[name].hold((self.runner.shapes[name].smallest[0], *array.shape[1:]))
            for name, array in feeds.items()
        )

    def on_the_cpu(self, feeds: Arrays, deadline: float) -> tuple[Arrays, float]:
        """The same model in ONNX Runtime, loaded when it is first needed. Raises RunError, Full or Late."""
        with self.lock:
            if self.beside is None:
                try:
                    self.beside = onnx.load(self.bundle, self.options)
                except EngineError as error:
                    raise RunError(f"The engine was not built for this size, and {error}") from error
        if self.beside.batches:
            return self.beside.ask(feeds, deadline)
        came = time.monotonic()
        with self.gate.enter(deadline):
            began = time.monotonic()
            return self.beside.run(feeds, deadline - began), began - came

    def close(self) -> None:
        """Free the GPU's memory."""
        with in_use_lock:
            in_use[self.path] -= 1
        self.batcher.depth(0, 0)
        self.runner.close()
        if self.beside is not None:
            self.beside.close()


def sides(bundle: Bundle, size: int, axis: int) -> tuple[int, int, int]:
    """Smallest, usual and largest size of a picture's axis that the model leaves open; `size` where nothing says."""
    try:
        spec = picture_spec(bundle)
    except NoPictures:
        return size, size, size
    limit = spec.get("limit")
    places = (1, 2) if spec.get("layout") == "nhwc" else (2, 3)
    if not limit or axis not in places or limit["type"] != "max":
        return size, size, size
    step = limit["multiple"]
    most = math.ceil(limit["side"] / step) * step
    return step, min(math.ceil(USUAL_SIDE / step) * step, most), most


def recipe_of(bundle: Bundle, options: Options) -> Recipe:
    """What to build for a bundle: any number of rows up to the batch, the sizes that its pictures become."""
    shapes = {}
    for entry in bundle.inputs:
        declared, rest = entry["shape"], trial_shape(bundle, entry)
        if not declared:
            raise EngineError(f"the input {entry['name']!r} is a single number, so requests cannot be put together")
        open_rows = not isinstance(declared[0], int) or declared[0] < 0
        rows = (1, max(1, options.batch_rows // 2), options.batch_rows) if open_rows else (declared[0],) * 3
        axes = [rows]
        for axis, size in enumerate(declared[1:], 1):
            fixed = isinstance(size, int) and size >= 0
            axes.append((size,) * 3 if fixed else sides(bundle, rest[axis], axis))
        shapes[entry["name"]] = Shapes(*(tuple(axis[k] for axis in axes) for k in range(3)))
    held_to = f"{options.trt_tolerance} {options.trt_measure}"
    return Recipe(options.trt_precision, shapes, options.trt_quick, calibration=calibration_of(options),
                  held_to=held_to)  # fmt: skip


def calibration_of(options: Options) -> str:
    """A digest of what int8 is calibrated with; empty where there is nothing."""
    if options.trt_precision != "int8" or not options.trt_calibration:
        return ""
    try:
        files = Path(options.trt_calibration).iterdir()
        found = sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    except OSError as error:
        raise EngineError(f"the folder to calibrate with cannot be read ({error.strerror})") from error
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


def command_of(bundle: Bundle, recipe: Recipe, path: Path, timing: Path, options: Options) -> list[str]:
    """What builds the engine, in a process of its own."""
    command = [
        sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv.pop(1)); from trt.__main__ import main; "
        "sys.exit(main())", str(Path(trt.__file__).parent.parent),
        "build", str(bundle.folder / "model.onnx"), "-o", str(path), "--precision", recipe.precision,
        "--expect", bundle.onnx_sha256, "--tolerance", str(options.trt_tolerance), "--nice", "10",
    ]  # fmt: skip
    for name, shapes in recipe.shapes.items():
        sizes = ",".join("x".join(map(str, shape)) for shape in (shapes.smallest, shapes.usual, shapes.largest))
        command += ["--shape", f"{name}={sizes}"]
    command += ["--timing", str(timing)]
    if options.trt_measure != "largest":
        command += ["--measure", options.trt_measure]
    if recipe.quick:
        command.append("--quick")
    if recipe.calibration:
        command += ["--calibrate", options.trt_calibration, "--table", str(path.with_suffix(".table"))]
        if bundle.preprocess is not None:
            command += ["--preprocess", str(bundle.folder / "model.json")]
    return command


def cache_folder(options: Options) -> Path:
    """Where engines are kept."""
    if options.trt_cache:
        return Path(options.trt_cache)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "paddle-inpage" / "engines"


def load(bundle: Bundle, options: Options) -> TensorRtEngine:
    """Raises Pending while the engine is being built, EngineError when there is or will be none."""
    if not bundle.onnx_sha256:
        raise EngineError(bundle.onnx_problem or "the bundle has no model.onnx", quiet=not bundle.onnx_problem)
    recipe = recipe_of(bundle, options)
    try:
        library = tensorrt()
        make(library, "Runtime", make_log(library))  # says at once whether there is a GPU
        cache = EngineCache(cache_folder(options))
        machine = library.__version__, cuda().gpu()
        path, timing = cache.path(bundle.onnx_sha256, *machine, recipe), cache.timing(*machine)
        plan = cache.load(path)
        if plan is None:
            path.unlink(missing_ok=True)  # damaged, if it is there at all
            raise not_yet(build_of(path, command_of(bundle, recipe, path, timing, options)))
        runner = Runner(plan, BUFFERS)
    except TrtError as error:
        absent = isinstance(error.__cause__, ModuleNotFoundError)
        raise EngineError(str(error), passing=error.kind in PASSING, quiet=absent) from error
    except OSError as error:
        raise EngineError(f"the folder of engines cannot be used ({error})", passing=True) from error
    if not runner.max_rows:
        runner.close()
        raise EngineError("not every output has a row for every row of the input, so requests cannot be put together")
    note_use(cache, path, options)
    forget(path)
    return TensorRtEngine(runner, bundle, options, path)


def note_use(cache: EngineCache, path: Path, options: Options) -> None:
    """An engine is used from now on; those that nobody used for long make room for it."""
    with in_use_lock:
        in_use[path] += 1
        kept = {one for one, count in in_use.items() if count > 0}
    cache.touch(path)
    if not options.trt_cache_mb:
        return
    try:
        for gone in cache.prune(options.trt_cache_mb * MB, kept):
            log.info("engine removed, for others were used since: %s", gone.name)
    except OSError as error:
        log.warning("the folder of engines cannot be tidied (%s)", error.strerror)


def not_yet(build: BuildProcess) -> EngineError:
    """What to say of an engine that is not there: on its way, failed for now, or for good."""
    if build.failure is None:
        return Pending("the engine is being built", lambda: build.ended, build.state, build.cancel, quiet=True)
    kind, reason = build.failure
    if kind in PASSING:
        return Pending(reason, lambda: build.worth_a_new_try, build.state)
    return EngineError(reason)
