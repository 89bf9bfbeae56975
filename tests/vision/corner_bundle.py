"""A bundle with the face of document_corners that answers what it is told to: it needs no training."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 64
GRID = 32
MARGIN = 0.1
Points = list[tuple[float, float]]


def heatmaps(corners: Points) -> np.ndarray:
    """[1, 4, GRID, GRID]: Gaussian peaks of 0.9 at the corners, which are shares of the picture."""
    centre = [((np.array(at) + MARGIN) / (1 + 2 * MARGIN)) * GRID - 0.5 for at in corners]
    y, x = np.mgrid[:GRID, :GRID]
    peaks = [0.9 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 4) for cx, cy in centre]
    return np.stack(peaks)[None].astype(np.float32)


def node(kind: str, inputs: dict[str, list[str]], out: str, **attrs: Any) -> dict[str, Any]:
    """One operator of model.json."""
    return {"type": kind, "inputs": inputs, "outputs": {"Out": [out]}, "attrs": attrs}


def conv(x: str, weights: str, bias: str | None, out: str, stride: int) -> dict[str, Any]:
    """A convolution without padding."""
    inputs = {"Input": [x], "Filter": [weights]} | ({"Bias": [bias]} if bias else {})
    return node(
        "conv2d", inputs, out, strides=[stride, stride], paddings=[0, 0, 0, 0], padding_algorithm="EXPLICIT",
        dilations=[1, 1], groups=1, data_format="NCHW", fuse_activation="", fuse_alpha=0, fuse_beta=0,
    )  # fmt: skip


def write_bundle(folder: Path, corners: Points) -> Path:
    """Writes the bundle: `heatmaps` always show the corners, `presence` is near 1 for bright pictures, 0 for dark."""
    constants = {
        "dark": np.array([-20.0], np.float32),
        "nothing": np.zeros((4, 3, 2, 2), np.float32),
        "seen": heatmaps(corners),
        "sum": np.full((1, 3, 1, 1), 20.0, np.float32),
    }
    flowing = {
        "image": [-1, 3, SIDE, SIDE], "zeros": [-1, 4, GRID, GRID], "heatmaps": [-1, 4, GRID, GRID],
        "mean": [-1, 3, 1, 1], "total": [-1, 1, 1, 1], "flat": [-1, 1], "presence": [-1, 1],
    }  # fmt: skip
    ops = [
        node("feed", {"X": ["feed"]}, "image", col=0),
        conv("image", "nothing", None, "zeros", 2),
        node("elementwise_add", {"X": ["zeros"], "Y": ["seen"]}, "heatmaps", axis=-1, fuse_activation="",
             fuse_alpha=0, fuse_beta=0),
        node("pool2d", {"X": ["image"]}, "mean", pooling_type="avg", ksize=[1, 1], strides=[1, 1],
             paddings=[0, 0, 0, 0], ceil_mode=False, exclusive=True, adaptive=False, global_pooling=True,
             padding_algorithm="EXPLICIT", data_format="NCHW"),
        conv("mean", "sum", "dark", "total", 1),
        node("flatten_contiguous_range", {"X": ["total"]}, "flat", start_axis=1, stop_axis=3),
        node("sigmoid", {"X": ["flat"]}, "presence"),
        node("fetch", {"X": ["heatmaps"]}, "fetch", col=0),
        node("fetch", {"X": ["presence"]}, "fetch", col=1),
    ]  # fmt: skip
    variables = {
        name: {"name": name, "shape": list(shape), "dtype": "float32", "persistable": name in constants}
        for name, shape in sorted({**flowing, **{name: array.shape for name, array in constants.items()}}.items())
    }
    payload = b"".join(constants[name].tobytes() for name in sorted(constants))
    infos = {name: {"name": name, "shape": ["n", *shape[1:]], "dtype": "float32"} for name, shape in flowing.items()}
    model = {
        "format": "paddle-inpage", "formatVersion": 1, "name": "told_corners", "chunkNum": 1, "dataLayout": "nchw",
        "feedShape": {"fc": 3, "fh": SIDE, "fw": SIDE}, "vars": variables, "ops": ops,
        "inputs": [infos["image"]], "outputs": [infos["heatmaps"], infos["presence"]],
        "chunks": [{"file": "chunk_1.dat", "bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}],
        "preprocess": {
            "input": "image", "size": [SIDE, SIDE], "resize": "stretch", "interpolation": "area", "crop": None,
            "limit": None, "padValue": 0, "channels": "rgb", "layout": "nchw", "scale": 1 / 255,
            "mean": [0, 0, 0], "std": [1, 1, 1],
        },
        "postprocess": {"margin": MARGIN}, "precision": "float32", "converter": {"version": "0.1.0"},
        "source": {"format": "pir", "version": 4, "sha256": "0" * 64},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "chunk_1.dat").write_bytes(payload)
    (folder / "model.json").write_text(json.dumps(model))
    return folder
