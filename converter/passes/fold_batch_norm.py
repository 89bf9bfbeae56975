"""conv2d, conv2d_transpose or fc followed by batch_norm: scaled weights and a bias.

y = (conv(x) - mean) * k + beta with k = gamma / sqrt(variance + epsilon), so W' = W * k, b' = (b - mean) * k + beta.
"""

from __future__ import annotations

import numpy as np

from converter.graph import Graph, Node
from converter.passes.linear import Affine, absorb, channel_axis, channels


def run(graph: Graph) -> Graph:
    return absorb(graph, affine)


def affine(graph: Graph, node: Node, norm: Node) -> Affine | None:
    """batch_norm as factor and shift, when its statistics are constant and its channels are the node's."""
    if norm.type != "batch_norm" or norm.input("X") != node.out:
        return None
    parts = [graph.data_of(norm.input(slot)) for slot in ("Scale", "Bias", "Mean", "Variance")]
    rank, axis = channel_axis(node)
    if any(part is None for part in parts) or axis != (rank - 1 if norm.attrs["data_layout"] == "NHWC" else 1):
        return None
    gamma, beta, mean, variance = (part.astype(np.float64).reshape(-1) for part in parts if part is not None)
    with np.errstate(all="ignore"):  # a negative variance gives NaN, which is refused where weights are written
        factor = gamma / np.sqrt(variance + norm.attrs["epsilon"])
    return (factor, beta - mean * factor) if factor.size == channels(graph, node) else None
