"""Shape, order, joining, cutting, padding; tensors made from nothing."""

from __future__ import annotations

import numpy as np

from converter.graph import Node
from converter.write.onnx.emit import INT64_MAX, Cannot, Emitter, rule

_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}


def numbers(e: Emitter, whole: str | None, parts: list[str] | None, attr: list[int]) -> str:
    """An int64 list that comes as one tensor, as one tensor per element, or as the attribute."""
    if whole is not None:
        wide, rank = e.cast(whole, np.int64), e.rank(whole)
        # No Reshape before a Reshape's sizes where it can be helped: ONNX Runtime 1.31 takes the two for a chain.
        return wide if rank == 1 else e.unsqueeze(wide, [0]) if rank == 0 else e.reshape(wide, [-1])
    if parts:
        return e.concat([e.reshape(e.cast(part, np.int64), [-1]) for part in parts], 0)
    return e.ints(attr)


@rule("concat")
def concat(e: Emitter, node: Node) -> str:
    return e.op("Concat", *node.inputs["X"], axis=node.attrs["axis"])


@rule("stack")
def stack(e: Emitter, node: Node) -> str:
    axis = node.attrs["axis"]
    axis = axis if axis >= 0 else axis + e.rank(node.input("X")) + 1
    return e.op("Concat", *(e.unsqueeze(name, [axis]) for name in node.inputs["X"]), axis=axis)


@rule("split")
def split(e: Emitter, node: Node) -> list[str]:
    x, axis, sections = node.input("X"), node.attrs["axis"], list(node.attrs["sections"])
    size, count = e.shape(x)[axis], len(node.outputs["Out"])
    if count == 1:
        return [e.op("Identity", x)]
    if not sections:
        return e.ops("Split", [x], count, axis=axis)
    if min(sections) < 0:
        if not isinstance(size, int):
            raise Cannot("split into a rest of unknown size")
        rest = size - sum(s for s in sections if s >= 0)
        sections = [rest if s < 0 else s for s in sections]
    return e.ops("Split", [x, e.ints(sections)], count, axis=axis)


@rule("reshape2")
def reshape2(e: Emitter, node: Node) -> str:
    sizes = numbers(e, node.input("Shape"), node.inputs.get("ShapeTensor"), node.attrs["shape"])
    return e.op("Reshape", node.input("X"), sizes)


@rule("transpose2")
def transpose2(e: Emitter, node: Node) -> str:
    rank = e.rank(node.input("X"))
    return e.op("Transpose", node.input("X"), perm=[axis % rank for axis in node.attrs["axis"]])


@rule("squeeze2")
def squeeze2(e: Emitter, node: Node) -> str:
    x = node.input("X")
    shape, rank = e.shape(x), e.rank(x)
    axes = sorted({axis % rank for axis in node.attrs["axes"]} if node.attrs["axes"] else range(rank))
    made = x
    for axis in reversed(axes):  # the last one first, so that the others keep their numbers
        if shape[axis] == 1:
            made = e.squeeze(made, [axis])
        elif isinstance(shape[axis], str):
            made = _squeeze_if_one(e, made, axis, e.dtype(x))
    return made if made != x else e.op("Identity", x)


def _squeeze_if_one(e: Emitter, x: str, axis: int, dtype: np.dtype) -> str:
    """Paddle leaves an axis that turns out not to be one where it is."""
    if not e.dialect.compact:
        raise Cannot(f"whether squeeze drops axis {axis} shows only at run time")
    e.open_ranks = True
    one = e.op("Equal", e.squeeze(e.dims(x, axis, axis + 1), [0]), e.const(np.int64(1)))
    return e.choose(one, lambda inner: inner.squeeze(x, [axis]), lambda inner: inner.op("Identity", x), dtype)


@rule("unsqueeze2")
def unsqueeze2(e: Emitter, node: Node) -> str:
    x, rank = node.input("X"), e.rank(node.input("X"))
    for axis in node.attrs["axes"]:
        x = e.unsqueeze(x, [axis if axis >= 0 else axis + rank + 1])
        rank += 1
    return x


@rule("flatten2")
def flatten2(e: Emitter, node: Node) -> str:
    return e.op("Flatten", node.input("X"), axis=node.attrs["axis"])


@rule("flatten_contiguous_range")
def flatten_contiguous_range(e: Emitter, node: Node) -> str:
    x = node.input("X")
    rank, shape = e.rank(x), e.shape(x)
    if rank == 0:
        return e.reshape(x, [1])
    start, stop = node.attrs["start_axis"] % rank, node.attrs["stop_axis"] % rank
    after = shape[stop + 1:]
    if all(isinstance(size, int) for size in after):
        return e.reshape(x, [0] * start + [-1] + [int(size) for size in after])
    front = [e.dims(x, 0, start)] if start else []
    return e.op("Reshape", x, e.concat([*front, e.ints([-1]), e.dims(x, stop + 1)], 0))


@rule("expand_v2")
def expand_v2(e: Emitter, node: Node) -> str:
    x, parts = node.input("X"), node.inputs.get("expand_shapes_tensor")
    if node.input("Shape") is None and not parts:  # Expand keeps a size that is asked to be 1
        return e.op("Expand", x, e.ints([1 if size == -1 else size for size in node.attrs["shape"]]))
    sizes = numbers(e, node.input("Shape"), parts, [])
    return e.op("Expand", x, e.op("Where", e.op("Equal", sizes, e.ints([-1])), e.ints([1]), sizes))


@rule("tile")
def tile(e: Emitter, node: Node) -> str:
    x, parts = node.input("X"), node.inputs.get("repeat_times_tensor")
    rank = e.rank(x)
    if node.input("RepeatTimes") is not None or parts:
        times = numbers(e, node.input("RepeatTimes"), parts, [])
        count = e.shape(node.input("RepeatTimes"))[0] if node.input("RepeatTimes") else len(parts or [])
        if count != rank:
            raise Cannot(f"tile of {rank} axes by {count} numbers that are not known")
        return e.op("Tile", x, times)
    times = list(node.attrs["repeat_times"])
    x = e.unsqueeze(x, range(max(len(times) - rank, 0)))
    return e.op("Tile", x, e.ints([1] * (rank - len(times)) + times))


@rule("slice", "strided_slice")
def slice_(e: Emitter, node: Node) -> str:
    a = node.attrs
    given = [numbers(e, node.input(f"{name}sTensor"), node.inputs.get(f"{name}sTensorList"),
                     a.get(f"{name.lower()}s", [])) for name in ("Start", "End")]
    steps = None
    if node.type == "strided_slice":
        steps = numbers(e, node.input("StridesTensor"), node.inputs.get("StridesTensorList"), a["strides"])
    out = e.op("Slice", node.input("Input"), *given, e.ints(a["axes"]), steps)
    return e.squeeze(out, a["decrease_axis"])


@rule("pad3d")
def pad3d(e: Emitter, node: Node) -> str:
    x, a = node.input("X"), node.attrs
    left, right, top, bottom, front, rear = a["paddings"]
    pairs = [(front, rear), (top, bottom), (left, right)][5 - e.rank(x):]
    first = 1 if a["data_format"].endswith("C") else 2
    if a["mode"] == "circular":
        for axis, (before, behind) in enumerate(pairs, first):
            x = _wrap(e, x, axis, before, behind)
        return x
    around = [(0, 0)] * first + pairs
    around += [(0, 0)] * (e.rank(x) - len(around))
    return _pad(e, x, around, a["mode"], a["value"])


def _pad(e: Emitter, x: str, around: list[tuple[int, int]], mode: str, value: float) -> str:
    pads = [pair[0] for pair in around] + [pair[1] for pair in around]
    fill = e.scalar(value, x) if mode == "constant" else None
    return e.op("Pad", x, e.ints(pads), fill, mode=_PAD_MODES[mode])


def _wrap(e: Emitter, x: str, axis: int, before: int, behind: int) -> str:
    if not (before or behind):
        return x
    parts = [e.cut(x, axis, -before, INT64_MAX)] if before else []
    parts.append(x)
    return e.concat(parts + ([e.cut(x, axis, 0, behind)] if behind else []), axis)


@rule("pad")
def pad(e: Emitter, node: Node) -> str:
    pairs = node.attrs["paddings"]
    around = [*zip(pairs[::2], pairs[1::2], strict=True)]
    return _pad(e, node.input("X"), around, "constant", node.attrs["pad_value"])


def _nchw(e: Emitter, node: Node, write: object) -> str:
    """write(x) of a picture with its channels first."""
    last = node.attrs["data_format"] == "NHWC"
    x = e.transpose(node.input("X"), (0, 3, 1, 2)) if last else node.input("X")
    out = write(x)  # type: ignore[operator]
    return e.transpose(out, (0, 2, 3, 1)) if last else out


def _channels(e: Emitter, node: Node) -> int:
    size = e.shape(node.input("X"))[3 if node.attrs["data_format"] == "NHWC" else 1]
    if not isinstance(size, int):
        raise Cannot("needs a known number of channels")
    return size


@rule("pixel_shuffle")
def pixel_shuffle(e: Emitter, node: Node) -> str:
    return _nchw(e, node, lambda x: e.op("DepthToSpace", x, blocksize=node.attrs["upscale_factor"], mode="CRD"))


@rule("pixel_unshuffle")
def pixel_unshuffle(e: Emitter, node: Node) -> str:
    r, channels = node.attrs["downscale_factor"], _channels(e, node)
    order = np.arange(r * r * channels).reshape(r * r, channels).T.reshape(-1)
    return _nchw(e, node, lambda x: e.op("Gather", e.op("SpaceToDepth", x, blocksize=r), e.ints(order), axis=1))


@rule("channel_shuffle")
def channel_shuffle(e: Emitter, node: Node) -> str:
    order = np.arange(_channels(e, node)).reshape(node.attrs["groups"], -1).T.reshape(-1)
    return _nchw(e, node, lambda x: e.op("Gather", x, e.ints(order), axis=1))


@rule("flip")
def flip(e: Emitter, node: Node) -> str:
    axes = node.attrs["axis"]
    ends = e.ints([-INT64_MAX] * len(axes))
    return e.op("Slice", node.input("X"), e.ints([-1] * len(axes)), ends, e.ints(axes), e.ints([-1] * len(axes)))


@rule("roll")
def roll(e: Emitter, node: Node) -> str:
    x, shifts, axes = node.input("X"), node.attrs["shifts"], node.attrs["axis"]
    if not axes:
        sizes = [int(np.prod(e.static(x, "a roll of everything")))]
        flat = _rolled(e, e.reshape(x, [-1]), 0, shifts[0], sizes[0])
        return e.op("Reshape", flat, e.dims(x))
    for axis, shift in zip(axes, shifts, strict=True):
        size = e.shape(node.input("X"))[axis]
        x = _rolled(e, x, axis % e.rank(node.input("X")), shift, size)
    return x


def _rolled(e: Emitter, x: str, axis: int, shift: int, size: int | str) -> str:
    if not isinstance(size, int):
        raise Cannot("a roll along an axis of unknown size")
    at = -shift % size if size else 0
    return x if at == 0 else e.concat([e.cut(x, axis, at, INT64_MAX), e.cut(x, axis, 0, at)], axis)


# ---- made from nothing ----

@rule("shape")
def shape(e: Emitter, node: Node) -> str:
    return e.cast(e.op("Shape", node.input("Input")), node.attrs["out_dtype"])


@rule("cast")
def cast(e: Emitter, node: Node) -> str:
    return e.cast(node.input("X"), node.attrs["out_dtype"])


@rule("fill_constant")
def fill_constant(e: Emitter, node: Node) -> str:
    a = node.attrs
    value = np.full([1], a["value"], a["dtype"])
    sizes = numbers(e, node.input("ShapeTensor"), node.inputs.get("ShapeTensorList"), a["shape"])
    return e.op("ConstantOfShape", sizes, value=value)


@rule("fill_constant_batch_size_like")
def fill_constant_batch_size_like(e: Emitter, node: Node) -> str:
    a, at = node.attrs, node.attrs["output_dim_idx"]
    parts = [e.ints([size]) for size in a["shape"]]
    parts[at] = e.dims(node.input("Input"), a["input_dim_idx"], a["input_dim_idx"] + 1)
    return e.op("ConstantOfShape", e.concat(parts, 0), value=np.full([1], a["value"], a["dtype"]))


@rule("assign_value")
def assign_value(e: Emitter, node: Node) -> str:
    return e.const(np.asarray(node.attrs["values"], node.attrs["dtype"]).reshape(node.attrs["shape"]))


@rule("range")
def arange(e: Emitter, node: Node) -> str:
    dtype = e.dtype(node.input("Start"))
    return e.op("Range", *(e.reshape(e.cast(node.input(slot), dtype), []) for slot in ("Start", "End", "Step")))


@rule("meshgrid")
def meshgrid(e: Emitter, node: Node) -> list[str]:
    names = [e.reshape(name, [-1]) for name in node.inputs["X"]]
    sizes = e.concat([e.op("Shape", name) for name in names], 0)
    grids = []
    for k, name in enumerate(names):
        spread = e.unsqueeze(name, [axis for axis in range(len(names)) if axis != k])
        grids.append(e.op("Expand", spread, sizes))
    return grids
