"""Sorting, running sums and products."""

import numpy as np

from .case import Case, ints, rand


def two(type, name, x, **attrs):
    return Case(f"{type}_{name}", type, {"X": [x]}, attrs, [], 2, 0.0)


def running(type, name, x, tol=1e-6, **attrs):
    return Case(f"{type}_{name}", type, {"X": [x]}, attrs, tol=tol)


def mixed(*shape):
    """Numbers that are all different, so that the order is not a matter of taste."""
    count = int(np.prod(shape))
    return (np.random.default_rng(count).permutation(count).astype(np.float32) / 8 - 3).reshape(shape)


CASES = [
    *(two("argsort", f"axis_{axis}{'_down' if down else ''}", mixed(3, 5, 7), axis=axis, descending=down)
      for axis in (0, 1, -1) for down in (False, True)),
    two("argsort", "int64", (mixed(3, 17) * 8).astype("int64"), axis=-1),
    two("argsort", "one", rand(3, 1), axis=-1),
    two("argsort", "size_33", mixed(33), axis=0, descending=True),
    *(two("top_k_v2", f"axis_{axis}_{'largest' if largest else 'smallest'}", mixed(4, 5, 6), k=3, axis=axis,
          largest=largest) for axis in (0, 1, -1) for largest in (True, False)),
    two("top_k_v2", "one", mixed(2, 17), k=1),
    two("top_k_v2", "all", mixed(2, 9), k=9),
    two("top_k_v2", "int32", (mixed(2, 9) * 8).astype("int32"), k=2),
    *(running("cumsum", f"axis_{axis}{'_exclusive' if exclusive else ''}{'_reverse' if reverse else ''}", rand(3, 4, 5),
              axis=axis, exclusive=exclusive, reverse=reverse)
      for axis in (0, 1, -1) for exclusive in (False, True) for reverse in (False, True)),
    running("cumsum", "flatten", rand(3, 5), axis=0, flatten=True),
    running("cumsum", "int64", ints(3, 9), 0.0, axis=1),
    running("cumsum", "int32", ints(9, dtype="int32"), 0.0, axis=0, reverse=True),
    *(running("cumprod", f"axis_{axis}", rand(3, 4, 5), dim=axis) for axis in (0, 1, 2)),
    running("cumprod", "int64", ints(3, 4, low=-3, high=3), 0.0, dim=1),
]
