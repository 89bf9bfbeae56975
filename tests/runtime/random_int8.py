"""Random operators on int8: sizes of every remainder, all kinds of weights, endings and paddings."""

from __future__ import annotations

import numpy as np
from random_cases import Draw, Made


def whole(d: Draw, shape: tuple[int, ...], low: int = -128, high: int = 127, dtype: str = "int8") -> np.ndarray:
    return d.rng().integers(low, high + 1, shape).astype(dtype)


def bounds(d: Draw) -> dict[str, int]:
    low = d.pick(-128, 0, -20)
    return {"out_zero": d.int(-128, 127), "out_low": low, "out_high": d.pick(127, low + 100)}


def conv(d: Draw) -> Made:
    kind = d.pick("int8", "narrow", "wide", "first", "depthwise", "narrow depthwise")
    groups = d.pick(1, 1, 2) if kind != "first" else 1
    depth, outputs = d.int(1, 20), d.int(1, 20) * groups
    if kind == "narrow" and d.flag():
        depth, outputs = d.int(40, 70), d.int(30, 70) * groups
    if "depthwise" in kind:
        groups, depth = d.int(2, 40), 1
        outputs = groups
    n, h, w, (kh, kw) = d.int(1, 2), d.int(3, 9), d.int(3, 9), d.pick((1, 1), (3, 3), (2, 3), (5, 5), (3, 1))
    usual = "narrow" in kind and d.flag()  # as in most nets: channels by eights, 1 x 1, or 3 x 3 of each alone
    if usual and "depthwise" in kind:
        groups, (kh, kw) = 8 * d.int(1, 5), (3, 3)
        outputs = groups
    elif usual:
        groups, outputs, w, (kh, kw) = 1, 8 * d.int(1, 9), d.int(1, 30), (1, 1)
    if kind == "narrow depthwise":
        w += 9
    limit = {"narrow": 63, "int8": 127, "narrow depthwise": 63 if kh == 1 else 258 // (3 * kw)}.get(kind, 2047)
    filters = whole(d, (outputs, kh, kw, depth), -limit, limit, "int8" if limit < 128 else "int16")
    attrs = {"groups": groups, "strides": [d.int(1, 2), d.int(1, 3)], "dilations": [d.int(1, 2), d.int(1, 2)],
             "paddings": [d.int(0, 2) for _ in range(4)], "padding_algorithm": d.pick("EXPLICIT", "EXPLICIT", "SAME"),
             "in_zero": d.int(0, 127), "fuse_activation": d.pick("", "", "hard_swish", "leaky_relu"), "fuse_alpha": 0.1,
             "weight_limit": limit, "scale_exponent": d.int(-12, 3), "bias_exponent": d.int(0, 4), **bounds(d)}
    if usual:
        attrs |= {"paddings": [kh // 2] * 4, "strides": [1, 1], "fuse_activation": d.pick("", "", "hard_swish")}
    if kind == "narrow depthwise" and kh > 1:
        filters[d.int(0, groups - 1), d.int(0, kh - 1), d.int(0, kw - 1)] = d.pick(-1, 1)
        filters[0], filters[-1] = limit, -limit
        attrs |= {"rows_limit": 258, "dilations": [1, 1], "strides": [d.int(1, 2)] * 2}
    attrs["out_factor"] = 7.0 if attrs["fuse_activation"] == "hard_swish" else 1.0
    if kind == "first":
        x = d.array((n, depth, h, w))
        attrs |= {"in_inverse": 500.0, "in_zero": 0, "in_low": -2047, "in_high": 2047}
    else:
        attrs |= {"in_low": 0 if "narrow" in kind else -128, "in_high": 127}
        x = whole(d, (n, h, w, depth * groups), attrs["in_low"])
        x[0] = attrs["in_high"] if d.flag() else x[0]
    real = d.pick(*[40] * 9, 1e9) / (limit * (1000 if kind == "first" else 64) * np.sqrt(kh * kw * depth))
    real = np.ldexp(real, -attrs["scale_exponent"])
    scale = (d.rng().uniform(0.3, 2, outputs) * real).astype(np.float32)
    inputs = {"Input": [x], "Filter": [filters], "Scale": [scale],
              "Bias": [whole(d, (outputs,), -900, 900, d.pick("int16", "int32"))]}
    if d.flag() and kind != "first" and (kh, kw) == (1, 1) and attrs["padding_algorithm"] == "EXPLICIT":
        attrs |= {"strides": [1, 1], "paddings": [0] * 4, "residual_scale": 0.37, "residual_zero": d.int(-9, 9)}
        inputs["Residual"] = [whole(d, (n, h, w, outputs))]
    return inputs, attrs, ["Filter", "Scale", "Bias"]


def fc(d: Draw) -> Made:
    rows, depth, outputs = d.int(1, 3), d.int(1, 50), d.int(1, 20)
    limit = d.pick(127, 2047)
    return ({"Input": [d.array((rows, depth))], "W": [whole(d, (outputs, depth), -limit, limit, "int16")],
             "Scale": [np.full(outputs, 1e-5, np.float32)], "Bias": [whole(d, (outputs,), -999, 999, "int32")]},
            {"in_inverse": 900.0, "fuse_activation": d.pick("", "relu", "hard_swish")}, ["W", "Scale", "Bias"])


def add(d: Draw) -> Made:
    shape = d.shape(1, 4, 7)
    return ({"X": [whole(d, shape)], "Y": [whole(d, shape)]},
            {"x_zero": d.int(-9, 9), "x_scale": 0.63, "y_zero": d.int(-9, 9), "y_scale": 1.31, **bounds(d)}, [])


def mul(d: Draw) -> Made:
    n, h, w, c = d.int(1, 2), d.int(1, 4), d.int(1, 4), d.int(1, 20)
    return ({"X": [whole(d, (n, h, w, c))], "Gate": [d.array((n, c, 1, 1))]},
            {"x_zero": d.int(-9, 9), "scale": 0.87, **bounds(d)}, [])


def quantize(d: Draw) -> Made:
    shape = (d.int(1, 2), d.int(1, 20), d.int(1, 6), d.int(1, 6))
    return {"X": [d.array(shape)]}, {"inverse_scale": 61.7, "zero_point": d.int(-50, 50), "channels_last": d.flag()}, []


def dequantize(d: Draw) -> Made:
    shape = (d.int(1, 2), d.int(1, 6), d.int(1, 6), d.int(1, 20))
    return {"X": [whole(d, shape)]}, {"scale": 0.0371, "zero_point": d.int(-50, 50), "channels_first": d.flag()}, []


def max_pool(d: Draw) -> Made:
    x = whole(d, (d.int(1, 2), d.int(3, 8), d.int(3, 8), d.int(1, 20)))
    return {"X": [x]}, {"ksize": [d.int(2, 3), d.int(2, 3)], "strides": [d.int(1, 2), d.int(1, 2)],
                        "paddings": [d.int(0, 1) for _ in range(4)], "ceil_mode": d.flag()}, []


def mean(d: Draw) -> Made:
    h, w = d.pick((d.int(1, 6), d.int(1, 6)), (19, 27))  # more than 255 pixels: their sums may not fit into 16 bits
    return ({"X": [whole(d, (d.int(1, 2), h, w, d.int(1, 20)), high=d.pick(127, -128))]},
            {"scale": 0.0371, "zero_point": d.int(-50, 50)}, [])


def resize(d: Draw) -> Made:
    x = whole(d, (d.int(1, 2), d.int(1, 5), d.int(1, 5), d.int(1, 20)))
    sized = {"out_h": d.int(1, 9), "out_w": d.int(1, 9)} if d.flag() else {"scale": [2.0, 3.0]}
    return {"X": [x]}, {**sized, "align_corners": d.flag()}, []


INT8 = {"conv2d_int8": conv, "fc_int8": fc, "add_int8": add, "mul_int8": mul, "quantize_linear": quantize,
        "dequantize_linear": dequantize, "max_pool_int8": max_pool, "mean_int8": mean, "resize_int8": resize}
