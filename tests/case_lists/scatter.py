"""Picking and changing elements at places that a tensor names; choosing between tensors."""

import numpy as np

from .case import Case, ints, rand, vector


def pick(type, name, inputs, **attrs):
    return Case(f"{type}_{name}", type, {slot: [array] for slot, array in inputs.items()}, attrs, tol=0.0)


def bools(*shape):
    return ints(*shape, low=0, high=1, dtype="bool")


X = rand(4, 3, 5, seed="x")
GATHER = [
    pick("gather_nd", "rows", {"X": X, "Index": vector(3, 0, 3).reshape(3, 1)}),
    pick("gather_nd", "pairs", {"X": X, "Index": vector(3, 1, 0, 2, dtype="int64").reshape(2, 2)}),
    pick("gather_nd", "elements", {"X": X, "Index": vector(3, 1, 4, 0, 2, 2).reshape(2, 3)}),
    pick("gather_nd", "grid", {"X": X, "Index": ints(2, 3, 2, low=0, high=2)}),
    pick("gather_nd", "int64", {"X": ints(5, 2), "Index": vector(4, 1).reshape(2, 1)}),
    pick("gather_nd", "negative", {"X": X, "Index": vector(-1, -2, dtype="int64").reshape(1, 2)}),
    pick("lookup_table_v2", "batch", {"W": rand(7, 5), "Ids": ints(2, 3, low=0, high=6)}),
    pick("lookup_table_v2", "vector", {"W": rand(7, 9), "Ids": ints(4, low=0, high=6)}),
    pick("lookup_table_v2", "int32", {"W": rand(3, 1), "Ids": ints(2, 1, 2, low=0, high=2, dtype="int32")}),
    pick("take_along_axis", "axis_1", {"Input": X, "Index": ints(4, 2, 5, low=0, high=2)}, Axis=1),
    pick("take_along_axis", "first", {"Input": X, "Index": ints(6, 3, 5, low=0, high=3)}, Axis=0),
    pick("take_along_axis", "last", {"Input": X, "Index": ints(4, 3, 1, low=0, high=4, dtype="int32")}, Axis=-1),
    pick("take_along_axis", "vector", {"Input": rand(9), "Index": ints(4, low=0, high=8)}, Axis=0),
    pick("take_along_axis", "int64", {"Input": ints(3, 4), "Index": ints(3, 2, low=0, high=3)}, Axis=1),
]
SCATTER = [
    pick("scatter", "overwrite", {"X": rand(5, 3), "Ids": vector(4, 0, 2), "Updates": rand(3, 3)}),
    pick("scatter", "add", {"X": rand(5, 3), "Ids": vector(4, 0, 4), "Updates": rand(3, 3)}, overwrite=False),
    pick("scatter", "column_of_ids", {"X": rand(5, 2, 2), "Ids": ints(2, 1, low=1, high=2),
                                      "Updates": rand(2, 2, 2)}),
    pick("scatter", "int64", {"X": ints(4, 2), "Ids": vector(1, dtype="int64"),
                              "Updates": ints(1, 2, low=50, high=99)}),
    pick("scatter_nd_add", "rows", {"X": X, "Index": vector(1, 1, 3).reshape(3, 1), "Updates": rand(3, 3, 5)}),
    pick("scatter_nd_add", "elements", {"X": rand(4, 5), "Index": vector(1, 2, 3, 4, 1, 2).reshape(3, 2),
                                        "Updates": rand(3)}),
    pick("scatter_nd_add", "grid", {"X": rand(6), "Index": ints(2, 3, 1, low=0, high=5), "Updates": rand(2, 3)}),
    pick("scatter_nd_add", "int32", {"X": ints(6, dtype="int32"), "Index": ints(4, 1, low=0, high=5),
                                     "Updates": ints(4, dtype="int32")}),
    *(pick("put_along_axis", f"{how}_axis_{axis}", {"Input": X, "Index": ints(4, 3, 5, low=0, high=2),
                                                   "Value": rand(4, 3, 5)}, Axis=axis, Reduce=how)
      for how in ("assign", "add", "mul", "amax", "amin") for axis in (0, 1, 2)),
    *(pick("put_along_axis", f"{how}_{dtype}", {"Input": ints(3, 5, dtype=dtype), "Index": ints(4, 5, low=0, high=2),
                                               "Value": ints(4, 5, dtype=dtype, seed="v")}, Axis=0, Reduce=how)
      for how in ("amax", "amin") for dtype in ("int32", "int64")),
    pick("put_along_axis", "int64", {"Input": ints(3, 4), "Index": ints(3, 4, low=0, high=3),
                                     "Value": ints(3, 4, low=50, high=99)}, Axis=1, Reduce="add"),
    pick("put_along_axis", "last", {"Input": rand(3, 7), "Index": ints(3, 1, low=0, high=6), "Value": rand(3, 1)},
         Axis=-1),
    pick("one_hot_v2", "float", {"X": ints(2, 3, low=0, high=4)}, depth=5),
    pick("one_hot_v2", "int64", {"X": ints(7, low=0, high=2, dtype="int32")}, depth=3, dtype="int64"),
]
SELECT = [
    pick("where", "same", {"Condition": bools(3, 5), "X": rand(3, 5), "Y": rand(3, 5, seed="y")}),
    pick("where", "nan_beside", {"Condition": np.array([True, False]), "X": np.array([1, np.nan], np.float32),
                                 "Y": np.array([np.inf, 2], np.float32)}),
    *(pick("where", dtype, {"Condition": bools(2, 7), "X": ints(2, 7, dtype=dtype),
                            "Y": ints(2, 7, seed="y", dtype=dtype)})
      for dtype in ("int32", "int64")),
    *(pick("tril_triu", f"{'lower' if lower else 'upper'}_{diagonal}", {"X": rand(2, 4, 5)}, diagonal=diagonal,
           lower=lower) for lower in (True, False) for diagonal in (0, 1, -2, 9)),
    pick("tril_triu", "int64", {"X": ints(5, 3)}),
]
CASES = [*GATHER, *SCATTER, *SELECT]
