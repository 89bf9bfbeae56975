"""A scale in front of conv2d or fc goes into their weights.

conv(s*x + t) = conv_s(x) + t * sum(W): with padding only where t is zero, since padding is added after the scale.
"""

from __future__ import annotations

import numpy as np

from converter.graph import Graph, Node
from converter.passes.linear import WEIGHT, channels
from converter.passes.links import Links


def run(graph: Graph) -> Graph:
    links = Links(graph)
    for node in graph.nodes:
        if node.type != "scale" or node.out in graph.outputs or graph.values[node.out].dtype != "float32":
            continue
        users = links.users.get(node.out, [])
        a = node.attrs
        shift = a["bias"] if a["bias_after_scale"] else a["bias"] * a["scale"]
        if not users or not all(takes(graph, user, node.out, shift) for user in users):
            continue
        for user in list(users):
            absorb_front(links, user, float(a["scale"]), float(shift))
        links.redirect(node.out, node.inputs["X"][0])
        links.remove(node)
    return links.close()


def takes(graph: Graph, user: Node, name: str, shift: float) -> bool:
    """Whether the node is linear in `name` alone, up to its borders."""
    if user.type not in ("conv2d", "fc") or [n for n in user.input_names() if n == name] != user.inputs["Input"]:
        return False
    bias = user.input("Bias")
    if graph.data_of(user.inputs[WEIGHT[user.type]][0]) is None or (bias and graph.data_of(bias) is None):
        return False
    padded = user.type == "conv2d" and (user.attrs["padding_algorithm"] == "SAME" or any(user.attrs["paddings"]))
    return shift == 0 or not padded


def absorb_front(links: Links, user: Node, factor: float, shift: float) -> None:
    graph, slot = links.graph, WEIGHT[user.type]
    name = user.inputs[slot][0]
    w = graph.values[name].data.astype(np.float64)
    if shift:
        bias = graph.data_of(user.input("Bias"))
        total = np.zeros(channels(graph, user)) if bias is None else bias.astype(np.float64).reshape(-1)
        total = total + shift * (w.sum(0) if user.type == "fc" else w.sum((1, 2, 3)))
        links.set_input(user, "Bias", [links.constant(f"{user.out}.bias", total.astype(np.float32))])
    links.set_input(user, slot, [links.constant(f"{name}.scaled", (w * factor).astype(np.float32))])
