"""ONNX's ModelProto (onnx.proto), as far as it is written here."""

from __future__ import annotations

from functools import cache
from typing import Any

from converter.schema.messages import classes

_MESSAGES = {
    "Dimension": "1 dim_value int64, 2 dim_param string",
    "TensorShape": "1 dim Dimension*",
    "TensorType": "1 elem_type int32, 2 shape TensorShape",
    "Type": "1 tensor_type TensorType",
    "ValueInfo": "1 name string, 2 type Type",
    "Tensor": "1 dims int64*, 2 data_type int32, 8 name string, 9 raw_data bytes",
    "Attribute": "1 name string, 2 f float, 3 i int64, 4 s bytes, 5 t Tensor, 6 g Graph, 7 floats float*, "
                 "8 ints int64*, 9 strings bytes*, 20 type int32",
    "Node": "1 input string*, 2 output string*, 3 name string, 4 op_type string, 5 attribute Attribute*, "
            "7 domain string",
    "Graph": "1 node Node*, 2 name string, 5 initializer Tensor*, 11 input ValueInfo*, 12 output ValueInfo*",
    "OperatorSet": "1 domain string, 2 version int64",
    "Entry": "1 key string, 2 value string",
    "Model": "1 ir_version int64, 2 producer_name string, 3 producer_version string, 7 graph Graph, "
             "8 opset_import OperatorSet*, 14 metadata_props Entry*",
}

DTYPES = {"float32": 1, "uint8": 2, "int8": 3, "int16": 5, "int32": 6, "int64": 7, "bool": 9, "float16": 10,
          "float64": 11}
"""numpy's name → TensorProto.DataType."""

FLOAT, INT, STRING, TENSOR, GRAPH, FLOATS, INTS, STRINGS = 1, 2, 3, 4, 5, 6, 7, 8
"""AttributeProto.AttributeType."""

IR_OF_OPSET = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8}
"""The oldest format version that may carry an operator set, so that old readers take the file."""


@cache
def _all() -> dict[str, Any]:
    return classes("onnx_model", _MESSAGES)


def message(name: str) -> Any:
    """The message class of a name in _MESSAGES."""
    return _all()[name]
