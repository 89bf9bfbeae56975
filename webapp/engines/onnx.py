"""ONNX Runtime on the CPU: the bundle's model.onnx, one thread per run."""

import hashlib
import re
from functools import partial
from typing import Any

from webapp.bundle import Bundle
from webapp.engines.base import Arrays, Engine, EngineError, Options, RunError
from webapp.engines.together import Together, rows_are_free

CODES = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
FATAL_ONLY = 4  # what it has to say comes back as an exception, and is logged by us


def runtime() -> Any:
    """The library, imported on first use."""
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError(f"ONNX Runtime cannot be imported ({error}); install it with: pip install .[onnx]") from error
    return onnxruntime


class OnnxEngine(Engine):
    """One session; it may be run by several threads at once."""

    platform = "onnxruntime_onnx"

    def __init__(self, session: Any) -> None:
        self.session = session
        self.outputs = [output.name for output in session.get_outputs()]

    def run(self, feeds: Arrays, timeout_s: float) -> Arrays:
        """All outputs by name; a run of a model is short and is not cut."""
        try:
            return dict(zip(self.outputs, self.session.run(self.outputs, feeds), strict=True))
        except Exception as error:  # the library's classes share no base but Exception
            raise RunError(f"ONNX Runtime could not run the model on this input ({first_line(error)})") from error

    def close(self) -> None:
        """The session frees its memory with the last reference to it."""
        self.session = None


def first_line(error: Exception) -> str:
    """A library's message without its inside: not `[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : ` and no stack."""
    lines = CODES.sub("", str(error)).strip().splitlines()
    return lines[0][:300].rstrip(".") if lines else type(error).__name__


def session_options(library: Any) -> Any:
    """One thread per run and no spinning: several runs share few cores, and an idle server should be idle."""
    options = library.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = library.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = FATAL_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def load(bundle: Bundle, options: Options) -> Engine:
    """Raises EngineError when there is no sound model.onnx, or when it is not this bundle's model."""
    if not bundle.onnx_sha256:
        raise EngineError(bundle.onnx_problem or "the bundle has no model.onnx", quiet=not bundle.onnx_problem)
    library = runtime()
    content = (bundle.folder / "model.onnx").read_bytes()
    if hashlib.sha256(content).hexdigest() != bundle.onnx_sha256:
        raise EngineError("model.onnx changed while it was read", passing=True)
    try:
        # From memory: what was hashed is what runs, and a model cannot name other files on this disk.
        session = library.InferenceSession(content, session_options(library), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EngineError(f"ONNX Runtime cannot load model.onnx ({first_line(error)})") from error
    check_names(session, bundle)
    engine = OnnxEngine(session)
    if not rows_are_free(bundle):
        return engine
    return Together(
        engine,
        runs=options.cpu_runs,
        queue=options.cpu_queue,
        watch=partial(options.watch_batch, bundle.name),
        depth=partial(options.watch_depth, engine),
    )


def check_names(session: Any, bundle: Bundle) -> None:
    """Refuse a model.onnx whose inputs or outputs are not those that model.json declares."""
    for kind, mine, declared in (
        ("inputs", session.get_inputs(), bundle.inputs),
        ("outputs", session.get_outputs(), bundle.outputs),
    ):
        names, wanted = sorted(value.name for value in mine), sorted(entry["name"] for entry in declared)
        if names != wanted:
            raise EngineError(f"model.onnx has the {kind} {names}; model.json declares {wanted}")
