"""Run a bundle on named arrays: in the real runtime under Node ("web"), in the numpy oracle,
or as one of its other targets: model.onnx, Paddle Lite's file, a TensorRT engine."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from converter import child, lite_target, tensorrt_target, with_onnxruntime
from converter.errors import ConvertError
from converter.graph import Graph
from converter.ops import evaluate
from converter.read.bundle import load_bundle
from converter.run_times import again

ENGINES = ("web", "numpy", "onnx", "lite", "tensorrt")
TIMEOUT_S = 600
_STATIC = (Path(__file__).parent.parent / "static", Path(__file__).parent.parent / "webapp" / "static")


def run(bundle: str | Path, feeds: dict[str, np.ndarray], engine: str = "web") -> dict[str, np.ndarray]:
    """Outputs by name. Raises ConvertError for a damaged bundle, wrong feeds or a missing engine."""
    return timed(bundle, feeds, engine)[0]


def timed(bundle: str | Path, feeds: dict[str, np.ndarray], engine: str = "web", repeat: int = 1,
          lite_opt: str | None = None) -> tuple[dict[str, np.ndarray], list[float]]:
    """Outputs by name, and how many milliseconds each of `repeat` runs took, without loading.

    lite_opt: Paddle Lite's optimiser, whose Python package runs the engine lite; None finds it.
    """
    if engine not in ENGINES:
        raise ConvertError(f"engine {engine!r} is not one of {', '.join(ENGINES)}")
    folder, graph = Path(bundle), load_bundle(bundle)
    feeds = conform(graph, feeds)
    if engine == "web":
        return run_web_timed(folder, feeds, repeat)
    if engine == "lite":
        return lite_target.run(folder, feeds, graph.outputs, lite_opt, repeat)
    if engine == "tensorrt":
        return tensorrt_target.run(folder, feeds, repeat)
    if engine == "onnx":
        session = with_onnxruntime.load(folder / with_onnxruntime.FILE)
        return again(lambda: with_onnxruntime.run(session, feeds), repeat)
    return again(lambda: evaluate(graph, feeds), repeat)


def conform(graph: Graph, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The feeds that the graph wants, float64 and int32 where numpy's defaults differ from it converted."""
    missing = [name for name in graph.inputs if name not in feeds]
    unknown = sorted(set(feeds) - set(graph.inputs))
    if missing or unknown:
        said = [f"{what} inputs {names}" for what, names in (("missing", missing), ("unknown", unknown)) if names]
        raise ConvertError(", ".join(said),
                           hint=f"the model's inputs are {graph.inputs}")
    found = {}
    for name in graph.inputs:
        array, dtype = np.asarray(feeds[name]), np.dtype(graph.values[name].dtype)
        if array.dtype != dtype and not (array.dtype.kind == dtype.kind and array.dtype.kind in "fiu"):
            raise ConvertError(f"is {array.dtype}, the model wants {dtype}", where=f"input {name}")
        found[name] = np.ascontiguousarray(array.astype(dtype)).reshape(array.shape)
    return found


def runtime_folder() -> Path:
    """static/runtime of the repository or of the installed package."""
    for static in _STATIC:
        if (static / "runtime" / "run_node.js").is_file():
            return static / "runtime"
    raise ConvertError("the runtime's files are not beside the converter",
                       hint="install the whole package: pip install .")


def web_problem() -> str | None:
    """Why the web engine cannot run here; None when it can."""
    if shutil.which("node") is None:
        return "Node is not installed"
    try:
        runtime = runtime_folder()
    except ConvertError as error:
        return error.what
    if not (runtime / "wasm" / "kernels.wasm").is_file():
        return "the WASM kernels are not built (python static/runtime/wasm/build.py)"
    return None


def run_web(bundle: str | Path, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The WASM runtime under Node."""
    return run_web_timed(bundle, feeds)[0]


def run_web_timed(bundle: str | Path, feeds: dict[str, np.ndarray],
                  repeat: int = 1) -> tuple[dict[str, np.ndarray], list[float]]:
    """The same `repeat` times, with the time of each run."""
    problem = web_problem()
    if problem:
        raise ConvertError(f"the web engine cannot run: {problem}", hint="or use --engine numpy")
    with tempfile.TemporaryDirectory(prefix="inpage-run-") as work:
        _write_feeds(Path(work), feeds)
        command = ["node", str(runtime_folder() / "run_node.js"), str(Path(bundle).resolve()), work]
        command += ["--repeat", str(repeat)] if repeat > 1 else []
        done = child.run(command, "the runtime", timeout_s=TIMEOUT_S, where=str(bundle), any_exit=True)
        if done.returncode != 0:
            raise _failure(done.stderr, str(bundle))
        return _read_fetches(Path(work))


def _write_feeds(work: Path, feeds: dict[str, np.ndarray]) -> None:
    entries = {}
    for index, (name, array) in enumerate(feeds.items()):
        file = f"in_{index}.bin"
        (work / file).write_bytes(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
        entries[name] = {"dtype": str(array.dtype), "shape": list(array.shape), "file": file}
    (work / "feeds.json").write_text(json.dumps(entries), encoding="utf-8")


def _read_fetches(work: Path) -> tuple[dict[str, np.ndarray], list[float]]:
    made: dict[str, Any] = json.loads((work / "fetches.json").read_text(encoding="utf-8"))
    entries, times = made["outputs"], made["times_ms"]
    arrays = {name: np.frombuffer((work / entry["file"]).read_bytes(), np.dtype(entry["dtype"]).newbyteorder("<"))
            .astype(entry["dtype"]).reshape(entry["shape"]) for name, entry in entries.items()}
    return arrays, times


def _failure(stderr: str, where: str) -> ConvertError:
    """The runtime's own typed error, from the last line of stderr."""
    lines = stderr.strip().splitlines() or ["no message"]
    try:
        error = json.loads(lines[-1])["error"]
    except (ValueError, KeyError, TypeError):
        return ConvertError(f"the runtime failed: {lines[-1]}", where=where)
    return ConvertError(f"the runtime says [{error.get('code')}]: {error.get('message')}", where=where)
