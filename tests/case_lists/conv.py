"""conv2d and conv2d_transpose."""

from .case import Case, rand


def conv(name, x, w, bias=None, residual=None, op="conv2d", **attrs):
    inputs = {"Input": [x], "Filter": [w]}
    if bias is not None:
        inputs["Bias"] = [bias]
    const = list(inputs)[1:]
    if residual is not None:
        inputs["ResidualData"] = [residual]
    return Case(name, op, inputs, attrs, const)


X = rand(1, 3, 7, 9, seed="x")

POINTWISE = [
    conv(f"conv2d_1x1_c{c}_o{o}_w{w}", rand(1, c, 3, w), rand(o, c, 1, 1), rand(o))
    for c, o, w in [(1, 1, 1), (3, 5, 3), (5, 8, 5), (8, 13, 7), (13, 4, 9), (4, 3, 17), (16, 24, 6)]
]
THREE = [
    conv(f"conv2d_3x3_s{s}_c{c}_o{o}_w{w}", rand(1, c, 5, w), rand(o, c, 3, 3), strides=[s, s],
         paddings=[1, 1, 1, 1])
    for s, c, o, w in [(1, 3, 8, 9), (2, 3, 8, 9), (1, 5, 3, 17), (2, 8, 5, 7), (1, 1, 13, 3), (2, 13, 1, 1)]
]
WINDOWS = [
    conv("conv2d_no_padding", X, rand(5, 3, 3, 3)),
    conv("conv2d_asymmetric_padding", X, rand(4, 3, 3, 3), strides=[2, 2], paddings=[0, 1, 2, 0]),
    conv("conv2d_padding_0_1", X, rand(4, 3, 3, 3), paddings=[0, 0, 1, 1]),
    conv("conv2d_kernel_1x5", X, rand(4, 3, 1, 5), paddings=[0, 0, 2, 2]),
    conv("conv2d_kernel_5x1", X, rand(4, 3, 5, 1), paddings=[2, 2, 0, 0]),
    conv("conv2d_kernel_5x5_s3", X, rand(4, 3, 5, 5), strides=[3, 3], paddings=[2, 2, 2, 2]),
    conv("conv2d_kernel_7x7_s2", rand(1, 3, 13, 11), rand(3, 3, 7, 7), strides=[2, 2], paddings=[3, 3, 3, 3]),
    conv("conv2d_stride_2_1", X, rand(4, 3, 3, 3), strides=[2, 1], paddings=[1, 1, 1, 1]),
    conv("conv2d_even_kernel", X, rand(4, 3, 2, 4), strides=[2, 2]),
    conv("conv2d_dilation_2", X, rand(4, 3, 3, 3), dilations=[2, 2], paddings=[2, 2, 2, 2]),
    conv("conv2d_dilation_3_1", X, rand(4, 3, 3, 3), dilations=[3, 1], paddings=[3, 3, 1, 1]),
    conv("conv2d_padding_wider_than_input", rand(1, 2, 2, 3), rand(3, 2, 3, 3), paddings=[4, 4, 3, 3]),
    conv("conv2d_same", X, rand(4, 3, 3, 3), padding_algorithm="SAME"),
    conv("conv2d_same_s2", X, rand(4, 3, 3, 3), strides=[2, 2], padding_algorithm="SAME"),
    conv("conv2d_same_s2_even", rand(1, 3, 8, 6), rand(4, 3, 3, 3), strides=[2, 2], padding_algorithm="SAME"),
    conv("conv2d_same_s3_k2", X, rand(4, 3, 2, 2), strides=[3, 3], padding_algorithm="SAME"),
    conv("conv2d_same_drops_dilation", X, rand(4, 3, 3, 3), dilations=[2, 2], padding_algorithm="SAME"),
    conv("conv2d_batch_3", rand(3, 2, 5, 4), rand(3, 2, 3, 3), rand(3), paddings=[1, 1, 1, 1]),
    conv("conv2d_1x1_s2", rand(1, 5, 7, 9), rand(6, 5, 1, 1), strides=[2, 2]),
    conv("conv2d_k2_s2_of_one_row", rand(1, 3, 1, 6), rand(5, 3, 2, 2), rand(5), strides=[2, 2]),
    conv("conv2d_k3_s4_dilated_of_two", rand(1, 2, 2, 9), rand(3, 2, 2, 3), strides=[3, 3], dilations=[3, 2]),
    conv("conv2d_depthwise_k3_s3_of_two", rand(1, 5, 2, 2), rand(5, 1, 3, 3), groups=5, strides=[3, 2]),
    conv("conv2d_1x1_padded", rand(1, 3, 3, 3), rand(4, 3, 1, 1), rand(4), paddings=[1, 0, 0, 2]),
]
GROUPS = [
    conv("conv2d_groups_2", rand(1, 4, 5, 7), rand(6, 2, 3, 3), rand(6), groups=2, paddings=[1, 1, 1, 1]),
    conv("conv2d_groups_3_s2", rand(1, 9, 5, 7), rand(3, 3, 3, 3), groups=3, strides=[2, 2]),
    conv("conv2d_groups_1x1", rand(1, 10, 3, 5), rand(5, 2, 1, 1), groups=5),
    *(conv(f"conv2d_depthwise_k{k}_s{s}_c{c}_w{w}", rand(1, c, 6, w), rand(c, 1, k, k), rand(c), groups=c,
           strides=[s, s], paddings=[k // 2] * 4)
      for k, s, c, w in [(3, 1, 1, 5), (3, 1, 5, 17), (3, 2, 8, 9), (5, 1, 3, 7), (5, 2, 13, 9), (7, 1, 3, 3)]),
    conv("conv2d_depthwise_asymmetric", rand(1, 5, 6, 7), rand(5, 1, 3, 3), groups=5, strides=[2, 2],
         paddings=[0, 1, 0, 1]),
    conv("conv2d_depthwise_dilated", rand(1, 3, 9, 9), rand(3, 1, 3, 3), groups=3, dilations=[2, 2],
         paddings=[2, 2, 2, 2]),
    conv("conv2d_depthwise_multiplier_2", rand(1, 3, 5, 5), rand(6, 1, 3, 3), rand(6), groups=3,
         paddings=[1, 1, 1, 1]),
    conv("conv2d_depthwise_same_s2", rand(1, 4, 7, 8), rand(4, 1, 3, 3), groups=4, strides=[2, 2],
         padding_algorithm="SAME"),
    conv("conv2d_depthwise_1x1", rand(1, 5, 3, 5), rand(5, 1, 1, 1), groups=5),
]
CHANNELS_LAST = [
    conv("conv2d_nhwc", rand(1, 7, 9, 3), rand(5, 3, 3, 3), rand(5), data_format="NHWC", paddings=[1, 0, 2, 1],
         strides=[2, 1]),
    conv("conv2d_nhwc_same", rand(2, 5, 6, 3), rand(4, 3, 3, 3), data_format="NHWC", padding_algorithm="SAME",
         strides=[2, 2]),
    conv("conv2d_nhwc_depthwise", rand(1, 5, 6, 5), rand(5, 1, 3, 3), rand(5), data_format="NHWC", groups=5,
         paddings=[1, 1, 1, 1], fuse_activation="relu"),
]
LARGER = [
    conv("conv2d_1x1_c64_o48", rand(1, 64, 3, 5), rand(48, 64, 1, 1, low=-0.5, high=0.5), rand(48)),
    conv("conv2d_1x1_c17_o33_w10", rand(1, 17, 7, 10), rand(33, 17, 1, 1), rand(33)),
    conv("conv2d_3x3_c24_o16", rand(1, 24, 5, 6), rand(16, 24, 3, 3, low=-0.5, high=0.5), rand(16),
         paddings=[1, 1, 1, 1]),
    conv("conv2d_depthwise_c16_w33", rand(1, 16, 3, 33), rand(16, 1, 3, 3), rand(16), groups=16,
         paddings=[1, 1, 1, 1]),
]
CASES = [*POINTWISE, *THREE, *WINDOWS, *GROUPS, *CHANNELS_LAST, *LARGER]
