"""What the runtime's Chromium tests share: a small bundle made by hand, and a server that can misbehave."""

import hashlib
import json
import mimetypes
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

VERSION = "0123456789abcdef"  # static files may be asked for in a folder of this name, too, as the product serves them
STATIC = Path(__file__).resolve().parents[2] / "static"
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Access-Control-Allow-Origin": "*",
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; "
    "worker-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:",
}
SPEC: dict[str, Any] = {
    "input": "x", "size": [8, 10], "resize": "stretch", "interpolation": "linear", "crop": None, "limit": None,
    "padValue": 0, "channels": "rgb", "layout": "nchw", "scale": 1 / 255, "mean": [0.5, 0.4, 0.3],
    "std": [0.25, 0.5, 0.2],
}  # fmt: skip
FEED = {"type": "feed", "inputs": {"X": ["feed"]}, "outputs": {"Out": ["x"]}, "attrs": {"col": 0}}
FETCH = {"type": "fetch", "inputs": {"X": ["y"]}, "outputs": {"Out": ["fetch"]}, "attrs": {"col": 0}}
CONV_ATTRS = {
    "strides": [1, 1], "paddings": [1, 1, 1, 1], "padding_algorithm": "EXPLICIT", "dilations": [1, 1], "groups": 1,
    "data_format": "NCHW", "fuse_activation": "relu", "fuse_alpha": 0, "fuse_beta": 0,
}  # fmt: skip

Files = dict[str, bytes]
Answer = tuple[int, dict[str, str], bytes]
Fault = Callable[[int, bytes], Answer | None]
"""(nth request of this file from 1, its true bytes) -> status, headers and body; None: never answer."""


def weights() -> tuple[np.ndarray, np.ndarray]:
    """Filter [5, 3, 3, 3] and bias [5], float32."""
    rng = np.random.default_rng(3)
    return rng.normal(0, 0.3, (5, 3, 3, 3)).astype(np.float32), rng.normal(0, 0.3, 5).astype(np.float32)


def conv_relu(x: np.ndarray) -> np.ndarray:
    """What the bundle computes: float [n, 3, h, w] -> float64 [n, 5, h, w]."""
    kernel, bias = weights()
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = x.shape[2:]
    total = sum(
        np.einsum("nchw,oc->nohw", padded[:, :, i : i + height, j : j + width], kernel[:, :, i, j].astype(np.float64))
        for i in range(3)
        for j in range(3)
    )
    return np.maximum(total + bias[:, None, None], 0)


def make_bundle(ballast: int = 0) -> Files:
    """The bundle's files: y = relu(conv2d(x)), with preprocessing; `ballast` int8 weights fill further chunks."""
    kernel, bias = weights()
    parts = {"b": bias, "w": kernel}
    if ballast:
        parts["a"] = np.arange(ballast, dtype=np.int64).astype(np.int8)
    persistable = {
        name: {"name": name, "shape": list(array.shape), "dtype": str(array.dtype), "persistable": True}
        for name, array in sorted(parts.items())
    }
    flowing = {
        name: {"name": name, "shape": [-1, channels, -1, -1], "dtype": "float32", "persistable": False}
        for name, channels in (("x", 3), ("y", 5))
    }
    payload = b"".join(parts[name].tobytes() for name in sorted(parts))
    pieces = [payload[at : at + 4194304] for at in range(0, len(payload), 4194304)]
    conv = {
        "type": "conv2d",
        "inputs": {"Input": ["x"], "Filter": ["w"], "Bias": ["b"]},
        "outputs": {"Out": ["y"]},
        "attrs": CONV_ATTRS,
    }
    model = {
        "format": "paddle-inpage", "formatVersion": 1, "name": "small", "chunkNum": len(pieces), "dataLayout": "nchw",
        "feedShape": None, "vars": persistable | flowing, "ops": [FEED, conv, FETCH],
        "inputs": [{"name": "x", "shape": ["n", 3, "h", "w"], "dtype": "float32"}],
        "outputs": [{"name": "y", "shape": ["n", 5, "h", "w"], "dtype": "float32"}],
        "chunks": [
            {"file": f"chunk_{i}.dat", "bytes": len(piece), "sha256": hashlib.sha256(piece).hexdigest()}
            for i, piece in enumerate(pieces, 1)
        ],
        "preprocess": SPEC, "labels": ["a", "b"], "precision": "float32", "converter": {"version": "0.1.0"},
        "source": {"format": "pir", "version": 4, "sha256": "0" * 64},
    }  # fmt: skip
    files = {f"chunk_{i}.dat": piece for i, piece in enumerate(pieces, 1)}
    return {"model.json": json.dumps(model).encode(), **files}


class Site:
    """A page, the static files and bundles under /NAME/, on a free port of 127.0.0.1; remembers what was asked."""

    def __init__(self, bundles: dict[str, Files]) -> None:
        self.files = {f"/{name}/{leaf}": body for name, files in bundles.items() for leaf, body in files.items()}
        self.faults: dict[str, Fault] = {}
        self.asked: list[str] = []
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.stopping = threading.Event()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def reset(self) -> None:
        """Forgets faults and requests."""
        self.faults, self.asked = {}, []

    def body(self, path: str) -> bytes | None:
        """The true content of a path."""
        if path == "/":
            return b"<!doctype html><title>test</title><link rel=icon href=data:,>"
        if path in self.files:
            return self.files[path]
        file = STATIC / path.removeprefix("/static/").removeprefix(f"{VERSION}/")
        return file.read_bytes() if path.startswith("/static/") and file.is_file() else None

    def answer(self, path: str) -> Answer | None:
        """Status, headers and body; None when the fault says to stay silent."""
        body = self.body(path)
        with self.lock:
            self.asked.append(path)
            nth = self.asked.count(path)
        if path in self.faults:
            return self.faults[path](nth, body or b"")
        return (404, {}, b"") if body is None else (200, {}, body)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                answer = site.answer(path)
                if answer is None:
                    site.stopping.wait(60)
                    self.close_connection = True
                    return
                status, headers, body = answer
                kind = "text/html" if path == "/" else mimetypes.guess_type(path)[0] or "application/octet-stream"
                kind = (
                    "application/wasm"
                    if path.endswith(".wasm")
                    else "text/javascript"
                    if path.endswith(".js")
                    else kind
                )
                full = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store", **HEADERS}
                self.send_response(status)
                for name, value in (full | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = len(body) != int((full | headers)["Content-Length"])

            def log_message(self, *args: object) -> None:
                """Quiet: the tests look at `asked`."""

        return Handler


@contextmanager
def running(bundles: dict[str, Files]) -> Iterator[Site]:
    """The site, served by a thread until the block ends."""
    site = Site(bundles)
    thread = threading.Thread(target=site.server.serve_forever, name="runtime-test-site", daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.stopping.set()
        site.server.shutdown()
        thread.join(timeout=10)
        site.server.server_close()


def wait_until(done: Callable[[], bool], timeout_s: float = 10) -> None:
    """Waits for a condition outside the page."""
    end = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
