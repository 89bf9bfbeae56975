"""Normalisations."""

from .case import Case, rand


def batch(name, x, channels, layout="NCHW", epsilon=1e-5):
    inputs = {"X": [x], "Scale": [rand(channels, seed="s")], "Bias": [rand(channels, seed="b")],
              "Mean": [rand(channels, seed="m")], "Variance": [rand(channels, low=0.1, high=3)]}
    return Case(f"batch_norm_{name}", "batch_norm", inputs, {"epsilon": epsilon, "data_layout": layout},
                ["Scale", "Bias", "Mean", "Variance"])


def affine(type, name, x, size, scale=True, bias=True, **attrs):
    inputs = {"X": [x]}
    if scale:
        inputs["Scale"] = [rand(size, seed="s")]
    if bias:
        inputs["Bias"] = [rand(size, seed="b")]
    return Case(f"{type}_{name}", type, inputs, attrs, list(inputs)[1:])


CASES = [
    *(batch(f"c{c}_w{w}", rand(1, c, 3, w), c) for c, w in [(1, 1), (3, 5), (5, 7), (8, 9), (13, 17)]),
    batch("batch_2", rand(2, 3, 4, 5), 3),
    batch("nhwc", rand(2, 3, 4, 5), 5, "NHWC"),
    batch("epsilon", rand(1, 3, 4, 5), 3, epsilon=1e-3),
    batch("2d", rand(3, 7), 7),
    batch("3d", rand(2, 5, 7), 5),
    affine("layer_norm", "last", rand(2, 3, 5), 5, begin_norm_axis=2),
    affine("layer_norm", "axis_1", rand(2, 3, 5), 15, begin_norm_axis=1),
    affine("layer_norm", "c17", rand(1, 3, 17), 17, begin_norm_axis=2, epsilon=1e-6),
    affine("layer_norm", "wide", rand(2, 64), 64, begin_norm_axis=1),
    affine("layer_norm", "no_scale", rand(2, 3, 5), 5, scale=False, begin_norm_axis=2),
    affine("layer_norm", "no_bias", rand(2, 3, 5), 5, bias=False, begin_norm_axis=2),
    affine("layer_norm", "plain", rand(2, 3, 9), 9, scale=False, bias=False, begin_norm_axis=2),
    affine("layer_norm", "offset", rand(3, 33, low=99, high=101), 33, begin_norm_axis=1),
    affine("instance_norm", "4d", rand(2, 3, 4, 5), 3),
    affine("instance_norm", "3d", rand(2, 5, 7), 5, epsilon=1e-3),
    affine("instance_norm", "plain", rand(1, 3, 5, 5), 3, scale=False, bias=False),
    affine("group_norm", "2", rand(2, 4, 3, 5), 4, groups=2),
    affine("group_norm", "1", rand(1, 3, 3, 5), 3, groups=1, epsilon=1e-3),
    affine("group_norm", "each_channel", rand(1, 5, 3, 3), 5, groups=5),
    affine("group_norm", "nhwc", rand(2, 3, 5, 6), 6, groups=3, data_layout="NHWC"),
    affine("group_norm", "plain", rand(1, 4, 3, 3), 4, scale=False, bias=False, groups=2),
]
