"""Functions of one element that models use rarely, classes of floats, bits."""

import numpy as np

from .binary import X, binary
from .case import ints, rand
from .unary import EDGE, unary

ANY = ["softsign", "tanh_shrink", "softshrink", "hard_shrink", "thresholded_relu", "logsigmoid", "celu", "selu",
       "stanh", "atan", "asinh"]
NEAR_ZERO = np.array([-0.3, -1e-2, -1e-4, -1e-6, 0, 1e-7, 1e-5, 1e-3, 0.05, 0.5], np.float32)
STRANGE = np.array([0.0, -1.5, np.inf, -np.inf, np.nan, 3e38, 1e-40], np.float32)

CASES = [
    *(unary(type) for type in ANY),
    *(unary(type, EDGE, "edges", 1e-6) for type in ANY),
    *(unary(type, NEAR_ZERO, "near_zero", 1e-7) for type in
      ("expm1", "log1p", "tan", "asin", "atan", "sinh", "asinh", "atanh")),
    *(unary(type, STRANGE, "strange", 1e-6) for type in ("atan", "asinh", "softsign", "hard_shrink")),
    unary("softshrink", name="wider", **{"lambda": 1.5}),
    unary("hard_shrink", name="wider", threshold=1.5),
    unary("thresholded_relu", name="value", threshold=-0.5, value=-2.0),
    unary("celu", name="alpha_2", alpha=2.0),
    unary("selu", name="other", scale=1.5, alpha=1.2),
    unary("stanh", name="other", scale_a=1.2, scale_b=0.5),
    unary("expm1", rand(3, 7, low=-5, high=5)),
    unary("log1p", rand(3, 7, low=-0.99, high=9)),
    unary("log1p", np.array([-1, -2, np.inf], np.float32), "ends"),
    unary("log2", np.array([0, 1, 2, 0.3, 1e-38, 1e30, np.inf, -1], np.float32), tol=1e-6),
    unary("log10", np.array([0, 1, 10, 0.3, 1e-38, 1e30, np.inf, -1], np.float32), tol=1e-6),
    unary("tan", rand(3, 7, low=-1.5, high=1.5)),
    unary("asin", rand(3, 7, low=-1, high=1)),
    unary("asin", np.array([-1, 1, 0, 1.5], np.float32), "ends"),
    unary("acos", rand(3, 7, low=-1, high=1)),
    unary("acos", np.array([-1, 1, 0, 0.9999999, -1.5], np.float32), "ends", 1e-6),
    unary("sinh", rand(3, 7, low=-5, high=5)),
    unary("cosh", rand(3, 7, low=-5, high=5)),
    unary("acosh", rand(3, 7, low=1, high=9)),
    unary("acosh", np.array([1, 1.0001, 1e6, 0.5, np.inf], np.float32), "ends", 1e-6),
    unary("atanh", rand(3, 7, low=-0.99, high=0.99)),
    *(unary(type, STRANGE, tol=0.0) for type in ("isnan_v2", "isinf_v2", "isfinite_v2")),
    *(unary("bitwise_not", ints(7, dtype=dtype), dtype, 0.0) for dtype in ("int32", "int64")),
    *(binary(type, dtype, ints(2, 7, low=-99, high=99, dtype=dtype), ints(7, low=-99, high=99, dtype=dtype), tol=0.0)
      for type in ("bitwise_and", "bitwise_or", "bitwise_xor") for dtype in ("int32", "int64")),
    binary("atan2", "quadrants", rand(3, 9), rand(3, 9, seed="y")),
    binary("atan2", "axes", np.array([0, 0, 1, -1, 0.5, -0.5, np.inf], np.float32),
           np.array([1, -1, 0, 0, -np.inf, np.inf, np.inf], np.float32)),
    binary("elementwise_fmax", "nan", np.array([1, np.nan, 3, np.nan, 5], np.float32),
           np.array([2, 2, np.nan, np.nan, 4], np.float32), tol=0.0),
    binary("elementwise_fmin", "nan", np.array([1, np.nan, 3, np.nan, 5], np.float32),
           np.array([2, 2, np.nan, np.nan, 4], np.float32), tol=0.0),
    binary("elementwise_fmax", "broadcast", X, rand(5), tol=0.0),
    binary("elementwise_fmin", "broadcast", X, rand(4, 5), tol=0.0),
]
