"""Weights: Paddle's tensor stream, all parameters in one file (sorted by name) or one file each.

A tensor: u32 version 0, u64 LoD levels (each: u64 bytes, bytes), u32 version 0, i32 length of a
TensorDesc, the TensorDesc, then raw little-endian numbers. Names are not inside.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from converter.errors import ConvertError
from converter.graph import Value
from converter.schema import paddle as proto

_MAX_DESCRIPTOR_BYTES = 4096
_MAX_LOD_LEVELS = 16
_MAX_RANK = 16
_AGAIN = "the file is damaged or incomplete; copy or export it again"


class _Stream:
    """A bounded cursor over a file's bytes: reading past the end is an error with an offset."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where, self.at = data, where, 0

    def take(self, count: int, what: str) -> memoryview:
        left = len(self.data) - self.at
        if count > left:
            raise ConvertError(f"the weights end early: {what} needs {count} bytes, {left} are left",
                               where=f"{self.where}, offset {self.at}", hint=_AGAIN)
        found = memoryview(self.data)[self.at:self.at + count]
        self.at += count
        return found

    def number(self, layout: str, what: str) -> int:
        return struct.unpack(layout, self.take(struct.calcsize(layout), what))[0]

    def refuse(self, what: str) -> ConvertError:
        return ConvertError(what, where=f"{self.where}, offset {self.at}", hint=_AGAIN)


def read_combined(path: Path, declared: Mapping[str, Value]) -> dict[str, np.ndarray]:
    """All parameters of one file. declared: what the program says of each, in any order."""
    stream = _Stream(_bytes(path), str(path))
    found = {name: _tensor(stream, declared[name]) for name in sorted(declared)}
    left = len(stream.data) - stream.at
    if left:
        raise ConvertError(f"{left} bytes are left after the last of {len(declared)} parameters", where=str(path),
                           hint="these weights belong to another program, or the file is damaged")
    return found


def read_separate(folder: Path, declared: Mapping[str, Value]) -> dict[str, np.ndarray]:
    """One file per parameter, named after it. Names every file that is missing."""
    root = folder.resolve()
    paths = {name: (root / name).resolve() for name in sorted(declared)}
    for name, path in paths.items():
        if not path.is_relative_to(root) or path == root:
            raise ConvertError(f"the parameter name {name!r} leads out of the model's folder", where=str(folder),
                               hint="this program was tampered with; do not use it")
    missing = [name for name, path in paths.items() if not path.is_file()]
    if missing:
        shown = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
        raise ConvertError(f"{len(missing)} of {len(declared)} parameters have no file: {shown}", where=str(folder),
                           hint="put the weights beside the program: MODEL.pdiparams, params, __params__, "
                                "or one file per parameter")
    found = {}
    for name, path in paths.items():
        stream = _Stream(_bytes(path), str(path))
        found[name] = _tensor(stream, declared[name])
        if stream.at != len(stream.data):
            raise stream.refuse(f"{len(stream.data) - stream.at} bytes are left after parameter '{name}'")
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConvertError(f"cannot read the weights: {error.strerror}", where=str(path)) from error


def _tensor(stream: _Stream, declared: Value) -> np.ndarray:
    """The next tensor of a stream, checked against what the program declares."""
    what = f"parameter '{declared.name}'"
    if stream.number("<I", what) != 0:
        raise stream.refuse(f"{what}: this is not a Paddle tensor (unknown version)")
    levels = stream.number("<Q", what)
    if levels > _MAX_LOD_LEVELS:
        raise stream.refuse(f"{what}: {levels} LoD levels cannot be right")
    for _ in range(levels):
        stream.take(stream.number("<Q", what), what)
    if stream.number("<I", what) != 0:
        raise stream.refuse(f"{what}: this is not a Paddle tensor (unknown inner version)")
    length = stream.number("<i", what)
    if not 0 < length <= _MAX_DESCRIPTOR_BYTES:
        raise stream.refuse(f"{what}: a descriptor of {length} bytes cannot be right")
    desc = proto.parse("TensorDesc", bytes(stream.take(length, what)), f"{stream.where}, {what}")
    dims = tuple(int(size) for size in desc.dims)
    dtype = proto.dtype_name(desc.data_type, f"{stream.where}, {what}")
    if len(dims) > _MAX_RANK or any(size < 0 for size in dims):
        raise stream.refuse(f"{what}: the shape {list(dims)} cannot be right")
    _agree(declared, dims, dtype, stream)
    raw = stream.take(math.prod(dims) * np.dtype(dtype).itemsize, f"{what} {dtype}{list(dims)}")
    return np.frombuffer(raw, np.dtype(dtype).newbyteorder("<")).astype(dtype, copy=False).reshape(dims)


def _agree(declared: Value, dims: tuple[int, ...], dtype: str, stream: _Stream) -> None:
    """Refuse weights of another program: shapes must match where the program fixes them."""
    expected = declared.shape
    fits = len(expected) == len(dims) and all(
        isinstance(size, str) or size == got for size, got in zip(expected, dims, strict=True))
    scalar = {expected, dims} == {(), (1,)}  # Paddle 2 writes [1] where Paddle 3 declares a scalar
    if not (fits or scalar) or dtype != declared.dtype:
        raise ConvertError(f"the program declares {declared.dtype}{list(expected)} but the weights hold "
                           f"{dtype}{list(dims)}", where=f"{stream.where}, parameter '{declared.name}'",
                           hint="these weights belong to another program")
