"""Drop what no output needs from control flow: outputs, carried values, captured values, nodes inside."""

from __future__ import annotations

from collections.abc import Container, Iterable

from converter.graph import Graph, Node


def trim(node: Node, needed: Container[str]) -> None:
    """needed: names that are read of the graph around the node."""
    if node.type == "while":
        trim_loop(node, needed)
    elif node.type == "if":
        trim_choice(node, needed)


def trim_loop(node: Node, needed: Container[str]) -> None:
    """A carried value stays where its last value is read, or where the body reads it for one that stays."""
    body, outs = node.attrs["body"], node.outputs["Out"]
    count = len(outs)
    kept = {i for i, name in enumerate(outs) if name in needed}
    while True:
        read = reads(body, [body.outputs[0], *(body.outputs[i + 1] for i in kept)])
        more = {i for i in range(count) if body.inputs[i] in read}
        if more <= kept:
            break
        kept |= more
    carried = sorted(kept)
    inputs = [*carried, *(i for i in range(count, len(body.inputs)) if body.inputs[i] in read)]
    body.outputs = [body.outputs[0], *(body.outputs[i + 1] for i in carried)]
    node.inputs["X"] = [node.inputs["X"][i] for i in inputs]
    node.outputs["Out"] = [outs[i] for i in carried]
    body.inputs = [body.inputs[i] for i in inputs]


def trim_choice(node: Node, needed: Container[str]) -> None:
    outs, ways = node.outputs["Out"], [node.attrs["then"], node.attrs["otherwise"]]
    kept = [i for i, name in enumerate(outs) if name in needed]
    node.outputs["Out"] = [outs[i] for i in kept]
    for way in ways:
        way.outputs = [way.outputs[i] for i in kept]
    read = [reads(way, way.outputs) for way in ways]
    inputs = [i for i in range(len(ways[0].inputs))
              if any(way.inputs[i] in names for way, names in zip(ways, read, strict=True))]
    node.inputs["X"] = [node.inputs["X"][i] for i in inputs]
    for way in ways:
        way.inputs = [way.inputs[i] for i in inputs]


def reads(graph: Graph, outputs: Iterable[str]) -> set[str]:
    """All names that these outputs depend on, themselves included."""
    needed = set(outputs)
    for node in reversed(graph.nodes):
        if any(name in needed for name in node.output_names()):
            needed.update(node.input_names())
    return needed
