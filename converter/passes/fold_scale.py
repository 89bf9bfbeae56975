"""A product with constants after conv2d, conv2d_transpose or fc goes into the weights."""

from __future__ import annotations

import numpy as np

from converter.graph import Graph, Node
from converter.passes.linear import apply_affine, channels, is_open, per_channel
from converter.passes.links import Links


def run(graph: Graph) -> Graph:
    links = Links(graph)
    for node in graph.nodes:
        while is_open(graph, node):
            follower = links.only_user(node.out)
            terms = None if follower is None else factor_and_shift(graph, node, follower)
            if follower is None or terms is None:
                break
            apply_affine(links, node, *terms, base=follower.out)
            links.take_output(node, follower)
    return links.close()


def factor_and_shift(graph: Graph, node: Node, follower: Node) -> tuple[np.ndarray, np.ndarray | None] | None:
    """What `follower` does to each channel, when it is a scale, or a product or quotient with constants."""
    a = follower.attrs
    if follower.type == "scale":
        bias = a["bias"] if a["bias_after_scale"] else a["bias"] * a["scale"]
        count = channels(graph, node)
        return np.full(count, float(a["scale"])), np.full(count, float(bias)) if bias else None
    if follower.type not in ("elementwise_mul", "elementwise_div") or a["fuse_activation"]:
        return None
    found = per_channel(graph, node, follower)
    if found is None:
        return None
    factor, second = found
    if follower.type == "elementwise_mul":
        return factor, None
    return (1 / factor, None) if second and np.all(factor != 0) else None
