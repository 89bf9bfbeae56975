"""Graph -> model.json + chunk_N.dat, the form that static/runtime loads. The same graph gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import ConvertError
from converter.graph import Graph, Node, Value
from converter.write import narrow
from converter.write.blocks import flatten

FORMAT, FORMAT_VERSION = "paddle-inpage", 1
CHUNK_BYTES = 4 * 1024 * 1024
MAX_WEIGHT_BYTES = 2**31
PRECISIONS = ("float32", "float16", "int8-weights", "int8")
"""int8: a graph of operators on int8, whose other weights are float16. int8-weights: for the download alone."""
_STORED = ("float32", "float16", "int32", "int64", "bool", "uint8", "int8")
_WHOLE = {"conv2d_int8": ("Filter", "Bias"), "fc_int8": ("W", "Bias")}
"""Operators on int8 → the slots that may have 16 bits."""
# What the runtime has no arrays for, and the dtype that holds the same numbers.
NEXT = {"float64": "float32", "int16": "int32"}
SCALES = "@scale"
"""Behind a weight's name: the scales of its rows."""
_F16_MAX = float(np.finfo(np.float16).max)
_F16_TINY = float(np.finfo(np.float16).tiny)


def write(graph: Graph, folder: Path, precision: str = "float32", version: str = "") -> dict[str, int]:
    """Write into an existing, empty folder; returns {"weight_bytes", "json_bytes", "chunks", "float16_weights"}.

    graph.meta: name, source, and optionally preprocess, postprocess, labels, feedShape, check (see check_vector).
    """
    if precision not in PRECISIONS:
        raise ConvertError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    inner = flatten(graph)
    values = graph.values | {name: value for _, block in inner for name, value in block.values.items()}
    graph = Graph(values, graph.nodes, graph.inputs, graph.outputs, graph.meta)
    used = _used(graph).union(*(_used(block) for _, block in inner))
    weights, rows = _weights(graph, used, precision)
    size = sum(data.nbytes for data in weights.values())
    if size > MAX_WEIGHT_BYTES:
        raise ConvertError(f"the weights take {size} bytes, more than a page can hold ({MAX_WEIGHT_BYTES})",
                           hint="use a smaller model or --precision int8-weights")
    chunks = _write_chunks(weights, folder)
    document = _document(graph, inner, used | set(weights), weights, chunks, precision, version)
    for name, axis in rows.items():
        document["vars"][name] |= {"scale": f"{name}{SCALES}", "axis": axis}
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    (folder / "model.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    halves = sum(data.dtype == np.float16 for data in weights.values())
    return {"weight_bytes": size, "json_bytes": len(text.encode("utf-8", "surrogatepass")), "chunks": len(chunks),
            "float16_weights": halves}


def _weights(graph: Graph, used: set[str], precision: str) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Arrays by name, in the order of the file; and which of them are int8 rows of one scale each, by axis."""
    whole = {name for node in graph.nodes for slot in _WHOLE.get(node.type, ()) for name in node.inputs[slot]}
    weights, rows = {}, {}
    axes = narrow.row_axes(graph) if precision == "int8-weights" else narrow.rounded(graph)
    for name in sorted(used):
        value = graph.values[name]
        if value.data is None:
            continue
        if name in whole:
            weights[name] = np.ascontiguousarray(value.data, value.data.dtype.newbyteorder("<"))
        elif name in axes:
            weights[name], weights[f"{name}{SCALES}"] = narrow.to_int8(value.data, *axes[name])
            rows[name] = axes[name][0]
            graph.values[f"{name}{SCALES}"] = Value(f"{name}{SCALES}", weights[f"{name}{SCALES}"].shape)
        else:
            weights[name] = stored(value, "float16" if precision.startswith("int8") else precision)
    return dict(sorted(weights.items())), rows


def _used(graph: Graph) -> set[str]:
    names = {*graph.inputs, *graph.outputs}
    for node in graph.nodes:
        names.update(node.input_names(), node.output_names())
    return names


def stored(value: Value, precision: str) -> np.ndarray:
    """The array as it goes into the chunks: little-endian, in a dtype that the runtime knows."""
    data = value.data
    assert data is not None
    dtype = NEXT.get(value.dtype, value.dtype)
    if dtype not in _STORED:
        raise ConvertError(f"weights of dtype {value.dtype} cannot be stored", where=value.name)
    with np.errstate(over="ignore"):
        narrowed = data.astype(dtype, copy=False)
    if dtype != value.dtype and dtype == "float32" and not np.array_equal(np.isfinite(narrowed), np.isfinite(data)):
        raise ConvertError("holds float64 numbers beyond the range of float32", where=value.name)
    if precision == "float16" and dtype == "float32" and _fits_half(narrowed):
        narrowed = narrowed.astype(np.float16)
    return np.ascontiguousarray(narrowed.astype(narrowed.dtype.newbyteorder("<"), copy=False))


def _fits_half(data: np.ndarray) -> bool:
    """Whether float16 serves this weight.

    Vectors (biases, scales) stay float32: they are under a hundredth of the bytes, and their error is added
    to every pixel unaveraged. So does what float16 cannot hold: infinities, too large, all near zero.
    """
    if sum(size > 1 for size in data.shape) < 2 or not np.isfinite(data).all():
        return False
    largest = float(np.abs(data).max(initial=0.0))
    return _F16_TINY <= largest <= _F16_MAX


def _write_chunks(weights: dict[str, np.ndarray], folder: Path) -> list[dict[str, Any]]:
    """Concatenate in name order, cut every 4 MiB; one chunk at a time is in memory."""
    chunks: list[dict[str, Any]] = []
    part = bytearray()

    def close() -> None:
        file = f"chunk_{len(chunks) + 1}.dat"
        (folder / file).write_bytes(part)
        chunks.append({"file": file, "bytes": len(part), "sha256": hashlib.sha256(part).hexdigest()})
        part.clear()

    for data in weights.values():
        raw = data.reshape(-1).view(np.uint8)
        at = 0
        while at < raw.size:
            taken = raw[at:at + CHUNK_BYTES - len(part)]
            part += taken.data
            at += taken.size
            if len(part) == CHUNK_BYTES:
                close()
    if part:
        close()
    return chunks


def _document(graph: Graph, inner: list[tuple[Graph, Graph]], used: set[str], weights: dict[str, np.ndarray],
              chunks: list[dict[str, Any]], precision: str, version: str) -> dict[str, Any]:
    meta, place = graph.meta, {id(block): index for index, (block, _) in enumerate(inner)}
    document = {
        "format": FORMAT, "formatVersion": FORMAT_VERSION, "name": str(meta.get("name", "")),
        "chunkNum": len(chunks), "dataLayout": "nchw", "feedShape": meta.get("feedShape"),
        "vars": {name: _var(graph.values[name], weights) for name in sorted(used)},
        "ops": [*_ends("feed", graph.inputs), *(_op(node, place) for node in graph.nodes),
                *_ends("fetch", graph.outputs)],
        "inputs": [_info(graph.values[name], weights) for name in graph.inputs],
        "outputs": [_info(graph.values[name], weights) for name in graph.outputs],
        "chunks": chunks,
    }
    if inner:
        document["blocks"] = [{"inputs": block.inputs, "outputs": block.outputs,
                               "ops": [_op(node, place) for node in block.nodes]} for _, block in inner]
    for key in ("preprocess", "postprocess", "labels", "check"):
        if meta.get(key) is not None:
            document[key] = meta[key]
    document |= {key: meta[key] for key in ("onnx", "lite") if meta.get(key)}  # for others: pages do not fetch it
    maker = {"version": version} | ({"command": meta["command"]} if meta.get("command") else {})
    source = meta.get("source", {}) | ({"paddle": meta["paddle"]} if meta.get("paddle") else {})
    return document | {"version": meta.get("version", "0.0.0"), "precision": precision, "converter": maker,
                       "source": source}


def _dtype(value: Value, weights: dict[str, np.ndarray]) -> str:
    return weights[value.name].dtype.name if value.name in weights else NEXT.get(value.dtype, value.dtype)


def _var(value: Value, weights: dict[str, np.ndarray]) -> dict[str, Any]:
    shape = [size if isinstance(size, int) else -1 for size in value.shape]
    return {"name": value.name, "shape": shape, "dtype": _dtype(value, weights), "persistable": value.name in weights}


def _info(value: Value, weights: dict[str, np.ndarray]) -> dict[str, Any]:
    return {"name": value.name, "shape": list(value.shape), "dtype": _dtype(value, weights)}


def _ends(kind: str, names: list[str]) -> list[dict[str, Any]]:
    """feed and fetch operators: they mark inputs and outputs, as in Paddle.js packages."""
    return [{"type": kind, "inputs": {"X": ["feed" if kind == "feed" else name]},
             "outputs": {"Out": [name if kind == "feed" else "fetch"]}, "attrs": {"col": col}}
            for col, name in enumerate(names)]


def _op(node: Node, place: dict[int, int]) -> dict[str, Any]:
    """place: id of a graph inside → its index in the document's blocks."""
    inputs = {slot: names for slot, names in node.inputs.items() if names}
    attrs = {name: place[id(value)] if isinstance(value, Graph) else _plain(value, node.where, name)
             for name, value in sorted(node.attrs.items())}
    if "dtype" in attrs or "out_dtype" in attrs:
        attrs |= {name: NEXT.get(attrs[name], attrs[name]) for name in ("dtype", "out_dtype") if name in attrs}
    return {"type": node.type, "inputs": inputs, "outputs": node.outputs, "attrs": attrs}


def _plain(value: Any, where: str, name: str) -> Any:
    """JSON values; non-finite numbers as "inf", "-inf", "nan"."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item, where, name) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ConvertError(f"attribute '{name}' is a {type(value).__name__} and cannot be written", where=where)
