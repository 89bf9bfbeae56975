"""Functions of one element."""

import numpy as np

from .case import Case, ints, rand


def unary(type, x=None, name="", tol=1e-5, **attrs):
    x = rand(2, 3, 5, low=-4, high=4) if x is None else x
    return Case(f"{type}{'_' if name else ''}{name}", type, {"X": [x]}, attrs, tol=tol)


EDGE = np.array([-100, -20.5, -3, -1, -0.5, -1e-3, 0, 1e-3, 0.5, 1, 1.5, 2.5, 3, 6, 20.5, 80], np.float32)
PLAIN = ["relu", "relu6", "sigmoid", "tanh", "silu", "swish", "hard_swish", "hard_sigmoid", "leaky_relu", "elu", "gelu",
         "mish", "softplus", "square", "abs", "floor", "ceil", "round", "sign", "sin", "cos", "erf"]
EXACT = {"relu", "relu6", "abs", "floor", "ceil", "round", "sign"}

CASES = [
    *(unary(type, tol=0.0 if type in EXACT else 1e-5) for type in PLAIN),
    *(unary(type, EDGE, "edges", 0.0 if type in EXACT else 1e-6) for type in PLAIN if type not in ("sin", "cos")),
    *(unary("relu", rand(1, 1, size), f"size_{size}", 0.0) for size in (1, 3, 5, 7, 9, 17)),
    *(unary("sigmoid", rand(size), f"size_{size}") for size in (1, 2, 3, 4, 5, 63)),
    unary("relu6", name="threshold_1", threshold=1.0),
    unary("swish", name="beta_2", beta=2.0),
    unary("hard_swish", name="other", threshold=4.0, scale=5.0, offset=2.0),
    unary("hard_sigmoid", name="offset_0", slope=0.2, offset=0.0),
    unary("hard_sigmoid", name="sixth", slope=0.1666667, offset=0.5),
    unary("leaky_relu", name="alpha_01", alpha=0.1),
    unary("leaky_relu", name="alpha_2", alpha=2.0),
    unary("leaky_relu", name="alpha_negative", alpha=-0.3),
    unary("elu", name="alpha_05", alpha=0.5),
    unary("gelu", name="tanh", approximate=True),
    unary("gelu", EDGE, "tanh_edges", approximate=True),
    unary("softplus", name="beta_2_threshold_3", beta=2.0, threshold=3.0),
    unary("exp", rand(3, 7, low=-5, high=5)),
    unary("exp", np.array([-120, -87.5, -60, -1e-4, 0, 1e-4, 1, 88], np.float32), "range", 1e-6),
    unary("log", rand(3, 7, low=0.01, high=9)),
    unary("log", np.array([0, 1, 1e-38, 1e30], np.float32), "range", 1e-6),
    unary("sqrt", rand(3, 7, low=0, high=9)),
    unary("rsqrt", rand(3, 7, low=0.01, high=9)),
    unary("reciprocal", rand(3, 7, low=0.1, high=9)),
    unary("reciprocal", rand(5, low=-9, high=-0.1), "negative"),
    unary("sin", rand(17, low=-50, high=50), "far", 1e-5),
    unary("cos", rand(17, low=-50, high=50), "far", 1e-5),
    unary("clip", tol=0.0, min=-1.0, max=2.0),
    unary("clip", name="one_sided", tol=0.0, min=0.0, max=3.4028234663852886e38),
    unary("clip", ints(7, dtype="int64"), "int64", 0.0, min=-2.0, max=5.0),
    unary("pow", name="2", factor=2.0),
    unary("pow", name="3_negative_base", factor=3.0),
    unary("pow", rand(9, low=0, high=4), "half", factor=0.5),
    unary("pow", rand(9, low=0.1, high=4), "minus_1", factor=-1.0),
    unary("abs", ints(9), "int64", 0.0),
    unary("square", ints(9, dtype="int32"), "int32", 0.0),
    unary("logical_not", ints(3, 5, low=0, high=1, dtype="bool"), tol=0.0),
    unary("scale", scale=2.5, bias=-0.5),
    unary("scale", name="bias_first", scale=2.5, bias=-0.5, bias_after_scale=False),
    unary("scale", name="only", scale=0.25),
    unary("scale", ints(9), "int64", 0.0, scale=3.0, bias=1.0),
    unary("assign", tol=0.0),
    *(Case(f"prelu_{name}", "prelu", {"X": [x], "Alpha": [alpha]}, {"mode": mode, "data_format": layout}, ["Alpha"])
      for name, x, alpha, mode, layout in [
          ("all", rand(2, 3, 3, 5), rand(1), "all", "NCHW"),
          ("channel", rand(2, 5, 3, 3), rand(5), "channel", "NCHW"),
          ("channel_2d", rand(3, 7), rand(7), "channel", "NCHW"),
          ("channel_nhwc", rand(2, 3, 3, 5), rand(5), "channel", "NHWC"),
          ("element", rand(2, 3, 3, 5), rand(1, 3, 3, 5), "element", "NCHW"),
      ]),
]
