"""A sum with constants per channel after conv2d, conv2d_transpose or fc becomes its bias."""

from __future__ import annotations

import numpy as np

from converter.graph import Graph
from converter.passes.linear import apply_affine, channels, is_open, per_channel
from converter.passes.links import Links


def run(graph: Graph) -> Graph:
    links = Links(graph)
    for node in graph.nodes:
        while is_open(graph, node):
            follower = links.only_user(node.out)
            if follower is None or follower.type not in ("elementwise_add", "elementwise_sub"):
                break
            found = per_channel(graph, node, follower)
            if found is None:
                break
            shift, second = found
            if follower.type == "elementwise_sub":      # x - c, or c - x
                factor = None if second else -np.ones(channels(graph, node))
                apply_affine(links, node, factor, -shift if second else shift, follower.out)
            else:
                apply_affine(links, node, None, shift, follower.out)
            epilogue = {name: follower.attrs[name] for name in ("fuse_activation", "fuse_alpha", "fuse_beta")}
            links.take_output(node, follower)
            node.attrs.update(epilogue)
    return links.close()
