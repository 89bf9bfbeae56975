"""Elementwise operators under the broadcasting that the original Paddle.js runtime gets right; prelu."""

from __future__ import annotations

import math

import numpy as np

from converter.graph import Node
from converter.passes.paddlejs2 import MAX_RANK, MAX_SIDE, Lowering, Refused, lowers
from converter.passes.paddlejs2_unary import activate, plain_out

CLAMPED = ("elementwise_mul", "elementwise_div")
"""They clamp the second operand's coordinates to its sizes, so ones broadcast; the others read past its end."""
MAX_EXPANDED = 1 << 22


@lowers("elementwise_add", "elementwise_sub", "elementwise_mul", "elementwise_div", "elementwise_max",
        "elementwise_min")
def elementwise(w: Lowering, node: Node) -> None:
    x, y = (_aligned(w, node, slot) for slot in ("X", "Y"))
    if node.type in ("elementwise_max", "elementwise_min"):
        result = _extreme(w, node.type, x, y, plain_out(node))
    else:
        result = binary(w, node.type, x, y, plain_out(node))
    if node.attrs["fuse_activation"]:
        activate(w, node, result)


def _aligned(w: Lowering, node: Node, slot: str) -> str:
    """An operand with as many dimensions as the result, placed by Paddle's axis."""
    name = node.inputs[slot][0]
    shape, rank = w.shape(name), len(w.shape(node.out))
    if len(shape) == rank:
        return name
    axis = node.attrs["axis"]
    before = rank - len(shape) if axis < 0 or slot == "X" else axis
    if before + len(shape) > rank:
        shape = shape[:rank - before]  # trailing ones, which Paddle drops as well
    full = (1,) * before + shape + (1,) * (rank - before - len(shape))
    data = w.data(name)
    return w.reshape(name, full) if data is None else w.constant(data.reshape(full))


def binary(w: Lowering, type: str, x: str, y: str, out: str | None = None) -> str:
    """x and y of one rank, their sizes equal or one."""
    sx, sy = w.shape(x), w.shape(y)
    shape = tuple(max(pair) for pair in zip(sx, sy, strict=True))
    if not shape:
        raise Refused("numbers without dimensions are not supported there")
    if sx != shape and sy == shape and type != "elementwise_div":
        if type == "elementwise_sub":  # x - y = -y + x
            return binary(w, "elementwise_add", w.scale(y, -1.0), x, out)
        x, y, sx, sy = y, x, sy, sx
    if sx != shape:
        x = expand(w, x, shape)
    if sy == shape:
        return w.emit(type, {"X": [x], "Y": [y]}, shape, out, axis=-1)
    number = w.data(y)
    if number is not None and number.size == 1:
        return _with_number(w, type, x, float(number.item()), out)
    if type in CLAMPED and _clampable(sy, shape):
        return w.emit(type, {"X": [x], "Y": [y]}, shape, out, axis=-1)
    along = [axis for axis, size in enumerate(sy) if size > 1]
    if type not in CLAMPED and len(along) <= 1:
        axis = along[0] if along else len(shape) - 1
        if sy[axis] == shape[axis] and len(shape) > 1:
            vector = w.reshape(y, (sy[axis],)) if number is None else w.constant(number.reshape(-1))
            return w.emit(type, {"X": [x], "Y": [vector]}, shape, out, axis=axis)
    return w.emit(type, {"X": [x], "Y": [expand(w, y, shape)]}, shape, out, axis=-1)


def _with_number(w: Lowering, type: str, x: str, number: float, out: str | None) -> str:
    if type == "elementwise_div" and number == 0:
        raise Refused("it divides by zero")
    factor = {"elementwise_mul": number, "elementwise_div": 1 / number if number else 0.0}.get(type, 1.0)
    shift = {"elementwise_add": number, "elementwise_sub": -number}.get(type, 0.0)
    return w.scale(x, factor, shift, out)


def _clampable(sizes: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether clamping reads the right element: not along the first of four axes, and only from a plain texture."""
    if len(shape) > MAX_RANK:
        return False
    n, c, h, width = (1,) * (4 - len(sizes)) + sizes
    full = (1,) * (4 - len(shape)) + shape
    return n == full[0] and n * h <= MAX_SIDE and c * width <= MAX_SIDE


def expand(w: Lowering, name: str, shape: tuple[int, ...], out: str | None = None) -> str:
    """Repeat along the axes of size one: at conversion, or as a product with ones."""
    sizes, data = w.shape(name), w.data(name)
    if math.prod(shape) > MAX_EXPANDED:
        raise Refused(f"{list(sizes)} would have to be written out as {list(shape)}")
    if data is not None and out is None:
        return w.constant(np.broadcast_to(data, shape))
    if not _clampable(sizes, shape):
        raise Refused(f"{list(sizes)} cannot be repeated to {list(shape)} there")
    return w.emit("elementwise_mul", {"X": [w.constant(np.ones(shape))], "Y": [name]}, shape, out, axis=-1)


def _extreme(w: Lowering, type: str, x: str, y: str, out: str | None) -> str:
    """max(x, y) = x + relu(y - x), min(x, y) = x - relu(x - y)."""
    largest = type == "elementwise_max"
    gap = binary(w, "elementwise_sub", y if largest else x, x if largest else y)
    return binary(w, "elementwise_add" if largest else "elementwise_sub", x, w.one("relu", gap), out)


@lowers("expand_v2")
def expand_v2(w: Lowering, node: Node) -> None:
    shape, sizes = w.shape(node.out), w.shape(node.inputs["X"][0])
    expand(w, w.reshape(node.inputs["X"][0], (1,) * (len(shape) - len(sizes)) + sizes), shape, node.out)


@lowers("prelu")
def prelu(w: Lowering, node: Node) -> None:
    """relu(x) - alpha relu(-x)."""
    x, alpha = node.inputs["X"][0], node.inputs["Alpha"][0]
    shape, sizes = w.shape(x), w.shape(alpha)
    if node.attrs["data_format"] == "NHWC":
        raise Refused("channels last are not supported there")
    count = math.prod(sizes)
    full = {"all": [1] * len(shape), "channel": [1, count, *[1] * (len(shape) - 2)],
            "element": [1, *shape[1:]]}[node.attrs["mode"]]
    data = w.data(alpha)
    slopes = w.reshape(alpha, tuple(full)) if data is None else w.constant(data.reshape(full))
    below = binary(w, "elementwise_mul", w.one("relu", w.scale(x, -1.0)), slopes)
    w.emit("elementwise_sub", {"X": [w.one("relu", x)], "Y": [below]}, shape, node.out)
