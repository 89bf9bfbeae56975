"""Tensors from attributes and shapes."""

import numpy as np

from .case import Case, ints, rand, vector


def make(type, name, inputs=None, **attrs):
    return Case(f"{type}_{name}", type, inputs or {}, attrs, tol=0.0)


def single(value):
    return np.array([value], np.float32)


CASES = [
    make("shape", "4d", {"Input": [rand(2, 3, 4, 5)]}),
    make("shape", "1d", {"Input": [rand(7)]}),
    make("cast", "to_int64", {"X": [rand(3, 5, low=-9, high=9)]}, out_dtype="int64"),
    make("cast", "to_int32", {"X": [rand(3, 5, low=-9, high=9)]}, out_dtype="int32"),
    make("cast", "int64_to_float", {"X": [ints(7)]}, out_dtype="float32"),
    make("cast", "int32_to_int64", {"X": [ints(7, dtype="int32")]}, out_dtype="int64"),
    make("cast", "int64_to_int32", {"X": [ints(7)]}, out_dtype="int32"),
    make("cast", "to_bool", {"X": [np.array([0, -0.5, 1, 2], np.float32)]}, out_dtype="bool"),
    make("cast", "bool_to_float", {"X": [ints(9, low=0, high=1, dtype="bool")]}, out_dtype="float32"),
    make("cast", "uint8_to_float", {"X": [ints(9, low=0, high=255, dtype="uint8")]}, out_dtype="float32"),
    make("fill_constant", "float", shape=[2, 3], value=0.1),
    make("fill_constant", "int64", shape=[3], value=7.0, dtype="int64"),
    make("fill_constant", "int32", shape=[1], value=-2.0, dtype="int32"),
    make("fill_constant", "bool", shape=[2], value=1.0, dtype="bool"),
    make("fill_constant", "shape_tensor", {"ShapeTensor": [vector(2, 3)]}, value=2.5),
    make("fill_constant", "shape_tensors", {"ShapeTensorList": [vector(2), vector(3)]}, shape=[-1, -1], value=1.5),
    make("fill_constant_batch_size_like", "batch", {"Input": [rand(3, 5)]}, shape=[-1, 2], value=0.5),
    make("fill_constant_batch_size_like", "other_axis", {"Input": [rand(3, 5)]}, shape=[2, -1, 3], value=0.0,
         input_dim_idx=1, output_dim_idx=1),
    make("range", "int64", {"Start": [ints(1, low=2, high=2)], "End": [ints(1, low=9, high=9)],
                            "Step": [ints(1, low=3, high=3)]}),
    make("range", "down", {"Start": [vector(5)], "End": [vector(-2)], "Step": [vector(-2)]}),
    make("range", "floats", {"Start": [single(0.1)], "End": [single(5)], "Step": [single(0.3)]}),
    Case("linspace_float", "linspace", {"Start": [single(-1)], "Stop": [single(1)], "Num": [vector(7)]}, tol=1e-6),
    Case("linspace_one", "linspace", {"Start": [single(3)], "Stop": [single(1)], "Num": [vector(1)]}, tol=1e-6),
    make("assign_value", "float", shape=[2, 2], values=[0.5, -1.0, 2.25, 0.1]),
    make("assign_value", "int64", shape=[3], dtype="int64", values=[1, -2, 3]),
    make("assign_value", "int32", shape=[1, 2], dtype="int32", values=[5, 6]),
]
