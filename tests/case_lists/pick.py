"""Picking by value, and lists that grow."""

import numpy as np

from .case import Case, ints, rand, vector


def where(name, condition):
    return Case(f"where_index_{name}", "where_index", {"Condition": [condition]}, tol=0.0)


def masked(name, x, mask):
    return Case(f"masked_select_{name}", "masked_select", {"X": [x], "Mask": [mask]}, tol=0.0)


def unique(name, x, **attrs):
    return Case(f"unique_{name}", "unique", {"X": [x]}, attrs, outputs=4, tol=0.0)


def write(name, x, at, array):
    inputs = {"X": [x], "I": [vector(at, dtype="int64")], "Array": [array]}
    return Case(f"write_to_array_{name}", "write_to_array", inputs, const=[] if array.size else ["Array"], tol=0.0)


X = rand(2, 3, 5)
CASES = [
    where("bool", X > 0.5),
    where("vector", vector(0, 3, 0, -1, 0)),
    where("float", np.array([[0.0, -0.0, np.nan], [1.0, 0.0, np.inf]], np.float32)),
    where("int64", ints(4, 3, low=-1, high=1)),
    where("nothing", np.zeros((2, 3), bool)),
    masked("plain", X, X > 0),
    masked("int64", ints(7), ints(7) > 0),
    masked("nothing", X, X > 9),
    masked("rows", X, np.broadcast_to(X[:, :1, :1] > 0, X.shape).copy()),
    unique("float", rand(9, low=-0.02, high=0.02)),
    unique("int64", ints(3, 5, low=-2, high=2)),
    unique("int32_positions", vector(5, 5, 1, 9, 1), dtype="int32"),
    unique("rows", ints(6, 2, low=0, high=1), axis=[0]),
    unique("columns", ints(2, 7, low=0, high=1), axis=[1]),
    write("first", rand(2, 3), 0, np.zeros(0, np.float32)),
    write("behind_the_last", rand(2, 3), 2, rand(2, 2, 3)),
    write("in_place_of_one", rand(3), 1, rand(4, 3)),
    write("other_shape_in_place_of_the_only_one", rand(2, 1), 0, rand(1, 5)),
    write("whole_numbers", ints(3, dtype="int32"), 1, ints(1, 3, dtype="int32")),
]
