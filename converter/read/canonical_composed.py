"""Handlers, continued: operators that are a few others in a row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from converter.read.canonical import Builder, Op
from converter.read.canonical_nn import layout
from converter.read.canonical_ops import handles

PLAIN = {"axis": -1}


class Chain:
    """Adds the operators that one operator stands for; the last of them writes its output."""

    def __init__(self, b: Builder, op: Op) -> None:
        self.b, self.op = b, op

    def step(self, type: str, inputs: dict[str, list[str]], attrs: dict[str, Any], last: bool = False,
             dtype: str = "") -> str:
        """One operator over named inputs; returns the name of what it makes."""
        if last:
            return self.b.emit(self.op, type, inputs, attrs).out
        first = next(iter(inputs.values()))[0]
        made = self.b.temporary(f"{self.op.out_names[0]}.{type}", (), dtype or self.b.dtype_of(first))
        return self.b.emit(self.op, type, inputs, attrs, out=[made]).out

    def one(self, type: str, x: str, last: bool = False, dtype: str = "", **attrs: Any) -> str:
        return self.step(type, {"X": [x]}, attrs, last, dtype)

    def two(self, type: str, x: str, y: str, last: bool = False) -> str:
        return self.step(type, {"X": [x], "Y": [y]}, dict(PLAIN), last)

    def affine(self, x: str, scale: float, bias: float = 0.0, last: bool = False) -> str:
        return self.one("scale", x, last, scale=scale, bias=bias, bias_after_scale=True)


def windows(chain: Chain, x: str, kernel: list[int], window: dict[str, Any], last: bool = False) -> str:
    """[N,C,H,W] → what each window holds [N,C*kh*kw,OH,OW]: a convolution whose filters pick one pixel each."""
    channels = chain.b.shape_of(x)[1]
    if not isinstance(channels, int) or len(kernel) != 2:
        raise chain.op.error(f"needs a known number of channels and 2-D windows, got {channels} and {kernel}")
    size = kernel[0] * kernel[1]
    picks = np.tile(np.eye(size, dtype=np.float32).reshape(size, 1, *kernel), (channels, 1, 1, 1))
    base = chain.op.out_names[0]
    return chain.step("conv2d", {"Input": [x], "Filter": [chain.b.hold(f"{base}.picks", picks)]},
                      {"groups": channels, **window}, last)


def axes_of(op: Op, values: list, reduce_all: bool) -> dict[str, Any]:
    """Attributes of a reduction over these axes, over all of them where none is named."""
    return {"dim": [int(axis) for axis in values] or [0], "reduce_all": reduce_all or not values}


@handles("logsumexp")
def logsumexp(b: Builder, op: Op) -> None:
    """The largest value is taken out before the exponential, so that none overflows."""
    chain, x, keep = Chain(b, op), op.one("X"), bool(op.attr("keepdim", False))
    axes = op.need(op.constant_attr("AxisTensor", "axis", [0]), "the axis")
    where = axes_of(op, axes, bool(op.attr("reduce_all", False)))
    top = chain.one("reduce_max", x, keep_dim=True, **where)
    total = chain.one("reduce_sum", chain.one("exp", chain.two("elementwise_sub", x, top)), keep_dim=True, **where)
    if keep:
        chain.two("elementwise_add", chain.one("log", total), top, last=True)
        return
    joined = chain.two("elementwise_add", chain.one("log", total), top)
    dims = list(range(len(b.shape_of(x)))) if where["reduce_all"] else where["dim"]
    chain.one("squeeze2", joined, last=True, axes=dims)


@handles("p_norm")
def p_norm(b: Builder, op: Op) -> None:
    """(sum |x|^p)^(1/p); the largest or smallest |x| for an infinite p; how many are not zero for p = 0."""
    chain, x, p = Chain(b, op), op.one("X"), float(op.attr("porder", 2.0))
    op.skip("epsilon")
    whole = bool(op.attr("asvector", False))
    reduced = {"dim": [int(op.attr("axis", -1))], "keep_dim": bool(op.attr("keepdim", False)), "reduce_all": whole}
    if p == 0:
        zero = b.hold(f"{op.out_names[0]}.zero", np.zeros(1, b.dtype_of(x)))
        different = chain.step("not_equal", {"X": [x], "Y": [zero]}, dict(PLAIN), dtype="bool")
        chain.one("reduce_sum", chain.one("cast", different, out_dtype=b.dtype_of(x)), last=True, **reduced)
    elif math.isinf(p):
        chain.one("reduce_max" if p > 0 else "reduce_min", chain.one("abs", x), last=True, **reduced)
    elif p == 1:
        chain.one("reduce_sum", chain.one("abs", x), last=True, **reduced)
    elif p == 2:
        chain.one("sqrt", chain.one("reduce_sum", chain.one("square", x), **reduced), last=True)
    else:
        powers = chain.one("pow", chain.one("abs", x), factor=p)
        chain.one("pow", chain.one("reduce_sum", powers, **reduced), last=True, factor=1 / p)


@handles("dist")
def dist(b: Builder, op: Op) -> None:
    """The p-norm of a difference."""
    difference = Chain(b, op).two("elementwise_sub", op.one("X"), op.one("Y"))
    op.inputs = {"X": [difference]}
    op.attrs.update(porder=op.attr("p", 2.0), asvector=True)
    p_norm(b, op)


@handles("frobenius_norm")
def frobenius_norm(b: Builder, op: Op) -> None:
    chain = Chain(b, op)
    op.skip("in_dtype", "out_dtype")
    axes = op.need(op.constant_attr("AxisTensor", "dim", [0]), "the axis")
    where = axes_of(op, axes, bool(op.attr("reduce_all", False)))
    keep = bool(op.attr("keep_dim", False))
    total = chain.one("reduce_sum", chain.one("square", op.one("X")), keep_dim=keep, **where)
    chain.one("sqrt", total, last=True)


@handles("norm")
def norm(b: Builder, op: Op) -> None:
    """x over its length along an axis."""
    chain, x = Chain(b, op), op.one("X")
    total = chain.one("reduce_sum", chain.one("square", x), dim=[int(op.attr("axis", -1))], keep_dim=True,
                      reduce_all=False)
    length = chain.one("sqrt", chain.affine(total, 1.0, float(op.attr("epsilon", 1e-10))))
    chain.two("elementwise_div", x, length, last=True)


@handles("affine_channel")
def affine_channel(b: Builder, op: Op) -> None:
    """x * scale + bias per channel: a batch norm whose statistics are 0 and 1."""
    scale, data_layout = op.one("Scale"), layout(op, "data_layout")
    size = b.shape_of(scale)
    if len(size) != 1 or not isinstance(size[0], int):
        raise op.error("needs one scale per channel")
    base = op.out_names[0]
    still = {"Mean": [b.hold(f"{base}.mean", np.zeros(size, np.float32))],
             "Variance": [b.hold(f"{base}.variance", np.ones(size, np.float32))]}
    b.emit(op, "batch_norm", {"X": [op.one("X")], "Scale": [scale], "Bias": [op.one("Bias")], **still},
           {"epsilon": 0.0, "data_layout": data_layout})


@handles("maxout")
def maxout(b: Builder, op: Op) -> None:
    """The largest of every `groups` neighbouring channels."""
    chain, x, groups, axis = Chain(b, op), op.one("X"), int(op.attr("groups", 1)), int(op.attr("axis", 1))
    if groups < 2 or groups > 64:
        raise op.error(f"{groups} groups are not supported")
    parts = [chain.step("strided_slice", {"Input": [x]}, {
        "axes": [axis], "starts": [k], "ends": [2**31 - 1], "strides": [groups], "decrease_axis": []})
        for k in range(groups)]
    top = parts[0]
    for k, part in enumerate(parts[1:], 2):
        top = chain.two("elementwise_max", top, part, last=k == groups)


def middle(chain: Chain, x: str, axis: int, size: int, scale: float | None) -> str:
    """An axis of `size` reduced to one element, as resizing of rows and volumes does it between pixel centres: to the
    middle, where pictures take the first pixel."""
    step = np.float32(size) if scale is None else np.float32(1) / np.float32(scale)
    at = max(step * np.float32(0.5) - np.float32(0.5), np.float32(0))
    low = min(int(at), size - 1)
    base, shape = chain.op.out_names[0], [1] * len(chain.b.shape_of(chain.op.one("X")))
    shape[axis] = 2
    index = chain.b.hold(f"{base}.pair", np.array([low, min(low + 1, size - 1)], np.int32))
    weights = chain.b.hold(f"{base}.shares", np.array([1 - (at - low), at - low], np.float32).reshape(shape))
    pair = chain.two("elementwise_mul", chain.step("gather", {"X": [x], "Index": [index]}, {"axis": axis}), weights)
    return chain.one("reduce_sum", pair, dim=[axis], keep_dim=True, reduce_all=False)


def centred(op: Op) -> bool:
    """Whether positions count from pixel centres; leaves the attributes."""
    return not op.attrs.get("align_corners", True) and op.attrs.get("align_mode", 1) == 0


@handles("linear_interp", "linear_interp_v2")
def linear_interp(b: Builder, op: Op) -> None:
    """A row [N,C,W] as a picture one pixel high."""
    op.skip("interp_method", "out_d", "out_h")
    x, data_layout = op.one("X"), op.attr("data_layout", op.attr("data_format", "NCHW"))
    if len(b.shape_of(x)) != 3 or data_layout not in ("NCW", "NCHW", "NWC", "NHWC", "AnyLayout"):
        raise op.error(f"needs a tensor [N,C,W], got {list(b.shape_of(x))} as {data_layout}")
    axis, data_layout = (1, "NHWC") if data_layout in ("NWC", "NHWC") else (2, "NCHW")
    given = op.attr("scale", [])
    scale = [float(s) for s in (given if isinstance(given, (list, tuple)) else [given]) if s > 0]
    width = int(op.attr("out_w", -1))
    for slot in ("SizeTensor", "OutSize"):
        if op.inputs.get(slot):
            width, scale = int(op.need(op.constant_attr(slot, "", []), "the size")[0]), []
            break
    else:
        if op.inputs.get("Scale"):
            scale = [float(op.need(op.constant_attr("Scale", "", []), "the scale")[0])]
    chain, known = Chain(b, op), b.shape_of(x)[axis]
    if isinstance(known, int) and centred(op) and (int(known * np.float32(scale[0])) if scale else width) == 1:
        x = middle(chain, x, axis, known, scale[0] if scale else None)
        width, scale = 1, []
    picture = chain.one("unsqueeze2", x, axes=[axis])
    sizes = {"out_h": -1, "out_w": -1, "scale": [1.0, scale[0]]} if scale else \
        {"out_h": 1, "out_w": width, "scale": []}
    wide = chain.one("bilinear_interp_v2", picture, **sizes, align_corners=bool(op.attr("align_corners", True)),
                     align_mode=int(op.attr("align_mode", 1)), data_layout=data_layout)
    chain.one("squeeze2", wide, last=True, axes=[axis])


@handles("dot")
def dot(b: Builder, op: Op) -> None:
    chain, x = Chain(b, op), op.one("X")
    declared = b.raw.values.get(op.out_names[0])
    keep = declared is not None and len(declared.shape) == len(b.shape_of(x))
    chain.one("reduce_sum", chain.two("elementwise_mul", x, op.one("Y")), last=True, dim=[-1], keep_dim=keep,
              reduce_all=False)


@handles("mv")
def mv(b: Builder, op: Op) -> None:
    b.emit(op, "matmul_v2", {"X": [op.one("X")], "Y": [op.one("Vec")]}, {"trans_x": False, "trans_y": False})


@handles("addmm")
def addmm(b: Builder, op: Op) -> None:
    """Alpha * X Y + Beta * Input."""
    chain = Chain(b, op)
    product = chain.step("matmul_v2", {"X": [op.one("X")], "Y": [op.one("Y")]}, {"trans_x": False, "trans_y": False})
    scaled = chain.affine(product, float(op.attr("Alpha", 1.0)))
    chain.two("elementwise_add", scaled, chain.affine(op.one("Input"), float(op.attr("Beta", 1.0))), last=True)


@handles("lerp")
def lerp(b: Builder, op: Op) -> None:
    """X + Weight * (Y - X)."""
    chain, x = Chain(b, op), op.one("X")
    way = chain.two("elementwise_mul", chain.two("elementwise_sub", op.one("Y"), x), op.one("Weight"))
    chain.two("elementwise_add", x, way, last=True)


@handles("crop", "crop_tensor")
def crop(b: Builder, op: Op) -> None:
    """A part of a given shape from given offsets on; -1 takes what is left."""
    if op.inputs.get("Y"):
        raise op.error("a shape taken from another tensor is not supported")
    slot = "ShapeTensor" if op.inputs.get("ShapeTensor") else "Shape"
    shape = op.need(op.constant_attr(slot, "shape", []), "the shape")
    slot = "OffsetsTensor" if op.inputs.get("OffsetsTensor") else "Offsets"
    offsets = op.need(op.constant_attr(slot, "offsets", []), "the offset") or [0] * len(shape)
    starts = [int(offset) for offset in offsets]
    ends = [2**31 - 1 if size == -1 else start + int(size) for start, size in zip(starts, shape, strict=True)]
    b.emit(op, "slice", {"Input": [op.one("X")]}, {"axes": list(range(len(shape))), "starts": starts, "ends": ends,
                                                   "decrease_axis": []})


@handles("masked_fill")
def masked_fill(b: Builder, op: Op) -> None:
    """One number where the mask holds."""
    x, value = op.one("X"), op.one("Value")
    if b.dtype_of(value) != b.dtype_of(x):
        value = Chain(b, op).one("cast", value, dtype=b.dtype_of(x), out_dtype=b.dtype_of(x))
    b.emit(op, "where", {"Condition": [op.one("Mask")], "X": [value], "Y": [x]}, {})
