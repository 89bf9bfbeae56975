"""Paddle's ProgramDesc (framework.proto, proto2), described in code: no generated module, no paddle."""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.message import DecodeError, Message

from converter.errors import ConvertError
from converter.schema.messages import classes

# Enumerations are read as int32: the wire form is the same, and a number that Paddle adds later stays visible.
# Names are bytes: old Paddle wrote some that are not UTF-8.
_MESSAGES = {
    "Version": "1 version int64",
    "OpVersion": "1 version int32",
    "OpVersionPair": "1 op_name string, 2 op_version OpVersion",
    "OpVersionMap": "1 pair OpVersionPair*",
    "Scalar": "1 type int32, 2 b bool, 3 i int64, 4 r double",
    "Attr": "1 name string, 2 type int32, 3 i int32, 4 f float, 5 s bytes, 6 ints int32*, 7 floats float*, "
            "8 strings bytes*, 10 b bool, 11 bools bool*, 12 block_idx int32, 13 l int64, 14 blocks_idx int32*, "
            "15 longs int64*, 16 float64s double*, 17 var_name bytes, 18 vars_name bytes*, 19 float64 double, "
            "20 scalar Scalar, 21 scalars Scalar*",
    "OpVar": "1 parameter string, 2 arguments bytes*",
    "OpDesc": "1 inputs OpVar*, 2 outputs OpVar*, 3 type string, 4 attrs Attr*, 5 is_target bool",
    "TensorDesc": "1 data_type int32, 2 dims int64*",
    "LoDTensorDesc": "1 tensor TensorDesc, 2 lod_level int32",
    "VarType": "1 type int32, 2 selected_rows TensorDesc, 3 lod_tensor LoDTensorDesc, 4 tensor_array LoDTensorDesc",
    "VarDesc": "1 name bytes, 2 type VarType, 3 persistable bool, 4 need_check_feed bool, 5 is_parameter bool",
    "BlockDesc": "1 idx int32, 2 parent_idx int32, 3 vars VarDesc*, 4 ops OpDesc*, 5 forward_block_idx int32",
    "ProgramDesc": "1 blocks BlockDesc*, 4 version Version, 5 op_version_map OpVersionMap",
}

# framework.proto VarType.Type: the tensor dtypes among it, and the kinds of variables that hold numbers.
DTYPES = {0: "bool", 1: "int16", 2: "int32", 3: "int64", 4: "float16", 5: "float32", 6: "float64",
          20: "uint8", 21: "int8"}
UNREADABLE_DTYPES = {22: "bfloat16", 23: "complex64", 24: "complex128", 32: "float8_e4m3fn", 33: "float8_e5m2"}
DENSE_TENSOR, TENSOR_ARRAY = 7, 13

# AttrType → the field that holds the value.
ATTR_FIELDS = {0: "i", 1: "f", 2: "s", 3: "ints", 4: "floats", 5: "strings", 6: "b", 7: "bools", 8: "block_idx",
               9: "l", 10: "blocks_idx", 11: "longs", 12: "float64s", 13: "var_name", 14: "vars_name",
               15: "float64", 16: "scalar", 17: "scalars"}
VARIABLES = (13, 14)
"""AttrTypes of numbers that are not among the attributes: variables hold them, which these name."""


@cache
def _all() -> dict[str, Any]:
    return classes("paddle_program", _MESSAGES)


def message(name: str) -> Any:
    """The message class of a name in _MESSAGES."""
    return _all()[name]


def parse(name: str, data: bytes, where: str) -> Message:
    """Bytes → message; ConvertError where they are not one."""
    found = message(name)()
    try:
        found.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ConvertError("this is not a Paddle program (its protobuf cannot be parsed)", where=where,
                           hint="the file is damaged, incomplete or of another kind; export the model again") from error
    return found


def dtype_name(number: int, where: str) -> str:
    """Paddle's dtype number → numpy's name."""
    if number in DTYPES:
        return DTYPES[number]
    shown = UNREADABLE_DTYPES.get(number, f"number {number}")
    raise ConvertError(f"tensors of dtype {shown} are not supported", where=where,
                       hint="export the model in float32")


def dtype_number(name: str) -> int:
    """numpy's name → Paddle's dtype number (the inverse of dtype_name)."""
    return {text: number for number, text in DTYPES.items()}[name]
