"""The weights of a model in an ONNX file: as in the bundle's chunks, in narrow forms that nodes widen."""

from __future__ import annotations

import numpy as np

from converter.graph import Graph
from converter.schema import onnx as schema
from converter.write import narrow
from converter.write.onnx.emit import Emitter, attribute
from converter.write.web import stored

_NODE_BYTES = 28
"""What a node that widens a constant takes."""
_NOTHING = 2.0**-24
"""This share of the largest is beyond what float32 adds to it."""
_MOST_BIAS = 2.0**30
"""In units of an input's scale times a row's: ONNX Runtime makes int32 of biases, and cuts what has no room there."""


def write_weights(emitter: Emitter, precision: str) -> None:
    """The graph's constants under their names, rounded as in the chunks; in a narrower form with a node behind it that
    widens them where the reader takes that."""
    graph, int8 = emitter.graph, precision == "int8"
    used = {name for node in graph.nodes for name in node.input_names()} | set(graph.outputs)
    axes = narrow.rounded(graph)
    if precision.startswith("int8") and not axes:
        axes = narrow.row_axes(graph)
    whole = _in_integers(graph)
    axes = {name: (0, None) for name in whole if emitter.rank(name) == 4} | axes  # depthwise filters too
    biases = {node.input("Bias") for node in graph.nodes
              if node.type in ("conv2d", "fc") and (int8 or {node.input("Filter"), node.input("W")} & set(whole))}
    for name, value in graph.values.items():
        if value.data is None or name not in used:
            continue
        if name in axes:
            _rows(emitter, name, *axes[name], whole.get(name), short=int8)
        elif name in biases and emitter.dialect.compact and value.dtype == "float32":
            emitter.weights[name] = _shortened(emitter, name, value.data)
        else:
            kept = "float16" if precision.startswith("int8") else precision
            _stored(emitter, name, stored(value, kept) if value.dtype in ("float32", "float16") else value.data)


def _stored(emitter: Emitter, name: str, data: np.ndarray) -> None:
    """A constant; one in half precision is float32 to those that read it."""
    if data.dtype != np.float16:
        emitter.constants[name] = data
        return
    emitter.weights[name] = data.astype(np.float32)
    if emitter.dialect.compact:
        _widen(emitter, name, data)
    else:
        emitter.constants[name] = emitter.weights[name]


def _in_integers(graph: Graph) -> dict[str, np.ndarray | float]:
    """Weights of layers whose input comes from int8, where an engine may multiply integers, and the least scale of each
    row that leaves room for its bias."""
    real = {node.out: node.attrs["scale"] for node in graph.nodes if node.type == "dequantize_linear"}
    found: dict[str, np.ndarray | float] = {}
    for node in graph.nodes:
        name = node.input({"conv2d": "Filter", "fc": "W"}.get(node.type, ""))
        if name is None or node.input("Input") not in real or not graph.values[name].is_constant:
            continue
        bias = graph.data_of(node.input("Bias")) if node.input("Bias") else None
        least = 0.0 if bias is None else np.abs(bias.astype(np.float64)) / (real[node.inputs["Input"][0]] * _MOST_BIAS)
        found[name] = np.maximum(found.get(name, 0.0), least)
    return found


def _rows(emitter: Emitter, name: str, axis: int, scales: np.ndarray | None, least: np.ndarray | float | None,
          short: bool) -> None:
    """A weight as int8 with a scale along an axis; short: in half precision where that is smaller.

    least: of the scales, where an engine may multiply integers. With Q/DQ nodes, TensorRT 8 wants both. None: not even
    with DequantizeLinear: behind that, ONNX Runtime 1.31 rounds what the weight is multiplied with to int8 too.
    """
    data = np.asarray(emitter.graph.data_of(name), np.float32)
    whole, scales = narrow.to_int8(data, axis, scales)
    if least is not None and (low := scales < np.maximum(least, scales.max() * _NOTHING)).any():
        scales = np.where(low, np.maximum(least, scales.max() * _NOTHING), scales).astype(np.float32)
        whole, scales = narrow.to_int8(data, axis, scales)
    shape = [-1 if k == axis else 1 for k in range(whole.ndim)]
    compact = emitter.dialect.compact
    if compact:
        scale = emitter.fresh(f"{name}.scale")
        given = scales if least is not None else scales.reshape(shape)
        if short:
            scales = _shortened(emitter, scale, given).reshape(-1)
        else:
            emitter.constants[scale] = given
    emitter.weights[name] = whole.astype(np.float32) * scales.reshape(shape)
    if not compact and least is None:
        emitter.constants[name] = emitter.weights[name]
        return
    kept = emitter.fresh(f"{name}.int8")
    if compact:
        emitter.constants[kept] = whole
    if least is None:
        real = emitter.fresh(f"{name}.whole")
        _node(emitter, "Cast", [kept], real, to=schema.DTYPES["float32"])
        _node(emitter, "Mul", [real, scale], name)
    elif compact:  # a zero point that is not named is 0
        _node(emitter, "DequantizeLinear", [kept, scale], name, axis=axis)
    else:
        full, zeros = emitter.fresh(f"{name}.float"), emitter.const(np.zeros_like(scales, np.int8))
        emitter.constants[full], scale = emitter.weights[name], emitter.const(scales)
        _node(emitter, "QuantizeLinear", [full, scale, zeros], kept, axis=axis)
        _node(emitter, "DequantizeLinear", [kept, scale, zeros], name, axis=axis)


def _shortened(emitter: Emitter, name: str, data: np.ndarray) -> np.ndarray:
    """A float32 constant under a name, in half precision and widened by nodes where that takes fewer bytes; returns it
    as it is read: each number to three digits, or to what float32 makes of the largest."""
    sizes = np.abs(data)
    largest = sizes.max(initial=0.0)
    least = sizes[sizes > largest * _NOTHING].min(initial=largest)
    half = np.finfo(np.float16)
    fits = half.tiny <= least and largest <= half.max
    exponent = 0 if fits or not 0 < largest < np.inf else int(np.floor(np.log2(largest))) - 14
    if 2 * data.size <= _NODE_BYTES * (2 if exponent else 1) or not np.isfinite(data).all():
        emitter.constants[name] = data
        return data
    short = np.ldexp(data, -exponent).astype(np.float16)
    if not exponent:
        _widen(emitter, name, short)
    else:
        wide = emitter.fresh(f"{name}.wide")
        _widen(emitter, wide, short)
        _node(emitter, "Mul", [wide, emitter.const(np.float32(2.0**exponent))], name)
    return np.ldexp(short.astype(np.float32), exponent)


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
