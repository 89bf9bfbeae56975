"""Functions of one and of two elements, and the activations that other operators carry."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from converter.graph import Node
from converter.write.onnx.emit import Cannot, Emitter, rule

Make = Callable[[Emitter, str, dict, Callable[[float], str]], str]


def _hard_swish(e: Emitter, x: str, a: dict, c: Callable[[float], str]) -> str:
    threshold, scale, offset = a.get("threshold", 6.0), a.get("scale", 6.0), a.get("offset", 3.0)
    if (threshold, scale, offset) == (6.0, 6.0, 3.0):
        if e.opset >= 14:
            return e.op("HardSwish", x)
        return e.op("Mul", x, e.op("HardSigmoid", x, alpha=1 / 6, beta=0.5))
    gate = e.op("Clip", e.op("Add", x, c(offset)), c(0.0), c(threshold))
    return e.op("Div", e.op("Mul", x, gate), c(scale))


def _gelu(e: Emitter, x: str, a: dict, c: Callable[[float], str]) -> str:
    if a.get("approximate"):
        cubed = e.op("Mul", e.op("Mul", e.op("Mul", x, x), x), c(0.044715))
        inner = e.op("Tanh", e.op("Mul", e.op("Add", x, cubed), c(math.sqrt(2 / math.pi))))
    else:
        inner = e.op("Erf", e.op("Mul", x, c(math.sqrt(0.5))))
    return e.op("Mul", e.op("Mul", x, c(0.5)), e.op("Add", inner, c(1.0)))


def _softplus(e: Emitter, x: str, a: dict, c: Callable[[float], str]) -> str:
    beta, threshold = a.get("beta", 1.0), a.get("threshold", 20.0)
    scaled = x if beta == 1.0 else e.op("Mul", x, c(beta))
    soft = e.op("Softplus", e.op("Min", scaled, c(threshold)))
    soft = soft if beta == 1.0 else e.op("Div", soft, c(beta))
    return e.op("Where", e.op("Greater", scaled, c(threshold)), x, soft)


def _leaky_relu(e: Emitter, x: str, a: dict, c: Callable[[float], str]) -> str:
    return e.op("LeakyRelu", x, alpha=float(a["alpha"]))


def _clip(e: Emitter, x: str, low: str, high: str) -> str:
    return e.op("Min", e.op("Max", x, low), high) if low == high else e.op("Clip", x, low, high)


def _where_greater(e: Emitter, x: str, edge: str, yes: str, no: str) -> str:
    return e.op("Where", e.op("Greater", x, edge), yes, no)


def _simple(type: str, **attrs: float) -> Make:
    return lambda e, x, a, c: e.op(type, x, **attrs)


# e emitter, x input, a attributes, c(number) a constant of x's dtype.
UNARY: dict[str, Make] = {
    **{name: _simple(type) for name, type in {
        "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
        "abs": "Abs", "floor": "Floor", "ceil": "Ceil", "round": "Round", "sign": "Sign", "reciprocal": "Reciprocal",
        "sin": "Sin", "cos": "Cos", "erf": "Erf", "softsign": "Softsign", "tan": "Tan", "asin": "Asin", "acos": "Acos",
        "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh",
        "logical_not": "Not", "isnan_v2": "IsNaN", "isinf_v2": "IsInf", "assign": "Identity"}.items()},
    "relu6": lambda e, x, a, c: e.op("Clip", x, c(0.0), c(a["threshold"])),
    "silu": lambda e, x, a, c: e.op("Mul", x, e.op("Sigmoid", x)),
    "swish": lambda e, x, a, c: e.op("Mul", x, e.op("Sigmoid", x if a["beta"] == 1 else e.op("Mul", x, c(a["beta"])))),
    "hard_swish": _hard_swish,
    "hard_sigmoid": lambda e, x, a, c: e.op("HardSigmoid", x, alpha=float(a["slope"]), beta=float(a["offset"])),
    "leaky_relu": _leaky_relu,
    "elu": lambda e, x, a, c: e.op("Elu", x, alpha=float(a["alpha"])),
    "gelu": _gelu,
    "mish": lambda e, x, a, c: e.op("Mul", x, e.op("Tanh", _softplus(e, x, {}, c))),
    "softplus": _softplus,
    "rsqrt": lambda e, x, a, c: e.op("Reciprocal", e.op("Sqrt", x)),
    "square": lambda e, x, a, c: e.op("Mul", x, x),
    "clip": lambda e, x, a, c: _clip(e, x, c(a["min"]), c(a["max"])),
    "pow": lambda e, x, a, c: e.op("Pow", x, c(a["factor"])),
    "tanh_shrink": lambda e, x, a, c: e.op("Sub", x, e.op("Tanh", x)),
    "softshrink": lambda e, x, a, c: e.op(
        "Mul", e.op("Sign", x), e.op("Max", e.op("Sub", e.op("Abs", x), c(a["lambda"])), c(0.0))),
    "hard_shrink": lambda e, x, a, c: e.op("Where", e.op("Less", e.op("Abs", x), c(a["threshold"])), c(0.0), x),
    "thresholded_relu": lambda e, x, a, c: _where_greater(e, x, c(a["threshold"]), x, c(a["value"])),
    "logsigmoid": lambda e, x, a, c: e.op("Neg", e.op("Softplus", e.op("Neg", x))),
    "celu": lambda e, x, a, c: e.op("Celu", x, alpha=float(a["alpha"])),
    "selu": lambda e, x, a, c: e.op("Selu", x, alpha=float(a["alpha"]), gamma=float(a["scale"])),
    "stanh": lambda e, x, a, c: e.op("Mul", e.op("Tanh", e.op("Mul", x, c(a["scale_a"]))), c(a["scale_b"])),
    "expm1": lambda e, x, a, c: e.op("Sub", e.op("Exp", x), c(1.0)),
    "log1p": lambda e, x, a, c: e.op("Log", e.op("Add", x, c(1.0))),
    "log2": lambda e, x, a, c: e.op("Mul", e.op("Log", x), c(1 / math.log(2))),
    "log10": lambda e, x, a, c: e.op("Mul", e.op("Log", x), c(1 / math.log(10))),
    "isfinite_v2": lambda e, x, a, c: e.op("Not", e.op("Or", e.op("IsNaN", x), e.op("IsInf", x))),
}

FUSED = ("relu", "relu6", "sigmoid", "tanh", "silu", "mish", "gelu", "swish", "hard_swish", "hard_sigmoid",
         "leaky_relu", "clip")
_PARAMETERS = {"relu6": ("threshold",), "swish": ("beta",), "hard_sigmoid": ("slope", "offset"),
               "leaky_relu": ("alpha",), "clip": ("min", "max")}


def activate(e: Emitter, node: Node, x: str) -> str:
    """The activation that a fused operator carries, in float32."""
    name = node.attrs.get("fuse_activation", "")
    if not name:
        return x
    if name not in FUSED:
        raise Cannot(f"'{name}' is no fused activation")
    parameters = zip(_PARAMETERS.get(name, ()), (node.attrs["fuse_alpha"], node.attrs["fuse_beta"]), strict=False)
    return UNARY[name](e, x, dict(parameters), lambda number: e.const(np.float32(number)))


@rule(*UNARY)
def unary(e: Emitter, node: Node) -> str:
    x = node.input("X")
    kind = e.dtype(x).kind
    if kind != "f" and node.type not in ("abs", "sign", "square", "assign", "logical_not", "clip"):
        if node.type == "relu":
            return e.op("Max", x, e.scalar(0, x))
        if kind in "iu" and node.type in ("floor", "ceil", "round"):
            return e.op("Identity", x)
        raise Cannot(f"{node.type} of {e.dtype(x).name}")
    if node.type == "logical_not" and kind != "b":
        x = e.cast(x, bool)
    return UNARY[node.type](e, x, node.attrs, lambda number: e.scalar(number, x) if x in e.graph.values
                            else e.const(np.float32(number)))


@rule("scale")
def scale(e: Emitter, node: Node) -> str:
    x, a = node.input("X"), node.attrs
    factor, bias = (np.asarray(a[name]).astype(e.dtype(x)) for name in ("scale", "bias"))
    steps = [("Mul", factor, 1), ("Add", bias, 0)]
    for type, number, idle in steps if a["bias_after_scale"] else steps[::-1]:
        if number != idle:
            x = e.op(type, x, e.const(number))
    return x


@rule("prelu")
def prelu(e: Emitter, node: Node) -> str:
    x, alpha, mode = node.input("X"), node.input("Alpha"), node.attrs["mode"]
    if mode == "all":
        slope = e.reshape(alpha, [1] * e.rank(x))
    elif mode == "channel":
        slope = e.reshape(alpha, [-1] + ([1] * (e.rank(x) - 2) if node.attrs["data_format"] == "NCHW" else []))
    else:
        slope = e.reshape(alpha, e.static(x)[1:]) if e.shape(alpha) != e.shape(x)[1:] else alpha
    return e.op("PRelu", x, slope)


# ---- two elements ----

def align(e: Emitter, node: Node) -> tuple[str, str]:
    """Paddle's broadcasting as numpy's: the smaller one's sizes start at the larger one's `axis`."""
    x, y, axis = node.input("X"), node.input("Y"), node.attrs.get("axis", -1)
    if axis == -1 or e.rank(x) == e.rank(y):
        return x, y
    swapped = e.rank(x) < e.rank(y)
    big, small = (y, x) if swapped else (x, y)
    axis = axis + e.rank(big) if axis < 0 else axis
    kept = list(e.shape(small))
    while len(kept) > 1 and kept[-1] == 1 and axis + len(kept) > e.rank(big):
        kept.pop()
    fitted = e.squeeze(small, range(len(kept), e.rank(small)))
    fitted = e.unsqueeze(fitted, range(len(kept), e.rank(big) - axis))
    return (fitted, big) if swapped else (big, fitted)


def _floor_div(e: Emitter, x: str, y: str, dtype: np.dtype) -> str:
    quotient = e.op("Div", x, y)
    if dtype.kind == "f":
        return e.op("Floor", quotient)
    rest = e.op("Sub", x, e.op("Mul", quotient, y))
    zero = e.op("Sub", y, y)
    below = e.op("And", e.op("Not", e.op("Equal", rest, zero)),
                 e.op("Xor", e.op("Less", rest, zero), e.op("Less", y, zero)))
    return e.op("Sub", quotient, e.cast(below, dtype))


def _mod(e: Emitter, x: str, y: str, dtype: np.dtype) -> str:
    if dtype.kind != "f":
        return e.op("Mod", x, y)
    return e.op("Sub", x, e.op("Mul", e.op("Floor", e.op("Div", x, y)), y))


ARITHMETIC: dict[str, Callable[[Emitter, str, str, np.dtype], str]] = {
    **{f"elementwise_{name}": (lambda e, x, y, dtype, type=type: e.op(type, x, y)) for name, type in {
        "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min", "pow": "Pow"}.items()},
    "elementwise_mod": _mod,
    "elementwise_floordiv": _floor_div,
    "elementwise_fmax": lambda e, x, y, dtype: e.op("Where", e.op("IsNaN", x), y, e.op(
        "Where", e.op("IsNaN", y), x, e.op("Max", x, y))),
    "elementwise_fmin": lambda e, x, y, dtype: e.op("Where", e.op("IsNaN", x), y, e.op(
        "Where", e.op("IsNaN", y), x, e.op("Min", x, y))),
}


@rule(*ARITHMETIC)
def arithmetic(e: Emitter, node: Node) -> str:
    dtype = e.dtype(node.input("X"))
    if dtype.kind == "b" or (dtype.kind != "f" and node.type in ("elementwise_fmax", "elementwise_fmin")):
        raise Cannot(f"{node.type} of {dtype.name}")
    return activate(e, node, ARITHMETIC[node.type](e, *align(e, node), dtype))


_COMPARISON = {"equal": "Equal", "not_equal": "Equal", "less_than": "Less", "greater_than": "Greater",
               "less_equal": "LessOrEqual", "greater_equal": "GreaterOrEqual"}


@rule(*_COMPARISON)
def comparison(e: Emitter, node: Node) -> str:
    x, y = align(e, node)
    if e.dtype(node.input("X")).kind == "b" and node.type[-5:] != "equal":
        x, y = e.cast(x, np.int32), e.cast(y, np.int32)
    found = e.op(_COMPARISON[node.type], x, y)
    return e.op("Not", found) if node.type == "not_equal" else found


_LOGICAL = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}


@rule(*_LOGICAL, "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not")
def logical(e: Emitter, node: Node) -> str:
    names = [name for name in (node.input("X"), node.input("Y")) if name]
    if node.type.startswith("bitwise"):
        if e.dtype(names[0]).kind != "b":
            raise Cannot(f"{node.type} of whole numbers needs operator set 18")
    else:
        names = [name if e.dtype(name).kind == "b" else e.cast(name, bool) for name in names]
    if node.type == "bitwise_not":
        return e.op("Not", names[0])
    return e.op(_LOGICAL[node.type.replace("bitwise", "logical")], *names)
