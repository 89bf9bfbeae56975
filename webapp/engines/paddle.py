"""Paddle Inference on the CPU: the original program, for what ONNX cannot express.

Its files lie in the bundle: inference.json or inference.pdmodel, and inference.pdiparams.
"""

import logging
import re
import threading
import warnings
from typing import Any

import numpy as np

from webapp.bundle import PROGRAMS, WEIGHTS, Bundle
from webapp.engines.base import Arrays, Engine, EngineError, Options, RunError
from webapp.engines.trial import TRIAL_S, trial_feeds

log = logging.getLogger(__name__)


def runtime() -> Any:
    """The library, imported on first use."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about compilers that it will not need
            from paddle import inference
    except ImportError as error:
        raise EngineError(
            f"Paddle cannot be imported ({error}); install it with: pip install .[paddle]", quiet=True
        ) from error
    return inference


def first_line(error: Exception) -> str:
    """What an error of the library is about, without its stack; its own lines begin where the stack ends."""
    found = re.search(r"^(?:\w*Error|\(\w+\))[: ]\s*(.+)$", str(error), re.M)
    return (found.group(1) if found else type(error).__name__).split(" (at ")[0][:300].strip()


class PaddleEngine(Engine):
    """A predictor runs one request at a time: each that runs has one of its own, and they share the weights."""

    platform = "paddle_inference"

    def __init__(self, first: Any, outputs: list[str]) -> None:
        self.first, self.idle, self.outputs = first, [first], outputs
        self.lock = threading.Lock()

    def take(self) -> Any:
        """A predictor that nobody uses: an idle one, or a new one with the same weights."""
        with self.lock:
            return self.idle.pop() if self.idle else self.first.clone()

    def run(self, feeds: Arrays, timeout_s: float) -> Arrays:
        """All outputs by name; a run of a model is short and is not cut."""
        predictor = self.take()
        try:
            for name, array in feeds.items():
                handle = predictor.get_input_handle(name)
                handle.reshape(list(array.shape))
                handle.copy_from_cpu(np.ascontiguousarray(array))
            predictor.run()
            names = predictor.get_output_names()
            found = [predictor.get_output_handle(name).copy_to_cpu() for name in names]
            return dict(zip(self.outputs, found, strict=True))
        except Exception as error:  # the library's classes share no base but Exception
            raise RunError(f"Paddle could not run the model on this input ({first_line(error)})") from error
        finally:
            with self.lock:
                self.idle.append(predictor)

    def close(self) -> None:
        """The memory goes with the last reference to it."""
        self.idle, self.first = [], None


def load(bundle: Bundle, options: Options) -> PaddleEngine:
    """Raises EngineError when there is no program, or when it is not this bundle's model."""
    if not bundle.program_sha256:
        wanted = f"{' or '.join(PROGRAMS)} with {WEIGHTS}"
        raise EngineError(f"the bundle has no {wanted}", quiet=True)
    library = runtime()
    try:
        engine = engine_of(library, bundle, onednn=True)
        engine.run(trial_feeds(bundle, None), TRIAL_S)
    except RunError as error:  # Paddle 3 has operators that its own oneDNN kernels cannot be given
        log.info("without oneDNN: %s", error, extra={"model": bundle.name, "version": bundle.number})
        engine = engine_of(library, bundle, onednn=False)
    return engine


def engine_of(library: Any, bundle: Bundle, *, onednn: bool) -> PaddleEngine:
    """The bundle's program, optimised, with one thread for each run. Raises EngineError."""
    program = next(name for name in PROGRAMS if (bundle.folder / name).is_file())
    config = library.Config(str(bundle.folder / program), str(bundle.folder / WEIGHTS))
    config.disable_gpu()
    if onednn:
        config.enable_mkldnn()
    else:
        config.disable_mkldnn()  # on by default
    config.set_cpu_math_library_num_threads(1)
    config.switch_ir_optim(True)
    config.disable_glog_info()
    try:
        predictor = library.create_predictor(config)
    except Exception as error:
        raise EngineError(f"Paddle cannot load {program} ({first_line(error)})") from error
    inputs = sorted(predictor.get_input_names())
    declared = sorted(entry["name"] for entry in bundle.inputs)
    if inputs != declared:
        raise EngineError(f"{program} has the inputs {inputs}; model.json declares {declared}")
    outputs = [entry["name"] for entry in bundle.outputs]  # in the program's order, which keeps no names
    if len(predictor.get_output_names()) != len(outputs):
        raise EngineError(f"{program} has {len(predictor.get_output_names())} outputs; model.json {len(outputs)}")
    return PaddleEngine(predictor, outputs)
