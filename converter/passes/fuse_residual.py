"""conv2d + elementwise_add with a tensor of the same shape: the sum happens while the result is in registers."""

from __future__ import annotations

from converter.graph import Graph, Node
from converter.ops.infer import infer
from converter.passes.linear import is_open
from converter.passes.links import Links


def run(graph: Graph) -> Graph:
    """The convolution moves to where the sum stood, so that the other operand is ready by then."""
    infer(graph)
    links = Links(graph)
    position = {id(node): i for i, node in enumerate(graph.nodes)}
    for i, add in enumerate(graph.nodes):
        conv = host(links, add, position)
        if conv is None:
            continue
        other = add.inputs["Y" if add.input("X") == conv.out else "X"]
        links.take_output(conv, add)
        links.set_input(conv, "ResidualData", other)
        conv.attrs.update({name: add.attrs[name] for name in ("fuse_activation", "fuse_alpha", "fuse_beta")})
        graph.nodes[position[id(conv)]], graph.nodes[i] = add, conv     # close() drops the sum
        position[id(conv)] = i
    return links.close()


def host(links: Links, add: Node, position: dict[int, int]) -> Node | None:
    """The convolution that can take the sum: the one computed last, when both operands are convolutions."""
    graph = links.graph
    if add.type != "elementwise_add":
        return None
    x, y = (graph.values[add.inputs[slot][0]] for slot in ("X", "Y"))
    if x.shape != y.shape or x.name == y.name or x.dtype != "float32" or x.is_constant or y.is_constant:
        return None
    convs = [links.producer[v.name] for v in (x, y) if v.name in links.producer]
    fitting = [c for c in convs if c.type == "conv2d" and is_open(graph, c) and links.only_user(c.out) is add]
    return max(fitting, key=lambda c: position[id(c)], default=None)
