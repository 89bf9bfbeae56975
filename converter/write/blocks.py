"""The graphs inside a graph as one flat list, each value under a name that no other graph uses."""

from __future__ import annotations

from converter.graph import Graph, Node, Value


def flatten(graph: Graph) -> list[tuple[Graph, Graph]]:
    """(the graph inside, its copy with names of its own), a graph before those inside it."""
    found: list[tuple[Graph, Graph]] = []
    taken = set(graph.values)
    collect(graph, found, taken)
    return found


def collect(graph: Graph, found: list[tuple[Graph, Graph]], taken: set[str]) -> None:
    for node in graph.nodes:
        for block in node.blocks:
            found.append((block, renamed(block, f"block{len(found)}", taken)))
            collect(block, found, taken)


def renamed(block: Graph, prefix: str, taken: set[str]) -> Graph:
    names = {}
    for name in block.values:
        fresh = f"{prefix}/{name}"
        while fresh in taken:
            fresh += "'"
        names[name] = fresh
        taken.add(fresh)

    def slots(given: dict[str, list[str]]) -> dict[str, list[str]]:
        return {slot: [names[name] for name in row] for slot, row in given.items()}

    values = {names[name]: Value(names[name], value.shape, value.dtype, value.data)
              for name, value in block.values.items()}
    nodes = [Node(node.type, slots(node.inputs), slots(node.outputs), node.attrs, node.name) for node in block.nodes]
    return Graph(values, nodes, [names[name] for name in block.inputs], [names[name] for name in block.outputs])
