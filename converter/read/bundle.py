"""Our own bundle -> Graph, everything checked: sizes, hashes, names."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import ConvertError, refusing
from converter.graph import Graph, Node, Shape, Value
from converter.graph.ir import DTYPES
from converter.ops import REGISTRY, complete
from converter.read import pir
from converter.read.raw import MAX_DEPTH, contained, symbol_maker, text, texts

FORMAT, FORMAT_VERSION = "paddle-inpage", 1
_NON_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_META = ("name", "preprocess", "postprocess", "labels", "source", "precision", "feedShape")
_BLOCKS = {"while": ("body",), "if": ("then", "otherwise")}
_AGAIN = "convert or download the model again"


def is_bundle(data: Any) -> bool:
    return isinstance(data, dict) and data.get("format") == FORMAT


def load_bundle(folder: str | Path) -> Graph:
    """Read a bundle folder. Raises ConvertError for a missing or damaged file."""
    model = Path(folder) / "model.json"
    if not model.is_file():
        raise ConvertError("there is no model.json", where=str(folder), hint="name the bundle's folder")
    data = pir.load_json(model)
    if not is_bundle(data):
        raise ConvertError(f"this is not a bundle (its format is not \"{FORMAT}\")", where=str(model),
                           hint="make one: python -m converter MODEL -o BUNDLE")
    return load(Path(folder), data)


def load(folder: Path, data: dict[str, Any]) -> Graph:
    """The same from the parsed model.json."""
    where = str(folder / "model.json")
    if data.get("formatVersion") != FORMAT_VERSION:
        raise ConvertError(f"bundle version {data.get('formatVersion')!r} is not supported, {FORMAT_VERSION} is",
                           where=where, hint="convert the model again with this release")
    with refusing("the bundle is malformed", where, _AGAIN):
        graph = _graph(data, where)
        _fill(graph, data["vars"], _weights(folder, data["chunks"]), where)
        _place(graph, [_block(graph, entry) for entry in data.get("blocks", [])])
        _complete(graph)
        graph.check()
    graph.meta = {key: data[key] for key in _META if data.get(key) is not None}
    return graph


def _graph(data: dict[str, Any], where: str) -> Graph:
    graph, fresh = Graph(), symbol_maker()
    shapes: dict[str, Shape] = {}
    for entry in [*data["inputs"], *data["outputs"]]:
        shapes[entry["name"]] = tuple(entry["shape"])
    for name, var in data["vars"].items():
        if var["dtype"] not in DTYPES:
            raise ConvertError(f"dtype {var['dtype']!r} is not supported", where=f"{where}: {name}")
        dims = tuple(int(size) if size >= 0 else fresh() for size in var["shape"])
        graph.add_value(Value(name, shapes.get(name, dims), "float32" if "scale" in var else var["dtype"]))
    graph.nodes = _nodes(data["ops"])
    graph.inputs = texts([entry["name"] for entry in data["inputs"]])
    graph.outputs = texts([entry["name"] for entry in data["outputs"]])
    return graph


def _nodes(ops: list[dict[str, Any]]) -> list[Node]:
    nodes = []
    for op in ops:
        if op["type"] in ("feed", "fetch"):
            continue
        inputs = {slot: texts(names) for slot, names in op["inputs"].items()}
        outputs = {slot: texts(names) for slot, names in op["outputs"].items()}
        attrs = {key: _number(value) for key, value in op["attrs"].items()}
        nodes.append(Node(text(op["type"]), inputs, outputs, attrs))
    return nodes


def _block(graph: Graph, entry: dict[str, Any]) -> Graph:
    """A graph inside; its values move there."""
    block = Graph(nodes=_nodes(entry["ops"]), inputs=texts(entry["inputs"]), outputs=texts(entry["outputs"]))
    names = [*block.inputs, *block.outputs, *(name for node in block.nodes for name in
                                              (*node.input_names(), *node.output_names()))]
    block.values = {name: graph.values.pop(name) for name in dict.fromkeys(names)}
    return block


def _complete(graph: Graph) -> None:
    for node in graph.nodes:
        if node.type in REGISTRY:  # what a newer release wrote is left to the engines, which name it
            complete(node)
        for block in node.blocks:
            _complete(block)


def _place(graph: Graph, blocks: list[Graph | None], depth: int = 0) -> None:
    """Put the graphs themselves where operators name them by number; each belongs to one operator."""
    for node in graph.nodes:
        for key in _BLOCKS.get(node.type, ()):
            number = node.attrs[key]
            known = not isinstance(number, bool) and isinstance(number, int) and 0 <= number < len(blocks)
            block = blocks[number] if known and depth < MAX_DEPTH else None
            if block is None:
                raise ConvertError(f"block {number!r} does not exist, is another's or lies too deep", where=node.where)
            node.attrs[key], blocks[number] = block, None
            _place(block, blocks, depth + 1)


def _number(value: Any) -> Any:
    """Undo the spelling of non-finite numbers."""
    if isinstance(value, list):
        return [_number(item) for item in value]
    return _NON_FINITE.get(value, value) if isinstance(value, str) else value


def _weights(folder: Path, chunks: list[dict[str, Any]]) -> bytearray:
    """The joined chunks, each checked against its size and hash."""
    joined = bytearray()
    for number, chunk in enumerate(chunks, 1):
        name = chunk["file"]
        if name != f"chunk_{number}.dat":  # also keeps one small file from being listed a million times
            raise ConvertError(f"chunk {number} is called {str(name)[:80]!r} instead of 'chunk_{number}.dat'",
                               where=str(folder), hint=_AGAIN)
        path = contained(folder / name, folder / "model.json")
        if not path.is_file():
            raise ConvertError("this chunk is missing", where=str(path), hint=_AGAIN)
        if path.stat().st_size != chunk["bytes"]:
            raise ConvertError(f"has {path.stat().st_size} bytes instead of {chunk['bytes']}", where=str(path),
                               hint=_AGAIN)
        part = path.read_bytes()
        if hashlib.sha256(part).hexdigest() != chunk["sha256"]:
            raise ConvertError("is damaged: its SHA-256 does not match", where=str(path), hint=_AGAIN)
        joined += part
    return joined


def _fill(graph: Graph, entries: dict[str, Any], weights: bytearray, where: str) -> None:
    names = sorted(name for name, var in entries.items() if var["persistable"])
    sizes = [math.prod(entries[name]["shape"]) * np.dtype(entries[name]["dtype"]).itemsize for name in names]
    if sum(sizes) != len(weights):
        raise ConvertError(f"the weights need {sum(sizes)} bytes, the chunks hold {len(weights)}", where=where,
                           hint=_AGAIN)
    at = 0
    for name, size in zip(names, sizes, strict=True):
        value = graph.values[name]
        stored = np.dtype(entries[name]["dtype"]).newbyteorder("<")
        raw = np.frombuffer(weights, stored, size // stored.itemsize, at)
        value.data = raw.astype(entries[name]["dtype"], copy=False).reshape([int(dim) for dim in value.shape])
        at += size
    for name in names:
        if "scale" in entries[name]:
            _widen(graph, name, entries[name], where)


def _widen(graph: Graph, name: str, entry: dict[str, Any], where: str) -> None:
    """int8 rows times their scales, in float32 as the runtime does it."""
    value, scales, axis = graph.values[name], graph.data_of(entry["scale"]), entry["axis"]
    fits = isinstance(axis, int) and 0 <= axis < len(value.shape) and value.data is not None \
        and value.data.dtype == np.int8 and scales is not None and scales.dtype == np.float32 \
        and scales.shape == (value.shape[axis],)
    if not fits or value.data is None or scales is None:
        raise ConvertError("the scales of this weight do not fit it", where=f"{where}: {name}", hint=_AGAIN)
    shape = [-1 if i == axis else 1 for i in range(len(value.shape))]
    value.data = value.data.astype(np.float32) * scales.reshape(shape)
