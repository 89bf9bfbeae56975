"""Picture -> normalised tensor, as a bundle's "preprocess" says; static/runtime/preprocess.js computes the same.

y[c] = (x[c] * scale - mean[c]) / std[c] with x = 0..255; resizing is separable, in float32, nothing is rounded.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

CHOICES = {"resize": ("stretch", "fit", "short", "limit"), "interpolation": ("linear", "area", "nearest"),
           "channels": ("rgb", "bgr", "gray"), "layout": ("nchw", "nhwc")}
DEFAULTS: dict[str, Any] = {"size": None, "resize": "stretch", "interpolation": "linear", "crop": None, "limit": None,
                            "padValue": 0, "channels": "rgb", "layout": "nchw", "scale": 1 / 255}
_MIX = {"rgb": np.eye(3), "bgr": np.eye(3)[::-1], "gray": np.array([[0.299, 0.587, 0.114]])}
_MAX_SIDE = 16384


class PictureError(ValueError):
    """A preprocessing spec that makes no sense, or a picture that it cannot be applied to."""

    def __init__(self, what: str, hint: str = "") -> None:
        self.what, self.hint = what, hint
        super().__init__(what)



def complete(spec: dict[str, Any], input_name: str) -> dict[str, Any]:
    """A checked spec in the bundle's key order; unknown keys and bad values raise PictureError naming the key."""
    known = ["input", *list(DEFAULTS)[:6], *list(DEFAULTS)[6:], "mean", "std"]
    unknown = sorted(set(spec) - set(known))
    if unknown:
        raise PictureError(f"unknown preprocessing keys {unknown}", f"known are {known}")
    full = {"input": input_name, **DEFAULTS, **{key: value for key, value in spec.items() if value is not None}}
    planes = 1 if full["channels"] == "gray" else 3
    full["mean"] = _planes(full.get("mean", 0.0), planes, "mean")
    full["std"] = _planes(full.get("std", 1.0), planes, "std")
    _check(full)
    return {key: full[key] for key in known}


def _planes(value: Any, planes: int, key: str) -> list[float]:
    """One number per channel, from as many or from one."""
    numbers = value if isinstance(value, (list, tuple)) else [value]
    numbers = list(numbers) * planes if len(numbers) == 1 else list(numbers)
    sound = len(numbers) == planes and all(_is_number(number) for number in numbers)
    _need(sound and (key != "std" or all(number != 0 for number in numbers)), key, value,
          f"{planes} numbers" + (" other than 0" if key == "std" else ""))
    return [float(number) for number in numbers]


def _check(spec: dict[str, Any]) -> None:
    for key, values in CHOICES.items():
        _need(spec[key] in values, key, spec[key], f"one of {', '.join(values)}")
    size, crop, limit = spec["size"], spec["crop"], spec["limit"]
    _need(_is_pair(size) or size is None and spec["resize"] in ("stretch", "limit"), "size", size, "[height, width]")
    _need(crop is None or _is_pair(crop), "crop", crop, "[height, width]")
    fits = isinstance(limit, dict) and set(limit) == {"side", "type", "multiple"} and _is_side(limit["side"]) \
        and limit["type"] in ("max", "min") and _is_side(limit["multiple"])
    _need(spec["resize"] != "limit" or fits, "limit", limit, '{"side": …, "type": "max" or "min", "multiple": …}')
    _need(_is_number(spec["scale"]), "scale", spec["scale"], "a number")
    _need(_is_number(spec["padValue"]), "padValue", spec["padValue"], "a number")


def _need(sound: bool, key: str, value: Any, need: str) -> None:
    if not sound:
        raise PictureError(f"{key} is {value!r}, not {need}",
                           "correct the preprocessing options (python -m converter --help)")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MAX_SIDE


def _is_pair(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_side, value))


def apply(spec: dict[str, Any], rgba_u8: np.ndarray) -> np.ndarray:
    """rgba_u8 [h, w, 4] (alpha is ignored) -> float32 [1, C, H, W] or [1, H, W, C]."""
    if rgba_u8.dtype != np.uint8 or rgba_u8.ndim != 3 or rgba_u8.shape[2] != 4 or 0 in rgba_u8.shape:
        raise PictureError(f"a picture is uint8 [height, width, 4], got {rgba_u8.dtype} {list(rgba_u8.shape)}")
    height, width = rgba_u8.shape[:2]
    scaled_h, scaled_w = _scaled_size(spec, height, width)
    kept_h, kept_w = spec["crop"] or (scaled_h, scaled_w)
    if kept_h > scaled_h or kept_w > scaled_w:
        raise PictureError(f"the picture is {scaled_w}×{scaled_h} after resizing, smaller than the crop of "
                           f"{kept_w}×{kept_h}", "use a larger picture")
    rows = _taps(spec["interpolation"], height, scaled_h, (scaled_h - kept_h) // 2, kept_h)
    columns = _taps(spec["interpolation"], width, scaled_w, (scaled_w - kept_w) // 2, kept_w)
    lines = _along(rgba_u8[:, :, :3].transpose(1, 0, 2), columns)  # [kept_w, height, 3]
    pixels = _along(lines.transpose(1, 0, 2), rows)  # [kept_h, kept_w, 3]
    std, mean = np.array(spec["std"]), np.array(spec["mean"])
    gain, bias = spec["scale"] / std, -mean / std
    out = (pixels.astype(np.float64) @ _MIX[spec["channels"]].T * gain + bias).astype(np.float32)
    if spec["resize"] == "fit" and not spec["crop"] and spec["size"]:
        padded = np.empty((*spec["size"], out.shape[2]), np.float32)
        padded[:] = spec["padValue"] * gain + bias
        padded[:kept_h, :kept_w] = out
        out = padded
    return np.ascontiguousarray((out.transpose(2, 0, 1) if spec["layout"] == "nchw" else out)[None])


def output_size(spec: dict[str, Any], height: int, width: int) -> tuple[int, int]:
    """Height and width of the tensor that `apply` makes from a picture, known before any of it is made."""
    if spec["resize"] == "fit" and not spec["crop"] and spec["size"]:
        return tuple(spec["size"])  # type: ignore[return-value]
    return tuple(spec["crop"] or _scaled_size(spec, height, width))  # type: ignore[return-value]


def _nearest(value: float) -> int:
    """To the nearest integer, halves up, at least 1."""
    return max(1, math.floor(value + 0.5))


def _scaled_size(spec: dict[str, Any], height: int, width: int) -> tuple[int, int]:
    """The whole picture's size (height, width) after resizing, before cropping and padding."""
    if spec["resize"] == "limit":
        side, kind, multiple = (spec["limit"][key] for key in ("side", "type", "multiple"))
        ratio = min(1, side / max(height, width)) if kind == "max" else max(1, side / min(height, width))
        return tuple(_nearest(math.floor(size * ratio) / multiple) * multiple for size in (height, width))  # type: ignore
    if not spec["size"]:
        return height, width
    h, w = spec["size"]
    if spec["resize"] == "stretch":
        return h, w
    if spec["resize"] == "fit":
        ratio = min(h / height, w / width)
        return min(h, _nearest(height * ratio)), min(w, _nearest(width * ratio))
    ratio = min(h, w) / min(height, width)
    return _nearest(height * ratio), _nearest(width * ratio)


def _taps(interpolation: str, size: int, scaled: int, start: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Source positions and weights [length, K] of the outputs start … start + length of one axis."""
    index = np.arange(start, start + length, dtype=np.int64)
    if interpolation == "nearest":
        return np.minimum(index * size // scaled, size - 1)[:, None], np.ones((length, 1), np.float32)
    if interpolation == "area" and scaled < size:
        # In units of 1/scaled of a pixel everything is an integer: no sliver of a pixel comes from rounding.
        begin, end = index * size, index * size + size
        first = begin // scaled
        reach = int((-(-end // scaled) - first).max())
        source = first[:, None] + np.arange(reach)
        covered = np.minimum(end[:, None], (source + 1) * scaled) - np.maximum(begin[:, None], source * scaled)
        return np.minimum(source, size - 1), (np.maximum(covered, 0) / size).astype(np.float32)
    at = np.clip((index + 0.5) * size / scaled - 0.5, 0, size - 1)
    first = np.floor(at).astype(np.int64)
    right = at - first
    return np.stack([first, np.minimum(first + 1, size - 1)], 1), np.stack([1 - right, right], 1).astype(np.float32)


def _along(data: np.ndarray, taps: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Weighted sums along axis 0, in float32; bytes are widened only where they are used."""
    source, weight = taps
    total = np.zeros((len(source), *data.shape[1:]), np.float32)
    for k in range(source.shape[1]):
        total += data[source[:, k]] * weight[:, k, None, None]
    return total
