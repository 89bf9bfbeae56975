"""conv2d with a residual and with every activation."""

from .case import rand
from .conv import conv

ACTIVATIONS = [("relu", 0.0, 0.0), ("relu6", 6.0, 0.0), ("relu6", 1.5, 0.0), ("sigmoid", 0.0, 0.0),
               ("tanh", 0.0, 0.0), ("silu", 0.0, 0.0), ("mish", 0.0, 0.0), ("gelu", 0.0, 0.0), ("swish", 1.5, 0.0),
               ("hard_swish", 0.0, 0.0), ("hard_sigmoid", 0.2, 0.5), ("hard_sigmoid", 0.1666667, 0.0),
               ("leaky_relu", 0.1, 0.0), ("clip", -1.0, 2.0)]
FUSED = [
    *(conv(f"conv2d_{act}_{a:g}_{b:g}", rand(1, 3, 5, 7), rand(5, 3, 3, 3, low=-1, high=1), rand(5),
           paddings=[1, 1, 1, 1], fuse_activation=act, fuse_alpha=a, fuse_beta=b) for act, a, b in ACTIVATIONS),
    conv("conv2d_residual", rand(1, 3, 5, 7), rand(5, 3, 1, 1), rand(5), rand(1, 5, 5, 7)),
    conv("conv2d_residual_relu", rand(1, 3, 5, 7), rand(5, 3, 3, 3), rand(5), rand(1, 5, 3, 4), strides=[2, 2],
         paddings=[1, 1, 1, 1], fuse_activation="relu"),
    conv("conv2d_residual_no_bias_nhwc", rand(1, 5, 7, 3), rand(5, 3, 1, 1), None, rand(1, 5, 7, 5),
         data_format="NHWC"),
    conv("conv2d_depthwise_hard_swish", rand(1, 5, 5, 9), rand(5, 1, 3, 3), rand(5), groups=5, paddings=[1, 1, 1, 1],
         fuse_activation="hard_swish"),
    conv("conv2d_depthwise_residual_relu6", rand(1, 5, 5, 9), rand(5, 1, 3, 3), rand(5), rand(1, 5, 5, 9), groups=5,
         paddings=[1, 1, 1, 1], fuse_activation="relu6", fuse_alpha=6.0),
]
CASES = FUSED
