"""Handlers, continued: lists that a loop fills. A list is one tensor, its elements along the first axis; all of them
have one shape."""

from __future__ import annotations

import numpy as np

from converter.graph import Dim
from converter.read.canonical import Builder, Op
from converter.read.canonical_composed import Chain
from converter.read.canonical_ops import handles


@handles("create_array")
def create_array(b: Builder, op: Op) -> None:
    """No elements. Where the program says nothing of their shape, nor does the tensor."""
    name = op.out_names[0]
    op.skip("dtype")
    declared = b.raw.values[name]
    sizes = [size if isinstance(size, int) else 0 for size in declared.shape]
    b.alias(name, b.hold(f"{name}.empty", np.zeros([0, *sizes[1:]], declared.dtype)))


@handles("write_to_array")
def write(b: Builder, op: Op) -> None:
    inputs = {slot: [op.one(slot)] for slot in ("X", "I", "Array")}
    b.emit(op, "write_to_array", inputs, {})


@handles("read_from_array")
def read(b: Builder, op: Op) -> None:
    chain = Chain(b, op)
    place = chain.one("reshape2", op.one("I"), shape=[1])
    row = chain.step("gather", {"X": [op.one("X")], "Index": [place]}, {"axis": 0})
    chain.one("squeeze2", row, axes=[0], last=True)


@handles("lod_array_length")
def length(b: Builder, op: Op) -> None:
    chain = Chain(b, op)
    sizes = chain.step("shape", {"Input": [op.one("X")]}, {"out_dtype": "int64"}, dtype="int64")
    chain.step("slice", {"Input": [sizes]}, {"axes": [0], "starts": [0], "ends": [1], "decrease_axis": []}, last=True)


@handles("slice_array", "slice_array_dense")
def part(b: Builder, op: Op) -> None:
    """The elements from one place to another, or the one at a place."""
    starts = op.need(op.constant_attr("StartsTensor", "starts", []), "the place")
    ends = op.need(op.constant_attr("EndsTensor", "ends", []), "the end")
    one = op.type == "slice_array_dense"
    last = [int(starts[0]) + 1 or 2**31 - 1] if one else [int(end) for end in ends]
    b.emit(op, "slice", {"Input": [op.one("Input")]}, {"axes": [0], "starts": [int(starts[0])], "ends": last,
                                                       "decrease_axis": [0] if one else []})


@handles("tensor_array_to_tensor")
def joined(b: Builder, op: Op) -> None:
    """All elements stacked or joined along an axis."""
    chain, x, axis, stacks = Chain(b, op), op.one("X"), int(op.attr("axis", 0)), bool(op.attr("use_stack", False))
    op.outputs = {"Out": op.outputs["Out"]}
    declared: tuple[Dim, ...] = b.raw.values[op.out_names[0]].shape
    rank = len(declared) + (not stacks)         # of the list's own tensor
    axis = axis + rank - (not stacks) if axis < 0 else axis
    if not 0 <= axis < rank - (not stacks):
        raise op.error(f"axis {axis} is outside a result of {len(declared)} dimensions")
    order = [*range(1, axis + 1), 0, *range(axis + 1, rank)]
    moved = chain.one("transpose2", x, axis=order, last=stacks)
    if not stacks:
        chain.one("flatten_contiguous_range", moved, start_axis=axis, stop_axis=axis + 1, last=True)
