"""An activation right after conv2d, conv2d_transpose, fc or an elementwise operator becomes its epilogue."""

from __future__ import annotations

from converter.graph import Graph, Node
from converter.ops.binary import ARITHMETIC
from converter.passes.linear import WEIGHT
from converter.passes.links import Links

HOSTS = {*WEIGHT, *ARITHMETIC}
PARAMETERS = {"relu6": ("threshold",), "leaky_relu": ("alpha",), "swish": ("beta",),
              "hard_sigmoid": ("slope", "offset"), "clip": ("min", "max")}
PLAIN = {"relu", "sigmoid", "tanh", "silu", "mish"}


def run(graph: Graph) -> Graph:
    links = Links(graph)
    for node in graph.nodes:
        if node.type not in HOSTS or node.attrs["fuse_activation"] or graph.values[node.out].dtype != "float32":
            continue
        follower = links.only_user(node.out)
        epilogue = None if follower is None else epilogue_of(follower)
        if follower is None or epilogue is None:
            continue
        links.take_output(node, follower)
        node.attrs["fuse_activation"], node.attrs["fuse_alpha"], node.attrs["fuse_beta"] = epilogue
    return links.close()


def epilogue_of(node: Node) -> tuple[str, float, float] | None:
    """(fuse_activation, fuse_alpha, fuse_beta), or None where the node is no activation that can be fused."""
    a = node.attrs
    if node.type in PLAIN:
        return node.type, 0.0, 0.0
    if node.type == "gelu":
        return None if a["approximate"] else ("gelu", 0.0, 0.0)
    if node.type == "hard_swish":
        return ("hard_swish", 0.0, 0.0) if (a["threshold"], a["scale"], a["offset"]) == (6, 6, 3) else None
    if node.type not in PARAMETERS:
        return None
    alpha, beta = ([float(a[name]) for name in PARAMETERS[node.type]] + [0.0])[:2]
    return node.type, alpha, beta
