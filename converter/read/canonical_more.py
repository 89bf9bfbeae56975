"""Handlers, continued: recurrent layers, sorting, picking and scattering, writing into a part, counting."""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.ops.spec import REGISTRY
from converter.read.canonical import Builder, Op
from converter.read.canonical_ops import HANDLERS, handles, unbind


def several(b: Builder, op: Op, slots: dict[str, int], dtypes: dict[str, str]) -> list[str]:
    """Graph names for several output slots joined in one, `slots` saying how many each has; the others are dropped.

    An output that the program leaves out gets a name of its own. dtypes: of such outputs.
    """
    for slot, names in op.outputs.items():
        if slot not in slots:
            b.dropped.update(dict.fromkeys(names, f"{op.where}, slot {slot},"))
    made = []
    first = next(name for given in op.outputs.values() for name in given)
    for slot, count in slots.items():
        names = op.outputs.get(slot) or []
        if len(names) not in (0, count):
            raise op.error(f"output '{slot}' has {len(names)} tensors, not {count}")
        made += [b.write(name) for name in names] or \
            [b.temporary(f"{first}.{slot}", (), dtypes[slot]) for _ in range(count)]
    return made


def whole(values: list | None, op: Op, what: str) -> list[int]:
    """A constant list of integers."""
    return [int(value) for value in op.need(values, what)]


def flags(op: Op, *names: str) -> dict[str, bool]:
    """Switches that are off where the program says nothing."""
    return {name: bool(op.attr(name, False)) for name in names}


@handles("rnn")
def rnn(b: Builder, op: Op) -> None:
    """Out, then the last states; Reserve and DropoutState serve training."""
    op.skip("dropout_prob", "seed", "input_size")
    mode = op.attr("mode", "RNN_TANH")
    inputs = {slot: op.inputs.get(slot, []) for slot in ("Input", "PreState", "WeightList", "SequenceLength")}
    lengths = op.maybe("SequenceLength")
    if lengths and b.dtype_of(lengths[0]) == "int64":
        inputs["SequenceLength"] = [b.temporary(f"{lengths[0]}.int32", b.shape_of(lengths[0]), "int32")]
        b.emit(op, "cast", {"X": lengths}, {"out_dtype": "int32"}, out=inputs["SequenceLength"])
    attrs = {"mode": mode, "hidden_size": int(op.attr("hidden_size", 10)), "num_layers": int(op.attr("num_layers", 1)),
             "is_bidirec": bool(op.attr("is_bidirec", False))}
    out = several(b, op, {"Out": 1, "State": 2 if mode == "LSTM" else 1}, {"State": b.dtype_of(op.one("Input"))})
    b.emit(op, "rnn", inputs, attrs, out=out)


@handles("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not")
def bitwise(b: Builder, op: Op) -> None:
    """On bool they are the logical ones."""
    type = op.type.replace("bitwise", "logical") if b.dtype_of(op.one("X")) == "bool" else op.type
    b.emit(op, type, {slot: op.inputs[slot] for slot in REGISTRY[type].inputs if slot in op.inputs}, {})


@handles("elementwise_fmax", "elementwise_fmin", "atan2", "minus")
def rarer_pairs(b: Builder, op: Op) -> None:
    """fmax and fmin of integers, which know no NaN, are max and min. Paddle 2's atan2, whose slots are X1 and X2, does
    not broadcast: it answers in the shape of X1, whatever X2's is."""
    same_shape = bool(op.inputs.get("X1"))
    x, y = (op.one(slot) for slot in (("X1", "X2") if same_shape else ("X", "Y")))
    if same_shape:
        shapes = b.shape_of(x), b.shape_of(y)
        if len(shapes[0]) != len(shapes[1]) or any(p != q for p, q in zip(*shapes, strict=True)
                                                   if isinstance(p, int) and isinstance(q, int) and min(p, q) >= 0):
            raise op.error(f"takes two tensors of one shape, got {list(shapes[0])} and {list(shapes[1])}")
    type = "elementwise_sub" if op.type == "minus" else op.type
    if b.dtype_of(x).startswith("int"):
        type = type.replace("_fm", "_m")
    b.emit(op, type, {"X": [x], "Y": [y]}, {"axis": int(op.attr("axis", -1))})


@handles("one_hot", "one_hot_v2")
def one_hot(b: Builder, op: Op) -> None:
    """The old form has indices [N,1]."""
    depth = whole(op.constant_attr("depth_tensor", "depth", -1), op, "the depth")[0]
    if op.attr("allow_out_of_range", False):
        raise op.error("indices out of range are not supported")
    x, dtype = op.one("X"), op.dtype()
    # Paddle 3's operator has the type of version 2 and no attributes of its own.
    if op.type == "one_hot" and b.shape_of(x)[-1:] == (1,):
        flat = b.temporary(f"{x}.flat", b.shape_of(x)[:-1], b.dtype_of(x))
        b.emit(op, "squeeze2", {"X": [x]}, {"axes": [-1]}, out=[flat])
        x = flat
    b.emit(op, "one_hot_v2", {"X": [x]}, {"depth": depth, "dtype": dtype})


@handles("tril_triu", "tril", "triu")
def triangle(b: Builder, op: Op) -> None:
    lower = bool(op.attr("lower", True)) and op.type != "triu"
    b.emit(op, "tril_triu", {"X": [op.one("X")]}, {"diagonal": int(op.attr("diagonal", 0)), "lower": lower})


@handles("argsort", "top_k", "top_k_v2")
def sort(b: Builder, op: Op) -> None:
    op.skip("stable")
    inputs: dict[str, list[str]] = {"X": [op.one("X")]}
    attrs: dict[str, Any] = {"axis": int(op.attr("axis", -1))}
    if op.type == "argsort":
        attrs["descending"] = bool(op.attr("descending", False))
    else:
        k = op.constant_attr("K", "k", 1)
        if k is None:
            inputs["K"] = [op.one("K")]
        attrs |= {"k": 1 if k is None else int(k[0]), "largest": bool(op.attr("largest", True)),
                  "sorted": bool(op.attr("sorted", True))}
    out = several(b, op, {"Out": 1, "Indices": 1}, {"Out": b.dtype_of(op.one("X")), "Indices": "int64"})
    b.emit(op, "argsort" if op.type == "argsort" else "top_k_v2", inputs, attrs, out=out)


@handles("cumsum")
def cumsum(b: Builder, op: Op) -> None:
    axis = whole(op.constant_attr("AxisTensor", "axis", -1), op, "the axis")[0]
    b.emit(op, "cumsum", {"X": [op.one("X")]}, {"axis": axis, **flags(op, "flatten", "exclusive", "reverse")})


@handles("repeat_interleave")
def repeat_interleave(b: Builder, op: Op) -> None:
    repeats, axis = op.attr("Repeats", op.attr("repeats", 1)), op.attr("dim", op.attr("axis", 0))
    op.skip("Repeats", "repeats", "dim", "axis", "output_size")
    if op.inputs.get("RepeatsTensor"):      # a number for each slice
        op.inputs["RepeatTensor"], op.attrs["dim"] = op.inputs["RepeatsTensor"], axis
        HANDLERS["repeat_interleave_with_tensor_index"](b, op)
        return
    b.emit(op, "repeat_interleave", {"X": [op.one("X")]}, {"repeats": int(repeats), "dim": int(axis)})


@handles("roll")
def roll(b: Builder, op: Op) -> None:
    shifts = whole(op.constant_attr("ShiftsTensor", "shifts", []), op, "the shift")
    b.emit(op, "roll", {"X": [op.one("X")]}, {"shifts": shifts, "axis": [int(axis) for axis in op.attr("axis", [])]})


@handles("unstack")
def unstack(b: Builder, op: Op) -> None:
    op.skip("num")
    unbind(b, op)


@handles("shuffle_channel")
def shuffle_channel(b: Builder, op: Op) -> None:
    b.emit(op, "channel_shuffle", {"X": [op.one("X")]}, {"groups": int(op.attr("group", 1))})


@handles("expand_as_v2")
def expand_as(b: Builder, op: Op) -> None:
    """To the shape of another tensor, or to a constant one."""
    x, shape = op.one("X"), [int(size) for size in op.attr("target_shape", [])]
    if op.maybe("Y"):
        known = b.shape_of(op.one("Y"))
        shape = [int(size) for size in known if isinstance(size, int) and size >= 0]
        if len(shape) != len(known):
            computed = b.temporary(f"{op.out_names[0]}.shape", (len(known),), "int32")
            b.emit(op, "shape", {"Input": [op.one("Y")]}, {"out_dtype": "int32"}, out=[computed])
            b.emit(op, "expand_v2", {"X": [x], "Shape": [computed]}, {"shape": []})
            return
    b.emit(op, "expand_v2", {"X": [x]}, {"shape": shape})


@handles("fill_any_like", "fill_zeros_like", "fill_zeros_like2")
def fill_like(b: Builder, op: Op) -> None:
    """Filled in the shape of another tensor: a constant where that is known."""
    x, value = op.one("X"), op.need(op.constant_attr("ValueTensor", "value", 0.0), "the value")[0]
    dtype, shape = op.dtype(default=b.dtype_of(x)), b.shape_of(x)
    value = float(value) if dtype.startswith("float") else int(value)
    sizes = [int(size) for size in shape if isinstance(size, int) and size >= 0]
    if len(sizes) == len(shape) and b.may_hold(sizes, op):
        b.constant_out(op, np.full(sizes, value, dtype))
        return
    computed = b.temporary(f"{op.out_names[0]}.shape", (len(shape),), "int32")
    b.emit(op, "shape", {"Input": [x]}, {"out_dtype": "int32"}, out=[computed])
    b.emit(op, "fill_constant", {"ShapeTensor": [computed]}, {"shape": [], "value": value, "dtype": dtype})


@handles("size")
def size(b: Builder, op: Op) -> None:
    """How many elements there are: the product of the shape."""
    x = op.one("Input")
    computed = b.temporary(f"{op.out_names[0]}.shape", (len(b.shape_of(x)),), "int64")
    b.emit(op, "shape", {"Input": [x]}, {"out_dtype": "int64"}, out=[computed])
    b.emit(op, "reduce_prod", {"X": [computed]}, {"dim": [0], "keep_dim": False, "reduce_all": True})


@handles("eye")
def eye(b: Builder, op: Op) -> None:
    rows = whole(op.constant_attr("NumRows", "num_rows", 0), op, "the size")[0]
    columns = whole(op.constant_attr("NumColumns", "num_columns", -1), op, "the size")[0]
    columns = rows if columns < 0 else columns
    if not b.may_hold([rows, columns], op):
        raise op.error(f"a unit matrix of {rows} x {columns} is too large")
    b.constant_out(op, np.eye(rows, columns, dtype=op.dtype()))


@handles("range", "linspace")
def count(b: Builder, op: Op) -> None:
    """All three numbers in one dtype; how many values there are shows where these are known."""
    slots = ("Start", "End", "Step") if op.type == "range" else ("Start", "Stop", "Num")
    dtype = op.dtype(default=b.dtype_of(op.one("Start")))
    inputs = {}
    for slot in slots:
        name, wanted = op.one(slot), "int32" if slot == "Num" else dtype
        data = b.data_of(name)
        if data is not None and str(data.dtype) != wanted:
            name = b.hold(f"{op.out_names[0]}.{slot}", data.astype(wanted))
        elif data is None and b.dtype_of(name) != wanted:
            made = b.temporary(f"{op.out_names[0]}.{slot}", b.shape_of(name), wanted)
            b.emit(op, "cast", {"X": [name]}, {"out_dtype": wanted}, out=[made])
            name = made
        inputs[slot] = [name]
    b.emit(op, op.type, inputs, {} if op.type == "range" else {"dtype": dtype})
