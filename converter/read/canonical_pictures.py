"""Handlers, continued: pictures padded and resized."""

from __future__ import annotations

import math

import numpy as np

from converter.read.canonical import Builder, Op
from converter.read.canonical_nn import layout
from converter.read.canonical_ops import handles

_CHANNELS_LAST = ("NHWC", "NDHWC")
_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "replicate", "edge": "replicate",
              "circular": "circular"}


@handles("pad", "pad2d", "pad3d")
def pad(b: Builder, op: Op) -> None:
    """Pictures become pad3d, padded from the last axis to the first: [left, right, top, bottom, front, back]."""
    given = [int(size) for size in op.need(op.constant_attr("Paddings", "paddings", []), "the padding")]
    x, format = op.one("X"), op.attr("data_format", "NCHW")
    rank = len(b.shape_of(x))
    value = op.attr("value", None)
    value = op.attr("pad_value", 0.0) if value is None else value
    if op.inputs.get("PadValueTensor"):
        value = op.need(op.constant_attr("PadValueTensor", "pad_value"), "the value")[0]
    mode = _PAD_MODES.get(op.attr("mode", "constant"))
    op.skip("pad_from_left_axis", "pad_value")
    if op.type == "pad2d":
        given = given[2:] + given[:2] + [0, 0]
    elif op.type == "pad":
        if len(given) != 2 * rank or min(given, default=0) < 0:
            raise op.error(f"paddings {given} do not fit a tensor of rank {rank}")
        if rank not in (4, 5) or any(given[:4]):
            b.emit(op, "pad", {"X": [x]}, {"paddings": given, "pad_value": float(value)})
            return
        pairs = [given[at:at + 2] for at in range(4, len(given), 2)][::-1]
        given = [size for both in pairs for size in both] + [0, 0] * (3 - len(pairs))
    if mode is None or len(given) != 6:
        raise op.error(f"mode or paddings {given} are not known")
    channels_last = format in _CHANNELS_LAST
    formats = {4: ("NCHW", "NHWC")}.get(rank, ("NCDHW", "NDHWC"))
    b.emit(op, "pad3d", {"X": [x]}, {"paddings": given, "mode": mode, "value": float(value),
                                     "data_format": formats[channels_last]})


@handles("nearest_interp", "bilinear_interp", "nearest_interp_v2", "bilinear_interp_v2", "bicubic_interp",
         "bicubic_interp_v2")
def resize(b: Builder, op: Op) -> None:
    op.skip("interp_method", "out_d")
    x, first = op.one("X"), not op.type.endswith("_v2")
    if len(b.shape_of(x)) not in (3, 4):  # packages of Paddle.js leave sizes of 1 at the front out
        raise op.error(f"needs pictures of four dimensions, got {list(b.shape_of(x))}")
    data_layout = layout(op, "data_layout", "data_format")
    size = [int(op.attr("out_h", -1)), int(op.attr("out_w", -1))]
    given = op.attr("scale", [])
    scale = [float(s) for s in (given if isinstance(given, (list, tuple)) else [given]) if s > 0]
    inputs = {"X": [x]}
    if op.inputs.get("SizeTensor"):
        size, scale = _override(op, "SizeTensor", inputs, size), []
    elif op.inputs.get("OutSize"):
        known = op.constant("OutSize")
        if known is not None and not scale:
            size = [int(value) for value in known]
        else:
            inputs["OutSize"] = [op.one("OutSize")]
    elif op.inputs.get("Scale"):
        known = op.constant("Scale")
        if known is None:
            inputs["Scale"] = [op.one("Scale")]
        else:
            scale = [float(value) for value in known]
    scale = scale * 2 if len(scale) == 1 else scale
    if first and any(factor != int(factor) for factor in scale):
        size, scale = _whole(b, x, scale, data_layout, op), []
    if any(size_ > 0 for size_ in size) and scale:
        size = [-1, -1]  # Paddle lets the scale win
    attrs = {"out_h": size[0], "out_w": size[1], "scale": scale, "align_corners": bool(op.attr("align_corners", True)),
             "align_mode": int(op.attr("align_mode", 1)), "data_layout": data_layout}
    b.emit(op, op.type + "_v2" if first else op.type, inputs, attrs)


def _override(op: Op, slot: str, inputs: dict[str, list[str]], size: list[int]) -> list[int]:
    """The size that a list of tensors gives: constant, or kept as an input."""
    known = op.constant(slot)
    if known is None:
        inputs[slot] = op.inputs[slot]
        return size
    return [int(value) for value in known]


def _whole(b: Builder, x: str, scale: list[float], data_layout: str, op: Op) -> list[int]:
    """Paddle 1 steps by in/out, Paddle 2 by 1/scale: with a fractional scale only a fixed size says the same."""
    first = 1 if data_layout == "NHWC" else 2
    sizes = b.shape_of(x)[first:first + 2]
    if not all(isinstance(known, int) and known > 0 for known in sizes):
        raise op.error(f"a scale of {scale} needs a fixed input size")
    return [math.floor(known * np.float32(factor)) for known, factor in zip(sizes, scale, strict=True)]  # type: ignore
