"""nearest_interp_v2, bilinear_interp_v2 and bicubic_interp_v2."""

import numpy as np

from .case import Case, rand, vector


def resize(kind, name, x, extra=None, **attrs):
    tol = 0.0 if kind == "nearest" else 1e-5
    return Case(f"{kind}_interp_v2_{name}", f"{kind}_interp_v2", {"X": [x], **(extra or {})}, attrs, tol=tol)


X = rand(1, 3, 4, 5, seed="x")
SIZES = [
    ("up_2", X, {"scale": [2.0, 2.0]}),
    ("up_3_by_size", X, {"out_h": 12, "out_w": 15}),
    ("odd_up", X, {"out_h": 7, "out_w": 9}),
    ("down", rand(1, 2, 9, 17), {"out_h": 4, "out_w": 7}),
    ("mixed", X, {"out_h": 3, "out_w": 17}),
    ("fractional_scale", X, {"scale": [1.5, 2.3]}),
    ("to_one", X, {"out_h": 1, "out_w": 1}),
    ("from_one", rand(2, 5, 1, 1), {"out_h": 3, "out_w": 5}),
    ("same_size", X, {"out_h": 4, "out_w": 5}),
    ("nhwc", rand(1, 4, 5, 3), {"out_h": 7, "out_w": 8, "data_layout": "NHWC"}),
    ("half", rand(1, 3, 8, 6), {"scale": [0.5, 0.5]}),
]
MODES = [("nearest", False, 1), ("nearest", True, 1), ("bilinear", False, 0), ("bilinear", False, 1),
         ("bilinear", True, 1), ("bilinear", True, 0)]
CUBIC = [
    ("up_2", X, {"scale": [2.0, 2.0]}),
    ("odd_up", X, {"out_h": 7, "out_w": 9}),
    ("down", rand(1, 2, 9, 17), {"out_h": 4, "out_w": 7}),
    ("fractional_scale", X, {"scale": [1.5, 2.3]}),
    ("to_one", X, {"out_h": 1, "out_w": 1}),
    ("from_one", rand(2, 5, 1, 1), {"out_h": 3, "out_w": 5}),
    ("nhwc", rand(1, 4, 5, 3), {"out_h": 7, "out_w": 8, "data_layout": "NHWC"}),
]
TENSORS = [
    ("out_size", {"OutSize": [vector(7, 9)]}, {}),
    ("size_tensors", {"SizeTensor": [vector(6), vector(7)]}, {}),
    ("scale_tensor", {"Scale": [np.array([2.0], np.float32)]}, {}),
]
CASES = [
    *(resize(kind, f"{name}{'_corners' if corners else ''}_mode_{mode}", x, align_corners=corners, align_mode=mode,
             **attrs) for kind, corners, mode in MODES for name, x, attrs in SIZES),
    *(resize("bicubic", f"{name}{'_corners' if corners else ''}", x, align_corners=corners, **attrs)
      for corners in (False, True) for name, x, attrs in CUBIC),
    *(resize(kind, name, X, extra, align_mode=0, **attrs) for kind in ("nearest", "bilinear")
      for name, extra, attrs in TENSORS),
]
