"""Tensors made from attributes and from other tensors' shapes."""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.ops.layout import numbers
from converter.ops.spec import REQUIRED, op

MAX_COUNT = 1 << 20
"""Values of a range; as many as the runtime makes while planning."""


@op("shape", inputs="Input", out_dtype="int32")
def shape(x, out_dtype):                    # → [rank]
    return np.asarray(x.shape, out_dtype)


@op("cast", inputs="X", out_dtype=REQUIRED)
def cast(x, out_dtype):                     # float → int truncates
    return x.astype(out_dtype)


@op("fill_constant", inputs="ShapeTensor? ShapeTensorList?*", shape=[], value=0.0, dtype="float32")
def fill_constant(shape_tensor, parts, shape, value, dtype):
    return np.full(numbers(shape_tensor, parts, shape), value, dtype)


@op("fill_constant_batch_size_like", inputs="Input", shape=REQUIRED, value=0.0, dtype="float32", input_dim_idx=0,
    output_dim_idx=0)
def fill_constant_batch_size_like(x, shape, value, dtype, input_dim_idx, output_dim_idx):
    shape = list(shape)
    shape[output_dim_idx] = x.shape[input_dim_idx]
    return np.full(shape, value, dtype)


@op("assign_value", shape=REQUIRED, dtype="float32", values=REQUIRED)
def assign_value(shape, dtype, values):
    return np.asarray(values, dtype).reshape(shape)


@op("range", inputs="Start End Step")
def arange(start, end, step):               # start, start + step … before end, in the dtype of start
    first, stop, by = (v.reshape(-1)[0] for v in (start, end, step))
    if by == 0:
        raise ConvertError("range cannot step by 0")
    count = max(int(np.ceil((float(stop) - float(first)) / float(by))), 0)
    if count > MAX_COUNT:
        raise ConvertError(f"range of {count} values is too long")
    return np.add.accumulate(np.array([first, *[by] * (count - 1)][:count], start.dtype), dtype=start.dtype)


@op("linspace", inputs="Start Stop Num", dtype="float32")
def linspace(start, stop, num, dtype):      # num values from start to stop, both included
    count = int(num.reshape(-1)[0])
    if not 1 <= count <= MAX_COUNT:
        raise ConvertError(f"linspace cannot make {count} values")
    return np.linspace(float(start.reshape(-1)[0]), float(stop.reshape(-1)[0]), count).astype(dtype)
