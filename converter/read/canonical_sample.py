"""Handlers, continued: windows of pictures taken out and put back, pictures read at computed places."""

from __future__ import annotations

import numpy as np

from converter.read.canonical import Builder, Op
from converter.read.canonical_composed import Chain, windows
from converter.read.canonical_nn import pair
from converter.read.canonical_ops import handles


def sliding(op: Op) -> tuple[list[int], dict]:
    """A window's size, and how it moves: strides, dilations, paddings as [top, bottom, left, right]."""
    pads = [int(pad) for pad in op.attr("paddings", [0, 0])]
    top, left, bottom, right = pads if len(pads) == 4 else pair(pads, op, "paddings") * 2
    return pair(op.attr("kernel_sizes", [1, 1]), op, "window"), {
        "strides": pair(op.attr("strides", [1, 1]), op, "strides"), "paddings": [top, bottom, left, right],
        "dilations": pair(op.attr("dilations", [1, 1]), op, "dilations")}


@handles("unfold")
def unfold(b: Builder, op: Op) -> None:
    """[N,C,H,W] → [N,C*kh*kw,windows]."""
    chain, (kernel, moves) = Chain(b, op), sliding(op)
    out = op.outputs.get("Y") or op.outputs["Out"]
    op.outputs = {"Out": out}
    columns = windows(chain, op.one("X"), kernel, moves)
    chain.one("flatten_contiguous_range", columns, last=True, start_axis=2, stop_axis=3)


@handles("fold")
def fold(b: Builder, op: Op) -> None:
    """[N,C*kh*kw,windows] → [N,C,H,W], where windows overlap their sum: the transposed convolution."""
    chain, (kernel, moves) = Chain(b, op), sliding(op)
    size = pair(op.attr("output_sizes", []), op, "output size")
    op.outputs = {"Out": op.outputs.get("Y") or op.outputs["Out"]}
    x = op.one("X")
    rows, area = b.shape_of(x)[1], kernel[0] * kernel[1]
    if not isinstance(rows, int) or rows % area:
        raise op.error(f"needs a known multiple of {area} rows, got {rows}")
    (top, bottom, left, right), (sh, sw), (dh, dw) = moves["paddings"], moves["strides"], moves["dilations"]
    if (top, left) != (bottom, right):      # Paddle itself takes the first for both when it counts windows
        raise op.error(f"paddings {[top, left, bottom, right]} that differ between ends are not supported")
    grid = [(size[0] + top + bottom - dh * (kernel[0] - 1) - 1) // sh + 1,
            (size[1] + left + right - dw * (kernel[1] - 1) - 1) // sw + 1]
    picks = np.tile(np.eye(area, dtype=np.float32).reshape(area, 1, *kernel), (rows // area, 1, 1, 1))
    pictures = chain.one("reshape2", x, shape=[0, rows, *grid])
    held = b.hold(f"{op.out_names[0]}.picks", picks)
    chain.step("conv2d_transpose", {"Input": [pictures], "Filter": [held]},
               {"groups": rows // area, "output_size": size, **moves}, last=True)


@handles("deformable_conv", "deformable_conv_v1")
def deformable_conv(b: Builder, op: Op) -> None:
    """What each window holds, read at shifted places, then a convolution of one pixel."""
    op.skip("im2col_step")
    chain, groups = Chain(b, op), int(op.attr("groups", 1)) or 1
    filter = b.data_of(op.one("Filter"))
    if filter is None or filter.ndim != 4:
        raise op.error("needs a constant filter of four dimensions")
    pads = pair(op.attr("paddings", [0, 0]), op, "paddings")
    attrs = {"kernel": list(filter.shape[2:]), "strides": pair(op.attr("strides", [1, 1]), op, "strides"),
             "paddings": pads, "dilations": pair(op.attr("dilations", [1, 1]), op, "dilations"),
             "deformable_groups": int(op.attr("deformable_groups", 1)) or 1}
    columns = chain.step("deformable_columns", {"Input": [op.one("Input")], "Offset": [op.one("Offset")],
                                                "Mask": op.maybe("Mask")}, attrs)
    flat = b.hold(f"{op.one('Filter')}.flat", np.ascontiguousarray(filter.reshape(len(filter), -1, 1, 1)))
    chain.step("conv2d", {"Input": [columns], "Filter": [flat]}, {"groups": groups}, last=True)


@handles("affine_grid")
def affine_grid(b: Builder, op: Op) -> None:
    """Where each pixel of the output lies, -1 and 1 being the ends: the corners times a matrix per picture."""
    chain, theta = Chain(b, op), op.one("Theta")
    op.skip("use_cudnn")
    size = [int(s) for s in op.need(op.constant_attr("OutputShape", "output_shape", []), "the size")]
    op.outputs = {"Out": op.outputs.get("Output") or op.outputs["Out"]}
    if len(size) not in (4, 5):
        raise op.error(f"needs a size [N,C,H,W] or [N,C,D,H,W], got {size}")
    corners, axes = bool(op.attr("align_corners", True)), []
    for count in size[2:]:
        line = np.linspace(-1, 1, count, dtype=np.float32) if count > 1 else np.zeros(1, np.float32) - corners
        axes.append(line if corners else line * np.float32((count - 1) / count))
    grid = [g.reshape(-1) for g in np.meshgrid(*axes, indexing="ij")][::-1]
    places = np.stack([*grid, np.ones_like(grid[0])], 1).astype(np.float32)
    base = b.hold(f"{op.out_names[0]}.places", places)
    flat = chain.step("matmul_v2", {"X": [base], "Y": [theta]}, {"trans_x": False, "trans_y": True})
    chain.one("reshape2", flat, last=True, shape=[-1, *size[2:], len(size) - 2])
