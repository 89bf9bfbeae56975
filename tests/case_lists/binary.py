"""Functions of two elements: every way to broadcast, integers, comparisons, fused activations."""

from .case import Case, ints, rand


def binary(type, name, x, y, const=(), tol=1e-5, **attrs):
    return Case(f"{type}_{name}", type, {"X": [x], "Y": [y]}, attrs, list(const), tol=tol)


X = rand(2, 3, 4, 5, seed="x")
BROADCASTS = [
    ("same", X, rand(2, 3, 4, 5, low=0.5), -1),
    ("scalar", X, rand(1, low=0.5), -1),
    ("trailing", X, rand(5, low=0.5), -1),
    ("trailing_2", X, rand(4, 5, low=0.5), -1),
    ("channel_axis_1", X, rand(3, low=0.5), 1),
    ("channel_1c11", X, rand(1, 3, 1, 1, low=0.5), -1),
    ("channel_c11", X, rand(3, 1, 1, low=0.5), -1),
    ("channel_nc11", X, rand(2, 3, 1, 1, low=0.5), -1),
    ("nc_axis_0", X, rand(2, 3, low=0.5), 0),
    ("middle_axis_1", X, rand(3, 4, low=0.5), 1),
    ("pixel_n1hw", X, rand(2, 1, 4, 5, low=0.5), -1),
    ("both", rand(2, 1, 4, 1), rand(1, 3, 1, 5, low=0.5), -1),
    ("smaller_x", rand(5), rand(2, 3, 5, low=0.5), -1),
    ("trailing_one", X, rand(3, 1, low=0.5), 1),
]
ARITHMETIC = ["add", "sub", "mul", "div", "max", "min"]
ACTIVATIONS = [("relu", 0.0, 0.0), ("relu6", 6.0, 0.0), ("sigmoid", 0.0, 0.0), ("leaky_relu", 0.1, 0.0),
               ("hard_swish", 0.0, 0.0), ("hard_sigmoid", 0.2, 0.5), ("swish", 1.0, 0.0), ("tanh", 0.0, 0.0)]

CASES = [
    *(binary(f"elementwise_{type}", name, x, y, axis=axis) for type in ("add", "mul")
      for name, x, y, axis in BROADCASTS),
    *(binary(f"elementwise_{type}", name, x, y, axis=axis) for type in ("sub", "div", "max", "min")
      for name, x, y, axis in BROADCASTS[:1] + BROADCASTS[4:5] + BROADCASTS[11:13]),
    *(binary(f"elementwise_{type}", f"size_{n}", rand(n), rand(n, low=0.5)) for type in ("add", "div")
      for n in (1, 3, 7, 9, 17)),
    binary("elementwise_add", "rank_5_axis_1", rand(2, 3, 2, 2, 3), rand(3, 2), axis=1),
    binary("elementwise_mul", "rank_6", rand(2, 1, 3, 1, 2, 1), rand(1, 2, 1, 2, 1, 3)),
    binary("elementwise_add", "constant_y", X, rand(3), ["Y"], axis=1),
    binary("elementwise_mul", "constant_y", X, rand(1, 3, 1, 1), ["Y"]),
    binary("elementwise_sub", "constant_x", rand(5), X, ["X"]),
    binary("elementwise_pow", "positive_base", rand(3, 5, low=0.1), rand(3, 5)),
    binary("elementwise_pow", "negative_base", rand(9), ints(9, low=-2, high=3, dtype="float32")),
    binary("elementwise_mod", "floats", rand(2, 9, low=-5, high=5), rand(9, low=0.3, high=3)),
    binary("elementwise_mod", "negative_divisor", rand(9, low=-5, high=5), rand(9, low=-3, high=-0.3)),
    binary("elementwise_floordiv", "floats", rand(2, 9, low=-5, high=5), rand(9, low=0.3, high=3)),
    *(binary(f"elementwise_{type}", dtype, ints(2, 7, dtype=dtype), ints(7, low=1, dtype=dtype), tol=0.0)
      for type in (*ARITHMETIC, "mod", "floordiv") for dtype in ("int32", "int64")),
    binary("elementwise_floordiv", "negative_int64", ints(9), ints(9, low=-4, high=-1), tol=0.0),
    binary("elementwise_mod", "negative_int64", ints(9), ints(9, low=-4, high=-1), tol=0.0),
    binary("elementwise_add", "large_int64", ints(3, low=2**53, high=2**53 + 99), ints(3), tol=0.0),
    *(binary("elementwise_add", f"{act}_{a:g}_{b:g}", X, rand(2, 3, 4, 5), fuse_activation=act, fuse_alpha=a,
             fuse_beta=b) for act, a, b in ACTIVATIONS),
    binary("elementwise_mul", "fused_sigmoid", X, rand(2, 3, 1, 1), fuse_activation="sigmoid"),
    binary("elementwise_sub", "fused_relu_axis_1", X, rand(3), axis=1, fuse_activation="relu"),
    *(binary(type, "floats", rand(2, 3, 5), rand(3, 5, seed="y"), tol=0.0)
      for type in ("equal", "not_equal", "less_than", "less_equal", "greater_than", "greater_equal")),
    *(binary(type, "int64", ints(2, 7, low=0, high=3), ints(7, low=0, high=3), tol=0.0)
      for type in ("equal", "not_equal", "less_than", "less_equal", "greater_than", "greater_equal")),
    *(binary(type, "bools", ints(2, 7, low=0, high=1, dtype="bool"), ints(7, low=0, high=1, dtype="bool"), tol=0.0)
      for type in ("logical_and", "logical_or", "logical_xor")),
]
