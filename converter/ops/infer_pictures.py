"""Output shapes of the operators that know height and width."""

from __future__ import annotations

from converter.graph import Dim, Shape
from converter.ops.infer_rules import rule
from converter.ops.shapes import window_pads


def split_layout(shape: Shape, layout: str) -> tuple[Dim, Dim, Shape]:
    """Batch, channels, picture."""
    return (shape[0], shape[-1], shape[1:-1]) if layout == "NHWC" else (shape[0], shape[1], shape[2:])


def join_layout(batch: Dim, channels: Dim, picture: list[Dim], layout: str) -> Shape:
    return (batch, *picture, channels) if layout == "NHWC" else (batch, channels, *picture)


@rule("conv2d", "conv2d_transpose")
def conv(sizes, node, shapes):
    a, w = node.attrs, shapes["Filter"][0]
    batch, _, picture = split_layout(shapes["Input"][0], a["data_format"])
    dilations = [1, 1] if a["padding_algorithm"] == "SAME" else a["dilations"]
    pads = [tuple(a["paddings"][0:2]), tuple(a["paddings"][2:4])]
    out: list[Dim] = []
    for i in (0, 1):
        if node.type == "conv2d":
            reach = dilations[i] * (w[i + 2] - 1) + 1
            out.append(sizes.window(picture[i], reach, a["strides"][i], pads[i], a["padding_algorithm"]))
        elif a["output_size"]:
            out.append(a["output_size"][i])
        elif a["padding_algorithm"] == "EXPLICIT" or isinstance(picture[i], int):
            if isinstance(picture[i], int):
                pads[i] = window_pads(picture[i], w[i + 2], a["strides"][i], pads[i], a["padding_algorithm"])
            extra = (a["output_padding"] or [0, 0])[i]
            out.append(sizes.grow(picture[i], w[i + 2], a["strides"][i], pads[i], dilations[i], extra))
        else:
            out.append(sizes.symbol())
    if any(isinstance(d, int) and d < 1 for d in out):
        raise ValueError("the window is larger than the padded input")
    channels = w[0] if node.type == "conv2d" else w[1] * a["groups"]
    return [join_layout(batch, channels, out, a["data_format"])]


@rule("pool2d")
def pool(sizes, node, shapes):
    a = node.attrs
    batch, channels, picture = split_layout(shapes["X"][0], a["data_format"])
    if a["global_pooling"] or a["adaptive"]:
        computed = shapes.get("KsizeTensor") and not a["global_pooling"]
        out = [sizes.symbol(), sizes.symbol()] if computed else [1, 1] if a["global_pooling"] else list(a["ksize"])
    else:
        out = [sizes.window(picture[i], a["ksize"][i], a["strides"][i], tuple(a["paddings"][2 * i:2 * i + 2]),
                            a["padding_algorithm"], a["ceil_mode"]) for i in (0, 1)]
    if any(isinstance(d, int) and d < 1 for d in out):
        raise ValueError(f"the window is larger than the padded input, or a size is missing: {out}")
    return [join_layout(batch, channels, out, a["data_format"])]


@rule("pad3d")
def pad(sizes, node, shapes):
    x, p = shapes["X"][0], node.attrs["paddings"]
    added = [p[4] + p[5], p[2] + p[3], p[0] + p[1]][5 - len(x):]
    added = [0, *added, 0] if node.attrs["data_format"].endswith("C") else [0, 0, *added]
    return [tuple(sizes.add([d, extra]) for d, extra in zip(x, added, strict=True))]


@rule("pixel_shuffle")
def pixel_shuffle(sizes, node, shapes):
    r, layout = node.attrs["upscale_factor"], node.attrs["data_format"]
    batch, channels, picture = split_layout(shapes["X"][0], layout)
    return [join_layout(batch, sizes.quotient([channels], [r * r]), [sizes.product([d, r]) for d in picture], layout)]


@rule("nearest_interp_v2", "bilinear_interp_v2", "bicubic_interp_v2")
def resize(sizes, node, shapes):
    a = node.attrs
    batch, channels, picture = split_layout(shapes["X"][0], a["data_layout"])
    scale = list(a["scale"]) * (2 if len(a["scale"]) == 1 else 1)
    if any(shapes.get(slot) for slot in ("OutSize", "SizeTensor", "Scale")):
        out: list[Dim] = [sizes.symbol(), sizes.symbol()]
    elif scale and min(scale) > 0:
        out = [int(d * s) if isinstance(d, int) else sizes.product([d, int(s)]) if s == int(s)
               else sizes.symbol("scaled", d, s) for d, s in zip(picture, scale, strict=True)]
    else:
        out = [a["out_h"], a["out_w"]]
    return [join_layout(batch, channels, out, a["data_layout"])]
