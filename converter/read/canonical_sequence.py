"""Handlers, continued: fluid's operators over sequences (LoD tensors).

A bundle's input is one sequence: its rows are the steps, and there is no second sequence beside it. Under that rule,
which a batch of one in Paddle obeys too, everything here is exact; what needs more is refused.
"""

from __future__ import annotations

import numpy as np

from converter.read.canonical import Builder, Op
from converter.read.canonical_composed import Chain, windows
from converter.read.canonical_more import several
from converter.read.canonical_ops import handles

END = 2**31 - 1


def sequence(b: Builder, op: Op, slot: str) -> str:
    """An input that is one sequence."""
    level = max((b.raw.lod.get(name, 0) for name in op.raw.inputs.get(slot, [])), default=0)
    if level > 1:
        raise op.error(f"reads sequences of sequences (LoD level {level}), which are not supported")
    if any(raw.type == "lod_reset" for raw in b.raw.ops):
        raise op.error("reads sequences in a program that cuts them anew (lod_reset), which is not supported")
    return op.one(slot)


def rows(op: Op, x: str, start: int, end: int) -> tuple[str, dict, dict]:
    """A slice along the first axis."""
    return "slice", {"Input": [x]}, {"axes": [0], "starts": [start], "ends": [end], "decrease_axis": []}


@handles("lstm")
def lstm(b: Builder, op: Op) -> None:
    op.skip("is_test")
    inputs = {"Input": [sequence(b, op, "Input")], "Weight": [op.one("Weight")], "Bias": [op.one("Bias")],
              "H0": op.maybe("H0"), "C0": op.maybe("C0")}
    if op.attr("cell_clip", 0.0):
        raise op.error("a clipped cell is not supported")
    attrs = {"use_peepholes": bool(op.attr("use_peepholes", True)), "is_reverse": bool(op.attr("is_reverse", False)),
             "gate_activation": op.attr("gate_activation", "sigmoid"),
             "cell_activation": op.attr("cell_activation", "tanh"),
             "candidate_activation": op.attr("candidate_activation", "tanh")}
    b.emit(op, "lstm", inputs, attrs, out=several(b, op, {"Hidden": 1, "Cell": 1}, {"Cell": "float32"}))


@handles("gru")
def gru(b: Builder, op: Op) -> None:
    inputs = {"Input": [sequence(b, op, "Input")], "Weight": [op.one("Weight")], "Bias": op.maybe("Bias"),
              "H0": op.maybe("H0")}
    attrs = {"is_reverse": bool(op.attr("is_reverse", False)), "origin_mode": bool(op.attr("origin_mode", False)),
             "activation": op.attr("activation", "tanh"), "gate_activation": op.attr("gate_activation", "sigmoid")}
    b.emit(op, "gru", inputs, attrs, out=several(b, op, {"Hidden": 1}, {}))


@handles("sequence_pool")
def sequence_pool(b: Builder, op: Op) -> None:
    """All steps become one row."""
    op.skip("pad_value")
    chain, x, kind = Chain(b, op), sequence(b, op, "X"), str(op.attr("pooltype", "AVERAGE")).upper()
    over = {"dim": [0], "keep_dim": True, "reduce_all": False}
    op.outputs = {"Out": op.outputs["Out"]}
    if kind in ("AVERAGE", "SUM", "MAX"):
        chain.one({"AVERAGE": "reduce_mean", "SUM": "reduce_sum", "MAX": "reduce_max"}[kind], x, last=True, **over)
    elif kind in ("FIRST", "LAST"):
        chain.step(*rows(op, x, *((0, 1) if kind == "FIRST" else (-1, END))), last=True)
    elif kind == "SQRT":
        count = chain.step(*rows(op, chain.step("shape", {"Input": [x]}, {"out_dtype": "int32"}, dtype="int32"), 0, 1))
        root = chain.one("sqrt", chain.one("cast", count, dtype="float32", out_dtype="float32"))
        chain.two("elementwise_div", chain.one("reduce_sum", x, **over), root, last=True)
    else:
        raise op.error(f"pooltype {kind!r} is not known")


@handles("sequence_softmax")
def sequence_softmax(b: Builder, op: Op) -> None:
    b.emit(op, "softmax", {"X": [sequence(b, op, "X")]}, {"axis": 0})


@handles("sequence_reverse")
def sequence_reverse(b: Builder, op: Op) -> None:
    b.emit(op, "flip", {"X": [sequence(b, op, "X")]}, {"axis": [0]})


@handles("sequence_concat")
def sequence_concat(b: Builder, op: Op) -> None:
    b.emit(op, "concat", {"X": op.inputs["X"]}, {"axis": 0})


@handles("sequence_conv")
def sequence_conv(b: Builder, op: Op) -> None:
    """Each step with its neighbours in one row, zeros beyond the ends, times the filter."""
    chain, x = Chain(b, op), sequence(b, op, "X")
    length, start = int(op.attr("contextLength", 1)), int(op.attr("contextStart", 0))
    if op.attr("paddingTrainable", False) or op.attr("contextStride", 1) != 1:
        raise op.error("trained padding and strides other than 1 are not supported")
    before, after = max(0, -start), max(0, start + length - 1)
    padded = chain.one("pad", x, paddings=[before, after, 0, 0], pad_value=0.0)
    first = [k + start + before for k in range(length)]
    parts = [chain.step(*rows(op, padded, at, at - before - after or END)) for at in first]
    wide = chain.one("assign", parts[0]) if length == 1 else chain.step("concat", {"X": parts}, {"axis": 1})
    chain.step("matmul_v2", {"X": [wide], "Y": [op.one("Filter")]}, {"trans_x": False, "trans_y": False}, last=True)


@handles("sequence_expand", "sequence_expand_as")
def sequence_expand(b: Builder, op: Op) -> None:
    """One row, as often as the other sequence has steps."""
    op.skip("ref_level")
    chain, x = Chain(b, op), op.one("X")
    if any(b.raw.lod.get(name, 0) for name in op.raw.inputs["X"]):
        raise op.error("repeats a sequence, which is not supported")
    shape = chain.step("shape", {"Input": [sequence(b, op, "Y")]}, {"out_dtype": "int32"}, dtype="int32")
    same = b.hold(f"{op.out_names[0]}.same", np.full(len(b.shape_of(x)) - 1, -1, np.int32))
    wanted = chain.step("concat", {"X": [chain.step(*rows(op, shape, 0, 1)), same]}, {"axis": 0}, dtype="int32")
    chain.step("expand_v2", {"X": [x], "Shape": [wanted]}, {"shape": []}, last=True)


@handles("ctc_align")
def ctc_align(b: Builder, op: Op) -> None:
    op.skip("padding_value")
    if op.inputs.get("InputLength"):
        raise op.error("labels of several lengths in one tensor are not supported")
    op.outputs = {"Out": op.outputs["Output"]}
    b.emit(op, "ctc_align", {"Input": [sequence(b, op, "Input")]},
           {"blank": int(op.attr("blank", 0)), "merge_repeated": bool(op.attr("merge_repeated", True))})


@handles("crf_decoding")
def crf_decoding(b: Builder, op: Op) -> None:
    if op.inputs.get("Label") or op.inputs.get("Length"):
        raise op.error("comparing with labels and padded sequences are not supported")
    op.outputs = {"Out": op.outputs["ViterbiPath"]}
    b.emit(op, "crf_decoding", {"Emission": [sequence(b, op, "Emission")], "Transition": [op.one("Transition")]}, {})


@handles("im2sequence")
def im2sequence(b: Builder, op: Op) -> None:
    """The windows of a picture, row by row; of one picture, since several would be several sequences."""
    chain, x = Chain(b, op), op.one("X")
    if op.inputs.get("Y") or list(op.attr("out_stride", [1, 1])) != [1, 1]:
        raise op.error("windows by the sizes of real pictures are not supported")
    kernel, pads = [int(size) for size in op.attr("kernels", [])], list(op.attr("paddings", [0, 0, 0, 0]))
    window = {"strides": list(op.attr("strides", [1, 1])), "paddings": [pads[0], pads[2], pads[1], pads[3]]}
    columns = chain.step("transpose2", {"X": [windows(chain, x, kernel, window)]}, {"axis": [0, 2, 3, 1]})
    one = chain.one("expand_v2", columns, shape=[1, -1, -1, -1])    # fails with several
    chain.one("squeeze2", chain.one("flatten_contiguous_range", one, start_axis=1, stop_axis=2), last=True, axes=[0])
