"""Handlers, continued: places among sorted numbers, slices repeated by a list, products of all pairs and of
vectors, nearly equal numbers, the reverse order."""

from __future__ import annotations

import numpy as np

from converter.read.canonical import Builder, Op
from converter.read.canonical_composed import PLAIN, Chain
from converter.read.canonical_ops import handles


def places(chain: Chain, ordered: str, values: str, right: bool, dtype: str, last: bool = False) -> str:
    """How many of the sorted numbers [..., n] lie before each value [..., m]; right: or are equal to it."""
    if len(chain.b.shape_of(ordered)) > 1:
        ordered = chain.one("unsqueeze2", ordered, axes=[-2])
    pair = {"X": [ordered], "Y": [chain.one("unsqueeze2", values, axes=[-1])]}
    before = chain.step("less_equal" if right else "less_than", pair, dict(PLAIN), dtype="bool")
    one = chain.one("cast", before, dtype="int32", out_dtype="int32")
    count = chain.one("reduce_sum", one, dtype="int64", dim=[-1], keep_dim=False, reduce_all=False)
    return chain.one("cast", count, last, dtype=dtype, out_dtype=dtype)


@handles("searchsorted")
def searchsorted(b: Builder, op: Op) -> None:
    dtype, right = "int32" if op.attr("out_int32", False) else "int64", bool(op.attr("right", False))
    places(Chain(b, op), op.one("SortedSequence"), op.one("Values"), right, dtype, last=True)


@handles("repeat_interleave_with_tensor_index")
def repeat(b: Builder, op: Op) -> None:
    """Each slice as often as its number says: which slice stands where follows from where each one ends."""
    op.skip("output_size")
    chain, repeats, axis = Chain(b, op), op.one("RepeatTensor"), int(op.attr("dim", 0))
    counts = chain.one("cast", repeats, dtype="int64", out_dtype="int64")
    ends = chain.one("cumsum", counts, axis=0, flatten=False, exclusive=False, reverse=False)
    total = chain.one("reduce_sum", counts, dim=[0], keep_dim=True, reduce_all=False)
    zero, one = (b.hold(f"{op.out_names[0]}.{name}", np.array([n], np.int64)) for n, name in enumerate(("zero", "one")))
    place = chain.step("range", {"Start": [zero], "End": [total], "Step": [one]}, {}, dtype="int64")
    index = places(chain, ends, place, True, "int64")
    chain.step("gather", {"X": [op.one("X")], "Index": [index]}, {"axis": axis}, last=True)


@handles("cross")
def cross(b: Builder, op: Op) -> None:
    """The vector product along an axis of three: the first of them where none is named."""
    chain, x, y, axis = Chain(b, op), op.one("X"), op.one("Y"), int(op.attr("dim", op.attr("axis", 9)))
    op.skip("axis")
    sizes = b.shape_of(x)
    axis = next((i for i, size in enumerate(sizes) if size == 3), 0) if axis == 9 else axis
    if not -len(sizes) <= axis < len(sizes) or sizes[axis] != 3:
        raise op.error(f"along axis {axis} of {list(sizes)} is not supported")

    def product(first: int, second: int) -> str:
        turned = [chain.one("roll", name, shifts=[by], axis=[axis]) for name, by in ((x, first), (y, second))]
        return chain.two("elementwise_mul", *turned)

    chain.two("elementwise_sub", product(-1, -2), product(-2, -1), last=True)


@handles("isclose")
def isclose(b: Builder, op: Op) -> None:
    """|x - y| <= atol + rtol * |y|, the two being numbers in words."""
    chain, x, y = Chain(b, op), op.one("Input"), op.one("Other")
    least, share = (float(op.need(op.constant_attr(name.capitalize(), name, default), name)[0])
                    for name, default in (("atol", "1e-8"), ("rtol", "1e-5")))
    if op.attr("equal_nan", False):
        raise op.error("equal_nan is not supported")
    apart = chain.one("abs", chain.two("elementwise_sub", x, y))
    limit = chain.affine(chain.one("abs", y), share, least)
    near = chain.step("less_equal", {"X": [apart], "Y": [limit]}, dict(PLAIN), dtype="bool")
    same = chain.step("equal", {"X": [x], "Y": [y]}, dict(PLAIN), dtype="bool")     # infinities
    chain.step("logical_or", {"X": [near], "Y": [same]}, {}, last=True)


@handles("reverse")
def reverse(b: Builder, op: Op) -> None:
    axes = op.attr("axis", [])
    axes = [int(axis) for axis in (axes if isinstance(axes, list) else [axes])]
    b.emit(op, "flip", {"X": [op.one("X")]}, {"axis": axes})


@handles("kron")
def kron(b: Builder, op: Op) -> None:
    """The products of all pairs: y in the place of each element of x."""
    chain, x, y = Chain(b, op), op.one("X"), op.one("Y")
    rank = max(len(b.shape_of(x)), len(b.shape_of(y)))
    if not 1 <= rank <= 6:
        raise op.error(f"of tensors of rank {rank} is not supported")

    def spread(name: str, own: int) -> str:
        missing = rank - len(b.shape_of(name))
        wide = chain.one("unsqueeze2", name, axes=list(range(missing))) if missing else name
        return chain.one("unsqueeze2", wide, axes=[2 * i + own for i in range(rank)])

    product = chain.two("elementwise_mul", spread(x, 1), spread(y, 0))
    for i in range(rank):
        product = chain.one("flatten_contiguous_range", product, last=i == rank - 1, start_axis=i, stop_axis=i + 1)
