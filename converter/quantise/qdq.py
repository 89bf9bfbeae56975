"""The same choices for engines that read Q/DQ: a float graph with quantize_linear and dequantize_linear in pairs."""

from __future__ import annotations

from converter.graph import Graph, Node, Value
from converter.quantise.fork import finished, rounded
from converter.quantise.params import affine
from converter.quantise.report import QuantReport

SLOTS = {"conv2d": ("Input", "ResidualData"), "elementwise_add": ("X", "Y")}


def qdq(graph: Graph, report: QuantReport, symmetric: bool = False) -> Graph:
    """Every layer that became int8, and the sums between them, sees its inputs through a pair; layers that stayed
    float, and matrices (whose inputs keep 12 bits in a page), are left alone. An engine may compute in integers between
    pairs, or round as they say and compute in float32.

    graph: the optimised float graph that was quantised. symmetric: zero points 0, as TensorRT wants them.
    """
    new = Graph({name: Value(v.name, v.shape, v.dtype, v.data) for name, v in graph.values.items()}, [],
                list(graph.inputs), list(graph.outputs), dict(graph.meta))
    params = {tensor.name: affine(*tensor.chosen, symmetric=symmetric) for tensor in report.tensors}
    whole = {layer.name for layer in report.layers if layer.precision.startswith("int8")}
    twins: dict[str, str] = {}
    for node in graph.nodes:
        inputs = {slot: list(names) for slot, names in node.inputs.items()}
        for slot in SLOTS.get(node.type, ()) if node.type == "elementwise_add" or node.out in whole else ():
            name = node.input(slot)
            if name is None or name not in params:
                continue
            if name not in twins:
                twins[name] = rounded(new, name, params[name])
            inputs[slot] = [twins[name]]
        outputs = {slot: list(names) for slot, names in node.outputs.items()}
        new.nodes.append(Node(node.type, inputs, outputs, dict(node.attrs), node.name))
    return finished(new)
