"""Output shapes of control flow: those of the graphs inside, as far as every way through them agrees."""

from __future__ import annotations

from converter.graph import Graph, Shape
from converter.ops.infer import UNRANKED, infer
from converter.ops.infer_rules import rule
from converter.ops.shapes import Sizes


def made_by(sizes: Sizes, body: Graph, shapes: list[Shape]) -> list[Shape]:
    """The shapes of the body's outputs in the words of the graph around it; infers the body on the way."""
    known = {}
    for name, shape in zip(body.inputs, shapes, strict=True):
        body.values[name].shape = shape
        known.update({f"{name}.{i}": size for i, size in enumerate(shape)})
    infer(body)
    out: list[Shape] = []
    for name in body.outputs:
        shape = body.values[name].shape
        if shape and str(shape[0]).startswith(UNRANKED):
            out.append((f"{UNRANKED}{name}",))
        else:
            out.append(tuple(known.get(d, sizes.symbol() if str(d).startswith("?") else d) for d in shape))
    return out


def common(sizes: Sizes, name: str, a: Shape, b: Shape, opened: set[str]) -> Shape:
    """What holds for both. opened: symbols made here for what differs; they stand for any size."""
    if len(a) != len(b) or any(str(d).startswith(UNRANKED) for d in (*a[:1], *b[:1])):
        return (f"{UNRANKED}{name}",)
    out = []
    for p, q in zip(a, b, strict=True):
        if p != q and p not in opened:
            p = sizes.symbol()
            opened.add(p)
        out.append(p)
    return tuple(out)


@rule("while")
def loop(sizes, node, shapes):
    body, opened = node.attrs["body"], set()
    given = shapes.get("X", [])
    count = len(body.outputs) - 1
    carried = list(given[:count])
    while True:                             # each round opens a size or a rank, or is the last
        made = made_by(sizes, body, [*carried, *given[count:]])[1:]
        wider = [common(sizes, name, a, b, opened)
                 for name, a, b in zip(node.outputs["Out"], carried, made, strict=True)]
        if wider == carried:
            return carried
        carried = wider


@rule("if")
def choose(sizes, node, shapes):
    then, otherwise = node.attrs["then"], node.attrs["otherwise"]
    given = shapes.get("X", [])
    ways = [made_by(sizes, body, list(given)) for body in (then, otherwise)]
    out = []
    for i, name in enumerate(node.outputs["Out"]):
        nothing = otherwise.data_of(otherwise.outputs[i])
        out.append(ways[0][i] if nothing is not None and nothing.size == 0
                   else common(sizes, name, ways[0][i], ways[1][i], set()))
    return out


@rule("write_to_array")
def write_to_array(sizes, node, shapes):
    return [(sizes.symbol(), *shapes["X"][0])]
