"""What lies beside a model: preprocess.json, labels, and the inference.yml or infer_cfg.yml of Paddle's tools."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converter.errors import ConvertError

_YAML_NAMES = ("inference.yml", "infer_cfg.yml")
_MAX_BYTES = 16 << 20
_LABEL_KEYS = ("label_list", "character_dict", "labels")


@dataclass
class Metadata:
    """preprocess: keys of a bundle's spec, not yet checked. notes: what could not be taken over as it stands."""

    preprocess: dict[str, Any] | None = None
    labels: list[str] | None = None
    notes: list[str] = field(default_factory=list)


def beside(folder: Path) -> Metadata:
    """Collect from preprocess.json, else from the YAML that Paddle's tools write."""
    found = Metadata()
    for name in _YAML_NAMES:
        if (folder / name).is_file():
            _from_yaml(_yaml(folder / name), found, name)
            break
    if (folder / "preprocess.json").is_file():
        found.preprocess = read_json(folder / "preprocess.json", dict)
        found.notes = [note for note in found.notes if "preprocess" not in note]
    return found


def read_json(path: Path, kind: type) -> Any:
    """A JSON file that holds an object (dict) or a list."""
    try:
        data = json.loads(_bytes(path))
    except ValueError as error:
        raise ConvertError(f"this is not JSON: {error}", where=str(path)) from error
    if not isinstance(data, kind):
        raise ConvertError(f"expected {'an object' if kind is dict else 'a list'}", where=str(path))
    return data


def read_labels(path: Path) -> list[str]:
    """One label per line, or a JSON list of strings."""
    try:
        text = _bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConvertError("the labels are not UTF-8 text", where=str(path)) from error
    if path.suffix == ".json":
        return [str(label) for label in read_json(path, list)]
    return text.removesuffix("\n").replace("\r\n", "\n").split("\n")


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConvertError(f"is larger than {_MAX_BYTES >> 20} MiB, which cannot be right", where=str(path))
        return path.read_bytes()
    except OSError as error:
        raise ConvertError(f"cannot read: {error.strerror}", where=str(path)) from error


def _yaml(path: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise ConvertError("reading this file needs PyYAML", where=str(path), hint="pip install pyyaml") from error
    try:
        data = yaml.safe_load(_bytes(path))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConvertError(f"this is not YAML: {error}", where=str(path)) from error
    return data if isinstance(data, dict) else {}


def _from_yaml(data: dict[str, Any], found: Metadata, name: str) -> None:
    found.labels = _labels(data)
    if isinstance(data.get("PreProcess"), dict):
        steps = [(str(key), value or {}) for step in data["PreProcess"].get("transform_ops") or []
                 for key, value in step.items()]
        spec: dict[str, Any] = {"channels": "rgb", "scale": 1.0, "layout": "nhwc"}
    elif isinstance(data.get("Preprocess"), list):
        steps = [(str(step.get("type")), step) for step in data["Preprocess"]]
        spec = {"channels": "rgb", "scale": 1.0, "layout": "nhwc"}
    else:
        return
    for kind, settings in steps:
        handler = _STEPS.get(kind)
        if handler is None and kind not in _NO_STEP:
            found.notes.append(f"{name}: the preprocessing step {kind} is not known; say how pictures are prepared "
                               "by --preprocess or the single options")
            return
        if handler is not None:
            note = handler(spec, settings)
            if note:
                found.notes.append(f"{name}: preprocess: {note}")
    found.preprocess = spec


def _labels(data: Any) -> list[str] | None:
    """The first list of labels anywhere in the post-processing."""
    if not isinstance(data, dict):
        return None
    for key in _LABEL_KEYS:
        if isinstance(data.get(key), list):
            return [str(label) for label in data[key]]
    for key in ("PostProcess", "Topk", "ThreshOutput", "MultiLabelThreshOutput"):
        labels = _labels(data.get(key))
        if labels:
            return labels
    return None


def number(value: Any) -> float:
    """A number, or a fraction such as "1./255." as Paddle's files spell it."""
    match = re.fullmatch(r"\s*([\d.eE+-]+)\s*(?:/\s*([\d.eE+-]+))?\s*", str(value))
    try:
        return float(match[1]) / float(match[2] or 1)  # type: ignore[index]
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ConvertError(f"{value!r} is not a number") from error


def _pair(value: Any) -> list[int]:
    values = list(value) if isinstance(value, (list, tuple)) else [value, value]
    return [int(size) for size in values]


def _decode(spec: dict[str, Any], settings: dict[str, Any]) -> None:
    if settings.get("img_mode") == "BGR" or settings.get("to_rgb") is False:
        spec["channels"] = "bgr"
    if settings.get("img_mode") == "GRAY":
        spec["channels"] = "gray"


def _resize_image(spec: dict[str, Any], settings: dict[str, Any]) -> None:
    """PaddleClas: the shorter side, or [width, height]."""
    if settings.get("resize_short"):
        side = int(settings["resize_short"])
        spec.update(resize="short", size=[side, side], crop=[side, side])
    else:
        spec.update(resize="stretch", size=_pair(settings["size"])[::-1])


def _crop(spec: dict[str, Any], settings: dict[str, Any]) -> None:
    spec["crop"] = _pair(settings["size"])[::-1]


def _normalize(spec: dict[str, Any], settings: dict[str, Any]) -> None:
    if settings.get("norm_type") == "none":
        spec["scale"] = 1 / 255 if settings.get("is_scale", True) else 1.0
        return
    default = 1 / 255 if settings.get("is_scale", True) else 1.0
    spec.update(scale=number(settings["scale"]) if settings.get("scale") else default,
                mean=[number(value) for value in settings.get("mean", [0.485, 0.456, 0.406])],
                std=[number(value) for value in settings.get("std", [0.229, 0.224, 0.225])])


def _det_resize(spec: dict[str, Any], settings: dict[str, Any]) -> str | None:
    """PaddleOCR's detector: a fixed shape, a limit on one side, or the longer side."""
    if settings.get("image_shape"):
        spec.update(resize="stretch", size=[int(size) for size in settings["image_shape"][-2:]])
        return None
    side, kind = settings.get("limit_side_len", 736), settings.get("limit_type", "min")
    note = None
    if settings.get("resize_long"):
        side, kind = settings["resize_long"], "max"
        note = f"resize_long {side} is taken as a limit on the longer side; small pictures are not enlarged"
    spec.update(resize="limit", limit={"side": int(side), "type": str(kind), "multiple": 32})
    return note


def _resize(spec: dict[str, Any], settings: dict[str, Any]) -> str | None:
    """PaddleDetection: target_size is [height, width]."""
    spec.update(resize="fit" if settings.get("keep_ratio") else "stretch", size=_pair(settings["target_size"]))
    interp = int(settings.get("interp", 1))
    spec["interpolation"] = {0: "nearest", 3: "area"}.get(interp, "linear")
    return "cubic interpolation is taken as linear" if interp == 2 else None


def _to_chw(spec: dict[str, Any], settings: dict[str, Any]) -> None:
    spec["layout"] = "nchw"


_STEPS = {"DecodeImage": _decode, "ResizeImage": _resize_image, "CropImage": _crop, "NormalizeImage": _normalize,
          "DetResizeForTest": _det_resize, "Resize": _resize, "ToCHWImage": _to_chw, "Permute": _to_chw,
          "ToCHW": _to_chw}
_NO_STEP = ("KeepKeys", "DetLabelEncode", "ClsLabelEncode", "MultiLabelEncode", "LabelEncode")
