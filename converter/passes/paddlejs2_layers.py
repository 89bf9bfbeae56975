"""Convolution, pooling, products, softmax, padding and resizing for the original Paddle.js runtime."""

from __future__ import annotations

import math

import numpy as np

from converter.graph import Node
from converter.ops import evaluate_node
from converter.ops.pool import window_spans
from converter.ops.shapes import overhang, window_out, window_pads
from converter.passes.paddlejs2 import Lowering, Refused, lowers
from converter.passes.paddlejs2_binary import binary
from converter.passes.paddlejs2_unary import activate, plain_out

LOWEST = -3e38
"""Stands for minus infinity around a max pool."""
NATIVE = {("relu", 0.0, 0.0), ("relu6", 6.0, 0.0), ("hard_swish", 0.0, 0.0)}
"""Activations that its conv2d has itself."""


def channels_first(node: Node, name: str = "data_format") -> None:
    if node.attrs[name] == "NHWC":
        raise Refused("channels last are not supported there")


def pads_of(w: Lowering, node: Node, x: str, kernel: tuple[int, int], dilations: list[int]) -> list[tuple[int, int]]:
    """(before, after) of height and width, SAME resolved."""
    a, size = node.attrs, w.shape(x)[2:]
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    given = (tuple(a["paddings"][:2]), tuple(a["paddings"][2:]))
    return [window_pads(size[i], reach[i], a["strides"][i], given[i], a["padding_algorithm"]) for i in (0, 1)]


def padded(w: Lowering, x: str, pads: list[tuple[int, int]], value: float = 0.0) -> str:
    n, c, h, width = w.shape(x)
    (top, bottom), (left, right) = pads
    return w.emit("pad3d", {"X": [x]}, (n, c, h + top + bottom, width + left + right),
                  paddings=[left, right, top, bottom, 0, 0], mode="constant", value=value, data_format="NCHW")


def flat(pads: list[tuple[int, int]]) -> list[int]:
    return [pad for pair in pads for pad in pair]


@lowers("conv2d")
def conv2d(w: Lowering, node: Node) -> None:
    channels_first(node)
    a, x, kernel = node.attrs, node.inputs["Input"][0], node.inputs["Filter"][0]
    if w.data(kernel) is None or (node.inputs.get("Bias") and w.data(node.inputs["Bias"][0]) is None):
        raise Refused("its filter and bias must be weights")
    dilations = [1, 1] if a["padding_algorithm"] == "SAME" else list(a["dilations"])
    pads = pads_of(w, node, x, w.shape(kernel)[2:], dilations)
    symmetric = all(before == after for before, after in pads)
    if not symmetric or (pads[0][0] == 0 and pads[1][0] == 1):  # [0, 1] is taken for [0, 0] there
        x, pads = padded(w, x, pads), [(0, 0), (0, 0)]
    fused = (a["fuse_activation"], float(a["fuse_alpha"]), float(a["fuse_beta"]))
    residual = node.inputs.get("ResidualData")
    native = not residual and (fused in NATIVE or not fused[0])
    inputs = {"Input": [x], "Filter": [kernel], "Bias": list(node.inputs.get("Bias") or [])}
    epilogue = dict(zip(("fuse_activation", "fuse_alpha", "fuse_beta"), fused, strict=True)) if native else {}
    result = w.emit("conv2d", {slot: names for slot, names in inputs.items() if names}, w.shape(node.out),
                    node.out if native else None, strides=list(a["strides"]), paddings=flat(pads),
                    dilations=dilations, groups=a["groups"], **epilogue)
    if residual:
        result = binary(w, "elementwise_add", result, residual[0], plain_out(node))
    if fused[0] and not native:
        activate(w, node, result)


@lowers("conv2d_transpose")
def conv2d_transpose(w: Lowering, node: Node) -> None:
    channels_first(node)
    a, x, kernel = node.attrs, node.inputs["Input"][0], node.inputs["Filter"][0]
    if w.shape(x)[0] != 1:
        raise Refused("transposed convolution of a batch reads wrong channels there")
    if a["groups"] != 1:
        raise Refused(f"transposed convolution in {a['groups']} groups reads wrong channels there")
    if a["padding_algorithm"] != "SAME" and list(a["dilations"]) != [1, 1]:
        raise Refused("dilated transposed convolution is wrong there")
    if w.data(kernel) is None:
        raise Refused("its filter must be a weight")
    pads = pads_of(w, node, x, w.shape(kernel)[2:], [1, 1])
    if len(set(flat(pads))) != 1:
        raise Refused(f"paddings {flat(pads)} are not one number; others are wrong there")
    inputs = {"Input": [x], "Filter": [kernel], "Bias": list(node.inputs.get("Bias") or [])}
    size = list(w.shape(node.out)[2:])
    result = w.emit("conv2d_transpose", {slot: names for slot, names in inputs.items() if names}, w.shape(node.out),
                    plain_out(node), strides=list(a["strides"]), paddings=flat(pads), output_size=size)
    if a["fuse_activation"]:
        activate(w, node, result)


@lowers("pool2d")
def pool2d(w: Lowering, node: Node) -> None:
    """Global and adaptive windows are written out: a global max pool there gives the place, not the value."""
    channels_first(node)
    a, x = node.attrs, node.inputs["X"][0]
    size, out = w.shape(x)[2:], w.shape(node.out)[2:]
    kind, kernel, strides, pads = a["pooling_type"], list(a["ksize"]), list(a["strides"]), [(0, 0), (0, 0)]
    if a["global_pooling"] or a["adaptive"]:
        if any(have % want for have, want in zip(size, out, strict=True)):
            raise Refused(f"adaptive pooling from {list(size)} to {list(out)} has windows of several sizes")
        kernel = strides = [have // want for have, want in zip(size, out, strict=True)]
    else:
        pads = pads_of(w, node, x, (kernel[0], kernel[1]), [1, 1])
        if kind == "avg" and not a["exclusive"]:
            pads = [_zeros_beside(size[i], kernel[i], strides[i], pads[i], out[i], a["ceil_mode"]) for i in (0, 1)]
            if any(map(any, pads)):
                x, pads = padded(w, x, pads), [(0, 0), (0, 0)]
                size = w.shape(x)[2:]
    if any(overhang(size[i], kernel[i], strides[i], pads[i]) for i in (0, 1)):
        raise Refused(f"windows of {kernel} are larger than the {list(size)} that they look at, which is wrong there")
    beyond = any(window_out(size[i], kernel[i], strides[i], pads[i]) < out[i] for i in (0, 1))
    if any(before != after for before, after in pads):
        if kind == "avg":
            raise Refused(f"an average pool cannot have paddings {flat(pads)} there")
        x, pads = padded(w, x, pads, LOWEST), [(0, 0), (0, 0)]
    w.emit("pool2d", {"X": [x]}, w.shape(node.out), node.out, pooling_type=kind, ksize=kernel, strides=strides,
           paddings=flat(pads), ceil_mode=beyond)


def _zeros_beside(size: int, kernel: int, stride: int, pads: tuple[int, int], out: int, ceil: bool) -> tuple[int, int]:
    """Padding with which every window of an inclusive average lies inside: there it is exclusive."""
    _, divisors = window_spans(size, kernel, stride, pads, ceil, False)
    if any(divisor != kernel for divisor in divisors):
        raise Refused("an inclusive average over windows that are cut at the border is wrong there")
    return pads[0], max(pads[1], (out - 1) * stride - pads[0] + kernel - size)


@lowers("fc")
def fc(w: Lowering, node: Node) -> None:
    """A product of matrices, then the bias along the last axis."""
    a, x, weight = node.attrs, node.inputs["Input"][0], node.inputs["W"][0]
    shape, (inner, outer) = w.shape(node.out), w.shape(weight)
    rows = math.prod(w.shape(x)) // inner
    bias = node.inputs.get("Bias")
    direct = shape == (rows, outer)
    plain = plain_out(node) if direct else None
    result = w.emit("matmul_v2", {"X": [w.reshape(x, (rows, inner))], "Y": [weight]}, (rows, outer),
                    None if bias else plain)
    if bias:
        data = w.data(bias[0])
        if data is None:
            raise Refused("its bias must be a weight")
        result = w.emit("elementwise_add", {"X": [result], "Y": [w.constant(data.reshape(-1))]}, (rows, outer), plain,
                        axis=1)
    if not direct:
        result = w.reshape(result, shape, plain_out(node))
    if a["fuse_activation"]:
        activate(w, node, result)


@lowers("matmul_v2")
def matmul(w: Lowering, node: Node) -> None:
    a, (x, y) = node.attrs, (node.inputs[slot][0] for slot in ("X", "Y"))
    sx, sy, shape = w.shape(x), w.shape(y), w.shape(node.out)
    if len(sx) < 2 or (len(sy) < 2 and a["trans_x"]):
        raise Refused("this product with a vector is not supported there")
    if len(sy) == 1:
        rows = math.prod(sx[:-1])
        column = w.reshape(y, (sy[0], 1))
        product = w.emit("matmul_v2", {"X": [w.reshape(x, (rows, sx[-1]))], "Y": [column]}, (rows, 1))
        w.reshape(product, shape, node.out)
        return
    if len(sy) == 2 and len(sx) > 2 and not a["trans_x"]:
        rows = math.prod(sx[:-1])
        product = w.emit("matmul_v2", {"X": [w.reshape(x, (rows, sx[-1]))], "Y": [y]}, (rows, shape[-1]),
                         trans_y=a["trans_y"])
        w.reshape(product, shape, node.out)
        return
    batch_x, batch_y = ((1,) * (len(shape) - len(s)) + s[:-2] for s in (sx, sy))
    if batch_x != batch_y:
        raise Refused(f"products of {list(sx)} and {list(sy)} broadcast, which is wrong there")
    w.emit("matmul_v2", {"X": [x], "Y": [y]}, shape, node.out, trans_x=a["trans_x"], trans_y=a["trans_y"])


@lowers("softmax")
def softmax(w: Lowering, node: Node) -> None:
    """Right along the last axis, and along axis 1 of four; others are brought to the end and back.

    The runtime does not take the largest away first, so that numbers above 88 become NaN: along the last axis it is
    taken away here; channels of a picture are left as they are, for the transposes would cost more than the net.
    """
    x = node.inputs["X"][0]
    rank = len(w.shape(x))
    axis = node.attrs["axis"] % rank
    if axis == rank - 1:
        w.one("softmax", _below_largest(w, x), node.out, axis=-1)
    elif rank == 4 and axis == 1:
        w.one("softmax", x, node.out, axis=1)
    else:
        order = [other for other in range(rank) if other != axis] + [axis]
        moved = w.one("softmax", _below_largest(w, w.transpose(x, order)), axis=-1)
        w.transpose(moved, [int(at) for at in np.argsort(order)], node.out)


def _below_largest(w: Lowering, x: str) -> str:
    """x minus its largest along the last axis."""
    shape = w.shape(x)
    rows, columns = math.prod(shape[:-1]), shape[-1]
    table = w.reshape(x, (1, rows, columns, 1))
    largest = w.emit("pool2d", {"X": [table]}, (1, rows, 1, 1), None, pooling_type="max", ksize=[columns, 1],
                     strides=[1, 1])
    below = w.emit("elementwise_sub", {"X": [table], "Y": [w.reshape(largest, (rows,))]}, (1, rows, columns, 1), None,
                   axis=1)
    return w.reshape(below, shape)


@lowers("pad3d")
def pad3d(w: Lowering, node: Node) -> None:
    a, x = node.attrs, node.inputs["X"][0]
    left, right, top, bottom, front, back = a["paddings"]
    if len(w.shape(x)) != 4 or a["data_format"].endswith("C") or front or back or min(a["paddings"]) < 0:
        raise Refused("only height and width of [N, C, H, W] can be padded there")
    if a["mode"] not in ("constant", "reflect", "replicate"):
        raise Refused(f"padding of mode {a['mode']} is wrong there")
    value = a["value"] if a["mode"] == "constant" else 0.0
    source = w.scale(x, 1.0, -value) if value else x  # a whole number does not compile as the filling
    result = w.emit("pad3d", {"X": [source]}, w.shape(node.out), None if value else node.out,
                    paddings=list(a["paddings"]), mode=a["mode"], value=0.0, data_format="NCHW")
    if value:
        w.scale(result, 1.0, value, node.out)


@lowers("nearest_interp_v2", "bilinear_interp_v2")
def resize(w: Lowering, node: Node) -> None:
    """Only sizes at which that runtime's own arithmetic picks what Paddle's does."""
    channels_first(node, "data_layout")
    if set(node.inputs) != {"X"}:
        raise Refused("its size is computed by the program")
    x, a = node.inputs["X"][0], node.attrs
    size, out = w.shape(x)[2:], w.shape(node.out)[2:]
    for axis in (0, 1):
        if not _same_samples(node, size[axis], out[axis], axis):
            raise Refused(f"resizing {size[axis]} to {out[axis]} with these attributes picks other pixels there")
    w.emit(node.type, {"X": [x]}, w.shape(node.out), node.out, out_h=out[0], out_w=out[1],
           align_corners=a["align_corners"], align_mode=a["align_mode"])


def _same_samples(node: Node, size: int, out: int, axis: int) -> bool:
    """Compare the original shader, step by step in float32, with the oracle on a ramp."""
    a, one = node.attrs, np.float32(1)
    corners = bool(a["align_corners"])
    if corners and (size == 1 or out == 1):
        return size == out
    scale = np.float32(out - 1) / np.float32(size - 1) if corners else np.float32(out) / np.float32(size)
    n = np.arange(out, dtype=np.float32)
    shape = [1, 1, size, 1] if axis == 0 else [1, 1, 1, size]
    attrs = {**a, "out_h": out if axis == 0 else 1, "out_w": out if axis else 1}
    if a["scale"]:
        factors = list(a["scale"]) * (2 if len(a["scale"]) == 1 else 1)
        attrs["scale"] = [factors[0], 1.0] if axis == 0 else [1.0, factors[1]]
    ramp = np.arange(size, dtype=np.float32).reshape(shape)
    probe = Node(node.type, {"X": ["x"]}, {"Out": ["y"]}, attrs)
    want = evaluate_node(probe, {"x": ramp})["y"].reshape(-1)
    if node.type.startswith("nearest"):
        got = np.floor(n / scale + (np.float32(0.5) if corners else 0))
        return bool(np.array_equal(got, want))
    half = np.float32(0.5)
    shifted = a["align_mode"] == 0 and not corners
    place = (n + half) / scale - half if shifted else n / scale
    low = np.maximum(np.floor(place), 0)
    high = np.minimum(low + 1, size - 1)
    part = np.maximum((n + half) / scale - half, 0) - low if shifted else place - low
    return bool(np.abs(low * (one - part) + high * part - want).max() <= 1e-4 * max(1, size / 64))
