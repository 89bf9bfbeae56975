"""conv2d_transpose."""

from .case import rand
from .conv import conv


def deconv(name, x, w, bias=None, **attrs):
    return conv(name, x, w, bias, op="conv2d_transpose", **attrs)


TRANSPOSED = [
    deconv("conv2d_transpose_k2_s2", rand(1, 3, 4, 5), rand(3, 5, 2, 2), rand(5), strides=[2, 2]),
    deconv("conv2d_transpose_k3_s2_p1", rand(1, 5, 3, 7), rand(5, 3, 3, 3), strides=[2, 2], paddings=[1, 1, 1, 1]),
    deconv("conv2d_transpose_output_padding", rand(1, 4, 3, 5), rand(4, 3, 3, 3), rand(3), strides=[2, 2],
           paddings=[1, 1, 1, 1], output_padding=[1, 1]),
    deconv("conv2d_transpose_output_size", rand(1, 3, 4, 4), rand(3, 2, 3, 3), strides=[2, 2], paddings=[1, 1, 1, 1],
           output_size=[8, 7]),
    deconv("conv2d_transpose_k4_s2_p1", rand(2, 3, 3, 4), rand(3, 3, 4, 4), strides=[2, 2], paddings=[1, 1, 1, 1]),
    deconv("conv2d_transpose_asymmetric", rand(1, 3, 4, 5), rand(3, 2, 4, 3), strides=[2, 3], paddings=[0, 1, 1, 0]),
    deconv("conv2d_transpose_s1", rand(1, 3, 4, 5), rand(3, 2, 3, 3), paddings=[1, 1, 1, 1]),
    deconv("conv2d_transpose_k2_s3_gaps", rand(1, 2, 3, 3), rand(2, 3, 2, 2), strides=[3, 3]),
    deconv("conv2d_transpose_dilation_2", rand(1, 3, 4, 5), rand(3, 2, 3, 3), strides=[2, 2], dilations=[2, 2]),
    deconv("conv2d_transpose_groups_2", rand(1, 4, 3, 5), rand(4, 3, 3, 3), rand(6), strides=[2, 2], groups=2,
           paddings=[1, 1, 1, 1]),
    deconv("conv2d_transpose_depthwise", rand(1, 5, 3, 5), rand(5, 1, 4, 4), strides=[2, 2], groups=5,
           paddings=[1, 1, 1, 1]),
    deconv("conv2d_transpose_same", rand(1, 3, 4, 5), rand(3, 2, 3, 3), strides=[2, 2], padding_algorithm="SAME"),
    deconv("conv2d_transpose_nhwc", rand(1, 4, 5, 3), rand(3, 2, 3, 3), rand(2), strides=[2, 2],
           paddings=[1, 1, 1, 1], data_format="NHWC"),
    deconv("conv2d_transpose_sigmoid", rand(1, 3, 4, 5), rand(3, 1, 2, 2), rand(1), strides=[2, 2],
           fuse_activation="sigmoid"),
    deconv("conv2d_transpose_k2_s2_relu_w17", rand(1, 8, 2, 17), rand(8, 4, 2, 2), rand(4), strides=[2, 2],
           fuse_activation="relu"),
]
CASES = TRANSPOSED
