"""Reductions."""

import numpy as np

from .case import Case, ints, rand


def reduce(type, name, x, dim, tol=1e-5, **attrs):
    return Case(f"reduce_{type}_{name}", f"reduce_{type}", {"X": [x]}, {"dim": dim, **attrs}, tol=tol)


def arg(type, name, x, axis, **attrs):
    return Case(f"{type}_{name}", type, {"X": [x]}, {"axis": axis, **attrs}, tol=0.0)


X = rand(2, 3, 4, 5, seed="x")
CASES = [
    *(reduce(type, name, X, dim, 1e-5 if type in ("mean", "sum", "prod") else 0.0, **attrs)
      for type in ("mean", "sum", "max", "min", "prod")
      for name, dim, attrs in [
          ("last", [-1], {}),
          ("channel", [1], {"keep_dim": True}),
          ("spatial", [2, 3], {"keep_dim": True}),
          ("spatial_drop", [2, 3], {}),
          ("first", [0], {}),
          ("apart", [1, 3], {}),
          ("all", [0], {"reduce_all": True}),
          ("all_keep", [0], {"reduce_all": True, "keep_dim": True}),
      ]),
    reduce("mean", "rank_5", rand(2, 3, 2, 3, 2), [1, 3], keep_dim=True),
    reduce("max", "rank_6", rand(2, 1, 3, 2, 2, 3), [-2, 0], 0.0),
    reduce("mean", "w17", rand(3, 17), [1]),
    reduce("sum", "w33", rand(2, 33), [-1]),
    reduce("max", "one", rand(3, 1), [1], 0.0),
    reduce("sum", "int64", ints(2, 5), [1], 0.0),
    reduce("max", "int64", ints(2, 5), [0], 0.0),
    reduce("prod", "int32", ints(2, 5, dtype="int32"), [1], 0.0),
    reduce("all", "last", np.array([[True, True], [True, False]]), [1], 0.0),
    reduce("any", "all_axes", np.array([[False, True], [False, False]]), [0], 0.0, reduce_all=True),
    *(arg(type, name, x, axis, **attrs)
      for type in ("arg_max", "arg_min")
      for name, x, axis, attrs in [
          ("last", rand(3, 7), -1, {}),
          ("channel_keep", rand(2, 3, 4, 5), 1, {"keepdims": True}),
          ("axis_2", rand(2, 3, 4, 5), 2, {}),
          ("int32", rand(3, 9), 1, {"dtype": "int32"}),
          ("flatten", rand(3, 5), 0, {"flatten": True}),
          ("ties", np.array([[1, 3, 3, 0, 0]], np.float32), 1, {}),
          ("w17", rand(1, 17), 1, {}),
      ]),
]
