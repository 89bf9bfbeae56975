"""Resizing pictures, and sampling them on a grid."""

from __future__ import annotations

import numpy as np

from converter.graph import Node
from converter.write.onnx.emit import Cannot, Emitter, rule
from converter.write.onnx.layers import back, channels_first, picture_sizes
from converter.write.onnx.layout import numbers


@rule("nearest_interp_v2", "bilinear_interp_v2", "bicubic_interp_v2")
def interp(e: Emitter, node: Node) -> str:
    a, layout = node.attrs, node.attrs["data_layout"]
    x = channels_first(e, node.input("X"), layout)
    how = _places(node)
    scales, sizes = _target(e, node, x)
    out = e.op("Resize", x, None, scales, sizes, **how)
    if 1 in picture_sizes(e, node.out, layout) and not (a["align_corners"] or node.type.startswith("nearest")):
        raise Cannot("a resize to a side of one pixel, which Paddle takes from the first one")
    return back(e, out, layout)


def _places(node: Node) -> dict:
    """Where each pixel comes from."""
    corners = node.attrs["align_corners"]
    if node.type == "nearest_interp_v2":
        if corners:
            return {"mode": "nearest", "coordinate_transformation_mode": "align_corners",
                    "nearest_mode": "round_prefer_ceil"}
        return {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if node.type == "bicubic_interp_v2":
        return {"mode": "cubic", "cubic_coeff_a": -0.75,
                "coordinate_transformation_mode": "align_corners" if corners else "half_pixel"}
    middle = "half_pixel" if node.attrs["align_mode"] == 0 else "asymmetric"
    return {"mode": "linear", "coordinate_transformation_mode": "align_corners" if corners else middle}


def _target(e: Emitter, node: Node, x: str) -> tuple[str | None, str | None]:
    """(scales, None) or (None, sizes). Where only sizes are known but divide well, scales say the same and keep the
    batch and the picture open."""
    a, parts, out_size = node.attrs, node.inputs.get("SizeTensor"), node.input("OutSize")
    if parts or out_size is not None:
        if not parts and (node.input("Scale") is not None or any(s > 0 for s in a["scale"])):
            raise Cannot("a resize whose step and size are given apart")
        wanted = numbers(e, None if parts else out_size, parts, [])
        return None, e.concat([e.dims(x, 0, 2), wanted], 0)
    if node.input("Scale") is not None:
        factor = e.reshape(node.input("Scale"), [-1])
        count = e.shape(node.input("Scale"))
        pair = e.concat([factor, factor], 0) if count in ((), (1,)) else factor
        return e.concat([e.const(np.ones(2, np.float32)), pair], 0), None
    scale = list(a["scale"]) * (2 if len(a["scale"]) == 1 else 1)
    if scale and min(scale) > 0:
        return e.const(np.array([1, 1, *scale], np.float32)), None
    sizes = picture_sizes(e, node.input("X"), a["data_layout"])
    wanted = [a["out_h"], a["out_w"]]
    if all(isinstance(size, int) and want % size == 0 for size, want in zip(sizes, wanted, strict=True)):
        return e.const(np.array([1, 1, *(want / size for size, want in zip(sizes, wanted, strict=True))],
                                np.float32)), None
    return None, e.concat([e.dims(x, 0, 2), e.ints(wanted)], 0)


@rule("grid_sampler")
def grid_sampler(e: Emitter, node: Node) -> str:
    a = node.attrs
    if e.opset < 16:
        raise Cannot("grid_sampler needs operator set 16")
    return e.op("GridSample", node.input("X"), node.input("Grid"), mode=a["mode"],
                padding_mode="reflection" if a["padding_mode"] == "reflection" else a["padding_mode"],
                align_corners=int(a["align_corners"]))
