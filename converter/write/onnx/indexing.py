"""Picking by index and by value, sorting, running sums."""

from __future__ import annotations

import numpy as np

from converter.graph import Node
from converter.write.onnx.emit import Cannot, Emitter, rule


@rule("gather")
def gather(e: Emitter, node: Node) -> str:
    index = node.input("Index")
    index = e.reshape(index, [-1]) if e.rank(index) == 2 else index
    return e.op("Gather", node.input("X"), index, axis=node.attrs["axis"])


@rule("lookup_table_v2")
def lookup_table_v2(e: Emitter, node: Node) -> str:
    return e.op("Gather", node.input("W"), node.input("Ids"), axis=0)


@rule("gather_nd")
def gather_nd(e: Emitter, node: Node) -> str:
    return e.op("GatherND", node.input("X"), e.cast(node.input("Index"), np.int64))


@rule("take_along_axis")
def take_along_axis(e: Emitter, node: Node) -> str:
    x, index, axis = node.input("Input"), node.input("Index"), node.attrs["Axis"] % e.rank(node.input("Input"))
    beside = [k for k in range(e.rank(x)) if k != axis]
    if any(e.shape(x)[k] != e.shape(index)[k] for k in beside):
        raise Cannot("take_along_axis of a part")
    return e.op("GatherElements", x, index, axis=axis)


@rule("put_along_axis")
def put_along_axis(e: Emitter, node: Node) -> str:
    if node.attrs["Reduce"] != "assign":
        raise Cannot(f"put_along_axis that does '{node.attrs['Reduce']}'")
    x = node.input("Input")
    return e.op("ScatterElements", x, node.input("Index"), node.input("Value"), axis=node.attrs["Axis"] % e.rank(x))


@rule("scatter")
def scatter(e: Emitter, node: Node) -> str:
    if not node.attrs["overwrite"]:
        raise Cannot("scatter that adds")
    index = e.reshape(e.cast(node.input("Ids"), np.int64), [-1, 1])
    return e.op("ScatterND", node.input("X"), index, node.input("Updates"))


@rule("scatter_nd_add")
def scatter_nd_add(e: Emitter, node: Node) -> str:
    if e.opset < 16:
        raise Cannot("scatter_nd_add needs operator set 16")
    index = e.cast(node.input("Index"), np.int64)
    return e.op("ScatterND", node.input("X"), index, node.input("Updates"), reduction="add")


@rule("one_hot_v2")
def one_hot_v2(e: Emitter, node: Node) -> str:
    values = e.const(np.array([0, 1], np.float32))
    made = e.op("OneHot", e.cast(node.input("X"), np.int64), e.const(np.int64(node.attrs["depth"])), values, axis=-1)
    return e.cast(made, node.attrs["dtype"])


@rule("where")
def where(e: Emitter, node: Node) -> str:
    return e.op("Where", node.input("Condition"), node.input("X"), node.input("Y"))


@rule("tril_triu")
def tril_triu(e: Emitter, node: Node) -> str:
    if e.opset < 14:
        raise Cannot("tril_triu needs operator set 14")
    return e.op("Trilu", node.input("X"), e.const(np.int64(node.attrs["diagonal"])), upper=int(not node.attrs["lower"]))


@rule("where_index")
def where_index(e: Emitter, node: Node) -> str:
    return e.transpose(e.op("NonZero", node.input("Condition")), [1, 0])


@rule("masked_select")
def masked_select(e: Emitter, node: Node) -> str:
    x, mask = node.input("X"), node.input("Mask")
    if e.shape(x) != e.shape(mask):
        sizes = e.op("Shape", e.op("Or", e.op("Expand", mask, e.op("Shape", x)), mask))
        x, mask = e.op("Expand", x, sizes), e.op("Expand", mask, sizes)
    return e.op("Compress", e.reshape(x, [-1]), e.reshape(mask, [-1]))


@rule("argsort")
def argsort(e: Emitter, node: Node) -> list[str]:
    x, axis = node.input("X"), node.attrs["axis"]
    if e.rank(x) == 0:
        raise Cannot("argsort of a scalar")
    count = e.dims(x, axis % e.rank(x), axis % e.rank(x) + 1)
    return e.ops("TopK", [x, count], 2, axis=axis, largest=int(node.attrs["descending"]))


@rule("top_k_v2")
def top_k_v2(e: Emitter, node: Node) -> list[str]:
    a, k = node.attrs, node.input("K")
    count = e.ints([a["k"]]) if k is None else e.reshape(e.cast(k, np.int64), [1])
    return e.ops("TopK", [node.input("X"), count], 2, axis=a["axis"], largest=int(a["largest"]))


@rule("cumsum")
def cumsum(e: Emitter, node: Node) -> str:
    x, a = node.input("X"), node.attrs
    axis = a["axis"] if not a["flatten"] else 0
    x = e.reshape(x, [-1]) if a["flatten"] else x
    return e.op("CumSum", x, e.const(np.int64(axis)), exclusive=int(a["exclusive"]), reverse=int(a["reverse"]))


@rule("repeat_interleave")
def repeat_interleave(e: Emitter, node: Node) -> str:
    x, times, axis = node.input("X"), node.attrs["repeats"], node.attrs["dim"]
    axis, size = axis % e.rank(x), e.shape(x)[axis]
    if not isinstance(size, int) or not isinstance(times, int):
        raise Cannot("repeat_interleave along an axis of unknown size")
    return e.op("Gather", x, e.ints(np.repeat(np.arange(size), times)), axis=axis)
