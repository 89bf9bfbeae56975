"""Bundles with small ONNX models made on the spot, and servers that run them."""

import contextlib
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

SIDE = 32
CHUNK = b"0123456789"
SPEC = {
    "input": "image", "size": [SIDE, SIDE], "resize": "stretch", "interpolation": "area", "crop": None, "limit": None,
    "padValue": 0, "channels": "rgb", "layout": "nchw", "scale": 1 / 255, "mean": [0.0, 0.0, 0.0],
    "std": [1.0, 1.0, 1.0],
}  # fmt: skip
START_S = 60


def mean_model(factor: float = 1.0, output: str = "y", work: int = 0) -> bytes:
    """y[n, 3] = factor * mean of image[n, 3, 32, 32]; `work` matrix products of 512² before it, all times 0."""
    nodes, weights = [], [onnx.numpy_helper.from_array(np.array([factor], np.float32), "factor")]
    nodes.append(helper.make_node("Mul", ["image", "factor"], ["scaled"]))
    last = "mean"
    nodes.append(helper.make_node("ReduceMean", ["scaled"], [last], axes=[2, 3], keepdims=0))
    if work:
        weights.append(onnx.numpy_helper.from_array(np.zeros((512, 512), np.float32), "zeros"))
        weights.append(onnx.numpy_helper.from_array(np.array([0.0], np.float32), "nought"))
        # The first factor depends on the input, so that nothing can be computed ahead of the run.
        nodes.append(helper.make_node("Mul", ["mean", "nought"], ["tiny"]))
        nodes.append(helper.make_node("ReduceSum", ["tiny"], ["seed"], keepdims=0))
        nodes.append(helper.make_node("Add", ["zeros", "seed"], ["work_0"]))
        for k in range(work):
            nodes.append(helper.make_node("MatMul", [f"work_{k}", f"work_{k}"], [f"work_{k + 1}"]))
        nodes.append(helper.make_node("ReduceSum", [f"work_{work}"], ["worked"], keepdims=0))
        nodes.append(helper.make_node("Add", ["mean", "worked"], ["slow"]))
        last = "slow"
    nodes.append(helper.make_node("Identity", [last], [output]))
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", 3])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9).SerializeToString()


def write_bundle(folder: Path, model: bytes | None = None, **changes: Any) -> Path:
    """A sound bundle around an ONNX model (None: only for pages); written like a copy would be, model.json last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "chunk_1.dat").write_bytes(CHUNK)
    if model is not None:
        (folder / "model.onnx").write_bytes(model)
    content = {
        "format": "paddle-inpage", "formatVersion": 1, "name": "mean", "vars": {}, "ops": [{"type": "reduce_mean"}],
        "inputs": [{"name": "image", "shape": ["image.0", 3, SIDE, SIDE], "dtype": "float32"}],
        "outputs": [{"name": "y", "shape": ["image.0", 3], "dtype": "float32"}],
        "chunks": [{"file": "chunk_1.dat", "bytes": len(CHUNK), "sha256": hashlib.sha256(CHUNK).hexdigest()}],
        "preprocess": SPEC, "precision": "float32", **changes,
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(content))
    return folder


def picture_bytes(width: int = 64, height: int = 48, form: str = "PNG", seed: int = 1, **options: Any) -> bytes:
    """A seeded picture as a file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def json_request(array: np.ndarray, **more: Any) -> dict[str, Any]:
    """An inference request in JSON."""
    entry = {"name": "image", "datatype": "FP32", "shape": list(array.shape), "data": array.ravel().tolist()}
    return {"inputs": [entry], **more}


def binary_body(array: np.ndarray, **more: Any) -> tuple[bytes, dict[str, str]]:
    """An inference request with binary data: body and headers."""
    blob = array.tobytes()
    entry = {"name": "image", "datatype": "FP32", "shape": list(array.shape),
             "parameters": {"binary_data_size": len(blob)}}  # fmt: skip
    text = json.dumps({"inputs": [entry], **more}).encode()
    return text + blob, {"Inference-Header-Content-Length": str(len(text))}


def noise(batch: int = 1, seed: int = 7) -> np.ndarray:
    """Seeded input."""
    return np.random.default_rng(seed).random((batch, 3, SIDE, SIDE)).astype(np.float32)


class Server:
    """`python -m webapp` in a process of its own."""

    def __init__(self, process: subprocess.Popen, log: Path) -> None:
        self.process, self.log = process, log
        self.port = 0

    def wait(self) -> None:
        """Until it prints its address."""
        for _ in range(START_S * 20):
            if found := re.search(r"Paddle InPage is at http://127\.0\.0\.1:(\d+)/ ", self.log.read_text()):
                self.port = int(found.group(1))
                return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"the server did not start:\n{self.log.read_text()}")

    def wait_until_ready(self) -> None:
        """Until it says that its models are loaded."""
        for _ in range(START_S * 20):
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/health/ready", timeout=START_S).close()
                return
            time.sleep(0.05)
        raise AssertionError(f"the models were not loaded:\n{self.log.read_text()}")

    def lines(self) -> list[dict[str, Any]]:
        """What it logged, parsed."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@contextmanager
def running_server(folder: Path, repo: Path, **settings: Any) -> Iterator[Server]:
    """A real server over the models in `folder / "models"`; stopped afterwards, whatever happened."""
    log = folder / "server.log"
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(repo)])),
        "PYTHONUNBUFFERED": "1", "INPAGE_MODELS": str(folder / "models"),
        "INPAGE_PORT": "0", "INPAGE_RATE_PER_S": "0", **{f"INPAGE_{k.upper()}": str(v) for k, v in settings.items()},
    }  # fmt: skip
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "webapp"], cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    server = Server(process, log)
    try:
        server.wait()
        yield server
    finally:
        for gentle in (signal.SIGTERM, signal.SIGTERM):  # the second one skips the wait for balancers
            if process.poll() is None:
                process.send_signal(gentle)
                time.sleep(0.2)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
