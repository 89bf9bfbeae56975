"""Run a bundle on named arrays: in the real runtime under Node ("web"), in the numpy oracle, or its model.onnx."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from converter import with_onnxruntime
from converter.errors import ConvertError
from converter.graph import Graph
from converter.ops import evaluate
from converter.read.bundle import load_bundle

ENGINES = ("web", "numpy", "onnx")
TIMEOUT_S = 600
_STATIC = (Path(__file__).parent.parent / "static", Path(__file__).parent.parent / "webapp" / "static")


def run(bundle: str | Path, feeds: dict[str, np.ndarray], engine: str = "web") -> dict[str, np.ndarray]:
    """Outputs by name. Raises ConvertError for a damaged bundle, wrong feeds or a missing engine."""
    if engine not in ENGINES:
        raise ConvertError(f"engine {engine!r} is not one of {', '.join(ENGINES)}")
    graph = load_bundle(bundle)
    feeds = conform(graph, feeds)
    if engine == "onnx":
        return run_onnx(bundle, feeds)
    return run_web(bundle, feeds) if engine == "web" else evaluate(graph, feeds)


def run_onnx(bundle: str | Path, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The bundle's model.onnx in ONNX Runtime."""
    return with_onnxruntime.run(with_onnxruntime.load(Path(bundle) / with_onnxruntime.FILE), feeds)


def conform(graph: Graph, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The feeds that the graph wants, float64 and int32 where numpy's defaults differ from it converted."""
    missing = [name for name in graph.inputs if name not in feeds]
    unknown = sorted(set(feeds) - set(graph.inputs))
    if missing or unknown:
        raise ConvertError(f"missing inputs {missing}, unknown inputs {unknown}",
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
    problem = web_problem()
    if problem:
        raise ConvertError(f"the web engine cannot run: {problem}", hint="or use --engine numpy")
    with tempfile.TemporaryDirectory(prefix="inpage-run-") as work:
        _write_feeds(Path(work), feeds)
        command = ["node", str(runtime_folder() / "run_node.js"), str(Path(bundle).resolve()), work]
        try:
            done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise ConvertError(f"the runtime did not finish in {TIMEOUT_S} s", where=str(bundle)) from error
        if done.returncode != 0:
            raise _failure(done.stderr.decode("utf-8", "replace"), str(bundle))
        return _read_fetches(Path(work))


def _write_feeds(work: Path, feeds: dict[str, np.ndarray]) -> None:
    entries = {}
    for index, (name, array) in enumerate(feeds.items()):
        file = f"in_{index}.bin"
        (work / file).write_bytes(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
        entries[name] = {"dtype": str(array.dtype), "shape": list(array.shape), "file": file}
    (work / "feeds.json").write_text(json.dumps(entries), encoding="utf-8")


def _read_fetches(work: Path) -> dict[str, np.ndarray]:
    entries: dict[str, Any] = json.loads((work / "fetches.json").read_text(encoding="utf-8"))["outputs"]
    return {name: np.frombuffer((work / entry["file"]).read_bytes(), np.dtype(entry["dtype"]).newbyteorder("<"))
            .astype(entry["dtype"]).reshape(entry["shape"]) for name, entry in entries.items()}


def _failure(stderr: str, where: str) -> ConvertError:
    """The runtime's own typed error, from the last line of stderr."""
    lines = stderr.strip().splitlines() or ["no message"]
    try:
        error = json.loads(lines[-1])["error"]
    except (ValueError, KeyError, TypeError):
        return ConvertError(f"the runtime failed: {lines[-1]}", where=where)
    return ConvertError(f"the runtime says [{error.get('code')}]: {error.get('message')}", where=where)
