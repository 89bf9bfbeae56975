"""Graph -> model.onnx, operator by operator. The same graph gives the same bytes; no library is needed for it.

What is written is not to be trusted before it has run: see converter/onnx_check.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import ConvertError
from converter.graph import Graph
from converter.schema import onnx as schema
from converter.write import narrow
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
from converter.write.onnx.emit import RULES, Cannot, Dialect, Emitter, attribute, tensor, value_info
from converter.write.web import stored

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
    _weights(emitter, precision)
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


def _weights(emitter: Emitter, precision: str) -> None:
    """The graph's constants under their names, rounded as in the chunks; in a narrower form with a node behind it that
    widens them where the reader takes that."""
    used = {name for node in emitter.graph.nodes for name in node.input_names()} | set(emitter.graph.outputs)
    axes = narrow.rounded(emitter.graph)
    if precision.startswith("int8") and not axes:
        axes = narrow.row_axes(emitter.graph)
    whole, biases = _in_integers(emitter.graph)
    axes = {name: (0, None) for name in whole if emitter.rank(name) == 4} | axes  # depthwise filters too
    for name, value in emitter.graph.values.items():
        if value.data is None or name not in used:
            continue
        if name in axes:
            _rows(emitter, name, *axes[name], name in whole)
            continue
        kept = "float16" if precision.startswith("int8") else precision
        data = stored(value, kept) if value.dtype in ("float32", "float16") else value.data
        if name in biases:
            data = _half(data)
        if data.dtype == np.float16:
            emitter.weights[name] = data.astype(np.float32)
            if emitter.dialect.compact:
                _widen(emitter, name, data)
                continue
        emitter.constants[name] = emitter.weights.get(name, data)


def _in_integers(graph: Graph) -> tuple[set[str], set[str]]:
    """Weights and biases of layers whose input comes from int8: an engine may multiply integers there."""
    real = {name for node in graph.nodes if node.type == "dequantize_linear" for name in node.output_names()}
    found = [node for node in graph.nodes if node.type in ("conv2d", "fc") and node.input("Input") in real]
    weights = {name for node in found for name in (node.input("Filter"), node.input("W")) if name is not None}
    biases = {name for node in found if (name := node.input("Bias")) is not None}
    return ({name for name in weights if graph.values[name].is_constant},
            {name for name in biases if graph.values[name].is_constant})


def _half(data: np.ndarray) -> np.ndarray:
    """A bias in half precision, which is finer than what it is added to; as it is where that cannot hold it."""
    return data.astype(np.float16) if _fits(np.abs(data).max(initial=0.0)) else data


def _fits(number: float) -> bool:
    """Whether half precision holds it to three digits."""
    return bool(np.finfo(np.float16).tiny < number < np.finfo(np.float16).max)


def _rows(emitter: Emitter, name: str, axis: int, scales: np.ndarray | None, in_integers: bool) -> None:
    """A weight as int8 with a scale along an axis.

    in_integers: with Q/DQ nodes, TensorRT 8 wants both. Else not even with DequantizeLinear: behind that, ONNX Runtime
    1.31 rounds what the weight is multiplied with to int8 too.
    """
    data = np.asarray(emitter.graph.data_of(name), np.float32)
    whole, scales = narrow.to_int8(data, axis, scales)
    if in_integers and emitter.dialect.compact and _fits(scales.min()) and _fits(scales.max()):
        scales = scales.astype(np.float16)
    shape = [-1 if k == axis else 1 for k in range(whole.ndim)]
    emitter.weights[name] = whole.astype(np.float32) * scales.astype(np.float32).reshape(shape)
    if in_integers:
        short = emitter.fresh(f"{name}.int8")
        scale = _widened(emitter, f"{name}.scale", scales)
        if emitter.dialect.compact:  # a zero point that is not named is 0
            emitter.constants[short] = whole
            _node(emitter, "DequantizeLinear", [short, scale], name, axis=axis)
        else:
            full, zeros = emitter.fresh(f"{name}.float"), emitter.const(np.zeros_like(scales, np.int8))
            emitter.constants[full] = emitter.weights[name]
            _node(emitter, "QuantizeLinear", [full, scale, zeros], short, axis=axis)
            _node(emitter, "DequantizeLinear", [short, scale, zeros], name, axis=axis)
    elif emitter.dialect.compact:
        scale, short, real = (emitter.fresh(f"{name}.{part}") for part in ("scale", "int8", "whole"))
        emitter.constants[scale], emitter.constants[short] = scales.reshape(shape), whole
        _node(emitter, "Cast", [short], real, to=schema.DTYPES["float32"])
        _node(emitter, "Mul", [real, scale], name)
    else:
        emitter.constants[name] = emitter.weights[name]


def _widened(emitter: Emitter, base: str, data: np.ndarray) -> str:
    """The name of a constant as float32."""
    name = emitter.fresh(base)
    if data.dtype == np.float16:
        _widen(emitter, name, data)
    else:
        emitter.constants[name] = data
    return name


def _widen(emitter: Emitter, name: str, data: np.ndarray) -> None:
    """A constant in half precision, and the node that makes float32 of it."""
    half = emitter.fresh(f"{name}.half")
    emitter.constants[half] = data
    _node(emitter, "Cast", [half], name, to=schema.DTYPES["float32"])


def _node(emitter: Emitter, type: str, inputs: list[str], output: str, **attrs: int) -> None:
    """A node whose output has a given name."""
    node = schema.message("Node")(input=inputs, output=[output], op_type=type)
    node.attribute.extend(attribute(key, value) for key, value in attrs.items())
    emitter.nodes.append(node)


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
