"""Picking by index."""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.ops.shapes import axis_of
from converter.ops.spec import REQUIRED, op


def positions(index: np.ndarray, size: int, type: str) -> np.ndarray:
    """Indices from 0 up; negative ones count from the end; ConvertError outside the axis."""
    if index.size and (index.min() < -size or index.max() >= size):
        raise ConvertError(f"{type} index outside 0..{size - 1}")
    return np.where(index < 0, index + size, index)


@op("gather", inputs="X Index", axis=0)
def gather(x, index, axis):                 # index [K], [K,1] or [] → x with that axis replaced
    index = index.reshape(-1) if index.ndim == 2 else index
    return np.take(x, positions(index, x.shape[axis], "gather"), axis)


@op("lookup_table_v2", inputs="W Ids")
def lookup_table_v2(w, ids):                # w [rows,width], ids of any shape → [*ids.shape,width]
    return np.take(w, positions(ids, len(w), "lookup_table_v2"), 0)


def split_index(x: np.ndarray, index: np.ndarray, type: str) -> tuple[np.ndarray, ...]:
    """The last axis of index counts along the first axes of x: one array per axis."""
    depth = index.shape[-1]
    if depth > x.ndim:
        raise ConvertError(f"{type} indices of {depth} do not fit a tensor of rank {x.ndim}")
    return tuple(positions(index[..., k], x.shape[k], type) for k in range(depth))


@op("gather_nd", inputs="X Index")
def gather_nd(x, index):                    # index [..,K] → [..,*x.shape[K:]]
    return np.array(x[split_index(x, index, "gather_nd")])


def grid(index: np.ndarray, x: np.ndarray, axis: int, type: str) -> tuple[np.ndarray, ...]:
    """Where each element of index [same rank as x] points in x: its own place, but along `axis` where it says."""
    sizes = [*zip(index.shape, x.shape, strict=False)]
    if index.ndim != x.ndim or any(i > n for i, n in sizes[:axis] + sizes[axis + 1:]):
        raise ConvertError(f"{type} index {list(index.shape)} does not fit {list(x.shape)}")
    places = list(np.indices(index.shape, sparse=True))
    places[axis] = positions(index, x.shape[axis], type)
    return tuple(places)


@op("take_along_axis", inputs="Input Index", Axis=REQUIRED)
def take_along_axis(x, index, Axis):        # → shape of index
    return x[grid(index, x, axis_of(Axis, x.ndim), "take_along_axis")]


@op("put_along_axis", inputs="Input Index Value", Axis=REQUIRED, Reduce="assign")
def put_along_axis(x, index, value, Axis, Reduce):      # value: shape of index; the last write wins
    at, out = grid(index, x, axis_of(Axis, x.ndim), "put_along_axis"), x.copy()
    if value.shape != index.shape:
        raise ConvertError(f"put_along_axis values {list(value.shape)} are not of the shape {list(index.shape)}")
    for place in np.ndindex(index.shape):
        target = tuple(int(np.broadcast_to(axis, index.shape)[place]) for axis in at)
        out[target] = combine(Reduce, out[target], value[place])
    return out


def combine(how: str, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    if how == "assign":
        return new
    functions = {"add": np.add, "mul": np.multiply, "amax": np.maximum, "amin": np.minimum}
    if how in functions:
        return functions[how](old, new)
    raise ConvertError(f"put_along_axis cannot '{how}'")


@op("scatter", inputs="X Ids Updates", overwrite=True)
def scatter(x, ids, updates, overwrite):    # ids [K] or [K,1], updates [K,*x.shape[1:]]: rows replaced, or their sums
    out, ids = x.copy(), positions(ids.reshape(-1), len(x), "scatter")
    if overwrite:
        for row, update in zip(ids, updates, strict=True):
            out[row] = update
        return out
    out[ids] = 0
    np.add.at(out, ids, updates)
    return out


@op("scatter_nd_add", inputs="X Index Updates")
def scatter_nd_add(x, index, updates):      # index [..,K], updates [..,*x.shape[K:]] are added
    out = x.copy()
    np.add.at(out, split_index(x, index, "scatter_nd_add"), updates)
    return out


@op("one_hot_v2", inputs="X", depth=REQUIRED, dtype="float32")
def one_hot_v2(x, depth, dtype):            # → [*x.shape,depth]
    if x.size and (x.min() < 0 or x.max() >= depth):
        raise ConvertError(f"one_hot_v2 index outside 0..{depth - 1}")
    return (x[..., None] == np.arange(depth)).astype(dtype)


@op("where", inputs="Condition X Y")
def where(condition, x, y):                 # broadcast as in numpy
    return np.where(condition, x, y)


@op("tril_triu", inputs="X", diagonal=0, lower=True)
def tril_triu(x, diagonal, lower):          # the triangle of the last two axes, zeros beside it
    return np.tril(x, diagonal) if lower else np.triu(x, diagonal)
