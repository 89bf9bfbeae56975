"""Makes tests/cases/preprocess.json: pictures, specs and the tensors they must give, in Python and in the page.

The reference below is written from the definitions, in float64 and without the tables of the real implementations:
area as the difference of integrals, linear by np.interp at pixel centres. Run: python tests/make_preprocess_cases.py
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

OUT = Path(__file__).resolve().parent / "cases" / "preprocess.json"
BASE: dict[str, Any] = {
    "input": "x",
    "size": [8, 8],
    "resize": "stretch",
    "interpolation": "linear",
    "crop": None,
    "limit": None,
    "padValue": 0,
    "channels": "rgb",
    "layout": "nchw",
    "scale": 1 / 255,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
GRAY = {"channels": "gray", "mean": [0.5], "std": [0.25]}
RAW = {"scale": 1, "mean": [0, 0, 0], "std": [1, 1, 1]}


def limit(side: int, kind: str, multiple: int) -> dict[str, Any]:
    """What a `limit` case changes."""
    return {"resize": "limit", "size": None, "limit": {"side": side, "type": kind, "multiple": multiple}}


# name, picture, what differs from BASE
CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("linear_shrink", "wide", {}),
    ("linear_enlarge", "wide", {"size": [31, 40]}),
    ("linear_same_size", "wide", {"size": [9, 14]}),
    ("linear_one_pixel_out", "wide", {"size": [1, 1]}),
    ("area_shrink", "wide", {"interpolation": "area", "size": [4, 5]}),
    ("area_shrink_by_whole_factors", "tall", {"interpolation": "area", "size": [7, 4]}),
    ("area_enlarge_is_linear", "wide", {"interpolation": "area", "size": [17, 23]}),
    ("area_rows_shrink_columns_grow", "tall", {"interpolation": "area", "size": [6, 20]}),
    ("area_to_one_pixel", "tall", {"interpolation": "area", "size": [1, 1], **RAW}),
    ("nearest_shrink", "wide", {"interpolation": "nearest", "size": [4, 5]}),
    ("nearest_enlarge", "wide", {"interpolation": "nearest", "size": [20, 33]}),
    ("one_pixel_picture", "dot", {"size": [3, 5]}),
    ("no_resize", "wide", {"size": None}),
    ("bgr", "wide", {"channels": "bgr"}),
    ("gray", "wide", GRAY),
    ("gray_nhwc", "wide", {**GRAY, "layout": "nhwc"}),
    ("nhwc", "wide", {"layout": "nhwc"}),
    ("bgr_nhwc_raw", "tall", {"channels": "bgr", "layout": "nhwc", "interpolation": "area", **RAW}),
    ("fit_wide", "wide", {"resize": "fit", "size": [10, 10]}),
    ("fit_tall_padded_grey", "tall", {"resize": "fit", "size": [9, 12], "padValue": 127.5, "layout": "nhwc"}),
    ("fit_enlarges", "wide", {"resize": "fit", "size": [24, 30], "padValue": 255}),
    ("short_with_crop", "wide", {"resize": "short", "size": [8, 8], "crop": [7, 7]}),
    ("short_odd_crop_of_tall", "tall", {"resize": "short", "size": [6, 6], "crop": [5, 6], "interpolation": "area"}),
    ("short_without_crop", "wide", {"resize": "short", "size": [5, 5]}),
    ("limit_max_shrinks", "tall", limit(12, "max", 4)),
    ("limit_max_leaves_small", "wide", limit(99, "max", 4)),
    ("limit_min_enlarges", "wide", limit(15, "min", 8)),
    ("limit_at_least_one_multiple", "dot", limit(4, "max", 3)),
]


def axis(values: np.ndarray, out: int, interpolation: str) -> np.ndarray:
    """Resizes the first axis of float64 [n, ...] to [out, ...]."""
    n = len(values)
    if interpolation == "nearest":
        return values[np.minimum(np.arange(out) * n // out, n - 1)]
    flat = values.reshape(n, -1)
    if interpolation == "area" and out < n:
        integral = np.concatenate([np.zeros((1, flat.shape[1])), np.cumsum(flat, axis=0)])
        edges = np.arange(out + 1) * n / out
        at = np.stack([np.interp(edges, np.arange(n + 1), column) for column in integral.T], axis=1)
        resized = np.diff(at, axis=0) * out / n
    else:
        centres = (np.arange(out) + 0.5) * n / out - 0.5
        resized = np.stack([np.interp(centres, np.arange(n), column) for column in flat.T], axis=1)
    return resized.reshape(out, *values.shape[1:])


def nearest(value: float) -> int:
    """To the nearest integer, halves up, at least 1."""
    return max(1, math.floor(value + 0.5))


def scaled_size(spec: dict[str, Any], h: int, w: int) -> tuple[int, int]:
    """Height and width after resizing, before cropping and padding."""
    if spec["resize"] == "limit":
        side, kind, multiple = (spec["limit"][key] for key in ("side", "type", "multiple"))
        ratio = min(1.0, side / max(h, w)) if kind == "max" else max(1.0, side / min(h, w))
        return nearest(int(h * ratio) / multiple) * multiple, nearest(int(w * ratio) / multiple) * multiple
    if spec["size"] is None:
        return h, w
    out_h, out_w = spec["size"]
    if spec["resize"] == "stretch":
        return out_h, out_w
    ratio = min(out_h / h, out_w / w) if spec["resize"] == "fit" else min(out_h, out_w) / min(h, w)
    return nearest(h * ratio), nearest(w * ratio)


def reference(spec: dict[str, Any], rgba: np.ndarray) -> np.ndarray:
    """uint8 [h, w, 4] -> float64 [1, c, H, W] or [1, H, W, c]."""
    h, w = scaled_size(spec, *rgba.shape[:2])
    x = axis(rgba[..., :3].astype(np.float64), h, spec["interpolation"])
    x = axis(x.swapaxes(0, 1), w, spec["interpolation"]).swapaxes(0, 1)
    if spec["crop"]:
        top, left = (h - spec["crop"][0]) // 2, (w - spec["crop"][1]) // 2
        x = x[top : top + spec["crop"][0], left : left + spec["crop"][1]]
    if spec["resize"] == "fit":
        padded = np.full((*spec["size"], 3), float(spec["padValue"]))
        padded[:h, :w] = x
        x = padded
    if spec["channels"] == "gray":
        x = x @ np.array([[0.299], [0.587], [0.114]])
    elif spec["channels"] == "bgr":
        x = x[..., ::-1]
    x = (x * spec["scale"] - np.array(spec["mean"])) / np.array(spec["std"])
    return (x.transpose(2, 0, 1) if spec["layout"] == "nchw" else x)[None]


def main() -> None:
    rng = np.random.default_rng(7)
    pictures = {
        "wide": rng.integers(0, 256, (9, 14, 4), dtype=np.uint8),
        "tall": rng.integers(0, 256, (21, 12, 4), dtype=np.uint8),
        "dot": np.array([[[255, 128, 3, 0]]], np.uint8),
    }
    cases = []
    for name, picture, changes in CASES:
        spec = {**BASE, **changes}
        out = reference(spec, pictures[picture])
        numbers = [float(f"{value:.7g}") for value in out.ravel()]
        tol = 2e-6 * 255 * spec["scale"] / min(spec["std"])  # some roundings to float32 of values up to 255
        case = {"name": name, "picture": picture, "spec": spec, "shape": list(out.shape), "data": numbers, "tol": tol}
        cases.append(case)
    stored = {
        name: {"width": rgba.shape[1], "height": rgba.shape[0], "data": rgba.ravel().tolist()}
        for name, rgba in pictures.items()
    }
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    head = json.dumps(stored, separators=(",", ":"))
    OUT.write_text(f'{{"pictures":{head},\n"cases":[\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
