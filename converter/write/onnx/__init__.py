"""Graph -> model.onnx, operator by operator. The same graph gives the same bytes; no library is needed for it.

What is written is not to be trusted before it has run: see converter/onnx_check.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from converter.errors import ConvertError
from converter.graph import Graph
from converter.schema import onnx as schema
from converter.write.onnx import (  # noqa: F401  (each declares its rules)
    detect,
    elementwise,
    indexing,
    integers,
    layers,
    layout,
    pooling,
    recurrent,
    resize,
)
from converter.write.onnx.emit import RULES, Cannot, Dialect, Emitter, tensor, value_info
from converter.write.onnx.weights import write_weights

__all__ = ["DIALECTS", "FILE", "RULES", "Cannot", "Dialect", "build", "name_outputs", "save", "write"]

FILE = "model.onnx"
DIALECTS = {"onnx": Dialect(17, compact=True), "tensorrt": Dialect(13, compact=False)}
"""Operator set 13 is what TensorRT 8 reads in full: hard_swish and layer_norm are then written out in smaller steps."""
_MAX_BYTES = 2**31 - 1


def write(graph: Graph, path: Path, dialect: Dialect = DIALECTS["onnx"], precision: str = "float32",
          version: str = "") -> dict[str, int]:
    """Write the graph; returns {"onnx_bytes", "onnx_opset"}. See build()."""
    return save(build(graph, dialect, precision, version), path)


def save(model: Any, path: Path) -> dict[str, int]:
    data = model.SerializeToString(deterministic=True)
    if len(data) > _MAX_BYTES:
        raise ConvertError(f"the ONNX file would take {len(data)} bytes, more than its format can hold")
    path.write_bytes(data)
    return {"onnx_bytes": len(data), "onnx_opset": int(model.opset_import[0].version)}


def name_outputs(path: Path, names: list[str]) -> None:
    """Give the outputs of somebody else's file, in their order, these names; paddle2onnx makes up its own."""
    model = schema.message("Model")()
    model.ParseFromString(path.read_bytes())
    given = [output.name for output in model.graph.output]
    if len(given) != len(names):
        raise ConvertError(f"has {len(given)} outputs where the model has {len(names)}", where=str(path))
    fresh = {old: new for old, new in zip(given, names, strict=True) if old != new}
    taken = {name for node in model.graph.node for name in node.output} - set(fresh)
    if taken & set(fresh.values()):
        raise ConvertError(f"uses the names {sorted(taken & set(fresh.values()))} for something else", where=str(path))
    for node in model.graph.node:
        for field in (node.input, node.output):
            for index, name in enumerate(field):
                field[index] = fresh.get(name, name)
    for output in model.graph.output:
        output.name = fresh.get(output.name, output.name)
    path.write_bytes(model.SerializeToString(deterministic=True))


def build(graph: Graph, dialect: Dialect = DIALECTS["onnx"], precision: str = "float32", version: str = "") -> Any:
    """The graph as a ModelProto (schema.message("Model")).

    The names of inputs and outputs, and sizes that are known only at run time, stay what they are in the graph.
    Weights are those of the bundle: at precision float16 and int8-weights they are rounded as in the chunks, so that
    page and server compute with the same numbers. Raises ConvertError naming every operator that cannot be written.
    """
    emitter = Emitter(graph, dialect)
    write_weights(emitter, precision)
    problems: list[Cannot] = []
    for node in graph.nodes:
        try:
            emitter.write(node)
        except Cannot as error:
            problems.append(error)
    if problems:
        shown = dict.fromkeys(f"{error.where}: {error.what}" for error in problems)
        raise Cannot(f"{len(problems)} operators cannot be written as ONNX:\n  " + "\n  ".join(shown))
    dead = {id(node) for node in emitter.dead}
    emitter.nodes = [node for node in emitter.nodes if id(node) not in dead]
    if precision == "int8":
        _shorten(emitter)
    return _model(emitter, version)


def _shorten(emitter: Emitter) -> None:
    """Names that nobody asks for, made short: there are some for every layer, twice in every file, and of a small model
    in int8 they are a twentieth."""
    public = {*emitter.graph.inputs, *emitter.graph.outputs, ""}
    short: dict[str, str] = {}

    def name_of(name: str) -> str:
        if name in public:
            return name
        while name not in short:
            candidate = f"{len(short) + len(public):x}"
            short[name if candidate not in public else f"{name} {candidate}"] = candidate
        return short[name]

    def rename(nodes: Iterable[Any]) -> None:
        for node in nodes:
            node.input[:], node.output[:] = [*map(name_of, node.input)], [*map(name_of, node.output)]
            for entry in node.attribute:
                rename(entry.g.node)
                for output in entry.g.output:
                    output.name = name_of(output.name)

    rename(emitter.nodes)
    emitter.constants = {name_of(name): data for name, data in emitter.constants.items()}


def _read(nodes: Iterable[Any]) -> Iterator[str]:
    """Every name that nodes read, those inside them too."""
    for node in nodes:
        yield from node.input
        for entry in node.attribute:
            yield from _read(entry.g.node)


def _model(emitter: Emitter, version: str) -> Any:
    graph, opset = emitter.graph, emitter.opset
    model = schema.message("Model")(ir_version=schema.IR_OF_OPSET[opset], producer_name="paddle-inpage",
                                    producer_version=version)
    model.opset_import.add(domain="", version=opset)
    body = model.graph
    body.name = str(graph.meta.get("name") or "model")
    used = set(_read(emitter.nodes)) | set(graph.outputs)
    body.node.extend(emitter.nodes)
    body.initializer.extend(tensor(name, data) for name, data in emitter.constants.items() if name in used)
    for field, names in ((body.input, graph.inputs), (body.output, graph.outputs)):
        field.extend(value_info(name, graph.values[name].shape, graph.values[name].dtype) for name in names)
    if emitter.open_ranks:
        for output in body.output:
            output.type.tensor_type.ClearField("shape")
    return model
