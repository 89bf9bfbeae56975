"""Drop nodes that no output needs, and values that nothing reads or writes."""

from __future__ import annotations

from converter.graph import Graph
from converter.passes.trim import trim


def run(graph: Graph) -> Graph:
    """Inputs stay even when unused: they are the model's public face."""
    needed = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if any(name in needed for name in node.output_names()):
            if node.blocks:
                trim(node, needed)
                for block in node.blocks:
                    run(block)
            kept.append(node)
            needed.update(node.input_names())
    graph.nodes = kept[::-1]
    needed.update(graph.inputs)
    for node in graph.nodes:
        needed.update(node.output_names())
    graph.values = {name: value for name, value in graph.values.items() if name in needed}
    return graph
