"""Batch norms, products and sums with constants behind a linear node, in any order and number, as one."""

from __future__ import annotations

from converter.graph import Graph
from converter.passes import fold_batch_norm, fold_scale, fuse_bias
from converter.passes.linear import absorb


def run(graph: Graph) -> Graph:
    return absorb(graph, fold_batch_norm.affine, fold_scale.affine, fuse_bias.affine)
