"""pool2d."""

from .case import Case, rand


def pool(name, x, kind, ksize, **attrs):
    return Case(f"pool2d_{kind}_{name}", "pool2d", {"X": [x]}, {"pooling_type": kind, "ksize": ksize, **attrs})


X = rand(1, 3, 7, 9, seed="x")

BOTH = [
    pool(name, x, kind, ksize, **attrs)
    for kind in ("max", "avg")
    for name, x, ksize, attrs in [
        ("k2_s2", X, [2, 2], {"strides": [2, 2]}),
        ("k3_s2_p1", X, [3, 3], {"strides": [2, 2], "paddings": [1, 1, 1, 1]}),
        ("k3_s1_p1_c5_w17", rand(1, 5, 3, 17), [3, 3], {"paddings": [1, 1, 1, 1]}),
        ("k3_s2_ceil", rand(1, 2, 6, 8), [3, 3], {"strides": [2, 2], "ceil_mode": True}),
        ("k3_s2_p1_ceil", rand(1, 2, 6, 8), [3, 3], {"strides": [2, 2], "paddings": [1, 1, 1, 1], "ceil_mode": True}),
        ("k2_s2_ceil_odd", X, [2, 2], {"strides": [2, 2], "ceil_mode": True}),
        ("asymmetric", X, [3, 2], {"strides": [2, 1], "paddings": [0, 1, 1, 0]}),
        ("same", X, [3, 3], {"strides": [2, 2], "padding_algorithm": "SAME"}),
        ("same_even", rand(1, 2, 6, 8), [2, 3], {"strides": [2, 2], "padding_algorithm": "SAME"}),
        ("valid", X, [2, 3], {"strides": [2, 2], "padding_algorithm": "VALID"}),
        ("global", rand(2, 5, 3, 5), [1, 1], {"global_pooling": True}),
        ("global_c13", rand(1, 13, 7, 1), [2, 2], {"global_pooling": True, "paddings": [1, 1, 1, 1]}),
        ("adaptive_1", rand(1, 3, 5, 4), [1, 1], {"adaptive": True}),
        ("adaptive_3_2", X, [3, 2], {"adaptive": True}),
        ("adaptive_overlap", rand(1, 2, 5, 7), [3, 5], {"adaptive": True}),
        ("nhwc", rand(1, 5, 6, 3), [3, 3], {"strides": [2, 2], "paddings": [1, 1, 0, 1], "data_format": "NHWC"}),
        ("nhwc_global", rand(2, 3, 4, 5), [1, 1], {"global_pooling": True, "data_format": "NHWC"}),
        ("kernel_is_input", rand(1, 8, 3, 5), [3, 5], {}),
        ("k2_s2_of_one_row", rand(1, 3, 1, 6), [2, 2], {"strides": [2, 2]}),
        ("k4_s4_of_two", rand(1, 2, 2, 2), [4, 4], {"strides": [4, 3]}),
        ("k4_s3_p1_of_one", rand(1, 2, 2, 1), [2, 4], {"strides": [2, 3], "paddings": [0, 0, 1, 0]}),
        ("k4_s3_ceil_of_one", rand(1, 2, 2, 1), [2, 4], {"strides": [2, 3], "ceil_mode": True}),
        ("k5_s1_p2", rand(1, 1, 5, 5), [5, 5], {"paddings": [2, 2, 2, 2]}),
    ]
]
INCLUSIVE = [
    pool("inclusive", X, "avg", [3, 3], strides=[2, 2], paddings=[1, 1, 1, 1], exclusive=False),
    pool("inclusive_asymmetric", X, "avg", [3, 2], strides=[2, 2], paddings=[0, 1, 1, 0], exclusive=False),
    pool("inclusive_ceil", rand(1, 2, 6, 8), "avg", [3, 3], strides=[2, 2], paddings=[1, 1, 1, 1], exclusive=False,
         ceil_mode=True),
    pool("inclusive_ceil_no_padding", rand(1, 2, 6, 8), "avg", [3, 3], strides=[2, 2], exclusive=False,
         ceil_mode=True),
    pool("inclusive_same", X, "avg", [3, 3], strides=[2, 2], exclusive=False, padding_algorithm="SAME"),
    pool("inclusive_k4_s3_p1_of_one", rand(1, 2, 2, 1), "avg", [2, 4], strides=[2, 3], paddings=[0, 0, 1, 0],
         exclusive=False),
    pool("inclusive_k2_s2_of_one_row", rand(1, 3, 1, 6), "avg", [2, 2], strides=[2, 2], exclusive=False),
    pool("inclusive_adaptive", X, "avg", [2, 4], adaptive=True, exclusive=False),
    pool("inclusive_nhwc", rand(1, 5, 6, 3), "avg", [3, 3], paddings=[1, 1, 1, 1], exclusive=False,
         data_format="NHWC"),
]
CASES = [*BOTH, *INCLUSIVE]
