"""Handlers, continued: rarer operators as a few others in a row, and layers that an optimiser fused."""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.read.canonical import Builder, Op
from converter.read.canonical_composed import PLAIN, Chain
from converter.read.canonical_nn import conv, pair
from converter.read.canonical_ops import HANDLERS, handles, identity
from converter.read.canonical_unary import converted

_ACTIVATIONS = {"none": "", "identity": "", "": "", "relu": "relu", "gelu": "gelu", "sigmoid": "sigmoid",
                "tanh": "tanh", "swish": "silu"}


@handles("trunc")
def trunc(b: Builder, op: Op) -> None:
    """The sign times what is left of the size; whole numbers stay."""
    chain, x = Chain(b, op), op.one("X")
    if not b.dtype_of(x).startswith("float"):
        identity(b, op)
        return
    chain.two("elementwise_mul", chain.one("sign", x), chain.one("floor", chain.one("abs", x)), last=True)


@handles("logit")
def logit(b: Builder, op: Op) -> None:
    """log(x / (1 - x)); a bound above 0 keeps x inside."""
    chain, x, bound = Chain(b, op), op.one("X"), float(op.attr("eps", 0.0))
    x = chain.one("clip", x, min=bound, max=1 - bound) if bound else x
    chain.one("log", chain.two("elementwise_div", x, chain.affine(x, -1.0, 1.0)), last=True)


@handles("amax", "amin")
def extreme(b: Builder, op: Op) -> None:
    op.attrs.update(dim=op.attrs.pop("axis", op.attrs.get("dim")), keep_dim=op.attrs.pop("keepdim", False))
    op.type = "reduce_max" if op.type == "amax" else "reduce_min"
    HANDLERS["reduce_max"](b, op)


@handles("rrelu")
def rrelu(b: Builder, op: Op) -> None:
    """At inference the slope is the middle of the two."""
    op.skip("is_test", "seed", "fix_seed")
    op.outputs = {"Out": op.outputs["Out"]}
    slope = (float(op.attr("lower", 0.125)) + float(op.attr("upper", 1 / 3))) / 2
    b.emit(op, "leaky_relu", {"X": [op.one("X")]}, {"alpha": slope})


@handles("swiglu")
def swiglu(b: Builder, op: Op) -> None:
    """silu(x) * y; of one tensor both are its halves."""
    chain, x, y = Chain(b, op), op.one("X"), op.maybe("Y")
    if not y:
        names = [b.temporary(f"{op.out_names[0]}.half", (), b.dtype_of(x)) for _ in range(2)]
        b.emit(op, "split", {"X": [x]}, {"axis": -1, "num": 2, "sections": []}, out=names)
        x, y = names[0], names[1:]
    chain.two("elementwise_mul", chain.one("silu", x), y[0], last=True)


@handles("rms_norm", "fused_rms_norm_quant")
def rms_norm(b: Builder, op: Op) -> None:
    """x over the root of its mean square, times a scale per element."""
    chain, x, scale = Chain(b, op), op.one("X"), op.maybe("Scale")
    rank, bias = len(b.shape_of(x)), op.maybe("NormBias")
    first = int(op.attr("begin_norm_axis", rank - len(op.attr("normalized_shape", [1]))))
    if op.inputs.get("Residual") or op.inputs.get("Bias") or op.attr("quant_scale", -1.0) > 0:
        raise op.error("a sum in front or whole numbers behind are not supported")
    op.skip("quant_round_type", "quant_max_bound", "quant_min_bound", "normalized_shape")
    first = first + rank if first < 0 else first
    if rank - first != 1 and scale:
        raise op.error("a scale over several axes is not supported")
    mean = chain.one("reduce_mean", chain.one("square", x), dim=list(range(first, rank)), keep_dim=True,
                     reduce_all=False)
    root = chain.one("rsqrt", chain.affine(mean, 1.0, float(op.attr("epsilon", 1e-5))))
    op.outputs = {"Out": op.outputs.get("Out") or op.outputs["Y"]}
    out = chain.two("elementwise_mul", x, root, last=not scale and not bias)
    out = chain.two("elementwise_mul", out, scale[0], last=not bias) if scale else out
    if bias:
        chain.two("elementwise_add", out, bias[0], last=True)


@handles("lrn")
def lrn(b: Builder, op: Op) -> None:
    """x over a power of k + alpha * the sum of squares of n neighbouring channels."""
    chain, x, count = Chain(b, op), op.one("X"), int(op.attr("n", 5))
    if op.attr("data_format", "NCHW") not in ("NCHW", "AnyLayout") or not 1 <= count <= 64:
        raise op.error(f"channels last or {count} neighbours are not supported")
    op.outputs = {"Out": op.outputs["Out"]}
    before = (count - 1) // 2
    after = count - 1 - before
    wide = chain.one("pad", chain.one("square", x), paddings=[0, 0, before, after, 0, 0, 0, 0], pad_value=0.0)
    parts = [chain.step("slice", {"Input": [wide]}, {"axes": [1], "starts": [k], "ends": [k - count + 1 or 2**31 - 1],
                                                     "decrease_axis": []}) for k in range(count)]
    total = parts[0]
    for part in parts[1:]:
        total = chain.two("elementwise_add", total, part)
    scaled = chain.affine(total, float(op.attr("alpha", 1e-4)), float(op.attr("k", 2.0)))
    chain.two("elementwise_mul", x, chain.one("pow", scaled, factor=-float(op.attr("beta", 0.75))), last=True)


@handles("cos_sim")
def cos_sim(b: Builder, op: Op) -> None:
    """Per row, the product of two vectors over their lengths."""
    chain, x, y = Chain(b, op), op.one("X"), op.one("Y")
    op.outputs = {"Out": op.outputs["Out"]}
    over = {"dim": [1], "keep_dim": True, "reduce_all": False}
    lengths = [chain.one("sqrt", chain.one("reduce_sum", chain.one("square", v), **over)) for v in (x, y)]
    both = chain.one("reduce_sum", chain.two("elementwise_mul", x, y), **over)
    chain.two("elementwise_div", both, chain.two("elementwise_mul", *lengths), last=True)


@handles("lp_pool2d")
def lp_pool(b: Builder, op: Op) -> None:
    """The root of the sum of powers in each window: of their mean, times how many they are."""
    chain, power = Chain(b, op), float(op.attr("norm_type", 2.0))
    size = pair(op.need(op.constant_attr("KsizeTensor", "ksize", [1, 1]), "the window"), op, "window")
    if op.attr("padding_algorithm", "EXPLICIT") == "SAME" or any(op.attr("paddings", [0, 0])) or \
            op.attr("ceil_mode", False) or op.attr("adaptive", False) or op.attr("global_pooling", False) or power <= 0:
        raise op.error("padded, adaptive or rounded-up windows are not supported")
    op.skip("exclusive", "pooling_type")
    layout = op.attr("data_format", "NCHW")
    mean = chain.one("pool2d", chain.one("pow", op.one("X"), factor=power), pooling_type="avg", ksize=size,
                     strides=pair(op.attr("strides", [1, 1]), op, "strides"), data_format=layout)
    chain.one("pow", chain.affine(mean, float(size[0] * size[1])), last=True, factor=1 / power)


@handles("equal_all")
def equal_all(b: Builder, op: Op) -> None:
    x, y = op.one("X"), op.one("Y")
    if b.shape_of(x) != b.shape_of(y):
        raise op.error(f"compares {list(b.shape_of(x))} with {list(b.shape_of(y))}, which may differ in shape")
    chain = Chain(b, op)
    same = chain.step("equal", {"X": [x], "Y": [y]}, dict(PLAIN), dtype="bool")
    chain.one("reduce_all", same, last=True, dim=[0], keep_dim=False, reduce_all=True)


@handles("sequence_mask")
def sequence_mask(b: Builder, op: Op) -> None:
    """Which of so many places lie before each length."""
    chain, x = Chain(b, op), op.one("X")
    longest = int(op.need(op.constant_attr("MaxLenTensor", "maxlen", -1), "the longest length")[0])
    if longest < 1:
        raise op.error("needs a constant longest length")
    op.outputs = {"Out": op.outputs.get("Y") or op.outputs["Out"]}
    dtype = op.dtype("out_dtype", "int64")
    places = b.hold(f"{op.out_names[0]}.places", np.arange(longest, dtype=b.dtype_of(x)))
    lengths = chain.one("unsqueeze2", x, axes=[-1])
    before = chain.step("greater_than", {"X": [lengths], "Y": [places]}, dict(PLAIN), dtype="bool")
    chain.one("cast", before, last=True, out_dtype=dtype)


@handles("empty")
def empty(b: Builder, op: Op) -> None:
    """A tensor of whatever lies in memory; zeros are as good."""
    op.attrs.update(value=0.0)
    HANDLERS["fill_constant"](b, op)


@handles("broadcast_tensors")
def broadcast_tensors(b: Builder, op: Op) -> None:
    """All in their common shape, which must be known unless it is everybody's already."""
    given = op.inputs.get("X", [])
    shapes = [b.shape_of(name) for name in given]
    if len(set(shapes)) == 1:
        for raw, name in zip(op.out_names, given, strict=True):
            b.alias(raw, name)
        return
    if not all(isinstance(size, int) for shape in shapes for size in shape):
        raise op.error(f"needs known shapes, got {[list(shape) for shape in shapes]}")
    common = list(np.broadcast_shapes(*shapes))
    for raw, name in zip(op.out_names, given, strict=True):
        b.emit(op, "expand_v2", {"X": [name]}, {"shape": common}, out=[b.write(raw)])


@handles("index_put")
def index_put(b: Builder, op: Op) -> None:
    """One number where a mask holds, or rows at places along the first axis."""
    x, places, value = op.one("X"), op.inputs.get("Indices", []), op.one("Value")
    adds, shape = bool(op.attr("accumulate", False)), b.shape_of(value)
    if len(places) != 1:
        raise op.error(f"{len(places)} tensors of places are not supported")
    value = converted(b, op, value, b.dtype_of(x))
    if b.dtype_of(places[0]) == "bool":
        rank = len(b.shape_of(places[0]))
        if adds or any(size != 1 for size in shape) or rank != len(b.shape_of(x)):
            raise op.error("a mask that picks slices, or takes several values, is not supported")
        b.emit(op, "where", {"Condition": places, "X": [value], "Y": [x]}, {})
        return
    wanted = (*b.shape_of(places[0]), *b.shape_of(x)[1:])
    known = zip(shape, wanted, strict=False)
    if len(shape) != len(wanted) or len(b.shape_of(places[0])) != 1 or \
            any(a != w for a, w in known if isinstance(a, int) and isinstance(w, int)):
        raise op.error(f"values of shape {list(shape)} for {list(wanted)} are not supported")
    written(b, op, x, places[0], value, adds)


@handles("index_add")
def index_add(b: Builder, op: Op) -> None:
    """Slices added along an axis, which comes first meanwhile."""
    chain, x, axis = Chain(b, op), op.one("X"), int(op.attr("axis", 0))
    rank = len(b.shape_of(x))
    axis = axis + rank if axis < 0 else axis
    if axis == 0:
        written(b, op, x, op.one("Index"), op.one("AddValue"), True)
        return
    order = [axis, *(i for i in range(rank) if i != axis)]
    first, added = (chain.one("transpose2", name, axis=order) for name in (x, op.one("AddValue")))
    index = chain.one("unsqueeze2", op.one("Index"), axes=[-1])
    summed = chain.step("scatter_nd_add", {"X": [first], "Index": [index], "Updates": [added]}, {})
    chain.one("transpose2", summed, last=True, axis=[order.index(i) for i in range(rank)])


def written(b: Builder, op: Op, x: str, index: str, rows: str, adds: bool) -> None:
    """Rows at places along the first axis, added or put there."""
    if not adds:
        b.emit(op, "scatter", {"X": [x], "Ids": [index], "Updates": [rows]}, {"overwrite": True})
        return
    index = Chain(b, op).one("unsqueeze2", index, axes=[-1])
    b.emit(op, "scatter_nd_add", {"X": [x], "Index": [index], "Updates": [rows]}, {})


@handles("fused_gemm_epilogue", "linear_v2")
def linear(b: Builder, op: Op) -> None:
    """A product, a bias and an activation."""
    chain, kind = Chain(b, op), op.attr("activation", "none")
    if kind not in _ACTIVATIONS:
        raise op.error(f"activation {kind!r} is not known")
    kind, attrs = _ACTIVATIONS[kind], {name: bool(op.attr(name, False)) for name in ("trans_x", "trans_y")}
    op.outputs = {"Out": op.outputs["Out"]}
    product = chain.step("matmul_v2", {"X": [op.one("X")], "Y": [op.one("Y")]}, attrs)
    total = chain.two("elementwise_add", product, op.one("Bias"), last=not kind)
    if kind:
        chain.one(kind, total, last=True)


@handles("fused_conv2d_add_act")
def fused_conv(b: Builder, op: Op) -> None:
    """A convolution, its bias, what is added to it, its activation."""
    kind = op.attr("activation", "identity")
    if kind not in _ACTIVATIONS or op.attr("split_channels", []):
        raise op.error(f"activation {kind!r} or parts of channels are not supported")
    op.skip("exhaustive_search", "workspace_size_MB", "fuse_alpha", "split_channels")
    fused: dict[str, Any] = {"fuse_activation": _ACTIVATIONS[kind], "fuse_alpha": 0.0, "fuse_beta": 0.0}
    op.attrs.update(fused)
    op.outputs = {"Out": op.outputs["Output"]}
    op.type = "conv2d"
    conv(b, op)
