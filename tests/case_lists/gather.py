"""Picking by index."""

from .case import Case, ints, rand, vector


def gather(name, x, index, axis=0):
    return Case(f"gather_{name}", "gather", {"X": [x], "Index": [index]}, {"axis": axis}, tol=0.0)


CASES = [
    gather("rows", rand(5, 3), vector(4, 0, 0)),
    gather("int64_index", rand(5, 3), vector(1, 3, dtype="int64")),
    gather("axis_1", rand(2, 5, 3), vector(2, 1), 1),
    gather("last_axis", rand(2, 3, 7), vector(6, 0, 3), 2),
    gather("int64_data", ints(7), vector(6, 2)),
]
