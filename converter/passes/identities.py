"""Drop nodes that change nothing."""

from __future__ import annotations

from converter.graph import Graph, Node
from converter.ops.infer import infer
from converter.passes.links import Links


def run(graph: Graph) -> Graph:
    infer(graph)
    links = Links(graph)
    for node in graph.nodes:
        if changes_nothing(graph, node):
            bypass(links, node)
    return links.close()


def changes_nothing(graph: Graph, node: Node) -> bool:
    names = list(node.input_names())
    if len(names) != 1 or len(node.outputs.get("Out", [])) != 1:
        return False
    a, x, out = node.attrs, graph.values[names[0]], graph.values[node.out]
    same_shape = x.shape == out.shape
    if x.dtype != out.dtype:
        return False
    if node.type in ("assign", "cast"):
        return True
    if node.type == "scale":
        return a["scale"] == 1 and a["bias"] == 0
    if node.type == "transpose2":
        return list(a["axis"]) == list(range(len(a["axis"])))
    if node.type in ("concat", "split"):
        return True                         # of one
    if node.type in ("reshape2", "squeeze2", "unsqueeze2", "flatten2", "flatten_contiguous_range", "expand_v2"):
        return same_shape
    if node.type == "tile":
        return all(t == 1 for t in a["repeat_times"]) and same_shape
    if node.type == "pad3d":
        return not any(a["paddings"])
    if node.type == "slice":
        return same_shape and all(isinstance(size, int) for size in x.shape)
    return False


def bypass(links: Links, node: Node) -> None:
    """Readers take the input instead. A public name moves to what computes the input, where that is possible;
    otherwise the node stays, as a scale by one."""
    graph = links.graph
    source, out = next(node.input_names()), node.out
    if out not in graph.outputs:
        links.remove(node)
        links.redirect(out, source)
        return
    producer = links.producer.get(source)
    if producer is None or source in graph.outputs or len(producer.outputs.get("Out", [])) != 1:
        if node.type == "assign":
            node.type, node.attrs = "scale", {"scale": 1.0, "bias": 0.0, "bias_after_scale": True}
        return
    links.remove(node)
    producer.outputs["Out"] = [out]
    links.producer[out] = producer
    links.redirect(source, out)
