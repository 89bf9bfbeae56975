"""Paddle 2 and fluid programs (`.pdmodel`, `__model__`) -> RawProgram."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from converter.errors import ConvertError
from converter.graph import Value
from converter.read import blocks, params
from converter.read.raw import RawOp, RawProgram, contained, feed_shape, symbol_maker, symbolic
from converter.schema import paddle as proto

_DTYPE_ATTRS = ("dtype", "out_dtype", "in_dtype")
_ABSURD = 1 << 31
_COMBINED = ("params", "__params__", "weights", "model.pdiparams")


def read(path: Path, params_path: Path | None = None) -> RawProgram:
    """Read a program and its weights; params_path overrides where these are looked for."""
    data = path.read_bytes()
    desc: Any = proto.parse("ProgramDesc", data, str(path))
    if not desc.blocks or not (desc.blocks[0].ops or desc.blocks[0].vars):
        raise ConvertError("this is not a Paddle program (it has no operators)", where=str(path),
                           hint="the file is empty, damaged or of another kind")
    program = RawProgram(where=str(path), source={"format": "program", "version": int(desc.version.version)})
    block = desc.blocks[0]
    declared = _variables(block, program)
    for inner in desc.blocks[1:]:
        _variables(inner, program)
    _arrays(desc, program)
    program.ops = blocks.operators(desc, 0, str(path), program, _operator)
    if declared:
        program.params = _weights(path, params_path, declared)
    return program


def _variables(block: Any, program: RawProgram) -> dict[str, Value]:
    """Declare every tensor; return those that are weights."""
    fresh = symbol_maker()
    feeds = {text(name) for op in block.ops if op.type == "feed" for var in op.outputs for name in var.arguments}
    declared = {}
    for var in block.vars:
        name = text(var.name)
        if var.type.type != proto.DENSE_TENSOR:
            continue
        tensor = var.type.lod_tensor.tensor
        dims = [int(size) for size in tensor.dims]
        if name not in feeds and not var.persistable:   # Paddle leaves what it has not worked out uninitialised
            dims = [size if size < _ABSURD else -1 for size in dims]
        shape = feed_shape(name, dims) if name in feeds else symbolic(dims, fresh)
        if tensor.data_type in proto.DTYPES:
            dtype = proto.DTYPES[tensor.data_type]
        else:
            dtype = proto.UNREADABLE_DTYPES.get(tensor.data_type, f"number {tensor.data_type}")
        program.values[name] = Value(name, shape, dtype)
        if var.type.lod_tensor.lod_level > 0:
            program.lod[name] = int(var.type.lod_tensor.lod_level)
        if var.persistable:
            declared[name] = program.values[name]
    return declared


def _arrays(desc: Any, program: RawProgram) -> None:
    """Declare lists of tensors: as long as it will be, and of what is written into them first."""
    written: dict[str, str] = {}
    for op in (op for block in desc.blocks for op in block.ops if text(op.type) == "write_to_array"):
        slots = _slots(op.inputs) | _slots(op.outputs)
        for name, source in zip(slots.get("Out", []), slots.get("X", []), strict=False):
            written.setdefault(name, source)
    for name in (text(var.name) for block in desc.blocks for var in block.vars
                 if var.type.type == proto.TENSOR_ARRAY):
        source = program.values.get(written.get(name, ""))
        if source is not None and name not in program.values:
            program.values[name] = Value(name, ("?", *source.shape), source.dtype)
            program.arrays.add(name)


def _operator(op: Any, index: int, where: str) -> RawOp:
    kind = text(op.type)
    attrs = {text(attr.name): _attribute(attr, f"{where}, {kind}") for attr in op.attrs}
    inputs = _slots(op.inputs)
    for name in [text(attr.name) for attr in op.attrs if attr.type in proto.VARIABLES]:
        given = attrs.pop(name)     # numbers that variables hold: the input that other operators have for them
        inputs.setdefault(_tensor_slot(name), given if isinstance(given, list) else [given])
    for name in _DTYPE_ATTRS:
        if isinstance(attrs.get(name), int):
            attrs[name] = proto.dtype_name(attrs[name], f"{where}, {kind}") if attrs[name] >= 0 else None
    outputs = _slots(op.outputs)
    first = next((names[0] for names in outputs.values() if names), f"operator {index}")
    return RawOp(kind, inputs, outputs, attrs, f"{kind} ({first})")


def _tensor_slot(name: str) -> str:
    """"output_size" may come as the tensor OutputSizeTensor."""
    return "".join(part.capitalize() for part in ("axis" if name == "dim" else name).split("_")) + "Tensor"


def _slots(variables: Any) -> dict[str, list[str]]:
    return {_slot(text(var.parameter)): [text(name) for name in var.arguments] for var in variables if var.arguments}


def _slot(name: str) -> str:
    """Operators that came with Paddle 3 have slots in small letters: "norm_bias" is "NormBias" here."""
    small = name.islower() and not name.endswith("_tensor")
    return "".join(part.capitalize() for part in name.split("_")) if small else name


def _attribute(attr: Any, where: str) -> Any:
    field = proto.ATTR_FIELDS.get(attr.type)
    if field is None:
        raise ConvertError(f"attribute '{attr.name}' has unknown type {attr.type}", where=where)
    value = getattr(attr, field)
    if field == "scalar":
        return _scalar(value)
    if field == "scalars":
        return [_scalar(item) for item in value]
    if isinstance(value, bytes):
        return text(value)
    if isinstance(value, (bool, int, float)):
        return value
    return [text(item) if isinstance(item, bytes) else item for item in value]


def _scalar(value: Message | Any) -> bool | int | float:
    """Paddle's Scalar: type 1 boolean, 2 integer, 3 real."""
    return {1: value.b, 2: value.i}.get(value.type, value.r)


def text(name: bytes | str) -> str:
    """A name; bytes that are not UTF-8 stay distinguishable (protobuf hands over such strings as bytes)."""
    return name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")


def _weights(path: Path, params_path: Path | None, declared: dict[str, Value]) -> dict[str, Any]:
    """Find the weights beside the program: STEM.pdiparams, a combined file, else one file per parameter."""
    beside = None if params_path else weights_of(path, declared)
    combined = params_path or (beside and contained(beside, path))
    return params.read_combined(combined, declared) if combined else params.read_separate(path.parent, declared)


def weights_of(path: Path, declared: Container[str] = ()) -> Path | None:
    """The combined weights of a program, None where each parameter has its own file."""
    names = [path.with_suffix(".pdiparams").name, *(name for name in _COMBINED if name not in declared)]
    return next((path.parent / name for name in names if (path.parent / name).is_file()), None)
