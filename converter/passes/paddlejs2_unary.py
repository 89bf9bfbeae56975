"""Activations in what the original Paddle.js runtime has: relu, relu6, sigmoid, hard_swish, scale, pow, products."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from converter.graph import Node
from converter.ops import REGISTRY
from converter.passes.fuse_activation import PARAMETERS
from converter.passes.paddlejs2 import Lowering, Refused, lowers

Spell = Callable[..., str]
"""(lowering, x, out, **attributes) → the name of the result."""


def times(w: Lowering, x: str, y: str, out: str | None = None) -> str:
    """Product of two tensors of one shape."""
    return w.emit("elementwise_mul", {"X": [x], "Y": [y]}, w.shape(x), out)


def plus(w: Lowering, x: str, y: str, out: str | None = None) -> str:
    return w.emit("elementwise_add", {"X": [x], "Y": [y]}, w.shape(x), out)


def silu(w: Lowering, x: str, out: str | None, beta: float = 1.0) -> str:
    gate = w.one("sigmoid", x if beta == 1 else w.scale(x, beta))
    return times(w, x, gate, out)


def tanh(w: Lowering, x: str, out: str | None = None) -> str:
    """2 sigmoid(2x) - 1: the runtime's own tanh is NaN above 44."""
    return w.scale(w.one("sigmoid", w.scale(x, 2.0)), 2.0, -1.0, out)


def leaky_relu(w: Lowering, x: str, out: str | None, alpha: float) -> str:
    """alpha x + (1 - alpha) relu(x)."""
    return plus(w, w.scale(w.one("relu", x), 1 - alpha), w.scale(x, alpha), out)


def clip(w: Lowering, x: str, out: str | None, min: float, max: float) -> str:
    """relu6 with another threshold, between two shifts."""
    if math.isinf(min) and math.isinf(max):
        return w.scale(x, 1.0, 0.0, out)
    if math.isinf(max):
        return w.scale(w.one("relu", w.scale(x, 1.0, -min)), 1.0, min, out)
    if math.isinf(min):
        return w.scale(w.one("relu", w.scale(x, -1.0, max)), -1.0, max, out)
    if min == 0:
        return w.one("relu6", x, out, threshold=max)
    return w.scale(w.one("relu6", w.scale(x, 1.0, -min), threshold=max - min), 1.0, min, out)


def hard_sigmoid(w: Lowering, x: str, out: str | None, slope: float, offset: float) -> str:
    """The runtime takes an offset or slope of zero for one that is not said."""
    if slope != 0 and offset != 0:
        return w.one("hard_sigmoid", x, out, slope=slope, offset=offset)
    return w.one("relu6", w.scale(x, slope, offset), out, threshold=1.0)


def mish(w: Lowering, x: str, out: str | None) -> str:
    """x (1 - s²) / (1 + s²) with s = sigmoid(-x): tanh(log(1 + e^x)) without the logarithm."""
    s = w.one("sigmoid", w.scale(x, -1.0))
    square = times(w, s, s)
    above, below = times(w, x, w.scale(square, -1.0, 1.0)), w.scale(square, 1.0, 1.0)
    return w.emit("elementwise_div", {"X": [above], "Y": [below]}, w.shape(x), out)


def gelu(w: Lowering, x: str, out: str | None, approximate: bool) -> str:
    """x sigmoid(2 sqrt(2/π) (x + 0.044715 x³)), which is the tanh form."""
    if not approximate:
        raise Refused("the exact gelu needs erf, which the original runtime lacks")
    cube = times(w, times(w, x, x), x)
    inner = w.scale(plus(w, x, w.scale(cube, 0.044715)), 2 * math.sqrt(2 / math.pi))
    return times(w, x, w.one("sigmoid", inner), out)


def absolute(w: Lowering, x: str, out: str | None) -> str:
    return plus(w, w.one("relu", x), w.one("relu", w.scale(x, -1.0)), out)


def power(w: Lowering, x: str, out: str | None, factor: float) -> str:
    """Whole powers as products: the runtime's pow knows no negative base."""
    if factor == 1:
        return w.scale(x, 1.0, 0.0, out)
    if factor not in (2, 3, 4):
        raise Refused(f"pow with factor {factor:g} is undefined there for negative numbers")
    square = times(w, x, x, out if factor == 2 else None)
    if factor == 2:
        return square
    return times(w, square, x if factor == 3 else square, out)


def root(w: Lowering, x: str, out: str | None) -> str:
    """The runtime's own sqrt does not compile; its pow is right where sqrt is defined."""
    return w.one("pow", x, out, factor=0.5)


def reciprocal(w: Lowering, x: str, out: str | None) -> str:
    """Ones over x: a negative base is nothing for the runtime's pow."""
    shape = w.shape(x)
    return w.emit("elementwise_div", {"X": [w.constant(np.ones(shape))], "Y": [x]}, shape, out)


def elu(w: Lowering, x: str, out: str | None, alpha: float) -> str:
    """relu(x) + alpha (exp(-relu(-x)) - 1)."""
    below = w.one("exp", w.scale(w.one("relu", w.scale(x, -1.0)), -1.0))
    return plus(w, w.one("relu", x), w.scale(below, alpha, -alpha), out)


SPELL: dict[str, Spell] = {
    **{type: lambda w, x, out, _type=type, **attrs: w.one(_type, x, out, **attrs)
       for type in ("relu", "relu6", "sigmoid", "hard_swish", "scale", "exp")},
    "assign": lambda w, x, out: w.scale(x, 1.0, 0.0, out),
    "silu": silu, "swish": silu, "tanh": tanh, "leaky_relu": leaky_relu, "clip": clip, "hard_sigmoid": hard_sigmoid,
    "mish": mish, "gelu": gelu, "abs": absolute, "pow": power, "sqrt": root,
    "reciprocal": reciprocal, "elu": elu,
    "square": lambda w, x, out: times(w, x, x, out),
    "rsqrt": lambda w, x, out: w.one("pow", x, out, factor=-0.5),
}


@lowers(*SPELL)
def unary(w: Lowering, node: Node) -> None:
    SPELL[node.type](w, node.inputs["X"][0], node.out, **node.attrs)


def activate(w: Lowering, node: Node, x: str) -> None:
    """The activation fused into a node, over x, into the node's result."""
    type = node.attrs["fuse_activation"]
    if type not in SPELL:
        raise Refused(f"the fused activation {type} is not in the original runtime")
    attrs = dict(REGISTRY[type].attrs)
    given = (node.attrs["fuse_alpha"], node.attrs["fuse_beta"])
    attrs.update(zip(PARAMETERS.get(type, ()), given, strict=False))
    SPELL[type](w, x, node.out, **attrs)


def plain_out(node: Node) -> str | None:
    """The name for a node's result before its fused activation: its own where there is none."""
    return None if node.attrs["fuse_activation"] else node.out
