"""conv2d, conv2d_transpose or fc followed by batch_norm: scaled weights and a bias.

y = (conv(x) - mean) * k + beta with k = gamma / sqrt(variance + epsilon), so W' = W * k, b' = (b - mean) * k + beta.
"""

from __future__ import annotations

import numpy as np

from converter.graph import Graph, Node
from converter.passes.linear import apply_affine, channel_axis, channels, is_open
from converter.passes.links import Links


def run(graph: Graph) -> Graph:
    links = Links(graph)
    for node in graph.nodes:
        norm = links.only_user(node.out) if is_open(graph, node) else None
        if norm is None or norm.type != "batch_norm" or norm.input("X") != node.out:
            continue
        terms = factor_and_shift(graph, norm)
        if terms is None or not same_axis(node, norm) or terms[0].size != channels(graph, node):
            continue
        apply_affine(links, node, *terms, base=norm.out)
        links.take_output(node, norm)
    return links.close()


def factor_and_shift(graph: Graph, norm: Node) -> tuple[np.ndarray, np.ndarray] | None:
    """batch_norm as x * factor + shift, float64 [C]; None unless all statistics are constant."""
    parts = [graph.data_of(norm.input(slot)) for slot in ("Scale", "Bias", "Mean", "Variance")]
    if any(part is None for part in parts):
        return None
    gamma, beta, mean, variance = (part.astype(np.float64).reshape(-1) for part in parts if part is not None)
    factor = gamma / np.sqrt(variance + norm.attrs["epsilon"])
    return factor, beta - mean * factor


def same_axis(linear: Node, norm: Node) -> bool:
    """Whether batch_norm's channels are the linear node's."""
    rank, axis = channel_axis(linear)
    return axis == (rank - 1 if norm.attrs["data_layout"] == "NHWC" else 1)
