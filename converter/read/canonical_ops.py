"""How each of Paddle's operators becomes canonical: handlers by Paddle 2 type, in families."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from converter.read.canonical import Builder, Op, computed

Handler = Callable[[Builder, Op], None]
HANDLERS: dict[str, Handler] = {}


def handles(*types: str) -> Callable[[Handler], Handler]:
    """Register a handler for these types."""
    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(types, handler))
        return handler
    return register


@handles("dropout")
def dropout(b: Builder, op: Op) -> None:
    """Inference: identity, or × (1 - p) where training did not rescale."""
    op.skip("seed", "fix_seed", "is_test", "dropout_implementation_")
    mode = op.attr("dropout_implementation", "downgrade_in_infer")
    rate = op.need(op.constant_attr("ProbTensor", "dropout_prob", 0.5), "the dropout rate")
    if mode == "upscale_in_train":
        identity(b, op)
    else:
        factor = {"scale": 1.0 - float(rate[0]), "bias": 0.0, "bias_after_scale": True}
        b.emit(op, "scale", {"X": [op.one("X")]}, factor)


@handles("assign", "share_data", "memcpy", "print", "lod_reset")
def identity(b: Builder, op: Op) -> None:
    op.skip(*list(op.attrs))
    for names in op.outputs.values():
        for name in names:
            if name not in op.out_names:
                b.dropped[name] = op.where
    b.alias(op.out_names[0], op.one("X"))


@handles("concat")
def concat(b: Builder, op: Op) -> None:
    axis = op.need(op.constant_attr("AxisTensor", "axis", 0), "the axis")
    # Old Paddle.js packages put the second tensor into a slot of its own.
    b.emit(op, "concat", {"X": op.inputs.get("X", []) + op.inputs.get("Y", [])}, {"axis": int(axis[0])})


@handles("split")
def split(b: Builder, op: Op) -> None:
    axis = op.need(op.constant_attr("AxisTensor", "axis", 0), "the axis")
    sections = op.need(op.constant_attr("SectionsTensorList", "sections", []), "the sizes of the parts")
    num = 0 if sections else op.attr("num", 0)
    op.skip("num")
    b.emit(op, "split", {"X": [op.one("X")]}, {"axis": int(axis[0]), "num": num, "sections": sections})


@handles("sum")
def add_n(b: Builder, op: Op) -> None:
    """The sum of several tensors of one shape, as additions from left to right."""
    first, *others = op.inputs.get("X", [])
    if not others:
        identity(b, op)
        return
    for position, other in enumerate(others):
        last = position == len(others) - 1
        out = None if last else [b.temporary(f"{op.out_names[0]}.sum", b.shape_of(first), b.dtype_of(first))]
        first = b.emit(op, "elementwise_add", {"X": [first], "Y": [other]}, {"axis": -1}, out=out).out


@handles("unbind")
def unbind(b: Builder, op: Op) -> None:
    """Split into parts of one, then drop the axis."""
    axis, x = int(op.attr("axis", 0)), op.one("X")
    parts = [b.temporary(f"{name}.part", (), b.dtype_of(x)) for name in op.out_names]
    b.emit(op, "split", {"X": [x]}, {"axis": axis, "num": len(parts), "sections": []}, out=parts)
    for part, name in zip(parts, op.out_names, strict=True):
        out = b.write(name)
        shape = list(b.shape_of(out))
        shape.insert(axis if axis >= 0 else axis + len(shape) + 1, 1)
        if part in b.graph.values:          # and is no constant by now
            b.graph.values[part].shape = tuple(shape)
        b.emit(op, "squeeze2", {"X": [part]}, {"axes": [axis]}, out=[out])


@handles("reshape2", "reshape")
def reshape(b: Builder, op: Op) -> None:
    shape = op.attr("new_shape", None)  # Paddle.js 1
    if shape is not None:
        op.attrs["shape"] = shape
    if op.inputs.get("ShapeTensor") and op.constant("ShapeTensor") is None:
        b.emit(op, "reshape2", {"X": [op.one("X")], "ShapeTensor": op.inputs["ShapeTensor"]},
               {"shape": list(op.attr("shape", []))})
        return
    slot = "ShapeTensor" if op.inputs.get("ShapeTensor") else "Shape"
    known = op.constant_attr(slot, "shape", [])
    if known is None:
        b.emit(op, "reshape2", {"X": [op.one("X")], "Shape": [op.one("Shape")]}, {"shape": []})
    else:
        b.emit(op, "reshape2", {"X": [op.one("X")]}, {"shape": [int(size) for size in known]})


@handles("squeeze2", "squeeze", "unsqueeze2", "unsqueeze")
def squeeze(b: Builder, op: Op) -> None:
    slot = "AxesTensorList" if op.inputs.get("AxesTensorList") else "AxesTensor"
    axes = op.need(op.constant_attr(slot, "axes", []), "the axis")
    b.emit(op, op.type.rstrip("2") + "2", {"X": [op.one("X")]}, {"axes": [int(axis) for axis in axes]})


@handles("expand_v2", "tile", "expand")
def expand(b: Builder, op: Op) -> None:
    """`expand` is Paddle 1's tile."""
    attr, tensor, several = ("shape", "Shape", "expand_shapes_tensor") if op.type == "expand_v2" else \
        ("repeat_times", "RepeatTimes", "repeat_times_tensor")
    if op.type == "expand":
        op.attrs[attr] = op.attr("expand_times", [])
        tensor, several = "ExpandTimes", "expand_times_tensor"
    slot = several if op.inputs.get(several) else tensor
    values, inputs = op.constant_attr(slot, attr, []), {"X": [op.one("X")]}
    if values is None:
        kept = ("Shape", "expand_shapes_tensor") if attr == "shape" else ("RepeatTimes", "repeat_times_tensor")
        inputs[kept[slot == several]], values = op.inputs[slot], []
    b.emit(op, "expand_v2" if attr == "shape" else "tile", inputs, {attr: [int(v) for v in values]})


@handles("slice", "strided_slice")
def slices(b: Builder, op: Op) -> None:
    """Constant bounds become attributes; computed ones stay inputs."""
    op.skip("infer_flags")
    inputs = {"Input": [op.one("Input")]}
    attrs: dict[str, Any] = {"axes": [int(axis) for axis in op.attr("axes", [])],
                             "decrease_axis": list(op.attr("decrease_axis", []))}
    for bound in ("starts", "ends") + (("strides",) if op.type == "strided_slice" else ()):
        title = bound.capitalize()
        slot = f"{title}TensorList" if op.inputs.get(f"{title}TensorList") else f"{title}Tensor"
        given = list(op.attrs.get(bound) or [])
        values = op.constant_attr(slot, bound, [])
        if values is None:
            inputs[slot], values = op.inputs[slot], given
        attrs[bound] = [int(value) for value in values]
    if op.type == "slice":
        attrs.pop("strides", None)
    b.emit(op, op.type, inputs, attrs)


@handles("gather", "index_select")
def gather(b: Builder, op: Op) -> None:
    op.skip("overwrite")
    axis = op.need(op.constant_attr("Axis", "dim" if op.type == "index_select" else "axis", 0), "the axis")
    b.emit(op, "gather", {"X": [op.one("X")], "Index": [op.one("Index")]}, {"axis": int(axis[0])})


@handles("shape", "shape64")
def shape(b: Builder, op: Op) -> None:
    slot = "Input" if op.inputs.get("Input") else "X"
    b.emit(op, "shape", {"Input": [op.one(slot)]}, {"out_dtype": "int64" if op.type == "shape64" else "int32"})


@handles("cast")
def cast(b: Builder, op: Op) -> None:
    op.skip("in_dtype")
    dtype = op.dtype("out_dtype", computed(b.raw.values[op.out_names[0]].dtype))
    b.emit(op, "cast", {"X": [op.one("X")]}, {"out_dtype": dtype})


@handles("fill_constant")
def fill_constant(b: Builder, op: Op) -> None:
    op.skip("force_cpu", "place_type")
    dtype, text, value = op.dtype(), op.attr("str_value", ""), op.attr("value", 0.0)
    if op.inputs.get("ValueTensor"):
        value = op.need(op.constant_attr("ValueTensor", "value"), "the value")[0]
    elif text:
        value = _number(text, op)
    value = float(value) if dtype.startswith("float") else int(value)
    slot = "ShapeTensorList" if op.inputs.get("ShapeTensorList") else "ShapeTensor"
    given = list(op.attrs.get("shape") or [])
    shape = op.constant_attr(slot, "shape", [])
    if shape is not None and b.may_hold(shape, op):
        b.constant_out(op, np.full([int(size) for size in shape], value, dtype))
        return
    inputs = {} if shape is not None else {slot: op.inputs[slot]}
    b.emit(op, "fill_constant", inputs, {"shape": given if shape is None else [int(size) for size in shape],
                                         "value": value, "dtype": dtype})


def _number(text: str, op: Op) -> float | int:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError as error:
        raise op.error(f"the value {text!r} is not a number") from error


@handles("fill_constant_batch_size_like")
def fill_like_batch(b: Builder, op: Op) -> None:
    op.skip("force_cpu")
    dtype, text, value = op.dtype(), op.attr("str_value", ""), op.attr("value", 0.0)
    value = _number(text, op) if text else value
    attrs = {"shape": list(op.attr("shape", [])), "value": float(value) if dtype.startswith("float") else int(value),
             "dtype": dtype, "input_dim_idx": op.attr("input_dim_idx", 0),
             "output_dim_idx": op.attr("output_dim_idx", 0)}
    b.emit(op, "fill_constant_batch_size_like", {"Input": [op.one("Input")]}, attrs)


@handles("assign_value")
def assign_value(b: Builder, op: Op) -> None:
    """The numbers stand in whichever list their dtype picked."""
    dtype, shape = op.dtype(), [int(size) for size in op.attr("shape", [])]
    lists = [op.attr(name, []) for name in
             ("values", "fp32_values", "fp64_values", "int32_values", "int64_values", "bool_values", "int8_values")]
    values = next((numbers for numbers in lists if numbers), [])
    data = np.array(values, dtype)
    if any(size < 0 for size in shape) or data.size != int(np.prod(shape, dtype=object)):
        raise op.error(f"holds {data.size} numbers for the shape {shape}")
    b.constant_out(op, data.reshape(shape))
