"""pool2d: windows, global, adaptive."""

from __future__ import annotations

from converter.graph import Node
from converter.write.onnx.emit import Cannot, Emitter, rule
from converter.write.onnx.layers import back, channels_first, known, overhang, picture_sizes

MAX_SPANS = 64
"""An adaptive pool whose windows overlap is cut out window by window, along one axis after the other."""


@rule("pool2d")
def pool2d(e: Emitter, node: Node) -> str:
    a, layout = node.attrs, node.attrs["data_format"]
    if node.input("KsizeTensor"):
        raise Cannot("the size of an adaptive pool is computed by the model")
    x, kind = channels_first(e, node.input("X"), layout), a["pooling_type"]
    if a["global_pooling"] or (a["adaptive"] and list(a["ksize"]) == [1, 1]):
        out = e.op("GlobalMaxPool" if kind == "max" else "GlobalAveragePool", x)
    elif a["adaptive"]:
        out = _adaptive(e, node, x)
    else:
        out = _windows(e, node, x)
    return back(e, out, layout)


def _windows(e: Emitter, node: Node, x: str) -> str:
    a = node.attrs
    average, same = a["pooling_type"] == "avg", a["padding_algorithm"] == "SAME"
    top, bottom, left, right = a["paddings"]
    if average and a["ceil_mode"] and not a["exclusive"]:
        raise Cannot("an average over padding with ceil_mode is divided otherwise in ONNX")
    if average and not a["exclusive"] and not same and (top, left) != (bottom, right):
        raise Cannot("an average over unequal padding is divided otherwise in ONNX")
    over = overhang(e, node, node.input("X"), a["ksize"])
    if average and any(over):
        raise Cannot("an average over a window that does not fit")
    return e.op("AveragePool" if average else "MaxPool", x, kernel_shape=a["ksize"], strides=a["strides"],
                ceil_mode=int(a["ceil_mode"]) or None, auto_pad="SAME_UPPER" if same else None,
                pads=None if same else [top, left, bottom + over[0], right + over[1]],
                count_include_pad=int(not a["exclusive"]) or None if average else None)


def _adaptive(e: Emitter, node: Node, x: str) -> str:
    a = node.attrs
    sizes, counts = known(picture_sizes(e, node.input("X"), a["data_format"])), a["ksize"]
    if all(size % count == 0 for size, count in zip(sizes, counts, strict=True)):
        window = [size // count for size, count in zip(sizes, counts, strict=True)]
        return e.op("MaxPool" if a["pooling_type"] == "max" else "AveragePool", x, kernel_shape=window, strides=window)
    if sum(counts) > MAX_SPANS:
        raise Cannot(f"an adaptive pool to {counts}, which does not divide {sizes}")
    for axis, (size, count) in enumerate(zip(sizes, counts, strict=True), 2):
        parts = [e.cut(x, axis, i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
        type = "ReduceMax" if a["pooling_type"] == "max" else "ReduceMean"
        x = e.concat([e.op(type, part, axes=[axis], keepdims=1) for part in parts], axis)
    return x
