"""Convolutions, matrix products, normalisations, softmax."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converter.graph import Node
from converter.write.onnx.elementwise import activate
from converter.write.onnx.emit import Cannot, Emitter, rule

TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


def channels_first(e: Emitter, name: str, layout: str) -> str:
    return e.transpose(name, TO_NCHW) if layout == "NHWC" else name


def back(e: Emitter, name: str, layout: str) -> str:
    return e.transpose(name, TO_NHWC) if layout == "NHWC" else name


def picture_sizes(e: Emitter, name: str, layout: str) -> list:
    """Height and width, as far as they are known."""
    shape = e.shape(name)
    return list(shape[1:3] if layout == "NHWC" else shape[2:4])


def overhang(e: Emitter, node: Node, name: str, reach: Sequence[int]) -> list[int]:
    """How far Paddle's one window reaches past an axis that is too small by less than a stride."""
    a, found = node.attrs, [0, 0]
    if a["padding_algorithm"] == "SAME":
        return found
    for axis, size in enumerate(picture_sizes(e, name, a["data_format"])):
        if isinstance(size, int):
            room, step = size + sum(a["paddings"][2 * axis:2 * axis + 2]) - reach[axis], a["strides"][axis]
            most = 2 * step - 1 if a.get("ceil_mode") else step
            found[axis] = -room if -most < room < 0 else 0
    return found


@rule("conv2d")
def conv2d(e: Emitter, node: Node) -> str:
    a, w = node.attrs, node.input("Filter")
    kernel = e.static(w, "a convolution's filter")[2:]
    same = a["padding_algorithm"] == "SAME"
    dilations = [1, 1] if same else a["dilations"]
    over = overhang(e, node, node.input("Input"), [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)])
    top, bottom, left, right = a["paddings"]
    out = e.op("Conv", channels_first(e, node.input("Input"), a["data_format"]), w, bias_of(e, node),
               base=node.out, kernel_shape=None if e.dialect.compact else kernel,  # the filter says it
               strides=told(a["strides"], 1), dilations=told(dilations, 1),
               group=told(a["groups"], 1), auto_pad="SAME_UPPER" if same else None,
               pads=None if same else told([top, left, bottom + over[0], right + over[1]], 0))
    residual = node.input("ResidualData")
    if residual is not None:
        out = e.op("Add", out, channels_first(e, residual, a["data_format"]))
    return back(e, activate(e, node, out), a["data_format"])


def told(value: int | list[int], default: int) -> int | list[int] | None:
    """An attribute, or nothing where ONNX takes it for granted."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return None if all(item == default for item in items) else value


def bias_of(e: Emitter, node: Node) -> str | None:
    bias = node.input("Bias")
    return bias if bias is None or e.rank(bias) == 1 else e.reshape(bias, [-1])


@rule("conv2d_transpose")
def conv2d_transpose(e: Emitter, node: Node) -> str:
    a, w, x = node.attrs, node.input("Filter"), node.input("Input")
    kernel = e.static(w, "a convolution's filter")[2:]
    pads, dilations = list(a["paddings"]), a["dilations"]
    if a["padding_algorithm"] == "SAME":
        sizes, dilations = known(picture_sizes(e, x, a["data_format"])), [1, 1]
        for axis, (size, k, stride) in enumerate(zip(sizes, kernel, a["strides"], strict=True)):
            total = max((-(-size // stride) - 1) * stride + k - size, 0)
            pads[2 * axis:2 * axis + 2] = total // 2, total - total // 2
    extra = list(a["output_padding"]) or [0, 0]
    if a["output_size"]:
        for axis, size in enumerate(known(picture_sizes(e, x, a["data_format"]))):
            whole = (size - 1) * a["strides"][axis] + dilations[axis] * (kernel[axis] - 1) + 1
            end = whole - pads[2 * axis] - a["output_size"][axis]
            pads[2 * axis + 1], extra[axis] = max(end, 0), max(-end, 0)
    out = e.op("ConvTranspose", channels_first(e, x, a["data_format"]), w, bias_of(e, node), base=node.out,
               kernel_shape=kernel, strides=a["strides"], dilations=dilations, group=a["groups"],
               pads=[pads[0], pads[2], pads[1], pads[3]], output_padding=extra if any(extra) else None)
    return back(e, activate(e, node, out), a["data_format"])


def known(sizes: list) -> list[int]:
    if not all(isinstance(size, int) for size in sizes):
        raise Cannot(f"needs a picture of known size, not {sizes}")
    return sizes


@rule("fc")
def fc(e: Emitter, node: Node) -> str:
    x, w, k = node.input("Input"), node.input("W"), node.attrs["in_num_col_dims"]
    if k < e.rank(x) - 1:
        x = e.reshape(x, [0] * k + [-1])
    bias = bias_of(e, node)
    if k == 1:
        out = e.op("Gemm", x, w, bias, base=node.out)
    else:
        out = e.op("MatMul", x, w, base=node.out)
        out = out if bias is None else e.op("Add", out, bias)
    return activate(e, node, out)


@rule("matmul_v2")
def matmul_v2(e: Emitter, node: Node) -> str:
    operands = []
    for slot, flag in (("X", "trans_x"), ("Y", "trans_y")):
        name = node.input(slot)
        rank = e.rank(name)
        turned = node.attrs[flag] and rank > 1
        operands.append(e.transpose(name, [*range(rank - 2), rank - 1, rank - 2]) if turned else name)
    return e.op("MatMul", *operands, base=node.out)


# ---- normalisations ----

@rule("batch_norm")
def batch_norm(e: Emitter, node: Node) -> str:
    x, a = node.input("X"), node.attrs
    last, rank = a["data_layout"] in ("NHWC", "NDHWC", "NLC"), e.rank(x)
    x = e.transpose(x, [0, rank - 1, *range(1, rank - 1)]) if last else x
    parts = [node.input(slot) for slot in ("Scale", "Bias", "Mean", "Variance")]
    out = e.op("BatchNormalization", x, *parts, epsilon=float(a["epsilon"]))
    return e.transpose(out, [0, *range(2, rank), 1]) if last else out


def standardise(e: Emitter, x: str, axes: list[int], epsilon: float) -> str:
    """Zero mean and unit (population) variance over `axes`."""
    centred = e.op("Sub", x, e.op("ReduceMean", x, axes=axes, keepdims=1))
    variance = e.op("ReduceMean", e.op("Mul", centred, centred), axes=axes, keepdims=1)
    return e.op("Div", centred, e.op("Sqrt", e.op("Add", variance, e.const(np.float32(epsilon)))))


def affine(e: Emitter, node: Node, out: str, sizes: list[int]) -> str:
    """out * Scale + Bias, both seen as `sizes`."""
    for slot, type in (("Scale", "Mul"), ("Bias", "Add")):
        if (name := node.input(slot)) is not None:
            out = e.op(type, out, e.reshape(name, sizes) if list(e.shape(name)) != sizes else name)
    return out


@rule("layer_norm")
def layer_norm(e: Emitter, node: Node) -> str:
    x, begin, epsilon = node.input("X"), node.attrs["begin_norm_axis"], node.attrs["epsilon"]
    tail = list(e.shape(x)[begin:])
    if len(tail) == 1 and e.opset >= 17 and node.input("Scale"):
        return e.op("LayerNormalization", x, node.input("Scale"), node.input("Bias"), axis=-1, epsilon=float(epsilon))
    out = standardise(e, x, list(range(begin, e.rank(x))), epsilon)
    if node.input("Scale") is None and node.input("Bias") is None:
        return out
    return affine(e, node, out, known(tail))


@rule("instance_norm")
def instance_norm(e: Emitter, node: Node) -> str:
    x = node.input("X")
    out = standardise(e, x, list(range(2, e.rank(x))), node.attrs["epsilon"])
    return affine(e, node, out, [-1] + [1] * (e.rank(x) - 2))


@rule("group_norm")
def group_norm(e: Emitter, node: Node) -> str:
    x, a = node.input("X"), node.attrs
    rank, last = e.rank(x), a["data_layout"] == "NHWC"
    first = e.transpose(x, [0, rank - 1, *range(1, rank - 1)]) if last else x
    out = standardise(e, e.reshape(first, [0, a["groups"], -1]), [2], a["epsilon"])
    out = affine(e, node, e.op("Reshape", out, e.dims(first)), [-1] + [1] * (rank - 2))
    return e.transpose(out, [0, *range(2, rank), 1]) if last else out


@rule("softmax", "log_softmax")
def softmax(e: Emitter, node: Node) -> str:
    if e.rank(node.input("X")) == 0:
        raise Cannot(f"{node.type} of a scalar")
    return e.op("Softmax" if node.type == "softmax" else "LogSoftmax", node.input("X"), axis=node.attrs["axis"])


@rule("reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_all", "reduce_any")
def reduce(e: Emitter, node: Node) -> str:
    x, a = node.input("X"), node.attrs
    rank, dtype = e.rank(x), e.dtype(x)
    every = a["reduce_all"] or not a["dim"]
    axes = list(range(rank)) if every else sorted({d % rank for d in a["dim"]})
    keep = int(a["keep_dim"])
    if node.type in ("reduce_all", "reduce_any"):
        type = "ReduceMin" if node.type == "reduce_all" else "ReduceMax"
        return e.cast(e.op(type, e.cast(x, np.int32), axes=axes, keepdims=keep), bool)
    if node.type == "reduce_sum":
        x = e.cast(x, np.int64) if dtype in (np.int32, np.bool_) else x
        return e.op("ReduceSum", x, e.ints(axes), keepdims=keep) if axes else e.op("Identity", x)
    if not axes:
        return e.op("Identity", x)
    return e.op(f"Reduce{node.type[7:].capitalize()}", x, axes=axes, keepdims=keep)


@rule("arg_max", "arg_min")
def arg(e: Emitter, node: Node) -> str:
    x, a = node.input("X"), node.attrs
    type, rank = "ArgMax" if node.type == "arg_max" else "ArgMin", e.rank(x)
    if a["flatten"]:
        found = e.op(type, e.reshape(x, [-1]), axis=0, keepdims=0)
        found = e.reshape(found, [1] * rank) if a["keepdims"] else found
    else:
        found = e.op(type, x, axis=a["axis"], keepdims=int(a["keepdims"]))
    return e.cast(found, a["dtype"])


