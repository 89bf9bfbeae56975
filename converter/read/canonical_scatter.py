"""Handlers, continued: rows of a table, elements along an axis, and writing into a part of a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.read.canonical import Builder, Op
from converter.read.canonical_ops import handles


@handles("lookup_table", "lookup_table_v2")
def embedding(b: Builder, op: Op) -> None:
    """Rows of a table. The row that stands for padding reads as zeros; the old form has indices [..,1]."""
    op.skip("is_sparse", "sparse", "is_distributed", "remote_prefetch", "entry_config", "entry", "table_class",
            "table_names", "trainer_id", "slot", "grad_inplace", "epmap", "height_sections")
    table, ids, padding = op.one("W"), op.one("Ids"), int(op.attr("padding_idx", -1))
    if padding != -1:
        data = b.data_of(table)
        if data is None or not -len(data) <= padding < len(data):
            raise op.error(f"padding_idx {padding} needs a constant table with that row")
        data = data.copy()
        data[padding] = 0
        table = b.hold(f"{table}.padded", data)
    if op.type == "lookup_table":
        shape = b.shape_of(ids)
        flat = b.temporary(f"{ids}.flat", shape[:-1], b.dtype_of(ids))
        b.emit(op, "squeeze2", {"X": [ids]}, {"axes": [-1]}, out=[flat])
        ids = flat
    b.emit(op, "lookup_table_v2", {"W": [table], "Ids": [ids]}, {})


@handles("take_along_axis", "put_along_axis", "index_sample")
def along_axis(b: Builder, op: Op) -> None:
    if "Result" in op.outputs:
        op.outputs = {"Out": op.outputs["Result"]}
    inputs = {"Input": [op.one("X" if op.type == "index_sample" else "Input")], "Index": [op.one("Index")]}
    axis = 1 if op.type == "index_sample" else int(op.attr("Axis", 0))
    if op.type != "put_along_axis":
        b.emit(op, "take_along_axis", inputs, {"Axis": axis})
        return
    put_along(b, op, inputs, axis)


def put_along(b: Builder, op: Op, inputs: dict[str, list[str]], axis: int) -> None:
    """Without the old values these start from what changes nothing. A mean is a sum over a count."""
    how, with_old = op.attr("Reduce", "assign"), bool(op.attr("Include_self", True))
    how = "mul" if how == "multiply" else how
    start = {"assign": 0, "add": 0, "mean": 0, "mul": 1, "amax": -np.inf, "amin": np.inf}.get(how)
    x, dtype = inputs["Input"][0], b.dtype_of(inputs["Input"][0])
    if start is None or (dtype != "float32" and (how == "mean" or (how != "assign" and not with_old))):
        kept = "with" if with_old else "without"
        raise op.error(f"reduction '{how}' of {dtype} {kept} the old values is not supported")

    def put(into: str, value: str, how: str, last: bool = False) -> str:
        made = None if last else [b.temporary(f"{op.out_names[0]}.{how}", b.shape_of(x), dtype)]
        return b.emit(op, "put_along_axis", {**inputs, "Input": [into], "Value": [value]},
                      {"Axis": axis, "Reduce": how}, out=made).out

    value = op.one("Value")
    total = x if with_old or how == "assign" else put(x, filled(b, op, inputs["Index"][0], float(start)), "assign")
    if how != "mean":
        put(total, value, how, last=True)
        return
    ones = filled(b, op, inputs["Index"][0], 1.0)
    count = filled(b, op, x, 1.0)
    if not with_old:
        count = put(count, filled(b, op, inputs["Index"][0], 0.0), "assign")
    b.emit(op, "elementwise_div", {"X": [put(total, value, "add")], "Y": [put(count, ones, "add")]}, {"axis": -1})


def filled(b: Builder, op: Op, like: str, value: float) -> str:
    """A float tensor of one number in the shape of another."""
    shape, base = b.shape_of(like), f"{op.out_names[0]}.filled"
    sizes = [int(size) for size in shape if isinstance(size, int) and size >= 0]
    if len(sizes) == len(shape) and b.may_hold(sizes, op):
        return b.hold(base, np.full(sizes, value, np.float32))
    computed = b.emit(op, "shape", {"Input": [like]}, {"out_dtype": "int32"},
                      out=[b.temporary(f"{base}.shape", (len(shape),), "int32")]).out
    return b.emit(op, "fill_constant", {"ShapeTensor": [computed]}, {"shape": [], "value": value, "dtype": "float32"},
                  out=[b.temporary(base, shape, "float32")]).out


@handles("set_value")
def set_value(b: Builder, op: Op) -> None:
    """A tensor, or numbers among the attributes, written into a strided slice."""
    dtype, x = op.dtype(default=b.dtype_of(op.one("Input"))), op.one("Input")
    lists = [op.attr(name, []) for name in ("values", "fp32_values", "fp64_values", "fp16_values", "int32_values",
                                            "int64_values", "bool_values")]
    shape, none = [int(size) for size in op.attr("shape", [])], op.attr("none_axes", [])
    if none:
        raise op.error("new axes in an assignment are not supported")
    attrs: dict[str, Any] = {"axes": [int(axis) for axis in op.attr("axes", [])],
                             "decrease_axes": [int(axis) for axis in op.attr("decrease_axes", [])]}
    value = op.maybe("ValueTensor") or \
        [b.hold(f"{op.out_names[0]}.value", np.array(next((v for v in lists if v), []), dtype).reshape(shape))]
    inputs = {"Input": [x], "ValueTensor": value}
    for bound in ("starts", "ends", "steps"):
        slot = f"{bound.capitalize()}TensorList"
        values = op.constant_attr(slot, bound, [])
        if values is None and (bound == "steps" or len(op.inputs[slot]) != len(attrs["axes"])):
            raise op.error(f"computed {bound} are not supported")
        if values is None:
            inputs[slot], values = op.inputs[slot], []
        attrs[bound] = [int(value) for value in values]
    if not attrs["axes"]:
        attrs |= {"axes": [0], "starts": [0], "ends": [2**31 - 1], "steps": [1]}
    b.emit(op, "set_value", inputs, attrs)
