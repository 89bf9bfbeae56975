"""What lies beside a model: preprocess.json, labels, and the inference.yml or infer_cfg.yml of Paddle's tools."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converter.errors import ConvertError, refusing
from converter.read.raw import contained

_YAML_NAMES = ("inference.yml", "infer_cfg.yml")
_MAX_BYTES = 16 << 20
_MAX_YAML_BYTES = 4 << 20
_MAX_YAML_ITEMS = 1_000_000
"""What a file holds once its references are followed; a few hundred bytes can stand for billions."""
_LABEL_KEYS = ("label_list", "character_dict", "labels")


@dataclass
class Metadata:
    """preprocess: keys of a bundle's spec, not yet checked. notes: what could not be taken over as it stands."""

    preprocess: dict[str, Any] | None = None
    labels: list[str] | None = None
    notes: list[str] = field(default_factory=list)


def beside(folder: Path, program: str = "") -> Metadata:
    """Collect from preprocess.json, else from the YAML that Paddle's tools write. program: the model's file name."""
    found = Metadata()
    for name in _YAML_NAMES:
        file = contained(folder / name, folder / program)
        if file.is_file():
            with refusing("this file is malformed", str(file), "export the model again, or remove this file"):
                _from_yaml(_yaml(file), found, name)
            break
    file = contained(folder / "preprocess.json", folder / program)
    if file.is_file():
        found.preprocess = read_json(file, dict)
        found.notes = [note for note in found.notes if "preprocess" not in note]
    return found


def read_json(path: Path, kind: type) -> Any:
    """A JSON file that holds an object (dict) or a list."""
    try:
        data = json.loads(_bytes(path))
    except (ValueError, RecursionError) as error:
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
        with refusing("these are not labels", str(path), "expected a list of strings"):
            return [_label(label) for label in read_json(path, list)]
    return text.removesuffix("\n").replace("\r\n", "\n").split("\n")


def _bytes(path: Path, limit: int = _MAX_BYTES) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise ConvertError(f"is larger than {limit >> 20} MiB, which cannot be right", where=str(path))
        return path.read_bytes()
    except OSError as error:
        raise ConvertError(f"cannot read: {error.strerror}", where=str(path)) from error


def _yaml(path: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise ConvertError("reading this file needs PyYAML", where=str(path), hint="pip install pyyaml") from error
    try:
        # the C parser where PyYAML was built with it: ten times as fast on a dictionary of characters
        data = yaml.load(_bytes(path, _MAX_YAML_BYTES), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConvertError(f"this is not YAML: {error}", where=str(path)) from error
    _refuse_bomb(data, str(path))
    return data if isinstance(data, dict) else {}


def _refuse_bomb(data: Any, where: str) -> None:
    """Count what is there with every reference followed, and stop early: references may also form a cycle."""
    waiting, seen = [data], 0
    while waiting:
        item = waiting.pop()
        children = [*item.keys(), *item.values()] if isinstance(item, dict) else \
            item if isinstance(item, (list, tuple, set)) else ()
        seen += len(children)
        if seen > _MAX_YAML_ITEMS:
            raise ConvertError(f"holds more than {_MAX_YAML_ITEMS} items, which cannot be right", where=where)
        waiting.extend(children)


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
            return [_label(label) for label in data[key]]
    for key in ("PostProcess", "Topk", "ThreshOutput", "MultiLabelThreshOutput"):
        labels = _labels(data.get(key))
        if labels:
            return labels
    return None


def _label(value: Any) -> str:
    if isinstance(value, (dict, list, set)):
        raise TypeError("a label is text or a number")
    return str(value)


def number(value: Any) -> float:
    """A number, or a fraction such as "1./255." as Paddle's files spell it."""
    text = str(value) if isinstance(value, (str, int, float)) else ""
    match = re.fullmatch(r"\s*([\d.eE+-]+)\s*(?:/\s*([\d.eE+-]+))?\s*", text[:80])
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
