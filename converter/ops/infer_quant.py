"""Output shapes and dtypes of the operators on int8: their pictures have the channels last."""

from __future__ import annotations

from converter.ops.infer_detect import DTYPES
from converter.ops.infer_pictures import resize as resize_rule
from converter.ops.infer_pictures import split_layout
from converter.ops.infer_rules import rule

DTYPES.update(dict.fromkeys(("quantize_linear", "conv2d_int8", "add_int8", "mul_int8", "max_pool_int8", "resize_int8"),
                            ("int8",)))
DTYPES.update(dict.fromkeys(("dequantize_linear", "fc_int8", "mean_int8"), ("float32",)))


@rule("quantize_linear", "dequantize_linear")
def relaid(sizes, node, shapes):
    x = shapes["X"][0]
    if node.attrs.get("channels_last"):
        return [(x[0], x[2], x[3], x[1])]
    return [(x[0], x[3], x[1], x[2])] if node.attrs.get("channels_first") else [x]


@rule("add_int8", "mul_int8")
def same(sizes, node, shapes):
    return [shapes["X"][0]]


@rule("conv2d_int8")
def conv(sizes, node, shapes):
    a, w = node.attrs, shapes["Filter"][0]
    batch, channels, picture = split_layout(shapes["Input"][0], "NCHW" if a["in_inverse"] else "NHWC")
    if isinstance(channels, int) and channels != w[3] * a["groups"]:
        raise ValueError(f"{channels} channels do not fit a filter {list(w)} with {a['groups']} groups")
    dilations = [1, 1] if a["padding_algorithm"] == "SAME" else a["dilations"]
    out = [sizes.window(picture[i], dilations[i] * (w[i + 1] - 1) + 1, a["strides"][i],
                        tuple(a["paddings"][2 * i:2 * i + 2]), a["padding_algorithm"]) for i in (0, 1)]
    if any(isinstance(d, int) and d < 1 for d in out):
        raise ValueError("the window is larger than the padded input")
    return [(batch, *out, w[0])]


@rule("fc_int8")
def fc(sizes, node, shapes):
    lead = shapes["Input"][0][:node.attrs["in_num_col_dims"]]
    return [(*lead, shapes["W"][0][0])]


@rule("max_pool_int8")
def pool(sizes, node, shapes):
    a = node.attrs
    batch, channels, picture = split_layout(shapes["X"][0], "NHWC")
    out = [sizes.window(picture[i], a["ksize"][i], a["strides"][i], tuple(a["paddings"][2 * i:2 * i + 2]),
                        a["padding_algorithm"], a["ceil_mode"]) for i in (0, 1)]
    return [(batch, *out, channels)]


@rule("mean_int8")
def mean(sizes, node, shapes):
    x = shapes["X"][0]
    return [(x[0], x[3], 1, 1)]


@rule("resize_int8")
def resize(sizes, node, shapes):
    node.attrs["data_layout"] = "NHWC"
    try:
        return resize_rule(sizes, node, shapes)
    finally:
        del node.attrs["data_layout"]
