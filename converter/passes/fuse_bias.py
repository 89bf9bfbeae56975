"""A sum with constants per channel after conv2d, conv2d_transpose or fc becomes its bias."""

from __future__ import annotations

import numpy as np

from converter.graph import Graph, Node
from converter.passes.linear import Affine, absorb, channels, per_channel


def run(graph: Graph) -> Graph:
    return absorb(graph, affine)


def affine(graph: Graph, node: Node, follower: Node) -> Affine | None:
    """x + c, c + x, x - c or c - x."""
    if follower.type not in ("elementwise_add", "elementwise_sub"):
        return None
    found = per_channel(graph, node, follower)
    if found is None:
        return None
    shift, second = found
    if follower.type == "elementwise_add":
        return None, shift
    return (None, -shift) if second else (-np.ones(channels(graph, node)), shift)
