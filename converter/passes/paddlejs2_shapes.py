"""What moves elements without changing them, and reductions, for the original Paddle.js runtime."""

from __future__ import annotations

import math

from converter.graph import Graph, Node
from converter.passes import prune
from converter.passes.links import Links
from converter.passes.paddlejs2 import MAX_RANK, Lowering, Refused, lowers

MAX_JOINED = 4
"""Textures that its concat reads at a time."""
MAX_PARTS = 16


@lowers("reshape2", "squeeze2", "unsqueeze2", "flatten2", "flatten_contiguous_range")
def reshape(w: Lowering, node: Node) -> None:
    """All are one: the numbers stay where they are."""
    w.reshape(node.inputs["X"][0], w.shape(node.out) or (1,), node.out)


@lowers("transpose2")
def transpose(w: Lowering, node: Node) -> None:
    """Axes that stay neighbours are one axis, so that more than four dimensions can be moved, too."""
    x, axes = node.inputs["X"][0], [axis % len(node.attrs["axis"]) for axis in node.attrs["axis"]]
    shape = w.shape(x)
    if len(shape) <= MAX_RANK:
        w.transpose(x, axes, node.out)
        return
    groups: list[list[int]] = []
    for axis in (axis for axis in axes if shape[axis] > 1):
        between = range(groups[-1][-1] + 1, axis) if groups and axis > groups[-1][-1] else None
        if between is not None and all(shape[skipped] == 1 for skipped in between):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    if len(groups) > MAX_RANK:
        raise Refused(f"the transpose of {list(shape)} by {axes} moves {len(groups)} axes, the most are {MAX_RANK}")
    order = sorted(groups)
    merged = tuple(math.prod(shape[axis] for axis in group) for group in order) or (1,)
    moved = w.transpose(w.reshape(x, merged), [order.index(group) for group in groups] or [0])
    w.reshape(moved, w.shape(node.out), node.out)


def merge_reshapes(graph: Graph) -> Graph:
    """A reshape of a reshape reads the first one's input: tensors of more than four dimensions between go."""
    links = Links(graph)
    for node in graph.nodes:
        while node.type == "reshape2":
            maker = links.producer.get(node.inputs["X"][0])
            if maker is None or maker.type != "reshape2":
                break
            links.set_input(node, "X", list(maker.inputs["X"]))
    return prune.run(links.close())


def join(w: Lowering, names: list[str], axis: int, out: str | None) -> str:
    """concat, at most four at a time; of more than four dimensions as three."""
    rank = len(w.shape(names[0]))
    if rank > MAX_RANK:
        shape = list(w.shape(names[0]))
        shape[axis] = sum(w.shape(name)[axis] for name in names)
        parts = [w.reshape(name, _around(w.shape(name), axis)) for name in names]
        return w.reshape(join(w, parts, 1, None), tuple(shape), out)
    while True:
        part, names = names[:MAX_JOINED], names[MAX_JOINED:]
        shape = list(w.shape(part[0]))
        shape[axis] = sum(w.shape(name)[axis] for name in part)
        joined = w.emit("concat", {"X": part}, tuple(shape), None if names else out, axis=axis)
        if not names:
            return joined
        names = [joined, *names]


@lowers("concat")
def concat(w: Lowering, node: Node) -> None:
    names, shape = node.inputs["X"], w.shape(node.out)
    if len(names) == 1:
        w.scale(names[0], 1.0, out=node.out)
    else:
        join(w, list(names), node.attrs["axis"] % len(shape), node.out)


@lowers("stack")
def stack(w: Lowering, node: Node) -> None:
    shape, axis = w.shape(node.out), node.attrs["axis"] % len(w.shape(node.out))
    one = (*shape[:axis], 1, *shape[axis + 1:])
    parts = [w.reshape(name, one) for name in node.inputs["X"]]
    if len(parts) == 1:
        w.reshape(parts[0], shape, node.out)
    else:
        join(w, parts, axis, node.out)


@lowers("split")
def split(w: Lowering, node: Node) -> None:
    """Into equal parts: unequal ones are wrong there."""
    x, outs = node.inputs["X"][0], node.outputs["Out"]
    axis = node.attrs["axis"] % len(w.shape(x))
    sizes = [w.shape(name)[axis] for name in outs]
    if len(set(sizes)) > 1:
        raise Refused(f"a split into unequal parts {sizes} is wrong there")
    _equal_parts(w, x, axis, list(outs))


def _around(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """All before an axis, the axis, all behind it."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1:])


def _equal_parts(w: Lowering, x: str, axis: int, outs: list[str]) -> None:
    if len(w.shape(x)) > MAX_RANK:
        parts = [w.value(_around(w.shape(name), axis)) for name in outs]
        _equal_parts(w, w.reshape(x, _around(w.shape(x), axis)), 1, parts)
        for part, out in zip(parts, outs, strict=True):
            w.reshape(part, w.shape(out), out)
        return
    w.emit("split", {"X": [x]}, w.shape(outs[0]), outs[0], axis=axis, num=len(outs), sections=[])
    w.nodes[-1].outputs["Out"] = outs


@lowers("slice")
def slices(w: Lowering, node: Node) -> None:
    """A slice that is one of several equal parts, by a split; its own slice is wrong there."""
    x, a = node.inputs["Input"][0], node.attrs
    if set(node.inputs) != {"Input"}:
        raise Refused("its bounds are computed by the program")
    for at, axis in enumerate(a["axes"]):
        shape = w.shape(x)
        axis %= len(shape)
        size = shape[axis]
        start, stop = (min(max(bound + size if bound < 0 else bound, 0), size)
                       for bound in (a["starts"][at], a["ends"][at]))
        length = stop - start
        if length == size:
            continue
        if length <= 0 or size % length or start % length or size // length > MAX_PARTS:
            raise Refused(f"the slice [{start}, {stop}) of {size} is not one of at most {MAX_PARTS} equal parts")
        part = (*shape[:axis], length, *shape[axis + 1:])
        outs = [w.value(part) for _ in range(size // length)]
        _equal_parts(w, x, axis, outs)
        x = outs[start // length]
    w.reshape(x, w.shape(node.out) or (1,), node.out)


@lowers("pixel_shuffle")
def pixel_shuffle(w: Lowering, node: Node) -> None:
    """[C r², H, W] → [C, H r, W r] in two transposes of four dimensions."""
    if node.attrs["data_format"] == "NHWC":
        raise Refused("channels last are not supported there")
    x, r = node.inputs["X"][0], node.attrs["upscale_factor"]
    n, c, h, width = w.shape(x)
    c //= r * r
    columns = w.transpose(w.reshape(x, (n * c * r, r, h, width)), [0, 2, 3, 1])
    rows = w.transpose(w.reshape(columns, (n * c, r, h, width * r)), [0, 2, 1, 3])
    w.reshape(rows, (n, c, h * r, width * r), node.out)


@lowers("reduce_mean", "reduce_sum", "reduce_max", "reduce_min")
def reduce(w: Lowering, node: Node) -> None:
    """All as pool2d: over height and width as they are, over other axes after bringing those to one."""
    a, x = node.attrs, node.inputs["X"][0]
    shape = w.shape(x)
    rank = len(shape)
    axes = sorted({axis % rank for axis in a["dim"]}) if not a["reduce_all"] else list(range(rank))
    kind = node.type.removeprefix("reduce_")
    if kind == "min":  # -max(-x)
        x = w.scale(x, -1.0)
    spatial = rank == 4 and axes == [2, 3]
    if not spatial:
        kept = [axis for axis in range(rank) if axis not in axes]
        outer, inner = (math.prod(shape[axis] for axis in some) for some in (kept, axes))
        if kept + axes != list(range(rank)):
            if rank > MAX_RANK:
                raise Refused(f"reducing {list(shape)} over {axes} needs a transpose of more than four dimensions")
            x = w.transpose(x, kept + axes)
        x = w.reshape(x, (1, outer, inner, 1))
    n, c, h, width = w.shape(x)
    pooled = w.emit("pool2d", {"X": [x]}, (n, c, 1, 1), pooling_type="avg" if kind in ("mean", "sum") else "max",
                    ksize=[h, width], strides=[1, 1])
    factor = {"sum": float(h * width), "min": -1.0}.get(kind)
    if factor is not None:
        pooled = w.scale(pooled, factor)
    w.reshape(pooled, w.shape(node.out) or (1,), node.out)


@lowers("arg_max")
def arg_max(w: Lowering, node: Node) -> None:
    """Its result is counted in floats there; only a result may be one."""
    a, x = node.attrs, node.inputs["X"][0]
    shape = w.shape(x)
    if a["flatten"]:
        x, shape = w.reshape(x, (1, math.prod(shape))), (1, math.prod(shape))
    axis = a["axis"] % len(shape) if not a["flatten"] else 1
    if len(shape) > MAX_RANK:
        raise Refused(f"it takes at most {MAX_RANK} dimensions there")
    kept = tuple(size for at, size in enumerate(shape) if at != axis) or (1,)
    result = w.emit("arg_max", {"X": [x]}, kept, None, axis=axis, dtype=a["dtype"])
    w.graph.values[result].dtype = a["dtype"]
    w.reshape(result, w.shape(node.out) or (1,), node.out)


