"""Operators on int8. Their tolerance is zero: they compute whole numbers."""

import numpy as np

from .case import Case, ints, rand

NAN = np.array([[np.nan, np.inf, -np.inf, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5]], np.float32)


def bytes_of(*shape, low=-128, high=127, seed=""):
    return ints(*shape, low=low, high=high, dtype="int8", seed=seed)


def conv(name, x, channels, kernel=(1, 1), residual=None, groups=1, real=1.0, kind="", **attrs):
    """real: how large the sums are in units of the result, about. kind: wide weights, narrow ones and pixels, or short
    scales and biases."""
    wide, narrow, short = (kind == name for name in ("wide", "narrow", "short"))
    depth = (x.shape[1] if x.dtype == np.float32 else x.shape[3]) // groups
    limit = 2047 if wide else 63 if narrow else 127
    if narrow:
        attrs = {"in_low": 0, "in_high": 127, "weight_limit": 63, **attrs}
    w = ints(channels, *kernel, depth, low=-limit, high=limit, dtype="int16" if wide else "int8", seed=name)
    usual = 20 * real / (limit * 64 * (depth * kernel[0] * kernel[1]) ** 0.5)
    scale = (rand(channels, low=0.5, high=1.5, seed=name) * np.float32(usual)).astype(np.float32)
    if short:
        scale = np.ldexp(scale, -attrs["scale_exponent"]).astype(np.float16).astype(np.float32)
    inputs = {
        "Input": [x],
        "Filter": [w],
        "Scale": [scale],
        "Bias": [ints(channels, low=-900, high=900, dtype="int16" if short else "int32", seed=name)],
    }
    if residual:
        attrs = {"residual_scale": 0.731, "residual_zero": -5, **attrs}
        inputs["Residual"] = [bytes_of(*residual, seed=name)]
    return Case(
        f"conv2d_int8_{name}",
        "conv2d_int8",
        inputs,
        {"groups": groups, "out_zero": 7, **attrs},
        ["Filter", "Scale", "Bias"],
        tol=0,
    )


def picture(c, h=5, w=7, n=1):
    return bytes_of(n, h, w, c, seed="x")


SAMES = {"paddings": [1, 1, 1, 1], "in_zero": -7}
FLOATS = {"in_inverse": 300.0, "in_zero": 11, "in_low": -1500, "in_high": 1500, "paddings": [1, 1, 1, 1]}

CASES = [
    Case("quantize_linear", "quantize_linear", {"X": [rand(3, 7)]}, {"inverse_scale": 37.3, "zero_point": -11}, tol=0),
    Case(
        "quantize_linear_halves_and_no_numbers",
        "quantize_linear",
        {"X": [NAN]},
        {"inverse_scale": 1.0, "zero_point": 3},
        tol=0,
    ),
    Case(
        "quantize_linear_bounds",
        "quantize_linear",
        {"X": [rand(41)]},
        {"inverse_scale": 90.0, "low": 0, "high": 127},
        tol=0,
    ),
    *(
        Case(
            f"quantize_linear_channels_last_{c}",
            "quantize_linear",
            {"X": [rand(2, c, 3, 5)]},
            {"inverse_scale": 50.0, "zero_point": 5, "channels_last": True},
            tol=0,
        )
        for c in (1, 3, 8)
    ),
    Case("dequantize_linear", "dequantize_linear", {"X": [bytes_of(3, 11)]}, {"scale": 0.0173, "zero_point": 9}, tol=0),
    *(
        Case(
            f"dequantize_linear_channels_first_{c}",
            "dequantize_linear",
            {"X": [bytes_of(2, 3, 5, c)]},
            {"scale": 0.31, "zero_point": -128, "channels_first": True},
            tol=0,
        )
        for c in (1, 3, 8)
    ),
    conv("1x1", picture(16), 8),
    conv("1x1_odd", picture(3), 5),
    conv("1x1_c17_o13", picture(17, 3, 3), 13, out_low=0, out_high=90),
    conv("1x1_one_pixel", picture(9, 1, 1), 3),
    conv("1x1_batch", picture(10, 3, 3, 2), 9),
    conv("1x1_stride", picture(8), 8, strides=[2, 2]),
    conv("1x1_wide", picture(12, 3, 4), 6, kind="wide"),
    conv("1x1_residual", picture(8, 3, 4), 10, residual=(1, 3, 4, 10)),
    conv("1x1_out_of_range", picture(8, 3, 3), 8, real=20.0),
    conv("1x1_hard_swish", picture(8, 3, 4), 8, real=0.1, fuse_activation="hard_swish", out_factor=6.5),
    conv(
        "1x1_hard_swish_residual",
        picture(8, 3, 4),
        8,
        real=0.1,
        residual=(1, 3, 4, 8),
        residual_scale=0.02,
        fuse_activation="hard_swish",
        out_factor=6.5,
    ),
    *(
        conv(f"narrow_{name}", bytes_of(*shape, low=0, high=127, seed=name), o, kernel, kind="narrow", **attrs)
        for name, shape, o, kernel, attrs in [
            ("1x1", (1, 5, 7, 24), 16, (1, 1), {"real": 2.0}),
            ("1x1_odd", (2, 3, 3, 13), 11, (1, 1), {}),
            ("1x1_one_pixel", (1, 1, 1, 200), 3, (1, 1), {"real": 8.0}),
            ("1x1_residual", (1, 3, 3, 40), 9, (1, 1), {"residual": (1, 3, 3, 9)}),
            ("1x1_wide", (1, 3, 3, 88), 72, (1, 1), {"real": 2.0}),
            ("1x1_wide_hard_swish", (1, 2, 3, 51), 40, (1, 1), {"fuse_activation": "hard_swish", "out_factor": 6.5}),
            ("1x1_wide_residual", (1, 1, 3, 20), 64, (1, 1), {"residual": (1, 1, 3, 64)}),
            ("1x1_tall_residual", (1, 3, 5, 20), 40, (1, 1), {"residual": (1, 3, 5, 40)}),
            ("1x1_tall_hard_swish", (2, 2, 4, 24), 24, (1, 1), {"fuse_activation": "hard_swish", "out_factor": 6.5}),
            ("1x1_tall_far", (1, 2, 4, 8), 16, (1, 1), {"real": 1e8}),
            ("3x3", (1, 5, 6, 5), 8, (3, 3), {"paddings": [1, 1, 1, 1], "in_zero": 127, "strides": [2, 2]}),
            ("3x3_dilated_groups", (1, 5, 6, 6), 4, (3, 3), {"paddings": [2] * 4, "dilations": [2, 2], "groups": 2}),
        ]
    ),
    # every product as large as it can be
    Case(
        "conv2d_int8_narrow_extreme",
        "conv2d_int8",
        {
            "Input": [np.full((1, 1, 5, 64), 127, np.int8)],
            "Filter": [np.array([63, -63], np.int8).reshape(2, 1, 1, 1).repeat(64, 3)],
            "Scale": [np.array([1e-4, 1.1e-4], np.float32)],
            "Bias": [np.array([0, 5], np.int32)],
        },
        {"in_low": 0, "in_high": 127, "weight_limit": 63},
        ["Filter", "Scale", "Bias"],
        tol=0,
    ),
    Case(
        "conv2d_int8_narrow_wide_extreme",
        "conv2d_int8",
        {
            "Input": [np.full((1, 1, 3, 64), 127, np.int8)],
            "Filter": [np.array([63, -63, 32, -32], np.int8).repeat([31, 1, 31, 1]).reshape(64, 1, 1, 1).repeat(64, 3)],
            "Scale": [np.full(64, 1e-4, np.float32)],
            "Bias": [np.arange(64, dtype=np.int32)],
        },
        {"in_low": 0, "in_high": 127, "weight_limit": 63},
        ["Filter", "Scale", "Bias"],
        tol=0,
    ),
    conv("1x1_exponents", picture(8, 3, 4), 8, kind="short", scale_exponent=-9, bias_exponent=6),
    conv("depthwise_exponents", picture(8, 3, 4), 8, kind="short", groups=8, scale_exponent=-6, bias_exponent=3),
    conv("1x1_leaky", picture(8, 3, 4), 8, fuse_activation="leaky_relu", fuse_alpha=0.1),
    conv("3x3", picture(6), 9, (3, 3), **SAMES),
    conv("3x3_stride", picture(5), 9, (3, 3), **SAMES, strides=[2, 2]),
    conv("3x3_dilated", picture(5), 4, (3, 3), paddings=[2, 2, 2, 2], in_zero=3, dilations=[2, 2]),
    conv("3x3_no_padding", picture(3), 4, (3, 3)),
    conv("3x3_groups", picture(6), 4, (3, 3), **SAMES, groups=2),
    conv("2x5_asymmetric", picture(4), 8, (2, 5), paddings=[0, 1, 3, 2], in_zero=100, strides=[1, 2]),
    conv("3x3_twice_the_channels", picture(3), 6, (3, 3), **SAMES, groups=3),
    conv("first_layer", rand(1, 3, 6, 7), 8, (3, 3), kind="wide", real=0.1, **FLOATS),
    conv("first_layer_stride", rand(2, 3, 7, 5), 5, (3, 3), kind="wide", real=0.1, **FLOATS, strides=[2, 2]),
    conv("first_layer_one_channel", rand(1, 1, 5, 9), 3, (3, 3), real=0.1, **FLOATS),
    *(
        conv(f"depthwise_{name}", picture(c, 7, 6), c, k, kind="wide" if wide else "", groups=c, **attrs)
        for name, c, k, wide, attrs in [
            ("3x3", 8, (3, 3), True, SAMES),
            ("3x3_c13", 13, (3, 3), False, SAMES),
            ("3x3_c5", 5, (3, 3), True, SAMES),
            ("3x3_stride", 16, (3, 3), True, {**SAMES, "strides": [2, 2]}),
            ("5x5", 9, (5, 5), True, {"paddings": [2] * 4}),
            ("5x5_stride", 8, (5, 5), False, {"paddings": [2] * 4, "in_zero": -128, "strides": [2, 2]}),
            ("1x1", 10, (1, 1), False, {}),
            ("2x2", 8, (2, 2), False, {}),
            ("3x1", 8, (3, 1), True, {"paddings": [1, 1, 0, 0]}),
            ("dilated", 8, (3, 3), True, {"paddings": [2] * 4, "dilations": [2, 2]}),
        ]
    ),
    conv("depthwise_residual", picture(11, 5, 5), 11, (3, 3), residual=(1, 5, 5, 11), groups=11, **SAMES),
    conv(
        "depthwise_hard_swish",
        picture(8, 5, 5),
        8,
        (3, 3),
        real=0.1,
        groups=8,
        **SAMES,
        fuse_activation="hard_swish",
        out_factor=6.5,
    ),
    *(
        Case(
            f"fc_int8_{name}",
            "fc_int8",
            {
                "Input": [x],
                "W": [ints(n, k, low=-limit, high=limit, dtype=dtype)],
                "Scale": [rand(n, low=0.001, high=0.002)],
                "Bias": [ints(n, dtype="int32")],
            },
            {"in_inverse": 700.0, **attrs},
            ["W", "Scale", "Bias"],
            tol=1e-7,
        )
        for name, x, n, k, limit, dtype, attrs in [
            ("row", rand(1, 24), 10, 24, 127, "int8", {}),
            ("rows_odd", rand(3, 17), 5, 17, 127, "int8", {}),
            ("wide", rand(2, 33), 4, 33, 2047, "int16", {"fuse_activation": "relu"}),
            ("picture", rand(2, 5, 1, 1), 3, 5, 127, "int8", {"in_low": -100, "in_high": 90}),
        ]
    ),
    Case(
        "add_int8",
        "add_int8",
        {"X": [bytes_of(2, 3, 3, 5)], "Y": [bytes_of(2, 3, 3, 5, seed="y")]},
        {"x_zero": 4, "x_scale": 0.6, "y_zero": -9, "y_scale": 0.31, "out_zero": -20},
        tol=0,
    ),
    Case(
        "add_int8_relu",
        "add_int8",
        {"X": [bytes_of(1, 2, 2, 8)], "Y": [bytes_of(1, 2, 2, 8, seed="y")]},
        {"x_scale": 1.2, "y_scale": 0.9, "out_zero": -128, "out_low": -128, "out_high": 60},
        tol=0,
    ),
    *(
        Case(
            f"mul_int8_{c}",
            "mul_int8",
            {"X": [bytes_of(2, 2, 3, c)], "Gate": [rand(2, c, 1, 1, low=0.0, high=1.0)]},
            {"x_zero": -30, "scale": 0.97, "out_zero": -25},
            tol=0,
        )
        for c in (3, 8, 18)
    ),
    Case(
        "max_pool_int8",
        "max_pool_int8",
        {"X": [picture(5)]},
        {"ksize": [3, 3], "strides": [2, 2], "paddings": [1, 1, 1, 1]},
        tol=0,
    ),
    Case(
        "max_pool_int8_ceil",
        "max_pool_int8",
        {"X": [picture(17, 6, 8)]},
        {"ksize": [3, 3], "strides": [2, 2], "ceil_mode": True},
        tol=0,
    ),
    Case("mean_int8", "mean_int8", {"X": [bytes_of(2, 5, 7, 13)]}, {"scale": 0.0371, "zero_point": -17}, tol=0),
    Case("mean_int8_4", "mean_int8", {"X": [bytes_of(1, 1, 1, 4)]}, {"scale": 0.5, "zero_point": 3}, tol=0),
    Case("resize_int8", "resize_int8", {"X": [picture(5, 2, 3)]}, {"scale": [2.0, 2.0]}, tol=0),
    Case("resize_int8_to_size", "resize_int8", {"X": [picture(16, 2, 3)]}, {"out_h": 6, "out_w": 12}, tol=0),
]
