"""Sums and products with one constant number become `scale`, and a chain of them becomes one."""

from __future__ import annotations

from converter.graph import Graph, Node
from converter.passes.links import Links

Affine = tuple[float, float]
"""x * factor + shift."""


def run(graph: Graph) -> Graph:
    links = Links(graph)
    for node in graph.nodes:
        if id(node) in links.removed:
            continue
        affine = affine_of(graph, node)
        if affine is None:
            continue
        while (follower := links.only_user(node.out)) is not None:
            after = affine_of(graph, follower)
            if after is None:
                break
            affine = affine[0] * after[0], affine[1] * after[0] + after[1]
            links.take_output(node, follower)
        become_scale(links, node, affine)
    return links.close()


def affine_of(graph: Graph, node: Node) -> Affine | None:
    """The node as x * factor + shift over float32, None where it is something else."""
    a = node.attrs
    if graph.values[node.out].dtype != "float32":
        return None
    if node.type == "scale":
        return a["scale"], a["bias"] if a["bias_after_scale"] else a["bias"] * a["scale"]
    if node.type not in ("elementwise_add", "elementwise_sub", "elementwise_mul", "elementwise_div"):
        return None
    x, y = (graph.values[node.inputs[slot][0]] for slot in ("X", "Y"))
    mirrored = x.is_constant and node.type in ("elementwise_add", "elementwise_mul")
    number, other = (x, y) if mirrored else (y, x)
    if a["fuse_activation"] or number.data is None or number.data.size != 1 or other.is_constant:
        return None
    if number.data.ndim > len(other.shape):
        return None                         # the result would have more dimensions
    value = float(number.data.item())
    if node.type == "elementwise_div" and value == 0:
        return None
    return {"elementwise_add": (1.0, value), "elementwise_sub": (1.0, -value), "elementwise_mul": (value, 0.0),
            "elementwise_div": (1 / value if value else 0.0, 0.0)}[node.type]


def become_scale(links: Links, node: Node, affine: Affine) -> None:
    if node.type != "scale":
        x, y = node.inputs["X"][0], node.inputs["Y"][0]
        links.set_input(node, "X", [y if links.graph.values[x].is_constant else x])
        links.set_input(node, "Y", [])
        node.type = "scale"
    node.attrs = {"scale": affine[0], "bias": affine[1], "bias_after_scale": True}
