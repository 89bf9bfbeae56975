"""Handlers, continued: convolution, pooling, normalisation, products, padding, resizing, reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.ops.spec import REGISTRY
from converter.read.canonical import Builder, Op
from converter.read.canonical_ops import handles


def layout(op: Op, *names: str) -> str:
    """NCHW or NHWC; "AnyLayout" is how old programs spell the default."""
    given = [op.attr(name) for name in names]
    known = next((value for value in given if value), "NCHW")
    if known not in ("NCHW", "NHWC", "AnyLayout"):
        raise op.error(f"data format {known} is not supported")
    return "NHWC" if known == "NHWC" else "NCHW"


def window(op: Op) -> dict[str, Any]:
    """strides, paddings as [top, bottom, left, right] and the algorithm, which is EXPLICIT or SAME."""
    strides = pair(op.attr("strides", [1, 1]), op, "strides")
    algorithm, given = op.attr("padding_algorithm", "EXPLICIT"), list(op.attr("paddings", [0, 0]))
    if algorithm not in ("EXPLICIT", "SAME", "VALID"):
        raise op.error(f"padding algorithm {algorithm!r} is not known")
    if len(given) not in (1, 2, 4):
        raise op.error(f"paddings {given} must have two or four elements")
    paddings = [int(pad) for pad in given] if len(given) == 4 else \
        [int(pad) for pad in pair(given, op, "paddings") for _ in range(2)]
    if algorithm != "EXPLICIT":
        paddings = [0, 0, 0, 0]
    return {"strides": strides, "paddings": paddings,
            "padding_algorithm": "SAME" if algorithm == "SAME" else "EXPLICIT"}


def pair(values: Any, op: Op, what: str) -> list[int]:
    """Two integers, from two or one."""
    values = [int(value) for value in (values if isinstance(values, (list, tuple)) else [values])]
    if len(values) not in (1, 2):
        raise op.error(f"{what} {values} must have two elements; only 2-D operators are supported")
    return values * 2 if len(values) == 1 else values


def fused_activation(op: Op) -> dict[str, Any]:
    """An activation that a former optimiser put into the operator: fuse_activation, or the older switches."""
    type, alpha, beta = op.attr("fuse_activation", ""), op.attr("fuse_alpha", 0.0), op.attr("fuse_beta", 0.0)
    bounded, bound = op.attr("fuse_brelu", False), op.attr("fuse_brelu_threshold", 6.0)
    relu = op.attr("fuse_relu", False)
    if bounded:
        type, alpha, beta = "relu6", bound, 0.0
    elif relu and not type:
        type, alpha, beta = "relu", 0.0, 0.0
    type = {"hardswish": "hard_swish", "hardsigmoid": "hard_sigmoid"}.get(type, type)
    return {"fuse_activation": type, "fuse_alpha": float(alpha), "fuse_beta": float(beta)}


@handles("conv2d", "depthwise_conv2d", "conv2d_transpose", "depthwise_conv2d_transpose")
def conv(b: Builder, op: Op) -> None:
    transposed = "transpose" in op.type
    op.skip("fuse_residual_connection", "use_cudnn_for_depthwise")
    attrs = window(op)
    attrs["dilations"] = pair(op.attr("dilations", [1, 1]), op, "dilations")
    if attrs["padding_algorithm"] == "SAME":
        attrs["dilations"] = [1, 1]  # Paddle does so itself
    attrs["groups"] = int(op.attr("groups", 1)) or 1
    attrs["data_format"] = layout(op, "data_format")
    attrs.update(fused_activation(op))
    if transposed:
        attrs["output_padding"] = [int(size) for size in op.attr("output_padding", [])]
        size = op.need(op.constant_attr("OutputSizeTensor", "output_size", []), "the output size")
        attrs["output_size"] = pair(size, op, "output size") if size else []
    kernel = op.one("Filter")
    if len(b.shape_of(kernel)) != 4:
        raise op.error(f"needs a 4-D filter, got {list(b.shape_of(kernel))}")
    inputs = {"Input": [op.one("Input")], "Filter": [kernel], "Bias": op.maybe("Bias"),
              "ResidualData": op.maybe("ResidualData")}
    b.emit(op, "conv2d_transpose" if transposed else "conv2d", inputs, attrs)


@handles("pool2d", "max_pool2d_with_index")
def pool(b: Builder, op: Op) -> None:
    size = op.constant_attr("KsizeTensor", "ksize", [1, 1])
    kind = op.attr("pooling_type", "max")
    attrs = {"pooling_type": "max" if op.type == "max_pool2d_with_index" else kind,
             "ksize": pair([1, 1] if size is None else size, op, "window"), **window(op)}
    for name, default in (("ceil_mode", False), ("exclusive", True), ("adaptive", False), ("global_pooling", False)):
        attrs[name] = bool(op.attr(name, default))
    attrs["data_format"] = layout(op, "data_format")
    inputs = {"X": [op.one("X")]}
    if size is None:
        if not attrs["adaptive"]:
            op.need(size, "the window")
        inputs["KsizeTensor"] = [together(b, op, op.inputs["KsizeTensor"])]
    b.emit(op, "pool2d", inputs, attrs)


def together(b: Builder, op: Op, numbers: list[str]) -> str:
    """One tensor of as many numbers as there are tensors, unless it is one already."""
    if len(numbers) == 1:
        return numbers[0]

    def made(what: str, length: int, type: str, x: list[str], attrs: dict[str, Any]) -> str:
        name = b.temporary(f"{op.out_names[0]}.{what}", (length,), b.dtype_of(x[0]))
        return b.emit(op, type, {"X": x}, attrs, out=[name]).out

    flat = [made("number", 1, "reshape2", [number], {"shape": [1]}) for number in numbers]
    return made("numbers", len(flat), "concat", flat, {"axis": 0})


@handles("batch_norm", "sync_batch_norm", "batchnorm")
def batch_norm(b: Builder, op: Op) -> None:
    """Statistics are the stored ones, as Paddle Inference forces them to be."""
    relu = op.attr("fuse_with_relu", False)
    attrs = {"epsilon": float(op.attr("epsilon", 1e-5)), "data_layout": layout(op, "data_layout", "data_format")}
    inputs = {slot: [op.one(slot)] for slot in ("X", "Mean", "Variance")}
    mean = inputs["Mean"][0]
    for slot, number in (("Scale", 1.0), ("Bias", 0.0)):  # layers made without them, in Paddle 3
        given = op.maybe(slot)
        if not given and (known := b.data_of(mean)) is None:
            raise op.error(f"has neither {slot} nor constant statistics")
        inputs[slot] = given or [b.hold(f"{mean}.{slot}", np.full(known.shape, number, known.dtype))]
    if not relu:
        b.emit(op, "batch_norm", inputs, attrs)
        return
    x = op.one("X")
    inner = b.temporary(f"{op.out_names[0]}.norm", b.shape_of(x), b.dtype_of(x))
    b.emit(op, "batch_norm", inputs, attrs, out=[inner])
    b.emit(op, "relu", {"X": [inner]}, {})


@handles("layer_norm", "instance_norm", "group_norm")
def norm(b: Builder, op: Op) -> None:
    inputs = {"X": [op.one("X")], "Scale": op.maybe("Scale"), "Bias": op.maybe("Bias")}
    attrs: dict[str, Any] = {"epsilon": float(op.attr("epsilon", 1e-5))}
    if op.type == "layer_norm":
        attrs["begin_norm_axis"] = int(op.attr("begin_norm_axis", 1))
    if op.type == "group_norm":
        attrs |= {"groups": int(op.attr("groups", 1)), "data_layout": layout(op, "data_layout", "data_format")}
    b.emit(op, op.type, inputs, attrs)


@handles(*(f"elementwise_{name}" for name in ("add", "sub", "mul", "div", "max", "min", "pow", "mod", "floordiv")))
def binary(b: Builder, op: Op) -> None:
    attrs: dict[str, Any] = {"axis": int(op.attr("axis", -1))}
    fused = fused_activation(op)
    if fused["fuse_activation"]:
        attrs |= fused
    b.emit(op, op.type, {"X": [op.one("X")], "Y": [op.one("Y")]}, attrs)


@handles("equal", "not_equal", "less_than", "less_equal", "greater_than", "greater_equal",
         "logical_and", "logical_or", "logical_xor")
def compare(b: Builder, op: Op) -> None:
    op.skip("force_cpu")
    axis = int(op.attr("axis", -1))
    takes_axis = "axis" in REGISTRY[op.type].attrs if op.type in REGISTRY else True
    if not takes_axis and axis != -1:
        raise op.error(f"axis {axis} is not supported")
    b.emit(op, op.type, {"X": [op.one("X")], "Y": [op.one("Y")]}, {"axis": axis} if takes_axis else {})


@handles("mul")
def mul(b: Builder, op: Op) -> None:
    """The fully connected layer of Paddle 1."""
    x, y = op.one("X"), op.one("Y")
    columns, rows = int(op.attr("x_num_col_dims", 1)), int(op.attr("y_num_col_dims", 1))
    if rows != 1 or len(b.shape_of(y)) != 2:
        raise op.error(f"needs a 2-D second factor, got {list(b.shape_of(y))} split after {rows}")
    b.emit(op, "fc", {"Input": [x], "W": [y]}, {"in_num_col_dims": columns})


@handles("fc")
def fc(b: Builder, op: Op) -> None:
    op.skip("padding_weights", "use_mkldnn", "ALL_KERNELS_MUST_COMPUTE_RUNTIME_SHAPE")
    activation = op.attr("activation_type", "")
    attrs = {"in_num_col_dims": int(op.attr("in_num_col_dims", 1))} | fused_activation(op)
    if activation:
        attrs["fuse_activation"] = activation
    bias = op.maybe("Bias")
    if bias and len(b.shape_of(bias[0])) == 2 and (data := b.data_of(bias[0])) is not None:
        bias = [b.hold(f"{bias[0]}.flat", data.reshape(-1))]
    b.emit(op, "fc", {"Input": [op.one("Input")], "W": [op.one("W")], "Bias": bias}, attrs)


@handles("matmul", "matmul_v2", "bmm")
def matmul(b: Builder, op: Op) -> None:
    for name in list(op.attrs):
        if name.startswith(("fused_reshape", "fused_transpose")) and not op.attrs[name]:
            op.skip(name)
    op.skip("head_number", "fused_output_scale")
    alpha = float(op.attr("alpha", 1.0))
    old, new = (("transpose_X", "transpose_Y"), ("trans_x", "trans_y"))
    given = old if op.type == "matmul" else new
    attrs = {to: bool(op.attr(name, False)) for name, to in zip(given, new, strict=True)}
    inputs = {"X": [op.one("X")], "Y": [op.one("Y")]}
    if alpha == 1.0:
        b.emit(op, "matmul_v2", inputs, attrs)
        return
    declared = b.raw.values.get(op.out_names[0])
    inner = b.temporary(f"{op.out_names[0]}.product", declared.shape if declared else (), b.dtype_of(inputs["X"][0]))
    b.emit(op, "matmul_v2", inputs, attrs, out=[inner])
    b.emit(op, "scale", {"X": [inner]}, {"scale": alpha, "bias": 0.0, "bias_after_scale": True})


_REDUCTIONS = tuple(f"reduce_{name}" for name in ("mean", "sum", "max", "min", "prod", "any", "all"))


@handles(*_REDUCTIONS, "mean")
def reduce(b: Builder, op: Op) -> None:
    """`mean` is Paddle 1's mean of everything; an empty list of axes means all of them, too."""
    op.skip("in_dtype")
    x, wanted = op.one("X"), op.attr("out_dtype")
    axes = op.need(op.constant_attr("AxisTensor", "dim", []), "the axis")
    everything = bool(op.attr("reduce_all", False)) or op.type == "mean" or not axes
    if wanted and wanted != b.dtype_of(x):
        converted = b.temporary(f"{op.out_names[0]}.cast", b.shape_of(x), wanted)
        b.emit(op, "cast", {"X": [x]}, {"out_dtype": wanted}, out=[converted])
        x = converted
    b.emit(op, "reduce_mean" if op.type == "mean" else op.type, {"X": [x]},
           {"dim": [int(axis) for axis in axes] or [0], "keep_dim": bool(op.attr("keep_dim", False)),
            "reduce_all": everything})


@handles("arg_max", "arg_min")
def arg(b: Builder, op: Op) -> None:
    axis = op.need(op.constant_attr("AxisTensor", "axis", -1), "the axis")
    b.emit(op, op.type, {"X": [op.one("X")]},
           {"axis": int(axis[0]), "keepdims": bool(op.attr("keepdims", False)),
            "flatten": bool(op.attr("flatten", False)), "dtype": op.dtype(default="int64")})
