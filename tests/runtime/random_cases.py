"""Random operators: for each type a function that draws inputs and attributes that belong together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

Made = tuple[dict[str, list[np.ndarray]], dict[str, Any], list[str]]
"""Inputs by slot, attributes, and the slots that are weights."""


class Draw:
    """Draws small numbers and arrays; arrays come from a seed on a grid of 1/8, so that sums are nearly exact."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def int(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high))

    def pick(self, *choices: Any) -> Any:
        return self.data.draw(st.sampled_from(choices))

    def flag(self) -> bool:
        return self.data.draw(st.booleans())

    def shape(self, low: int = 1, high: int = 5, size: int = 5) -> tuple[int, ...]:
        return tuple(self.int(1, size) for _ in range(self.int(low, high)))

    def axis(self, rank: int) -> int:
        return self.int(-rank, rank - 1)

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.int(0, 9999))

    def array(self, shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
        rng = self.rng()
        if dtype == "bool":
            return rng.integers(0, 2, shape).astype(bool)
        return (rng.integers(-16, 17, shape) / (8 if dtype == "float32" else 1)).astype(dtype)

    def numbers(self, *shape: int) -> np.ndarray:
        return self.array(shape, self.pick("float32", "int32", "int64"))

    def different(self, shape: tuple[int, ...]) -> np.ndarray:
        return (self.rng().permutation(int(np.prod(shape))) / 4).astype(np.float32).reshape(shape)

    def index(self, shape: tuple[int, ...], size: int) -> np.ndarray:
        return self.rng().integers(-size, size, shape).astype(self.pick("int32", "int64"))


def transpose(d: Draw) -> Made:
    x = d.numbers(*d.shape(1, 6, 4))
    return {"X": [x]}, {"axis": [int(a) for a in d.rng().permutation(x.ndim)]}, []


def strided_slice(d: Draw) -> Made:
    x = d.numbers(*d.shape(1, 4, 6))
    axes = [i for i in range(x.ndim) if d.flag()] or [0]
    starts, ends, strides = [], [], []
    for axis in axes:
        size, step = x.shape[axis], d.pick(-3, -2, -1, 1, 2, 3)
        first = d.int(0, size - 1)
        last = d.int(first, size - 1) if step > 0 else d.int(0, first)
        starts.append(first)
        ends.append(last + 1 if step > 0 else last - 1 if last else -size - 1)
        strides.append(step)
    return {"Input": [x]}, {"axes": axes, "starts": starts, "ends": ends, "strides": strides}, []


def set_value(d: Draw) -> Made:
    inputs, attrs, _ = strided_slice(d)
    x = inputs["Input"][0]
    cut = [slice(None)] * x.ndim
    for axis, start, end, step in zip(attrs["axes"], attrs["starts"], attrs["ends"], attrs["strides"], strict=True):
        cut[axis] = slice(start, end, step)
    shape = tuple(1 if d.flag() else size for size in x[tuple(cut)].shape)
    value = d.array(shape, str(x.dtype)).reshape(shape[d.int(0, 1) if shape[0] == 1 and len(shape) > 1 else 0:])
    attrs["steps"] = attrs.pop("strides")
    return {"Input": [x], "ValueTensor": [value]}, attrs, []


def binary(d: Draw) -> Made:
    shape = d.shape(1, 5, 4)
    dtype = d.pick("float32", "int32", "int64")
    small = tuple(size if d.flag() else 1 for size in shape)[d.int(0, len(shape) - 1):]
    x, y = d.array(shape, dtype), d.array(small, dtype)
    return ({"X": [y], "Y": [x]} if d.flag() else {"X": [x], "Y": [y]}), {}, []


def reduce(d: Draw) -> Made:
    x = d.numbers(*d.shape(1, 5, 4))
    axes = [i if d.flag() else i - x.ndim for i in range(x.ndim) if d.flag()]
    return {"X": [x]}, {"dim": axes, "keep_dim": d.flag(), "reduce_all": False}, []


def conv(d: Draw) -> Made:
    groups, each, out = d.int(1, 4), d.int(1, 5), d.int(1, 5)
    kernel, dilations = (d.int(1, 4), d.int(1, 4)), [d.int(1, 2), d.int(1, 2)]
    picture = [(k - 1) * e + 1 + d.int(0, 6) for k, e in zip(kernel, dilations, strict=True)]
    x = d.array((d.int(1, 2), groups * each, *picture))
    attrs = {"strides": [d.int(1, 3), d.int(1, 3)], "paddings": [d.int(0, 2) for _ in range(4)], "groups": groups,
             "dilations": dilations, "padding_algorithm": d.pick("EXPLICIT", "EXPLICIT", "SAME"),
             "fuse_activation": d.pick("", "relu", "hard_swish"), "data_format": d.pick("NCHW", "NHWC")}
    if attrs["padding_algorithm"] == "SAME":
        attrs["dilations"] = [1, 1]
    if attrs["data_format"] == "NHWC":
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    inputs = {"Input": [x], "Filter": [d.array((groups * out, each, *kernel))]}
    if d.flag():
        inputs["Bias"] = [d.array((groups * out,))]
    return inputs, attrs, list(inputs)[1:]


def conv_transpose(d: Draw) -> Made:
    groups, each, out = d.int(1, 3), d.int(1, 4), d.int(1, 4)
    strides, dilations = [d.int(1, 3), d.int(1, 3)], [d.int(1, 2), d.int(1, 2)]
    kernel = (d.int(1, 4), d.int(1, 4))
    x = d.array((d.int(1, 2), groups * each, d.int(2, 5), d.int(2, 5)))
    attrs = {"strides": strides, "paddings": [d.int(0, 1) if kernel[i // 2] > 2 else 0 for i in range(4)],
             "groups": groups, "dilations": dilations, "output_padding": d.pick([], [s - 1 for s in strides])}
    return {"Input": [x], "Filter": [d.array((groups * each, out, *kernel))]}, attrs, ["Filter"]


def pool(d: Draw) -> Made:
    size = [d.int(1, 4), d.int(1, 4)]
    adaptive = d.flag()
    attrs = {"pooling_type": d.pick("max", "avg"), "ksize": size, "strides": [d.int(1, 3), d.int(1, 3)],
             "paddings": [0 if adaptive else d.int(0, size[i // 2] // 2) for i in range(4)], "adaptive": adaptive,
             "exclusive": d.flag(), "data_format": d.pick("NCHW", "NHWC")}
    return {"X": [d.array((d.int(1, 2), d.int(4, 9), d.int(4, 9), d.int(4, 9)))]}, attrs, []


def resize(d: Draw) -> Made:
    x = d.array((1, d.int(1, 9), d.int(1, 9), d.int(1, 9)))
    return {"X": [x]}, {"out_h": d.int(1, 12), "out_w": d.int(1, 12), "align_corners": d.flag(),
                        "align_mode": d.int(0, 1), "data_layout": d.pick("NCHW", "NHWC")}, []


def matmul(d: Draw) -> Made:
    batch, (m, k, n) = d.shape(0, 2, 3), (d.int(1, 9), d.int(1, 9), d.int(1, 17))
    tx, ty = d.flag(), d.flag()
    x = d.array((*batch, k, m) if tx else (*batch, m, k))
    y = d.array((*batch[d.int(0, len(batch)):], *((n, k) if ty else (k, n))))
    return {"X": [x], "Y": [y]}, {"trans_x": tx, "trans_y": ty}, []


def along_axis(d: Draw) -> Made:
    x = d.numbers(*d.shape(1, 4, 5))
    axis = d.int(0, x.ndim - 1)
    shape = tuple(d.int(1, 6) if i == axis else d.int(1, size) for i, size in enumerate(x.shape))
    return {"Input": [x], "Index": [d.index(shape, x.shape[axis])]}, {"Axis": axis - d.pick(0, x.ndim)}, []


def put_along_axis(d: Draw) -> Made:
    inputs, attrs, _ = along_axis(d)
    value = d.array(inputs["Index"][0].shape, str(inputs["Input"][0].dtype))
    return {**inputs, "Value": [value]}, {**attrs, "Reduce": d.pick("assign", "add")}, []


def gather_nd(d: Draw) -> Made:
    x = d.numbers(*d.shape(1, 4, 4))
    depth = d.int(1, x.ndim)
    index = np.stack([d.index(d_shape, size) for d_shape in [d.shape(1, 2, 3)] for size in x.shape[:depth]], -1)
    return {"X": [x], "Index": [index]}, {}, []


def scatter_nd_add(d: Draw) -> Made:
    inputs, _, _ = gather_nd(d)
    x, index = inputs["X"][0], inputs["Index"][0]
    updates = d.array((*index.shape[:-1], *x.shape[index.shape[-1]:]), str(x.dtype))
    return {**inputs, "Updates": [updates]}, {}, []


def gather(d: Draw) -> Made:
    x = d.numbers(*d.shape(1, 4, 5))
    axis = d.int(0, x.ndim - 1)
    return {"X": [x], "Index": [d.index((d.int(1, 5),), x.shape[axis])]}, {"axis": axis}, []


def where(d: Draw) -> Made:
    shape, dtype = d.shape(1, 5, 4), d.pick("float32", "int64", "bool")
    shapes = [tuple(size if d.flag() else 1 for size in shape)[d.int(0, len(shape)):] for _ in range(3)]
    return {"Condition": [d.array(shapes[0], "bool")], "X": [d.array(shapes[1], dtype)],
            "Y": [d.array(shapes[2], dtype)]}, {}, []


def sort(d: Draw) -> Made:
    x = d.different(d.shape(1, 4, 6))
    return {"X": [x]}, {"axis": d.axis(x.ndim), "descending": d.flag()}, []


def top_k(d: Draw) -> Made:
    x = d.different(d.shape(1, 4, 6))
    axis = d.axis(x.ndim)
    return {"X": [x]}, {"axis": axis, "k": d.int(1, x.shape[axis]), "largest": d.flag()}, []


def cumsum(d: Draw) -> Made:
    x = d.numbers(*d.shape(1, 4, 6))
    return {"X": [x]}, {"axis": d.axis(x.ndim), "exclusive": d.flag(), "reverse": d.flag()}, []


def flip(d: Draw) -> Made:
    x = d.numbers(*d.shape(1, 5, 4))
    return {"X": [x]}, {"axis": [i for i in range(x.ndim) if d.flag()] or [-1]}, []


def roll(d: Draw) -> Made:
    x = d.numbers(*d.shape(1, 4, 4))
    axes = [i for i in range(x.ndim) if d.flag()]
    return {"X": [x]}, {"axis": axes, "shifts": [d.int(-9, 9) for _ in axes] or [d.int(-9, 9)]}, []


def pad(d: Draw) -> Made:
    x = d.numbers(*d.shape(1, 5, 4))
    return {"X": [x]}, {"paddings": [d.int(0, 3) for _ in range(2 * x.ndim)], "pad_value": float(d.int(-2, 2))}, []


def tile(d: Draw) -> Made:
    return {"X": [d.numbers(*d.shape(1, 3, 4))]}, {"repeat_times": [d.int(1, 3) for _ in range(d.int(1, 4))]}, []


def concat(d: Draw) -> Made:
    shape, dtype = d.shape(1, 4, 5), d.pick("float32", "int64", "bool")
    axis = d.int(0, len(shape) - 1)
    sizes = [d.int(1, 5) for _ in range(d.int(1, 4))]
    return {"X": [d.array((*shape[:axis], n, *shape[axis + 1:]), dtype) for n in sizes]}, {"axis": axis}, []


def layer_norm(d: Draw) -> Made:
    x = d.array(d.shape(2, 4, 9))
    axis = d.int(1, x.ndim - 1)
    size = (int(np.prod(x.shape[axis:])),)
    return {"X": [x], "Scale": [d.array(size)], "Bias": [d.array(size)]}, {"begin_norm_axis": axis,
                                                                           "epsilon": 0.01}, ["Scale", "Bias"]


def softmax(d: Draw) -> Made:
    x = d.array(d.shape(1, 4, 9))
    return {"X": [x]}, {"axis": d.axis(x.ndim)}, []


def grid_sampler(d: Draw) -> Made:
    x, n = d.array((d.int(1, 2), d.int(1, 3), d.int(2, 6), d.int(2, 6))), (d.int(1, 4), d.int(1, 4), 2)
    return {"X": [x], "Grid": [(d.array((x.shape[0], *n)) * np.float32(0.83))]}, {
        "padding_mode": d.pick("zeros", "border", "reflection"), "align_corners": d.flag()}, []


def rnn(d: Draw) -> Made:
    mode = d.pick("LSTM", "GRU", "RNN_TANH", "RNN_RELU")
    rows, directions, layers = {"LSTM": 4, "GRU": 3}.get(mode, 1), d.int(1, 2), d.int(1, 2)
    steps, batch, width, hidden = d.int(1, 4), d.int(1, 3), d.int(1, 6), d.int(1, 9)
    matrices, biases = [], []
    for k in range(layers * directions):
        matrices += [d.array((rows * hidden, width if k < directions else hidden * directions)) / 4,
                     d.array((rows * hidden, hidden)) / 4]
        biases += [d.array((rows * hidden,)), d.array((rows * hidden,))]
    inputs = {"Input": [d.array((steps, batch, width))], "WeightList": matrices + biases,
              "PreState": [d.array((layers * directions, batch, hidden)) for _ in range(2 if mode == "LSTM" else 1)]}
    if d.flag():
        inputs["SequenceLength"] = [d.rng().integers(1, steps + 1, batch).astype(np.int32)]
    return inputs, {"mode": mode, "hidden_size": hidden, "num_layers": layers, "is_bidirec": directions == 2}, \
        ["WeightList"]


OPERATORS: dict[str, Callable[[Draw], Made]] = {
    "transpose2": transpose, "strided_slice": strided_slice, "set_value": set_value, "elementwise_add": binary,
    "elementwise_max": binary, "elementwise_mul": binary, "less_than": binary, "reduce_sum": reduce,
    "reduce_max": reduce, "conv2d": conv, "conv2d_transpose": conv_transpose, "pool2d": pool,
    "nearest_interp_v2": resize, "bilinear_interp_v2": resize, "bicubic_interp_v2": resize, "matmul_v2": matmul,
    "take_along_axis": along_axis, "put_along_axis": put_along_axis, "gather_nd": gather_nd, "gather": gather,
    "scatter_nd_add": scatter_nd_add, "where": where, "argsort": sort, "top_k_v2": top_k, "cumsum": cumsum,
    "flip": flip, "roll": roll, "pad": pad, "tile": tile, "concat": concat, "layer_norm": layer_norm,
    "softmax": softmax, "log_softmax": softmax, "grid_sampler": grid_sampler, "rnn": rnn,
}
