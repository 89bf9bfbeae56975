"""A graph computed many times: in the WASM runtime under Node where it can be, else by numpy, which takes longer."""

from __future__ import annotations

import json
import struct
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from converter.errors import ConvertError
from converter.graph import Graph
from converter.ops import evaluate
from converter.run import runtime_folder, web_problem
from converter.write import web


class Runtime:
    """One Node process for one model after the other: `with Runtime() as runtime: … Executor(graph, taps, runtime)`."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Runtime:
        if web_problem() is None:
            self.process = subprocess.Popen(["node", str(runtime_folder() / "stream_node.js")], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self.process is None:
            return
        if kind is not None:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            _close(pipe)
        self.process.wait()
        self.process = None

    def ask(self, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert self.process is not None and self.process.stdin is not None and self.process.stdout is not None
        with suppress(BrokenPipeError):  # it says below why it has ended
            _send(self.process.stdin, header, arrays)
        return _receive(self.process.stdout)


class Executor:
    """`with Executor(graph, taps) as run: arrays = run(feeds)`: any values of the graph by name, from inputs by name.

    runtime: one that is running already; models on it take each other's place, so that one is used at a time.
    Raises ConvertError where the graph cannot be run, or its feeds do not fit.
    """

    def __init__(self, graph: Graph, taps: list[str], runtime: Runtime | None = None) -> None:
        self.graph = Graph(graph.values, graph.nodes, graph.inputs, list(taps), graph.meta)
        self.stack = ExitStack()
        self.runtime = runtime

    def __enter__(self) -> Executor:
        with ExitStack() as stack:
            if self.runtime is None:
                self.runtime = stack.enter_context(Runtime())
            if self.runtime.process is not None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="inpage-runs-")))
                web.write(self.graph, folder)
                self.runtime.ask({"bundle": str(folder)}, {})
            self.stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.stack.__exit__(kind, error, trace)

    def __call__(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self.runtime is None or self.runtime.process is None:
            return evaluate(self.graph, feeds)
        arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in feeds.items()}
        entries = [{"name": name, "dtype": str(a.dtype), "shape": list(a.shape)} for name, a in arrays.items()]
        return self.runtime.ask({"tensors": entries}, arrays)


def _close(pipe: IO[bytes] | None) -> None:
    with suppress(BrokenPipeError):  # the process has ended already
        if pipe is not None:
            pipe.close()


def _send(pipe: IO[bytes], header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    text = json.dumps(header).encode()
    pipe.write(struct.pack("<I", len(text)) + text)
    for array in arrays.values():
        pipe.write(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    pipe.flush()


def _receive(pipe: IO[bytes]) -> dict[str, np.ndarray]:
    header = _header(pipe)
    if "error" in header:
        error = header["error"]
        raise ConvertError(f"the runtime says [{error.get('code')}]: {error.get('message')}")
    arrays = {}
    for entry in header["tensors"]:
        array = np.empty(entry["shape"], np.dtype(entry["dtype"]).newbyteorder("<"))
        _fill(pipe, memoryview(array.reshape(-1).view(np.uint8)))
        arrays[entry["name"]] = array.astype(entry["dtype"], copy=False)
    return arrays


def _header(pipe: IO[bytes]) -> dict[str, Any]:
    head = pipe.read(4)
    if len(head) < 4:
        raise ConvertError("the runtime ended without an answer", hint="its message stands above")
    return json.loads(pipe.read(struct.unpack("<I", head)[0]))


def _fill(pipe: IO[bytes], view: memoryview) -> None:
    while view:
        count = pipe.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise ConvertError("the runtime ended in the middle of an answer", hint="its message stands above")
        view = view[count:]
