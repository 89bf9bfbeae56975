"""Handlers, continued: volumes [N,C,D,H,W]. Convolution, pooling and resizing go by pictures: along the depth first or
last, with the operators that pictures have. The depth must be known; height and width need not be."""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.ops.shapes import transpose_out, window_out, window_pads
from converter.read import canonical_pictures
from converter.read.canonical import Builder, Op
from converter.read.canonical_composed import Chain, centred, middle
from converter.read.canonical_ops import handles

Size = int | tuple[str, int]
"""A number, or an axis of a tensor."""
FIRST, LAST = [0, 4, 1, 2, 3], [0, 2, 3, 4, 1]


class Volume(Chain):
    """Operators around one volume, which has its channels first in between."""

    def __init__(self, b: Builder, op: Op, slot: str, layout: str) -> None:
        super().__init__(b, op)
        known = op.attr(layout, None) or "NCDHW"
        if known not in ("NCDHW", "NDHWC", "NCHW", "NHWC", "AnyLayout"):
            raise op.error(f"data format {known} is not supported")
        self.last_format = known in ("NDHWC", "NHWC")
        x = op.one(slot)
        shape = list(b.shape_of(x))
        if len(shape) != 5:
            raise op.error(f"needs a tensor [N,C,D,H,W], got {shape}")
        self.shape = [shape[i] for i in FIRST] if self.last_format else shape
        if not all(isinstance(size, int) for size in self.shape[1:3]):
            raise op.error(f"needs a known number of channels and a known depth, got {shape}")
        self.channels, self.depth = (int(size) for size in self.shape[1:3])
        self.x = self.one("transpose2", x, axis=FIRST) if self.last_format else x

    def size(self, axis: int) -> Size:
        """A size of the volume, as a number where it is known."""
        size = self.shape[axis]
        return size if isinstance(size, int) else (self.x, axis)

    def give(self, x: str, sizes: list[Size], order: list[int] | None = None) -> None:
        """The last step: x in these sizes, then its axes in this order (as they are: channels first)."""
        order = order or [0, 1, 2, 3, 4]
        if self.last_format:
            order = [order[i] for i in LAST]
        if order == sorted(order):
            self.reshape(x, sizes, last=True)
        else:
            self.one("transpose2", self.reshape(x, sizes), last=True, axis=order)

    def reshape(self, x: str, sizes: list[Size], last: bool = False) -> str:
        """x in these sizes; -1 takes what is left."""
        if all(isinstance(size, int) for size in sizes):
            return self.one("reshape2", x, last, shape=sizes)
        parts = []
        for size in sizes:
            if isinstance(size, int):
                parts.append(self.b.hold(f"{self.op.out_names[0]}.size", np.array([size], np.int32)))
                continue
            tensor, axis = size
            shape = self.step("shape", {"Input": [tensor]}, {"out_dtype": "int32"}, dtype="int32")
            cut = {"axes": [0], "starts": [axis], "ends": [axis + 1], "decrease_axis": []}
            parts.append(self.step("slice", {"Input": [shape]}, cut, dtype="int32"))
        wanted = self.step("concat", {"X": parts}, {"axis": 0}, dtype="int32")
        return self.step("reshape2", {"X": [x], "Shape": [wanted]}, {"shape": []}, last)


def three(op: Op, values: Any, what: str) -> list[int]:
    values = [int(value) for value in (values if isinstance(values, (list, tuple)) else [values])]
    if len(values) not in (1, 3):
        raise op.error(f"{what} {values} must have three elements")
    return values * 3 if len(values) == 1 else values


def window(op: Op) -> tuple[list[int], list[list[int]], str]:
    """Strides, pads before and after each axis, and the algorithm: EXPLICIT or SAME."""
    strides, given = three(op, op.attr("strides", [1, 1, 1]), "strides"), list(op.attr("paddings", [0, 0, 0]))
    algorithm = op.attr("padding_algorithm", "EXPLICIT")
    if algorithm not in ("EXPLICIT", "SAME", "VALID") or len(given) not in (1, 3, 6):
        raise op.error(f"paddings {given} by {algorithm!r} are not known")
    pads = [[int(a), int(b)] for a, b in zip(given[::2], given[1::2], strict=True)] if len(given) == 6 else \
        [[pad, pad] for pad in three(op, given, "paddings")]
    return strides, pads if algorithm == "EXPLICIT" else [[0, 0]] * 3, "SAME" if algorithm == "SAME" else "EXPLICIT"


@handles("conv3d", "depthwise_conv3d", "conv3d_transpose")
def conv(b: Builder, op: Op) -> None:
    """The slices that meet one output slice become channels of a picture; the rest is a convolution of pictures."""
    v, transposed = Volume(b, op, "Input", "data_format"), "transpose" in op.type
    op.skip("use_cudnn", "workspace_size_MB", "exhaustive_search", "use_addto", "force_fp32_output")
    strides, pads, algorithm = window(op)
    dilations, groups = three(op, op.attr("dilations", [1, 1, 1]), "dilations"), int(op.attr("groups", 1)) or 1
    dilations = [1, 1, 1] if algorithm == "SAME" else dilations
    attrs = {"strides": strides[1:], "paddings": [*pads[1], *pads[2]], "padding_algorithm": algorithm,
             "dilations": dilations[1:], "groups": groups}
    filter = b.data_of(op.one("Filter"))
    if filter is None or filter.ndim != 5:
        raise op.error("needs a constant filter of five dimensions")
    front, back = window_pads(v.depth, filter.shape[2], strides[0], tuple(pads[0]), algorithm)
    if transposed:
        extra, size = list(op.attr("output_padding", [])), [int(s) for s in op.attr("output_size", [])]
        attrs |= {"output_padding": extra[1:], "output_size": size[1:]}
        depth = size[0] if size else transpose_out(v.depth, filter.shape[2], strides[0], (front, back), dilations[0],
                                                   extra[0] if extra else 0)
        places = [(at + front - k * dilations[0], strides[0]) for at in range(depth) for k in range(filter.shape[2])]
        slices = [at // by if at % by == 0 and 0 <= at // by < v.depth else v.depth for at, by in places]
        flat = filter.transpose(0, 2, 1, 3, 4).reshape(-1, filter.shape[1], *filter.shape[3:])
        channels = filter.shape[1] * groups
    else:
        depth = window_out(v.depth, dilations[0] * (filter.shape[2] - 1) + 1, strides[0], (front, back))
        places = [at * strides[0] + k * dilations[0] - front for at in range(depth) for k in range(filter.shape[2])]
        slices = [at if 0 <= at < v.depth else v.depth for at in places]
        flat, channels = filter.reshape(len(filter), -1, *filter.shape[3:]), len(filter)
    if depth < 1:
        raise op.error(f"the window is larger than the depth of {v.depth}")
    pictures = by_slices(v, slices, depth)
    kind, name = "conv2d_transpose" if transposed else "conv2d", f"{op.one('Filter')}.flat"
    made = v.step(kind, {"Input": [pictures], "Filter": [b.hold(name, np.ascontiguousarray(flat))]}, attrs)
    v.give(made, [-1, depth, channels, (made, 2), (made, 3)], [0, 2, 1, 3, 4])


def by_slices(v: Volume, slices: list[int], depth: int) -> str:
    """[N,C,D,H,W] → [N*depth,C*K,H,W]: K slices for each place; one past the end is zero."""
    count, x = len(slices) // depth, v.x
    if max(slices) == v.depth:
        x = v.one("pad", x, paddings=[0, 0, 0, 0, 0, 1, 0, 0, 0, 0], pad_value=0.0)
    index = v.b.hold(f"{v.op.out_names[0]}.slices", np.array(slices, np.int32))
    taken = v.step("gather", {"X": [x], "Index": [index]}, {"axis": 2})
    split = v.reshape(taken, [-1, v.channels, depth, count, v.size(3), v.size(4)])
    moved = v.one("transpose2", split, axis=[0, 2, 1, 3, 4, 5])
    return v.reshape(moved, [-1, v.channels * count, v.size(3), v.size(4)])


@handles("pool3d", "max_pool3d_with_index")
def pool(b: Builder, op: Op) -> None:
    """Over height and width, then over the depth: a window's largest value and its mean go axis by axis."""
    v = Volume(b, op, "X", "data_format")
    strides, pads, algorithm = window(op)
    size = three(op, op.attr("ksize", [1, 1, 1]), "window")
    kind = "max" if op.type.startswith("max") else op.attr("pooling_type", "max")
    both: dict[str, Any] = {"pooling_type": kind, "padding_algorithm": algorithm}
    for name, default in (("ceil_mode", False), ("exclusive", True), ("adaptive", False), ("global_pooling", False)):
        both[name] = bool(op.attr(name, default))
    op.skip("return_mask")
    pictures = v.one("flatten_contiguous_range", v.x, start_axis=1, stop_axis=2)
    flat = v.one("pool2d", pictures, ksize=size[1:], strides=strides[1:], paddings=[*pads[1], *pads[2]], **both)
    across = size[1] * size[2] if both["adaptive"] else 1
    rows = v.one("reshape2", v.one("flatten_contiguous_range", flat, start_axis=2, stop_axis=3),
                 shape=[0, v.channels, v.depth, -1])
    deep = v.one("pool2d", rows, ksize=[size[0], across], strides=[strides[0], 1], paddings=[*pads[0], 0, 0], **both)
    v.give(deep, [v.size(0), v.channels, (deep, 2), (flat, 2), (flat, 3)])


@handles("trilinear_interp", "trilinear_interp_v2")
def trilinear(b: Builder, op: Op) -> None:
    resized(b, op, "bilinear_interp_v2")


@handles("nearest_interp", "nearest_interp_v2")
def nearest(b: Builder, op: Op) -> None:
    """The one way of resizing that has no operator of its own for volumes."""
    if len(b.shape_of(op.one("X"))) == 5:
        resized(b, op, "nearest_interp_v2")
    else:
        canonical_pictures.resize(b, op)


def resized(b: Builder, op: Op, kind: str) -> None:
    """Height and width, then the depth as the width of a picture one pixel high."""
    layout = "data_layout" if op.attrs.get("data_layout") else "data_format"
    if op.attrs.get(layout) in ("NCDHW", "NDHWC"):      # to Paddle's kernel both are channels last
        raise op.error(f"data format {op.attrs[layout]} is not supported; exporters write NCHW or NHWC")
    v = Volume(b, op, "X", layout)
    op.skip("interp_method", "data_format", "data_layout")
    size = [int(op.attr(name, -1)) for name in ("out_d", "out_h", "out_w")]
    given = op.attr("scale", [])
    scale = [float(s) for s in (given if isinstance(given, (list, tuple)) else [given]) if s > 0]
    for slot in ("SizeTensor", "OutSize"):
        if op.inputs.get(slot):
            size, scale = [int(s) for s in op.need(op.constant_attr(slot, "", []), "the size")], []
            break
    else:
        if op.inputs.get("Scale"):
            scale = [float(s) for s in op.need(op.constant_attr("Scale", "", []), "the scale")]
    scale = scale * 3 if len(scale) == 1 else scale
    if len(scale or size) != 3:
        raise op.error(f"needs three sizes, got {scale or size}")
    if scale and not op.type.endswith("_v2"):
        raise op.error("a scale of the first version of this operator is not supported for volumes")
    if kind == "bilinear_interp_v2" and centred(op):
        for i, known in enumerate(v.shape[2:]):
            if isinstance(known, int) and (int(known * np.float32(scale[i])) if scale else size[i]) == 1:
                v.x = middle(v, v.x, i + 2, known, scale[i] if scale else None)
                v.shape[i + 2], v.depth = 1, 1 if i == 0 else v.depth
                scale = scale and [*scale[:i], 1.0, *scale[i + 1:]]
    same = {"align_corners": bool(op.attr("align_corners", True)), "align_mode": int(op.attr("align_mode", 1))}
    by = [{"out_h": h, "out_w": w, "scale": []} for h, w in ((size[1], size[2]), (1, size[0]))] if not scale else \
        [{"out_h": -1, "out_w": -1, "scale": pair} for pair in (scale[1:], [1.0, scale[0]])]
    flat = v.one(kind, v.one("flatten_contiguous_range", v.x, start_axis=1, stop_axis=2), **by[0], **same)
    rows = v.one("reshape2", v.one("flatten_contiguous_range", flat, start_axis=2, stop_axis=3),
                 shape=[0, v.channels, v.depth, -1])
    turned = v.one("flatten_contiguous_range", v.one("transpose2", rows, axis=[0, 1, 3, 2]), start_axis=1, stop_axis=2)
    wide = v.one(kind, v.one("unsqueeze2", turned, axes=[2]), **by[1], **same)
    depth: Size = (wide, 3) if scale else size[0]
    back = v.one("transpose2", v.reshape(wide, [v.size(0), v.channels, -1, depth]), axis=[0, 1, 3, 2])
    v.give(back, [v.size(0), v.channels, depth, (flat, 2), (flat, 3)])
