"""matmul_v2 with a constant matrix is fc: bias and activation can join it, and its weight is packed once."""

from __future__ import annotations

import numpy as np

from converter.graph import Graph
from converter.ops.infer import infer
from converter.passes.links import Links


def run(graph: Graph) -> Graph:
    infer(graph)
    links = Links(graph)
    for node in graph.nodes:
        if node.type != "matmul_v2" or node.attrs["trans_x"]:
            continue
        x, y = graph.values[node.inputs["X"][0]], graph.values[node.inputs["Y"][0]]
        if y.data is None or y.data.ndim != 2 or len(x.shape) < 2 or x.data is not None:
            continue
        weight = y.name
        if node.attrs["trans_y"]:
            weight = links.constant(f"{y.name}.transposed", np.ascontiguousarray(y.data.T))
        links.set_input(node, "Input", [x.name])
        links.set_input(node, "W", [weight])
        links.set_input(node, "X", [])
        links.set_input(node, "Y", [])
        node.type = "fc"
        node.attrs = {"in_num_col_dims": len(x.shape) - 1, "fuse_activation": "", "fuse_alpha": 0.0, "fuse_beta": 0.0}
    return links.close()
