"""Functions of one element; the table is the family. Fused operators use it through `activate`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from converter.errors import ConvertError
from converter.ops.spec import op

_erf = np.vectorize(math.erf, otypes=[np.float64])


def erf(x: np.ndarray) -> np.ndarray:
    return _erf(x).astype(x.dtype) if x.size else x


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gelu(x: np.ndarray, approximate: bool = False) -> np.ndarray:
    if approximate:
        return x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return x * 0.5 * (1 + erf(x * math.sqrt(0.5)))


def softplus(x: np.ndarray, beta: float = 1.0, threshold: float = 20.0) -> np.ndarray:
    scaled = x * beta
    return np.where(scaled > threshold, x, np.log1p(np.exp(np.minimum(scaled, threshold))) / beta)


def hard_swish(x: np.ndarray, threshold: float = 6.0, scale: float = 6.0, offset: float = 3.0) -> np.ndarray:
    return x * np.minimum(np.maximum(x + offset, 0), threshold) / scale


UNARY: dict[str, tuple[Callable[..., np.ndarray], dict[str, Any]]] = {
    "relu": (lambda x: np.maximum(x, 0), {}),
    "relu6": (lambda x, threshold: np.minimum(np.maximum(x, 0), threshold), {"threshold": 6.0}),
    "sigmoid": (sigmoid, {}),
    "tanh": (np.tanh, {}),
    "silu": (lambda x: x * sigmoid(x), {}),
    "swish": (lambda x, beta: x * sigmoid(x * beta), {"beta": 1.0}),
    "hard_swish": (hard_swish, {"threshold": 6.0, "scale": 6.0, "offset": 3.0}),
    "hard_sigmoid": (lambda x, slope, offset: np.clip(x * slope + offset, 0, 1), {"slope": 0.2, "offset": 0.5}),
    "leaky_relu": (lambda x, alpha: np.where(x > 0, x, x * alpha), {"alpha": 0.02}),
    "elu": (lambda x, alpha: np.where(x > 0, x, np.expm1(np.minimum(x, 0)) * alpha), {"alpha": 1.0}),
    "gelu": (gelu, {"approximate": False}),
    "mish": (lambda x: x * np.tanh(softplus(x)), {}),
    "softplus": (softplus, {"beta": 1.0, "threshold": 20.0}),
    "exp": (np.exp, {}),
    "log": (np.log, {}),
    "sqrt": (np.sqrt, {}),
    "rsqrt": (lambda x: 1 / np.sqrt(x), {}),
    "square": (lambda x: x * x, {}),
    "abs": (np.abs, {}),
    "floor": (np.floor, {}),
    "ceil": (np.ceil, {}),
    "round": (np.round, {}),           # halves go to the even neighbour
    "sign": (np.sign, {}),
    "reciprocal": (lambda x: 1 / x, {}),
    "sin": (np.sin, {}),
    "cos": (np.cos, {}),
    "erf": (erf, {}),
    "clip": (lambda x, min, max: np.minimum(np.maximum(x, x.dtype.type(min)), x.dtype.type(max)),
             {"min": 0.0, "max": 0.0}),
    "pow": (lambda x, factor: np.power(x, x.dtype.type(factor)), {"factor": 1.0}),
    "softsign": (lambda x: x / (1 + np.abs(x)), {}),
    "tanh_shrink": (lambda x: x - np.tanh(x), {}),
    "softshrink": (lambda x, **a: np.sign(x) * np.maximum(np.abs(x) - x.dtype.type(a["lambda"]), 0), {"lambda": 0.5}),
    "hard_shrink": (lambda x, threshold: np.where(np.abs(x) < threshold, 0 * x, x), {"threshold": 0.5}),
    "thresholded_relu": (lambda x, threshold, value: np.where(x > threshold, x, x.dtype.type(value)),
                         {"threshold": 1.0, "value": 0.0}),
    "logsigmoid": (lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))), {}),
    "celu": (lambda x, alpha: np.where(x > 0, x, np.expm1(np.minimum(x, 0) / x.dtype.type(alpha)) * alpha),
             {"alpha": 1.0}),
    "selu": (lambda x, scale, alpha: np.where(x > 0, x, np.expm1(np.minimum(x, 0)) * alpha) * scale,
             {"scale": 1.0507009873554805, "alpha": 1.6732632423543772}),
    "stanh": (lambda x, scale_a, scale_b: scale_b * np.tanh(scale_a * x), {"scale_a": 0.67, "scale_b": 1.7159}),
    "expm1": (np.expm1, {}),
    "log1p": (np.log1p, {}),
    "log2": (np.log2, {}),
    "log10": (np.log10, {}),
    "tan": (np.tan, {}),
    "asin": (np.arcsin, {}),
    "acos": (np.arccos, {}),
    "atan": (np.arctan, {}),
    "sinh": (np.sinh, {}),
    "cosh": (np.cosh, {}),
    "asinh": (np.arcsinh, {}),
    "acosh": (np.arccosh, {}),
    "atanh": (np.arctanh, {}),
    "bitwise_not": (np.invert, {}),
    "logical_not": (np.logical_not, {}),
    "isnan_v2": (np.isnan, {}),
    "isinf_v2": (np.isinf, {}),
    "isfinite_v2": (np.isfinite, {}),
}
TO_BOOL = ("logical_not", "isnan_v2", "isinf_v2", "isfinite_v2")

for _type, (_body, _attrs) in UNARY.items():
    op(_type, inputs="X", **_attrs)(_body)

FUSED: dict[str, Callable[[np.ndarray, float, float], np.ndarray]] = {
    "": lambda x, a, b: x,
    "relu": lambda x, a, b: np.maximum(x, 0),
    "relu6": lambda x, a, b: np.minimum(np.maximum(x, 0), a),
    "sigmoid": lambda x, a, b: sigmoid(x),
    "tanh": lambda x, a, b: np.tanh(x),
    "silu": lambda x, a, b: x * sigmoid(x),
    "mish": lambda x, a, b: x * np.tanh(softplus(x)),
    "gelu": lambda x, a, b: gelu(x),
    "swish": lambda x, a, b: x * sigmoid(x * a),
    "hard_swish": lambda x, a, b: hard_swish(x),
    "hard_sigmoid": lambda x, a, b: np.clip(x * a + b, 0, 1),
    "leaky_relu": lambda x, a, b: np.where(x > 0, x, x * a),
    "clip": lambda x, a, b: np.clip(x, a, b),
}
"""Activations that conv2d, conv2d_transpose, fc and elementwise operators can apply themselves: f(x, alpha, beta)."""

FUSABLE = {"fuse_activation": "", "fuse_alpha": 0.0, "fuse_beta": 0.0}
"""Attributes of an operator with an activation epilogue."""


def activate(x: np.ndarray, name: str, alpha: float, beta: float) -> np.ndarray:
    """The activation epilogue of a fused operator."""
    if name not in FUSED:
        raise ConvertError(f"'{name}' is no fused activation", hint=f"known: {', '.join(FUSED)}")
    return FUSED[name](x, alpha, beta)


@op("prelu", inputs="X Alpha", mode="all", data_format="NCHW")
def prelu(x, alpha, mode, data_format):     # alpha: [1] | [C] in any rank | X.shape[1:]
    if mode == "all":
        slope = alpha.reshape(())
    elif mode == "channel":
        slope = alpha.reshape((-1,) + (1,) * (x.ndim - 2)) if data_format == "NCHW" else alpha.reshape(-1)
    elif mode == "element":
        slope = alpha.reshape(x.shape[1:])
    else:
        raise ConvertError(f"prelu mode '{mode}' is none of all, channel, element")
    return np.where(x > 0, x, x * slope)


@op("scale", inputs="X", scale=1.0, bias=0.0, bias_after_scale=True)
def scale(x, scale, bias, bias_after_scale):
    scale, bias = (np.asarray(v).astype(x.dtype) for v in (scale, bias))
    return x * scale + bias if bias_after_scale else (x + bias) * scale


@op("assign", inputs="X")
def assign(x):
    return x
