"""The same choices for engines that read Q/DQ: a float graph with quantize_linear and dequantize_linear in pairs."""

from __future__ import annotations

from converter.graph import Graph, Value
from converter.quantise.fork import finished, rounded
from converter.quantise.lower import coarse
from converter.quantise.params import INT8, affine
from converter.quantise.plan import FEW, Plan, can_quantise, is_layer

SLOTS = {"conv2d": ("Input", "ResidualData"), "elementwise_add": ("X", "Y")}


def qdq(graph: Graph, plan: Plan, symmetric: bool = False) -> Graph:
    """Every layer that became int8, and the sums between them, sees its inputs through a pair; layers that stayed
    float, pictures that go in, and matrices (whose inputs keep 12 bits and more in a page), are left alone. An engine
    may compute in integers between pairs, or round as they say and compute in float32.

    graph: the float graph that the plan is for. symmetric: zero points 0, as TensorRT wants them. Weights are the whole
    numbers that pages get, times their scales; what has 12 bits there gets 8, rounded as well as 8 allow.
    """
    new = Graph({name: Value(v.name, v.shape, v.dtype, v.data) for name, v in graph.values.items()}, [],
                list(graph.inputs), list(graph.outputs), graph.meta | {"rounded": {}})
    pictures = {name for name in graph.inputs if len(graph.values[name].shape) == 4
                and graph.values[name].shape[1] in range(1, FEW + 1)}
    params = {name: affine(*span, symmetric=symmetric) for name, span in plan.ranges.items() if name not in pictures}
    twins: dict[str, str] = {}
    for node in graph.nodes:
        whole = is_layer(node) and node.out not in plan.float_layers and can_quantise(graph, node)
        copy = coarse(new, node, plan, min(plan.limit(node.out), INT8) if whole else 0)
        for slot in SLOTS.get(node.type, ()) if node.type == "elementwise_add" or whole else ():
            name = node.input(slot)
            if name is None or name not in params:
                continue
            if name not in twins:
                twins[name] = rounded(new, name, params[name])
            copy.inputs[slot] = [twins[name]]
        new.nodes.append(copy)
    return finished(new)
