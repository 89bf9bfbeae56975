"""A product with constants after conv2d, conv2d_transpose or fc goes into the weights."""

from __future__ import annotations

import numpy as np

from converter.graph import Graph, Node
from converter.passes.linear import Affine, absorb, channels, per_channel


def run(graph: Graph) -> Graph:
    return absorb(graph, affine)


def affine(graph: Graph, node: Node, follower: Node) -> Affine | None:
    """What `follower` does to each channel, when it is a scale, or a product or quotient with constants."""
    a = follower.attrs
    if follower.type == "scale":
        bias = a["bias"] if a["bias_after_scale"] else a["bias"] * a["scale"]
        count = channels(graph, node)
        return np.full(count, float(a["scale"])), np.full(count, float(bias)) if bias else None
    if follower.type not in ("elementwise_mul", "elementwise_div"):
        return None
    found = per_channel(graph, node, follower)
    if found is None:
        return None
    factor, second = found
    if follower.type == "elementwise_mul":
        return factor, None
    return (1 / factor, None) if second and np.all(factor != 0) else None
