"""Handlers, continued: detectors, and operators that pick by value."""

from __future__ import annotations

from typing import Any

from converter.read.canonical import Builder, Op
from converter.read.canonical_more import several
from converter.read.canonical_ops import handles


def joined(b: Builder, op: Op, slots: dict[str, str]) -> list[str]:
    """One graph name per output slot (slot → dtype); a slot that the program leaves out gets a name of its own."""
    made = []
    for slot, dtype in slots.items():
        names = op.outputs.get(slot) or []
        if len(names) > 1:
            raise op.error(f"output '{slot}' has {len(names)} tensors, not one")
        first = next(name for given in op.outputs.values() for name in given)
        made.append(b.write(names[0]) if names else b.temporary(f"{first}.{slot}", (), dtype))
    for slot, names in op.outputs.items():
        if slot not in slots:
            b.dropped.update(dict.fromkeys(names, f"{op.where}, slot {slot},"))
    return made


def floats(op: Op, name: str, default: list[float]) -> list[float]:
    return [float(value) for value in op.attr(name, default)]


def required(op: Op, name: str) -> Any:
    value = op.attr(name)
    if value is None:
        raise op.error(f"attribute '{name}' is missing")
    return value


@handles("prior_box")
def prior_box(b: Builder, op: Op) -> None:
    attrs: dict[str, Any] = {"min_sizes": floats(op, "min_sizes", []), "max_sizes": floats(op, "max_sizes", []),
                             "aspect_ratios": floats(op, "aspect_ratios", [1.0]),
                             "variances": floats(op, "variances", [0.1, 0.1, 0.2, 0.2])}
    if len(attrs["variances"]) != 4 or not attrs["min_sizes"]:
        raise op.error("needs smallest sizes and four variances")
    if attrs["max_sizes"] and len(attrs["max_sizes"]) != len(attrs["min_sizes"]):
        raise op.error(f"has {len(attrs['max_sizes'])} largest sizes for {len(attrs['min_sizes'])} smallest")
    for name in ("flip", "clip", "min_max_aspect_ratios_order"):
        attrs[name] = bool(op.attr(name, False))
    for name, default in (("step_w", 0.0), ("step_h", 0.0), ("offset", 0.5)):
        attrs[name] = float(op.attr(name, default))
    out = joined(b, op, {"Boxes": "float32", "Variances": "float32"})
    b.emit(op, "prior_box", {"Input": [op.one("Input")], "Image": [op.one("Image")]}, attrs, out=out)


@handles("anchor_generator")
def anchor_generator(b: Builder, op: Op) -> None:
    attrs = {name: floats(op, name, default) for name, default in (
        ("anchor_sizes", []), ("aspect_ratios", []), ("variances", [0.1, 0.1, 0.2, 0.2]), ("stride", []))}
    if len(attrs["stride"]) != 2 or len(attrs["variances"]) != 4:
        raise op.error("needs two strides and four variances")
    out = joined(b, op, {"Anchors": "float32", "Variances": "float32"})
    b.emit(op, "anchor_generator", {"Input": [op.one("Input")]}, {**attrs, "offset": float(op.attr("offset", 0.5))},
           out=out)


@handles("box_coder")
def box_coder(b: Builder, op: Op) -> None:
    attrs = {"code_type": str(op.attr("code_type", "encode_center_size")).lower(),
             "box_normalized": bool(op.attr("box_normalized", True)), "axis": int(op.attr("axis", 0)),
             "variance": floats(op, "variance", [])}
    if attrs["code_type"] not in ("encode_center_size", "decode_center_size") or attrs["axis"] not in (0, 1):
        raise op.error(f"code_type {attrs['code_type']!r} with axis {attrs['axis']} is not supported")
    if len(attrs["variance"]) not in (0, 4) or (attrs["variance"] and op.maybe("PriorBoxVar")):
        raise op.error(f"variance {attrs['variance']} must have four numbers and excludes PriorBoxVar")
    inputs = {"PriorBox": [op.one("PriorBox")], "PriorBoxVar": op.maybe("PriorBoxVar"),
              "TargetBox": [op.one("TargetBox")]}
    b.emit(op, "box_coder", inputs, attrs, out=joined(b, op, {"OutputBox": "float32"}))


@handles("yolo_box")
def yolo_box(b: Builder, op: Op) -> None:
    attrs = {"anchors": [int(size) for size in required(op, "anchors")], "class_num": int(required(op, "class_num")),
             "conf_thresh": float(required(op, "conf_thresh")),
             "downsample_ratio": int(required(op, "downsample_ratio")), "clip_bbox": bool(op.attr("clip_bbox", True)),
             "scale_x_y": float(op.attr("scale_x_y", 1.0)), "iou_aware": bool(op.attr("iou_aware", False)),
             "iou_aware_factor": float(op.attr("iou_aware_factor", 0.5))}
    out = joined(b, op, {"Boxes": "float32", "Scores": "float32"})
    b.emit(op, "yolo_box", {"X": [op.one("X")], "ImgSize": [op.one("ImgSize")]}, attrs, out=out)


@handles("roi_align", "roi_pool")
def regions(b: Builder, op: Op) -> None:
    attrs: dict[str, Any] = {"pooled_height": int(op.attr("pooled_height", 1)),
                             "pooled_width": int(op.attr("pooled_width", 1)),
                             "spatial_scale": float(op.attr("spatial_scale", 1.0))}
    if op.type == "roi_align":
        attrs |= {"sampling_ratio": int(op.attr("sampling_ratio", -1)), "aligned": bool(op.attr("aligned", False))}
    if not op.maybe("RoisNum"):
        raise op.error("without RoisNum depends on LoD, which is not supported")
    inputs = {slot: [op.one(slot)] for slot in ("X", "ROIs", "RoisNum")}
    b.emit(op, op.type, inputs, attrs, out=joined(b, op, {"Out": "float32"}))


@handles("generate_proposals_v2")
def generate_proposals(b: Builder, op: Op) -> None:
    attrs: dict[str, Any] = {name: int(op.attr(name, default))
                             for name, default in (("pre_nms_topN", 6000), ("post_nms_topN", 1000))}
    attrs |= {name: float(op.attr(name, default))
              for name, default in (("nms_thresh", 0.5), ("min_size", 0.1), ("eta", 1.0))}
    attrs["pixel_offset"] = bool(op.attr("pixel_offset", True))
    inputs = {slot: [op.one(slot)] for slot in ("Scores", "BboxDeltas", "ImShape", "Anchors", "Variances")}
    out = joined(b, op, {"RpnRois": "float32", "RpnRoiProbs": "float32", "RpnRoisNum": "int32"})
    b.emit(op, op.type, inputs, attrs, out=out)


@handles("distribute_fpn_proposals")
def distribute(b: Builder, op: Op) -> None:
    """Where each box went, the boxes of each level, their numbers."""
    attrs: dict[str, Any] = {name: int(required(op, name))
                             for name in ("min_level", "max_level", "refer_level", "refer_scale")}
    attrs["pixel_offset"] = bool(op.attr("pixel_offset", True))
    count = attrs["max_level"] - attrs["min_level"] + 1
    if not 1 <= count <= 64:
        raise op.error(f"has levels {attrs['min_level']} to {attrs['max_level']}")
    if not op.maybe("RoisNum"):
        raise op.error("without RoisNum depends on LoD, which is not supported")
    out = several(b, op, {"RestoreIndex": 1, "MultiFpnRois": count, "MultiLevelRoIsNum": count},
                  {"RestoreIndex": "int32", "MultiFpnRois": "float32", "MultiLevelRoIsNum": "int32"})
    b.emit(op, op.type, {slot: [op.one(slot)] for slot in ("FpnRois", "RoisNum")}, attrs, out=out)


@handles("collect_fpn_proposals")
def collect(b: Builder, op: Op) -> None:
    inputs = {slot: op.inputs.get(slot, []) for slot in ("MultiLevelRois", "MultiLevelScores", "MultiLevelRoIsNum")}
    if not inputs["MultiLevelRoIsNum"]:
        raise op.error("without MultiLevelRoIsNum depends on LoD, which is not supported")
    b.emit(op, op.type, inputs, {"post_nms_topN": int(required(op, "post_nms_topN"))},
           out=joined(b, op, {"FpnRois": "float32", "RoisNum": "int32"}))


@handles("multiclass_nms", "multiclass_nms2", "multiclass_nms3")
def multiclass_nms(b: Builder, op: Op) -> None:
    """The second form is the third without a count; both leave an empty tensor where the first leaves a -1."""
    attrs = {"score_threshold": float(required(op, "score_threshold")), "nms_top_k": int(required(op, "nms_top_k")),
             "keep_top_k": int(required(op, "keep_top_k")), "nms_threshold": float(op.attr("nms_threshold", 0.3)),
             "nms_eta": float(op.attr("nms_eta", 1.0)), "normalized": bool(op.attr("normalized", True)),
             "background_label": int(op.attr("background_label", 0))}
    inputs = {"BBoxes": [op.one("BBoxes")], "Scores": [op.one("Scores")], "RoisNum": op.maybe("RoisNum")}
    boxes, scores = (b.shape_of(inputs[slot][0]) for slot in ("BBoxes", "Scores"))
    if len(scores) != 3 and not inputs["RoisNum"]:
        raise op.error(f"scores {list(scores)} without RoisNum depend on LoD, which is not supported")
    if boxes and isinstance(boxes[-1], int) and boxes[-1] != 4:
        raise op.error(f"boxes of {boxes[-1]} coordinates are not supported")
    if op.type == "multiclass_nms":
        b.emit(op, op.type, inputs, attrs, out=joined(b, op, {"Out": "float32"}))
    else:
        out = joined(b, op, {"Out": "float32", "Index": "int32", "NmsRoisNum": "int32"})
        b.emit(op, "multiclass_nms3", inputs, attrs, out=out)


@handles("nms")
def nms(b: Builder, op: Op) -> None:
    b.emit(op, "nms", {"Boxes": [op.one("Boxes")]}, {"iou_threshold": float(op.attr("iou_threshold", 1.0))},
           out=joined(b, op, {"KeepBoxesIdxs": "int64"}))


@handles("matrix_nms")
def matrix_nms(b: Builder, op: Op) -> None:
    attrs = {"score_threshold": float(required(op, "score_threshold")),
             "post_threshold": float(required(op, "post_threshold")), "nms_top_k": int(required(op, "nms_top_k")),
             "keep_top_k": int(required(op, "keep_top_k")), "use_gaussian": bool(op.attr("use_gaussian", False)),
             "gaussian_sigma": float(op.attr("gaussian_sigma", 2.0)),
             "background_label": int(op.attr("background_label", 0)), "normalized": bool(op.attr("normalized", True))}
    if attrs["nms_top_k"] == 0:
        raise op.error("nms_top_k 0 is not supported")
    out = joined(b, op, {"Out": "float32", "Index": "int32", "RoisNum": "int32"})
    b.emit(op, "matrix_nms", {"BBoxes": [op.one("BBoxes")], "Scores": [op.one("Scores")]}, attrs, out=out)


@handles("where_index", "nonzero")
def where_index(b: Builder, op: Op) -> None:
    condition = op.one("Condition")
    if not b.shape_of(condition):
        raise op.error("a condition without dimensions is not supported")
    b.emit(op, "where_index", {"Condition": [condition]}, {}, out=joined(b, op, {"Out": "int64"}))


@handles("masked_select")
def masked_select(b: Builder, op: Op) -> None:
    x = op.one("X")
    b.emit(op, "masked_select", {"X": [x], "Mask": [op.one("Mask")]}, {}, out=joined(b, op, {"Y": b.dtype_of(x)}))


@handles("unique")
def unique(b: Builder, op: Op) -> None:
    op.skip("return_index", "return_inverse", "return_counts")
    if not op.attr("is_sorted", op.where.startswith("pd_op.")):
        raise op.error("values in order of appearance are not supported, only sorted ones")
    x, dtype = op.one("X"), op.dtype(default="int64")
    attrs = {"axis": [int(axis) for axis in op.attr("axis", [])], "dtype": dtype}
    out = joined(b, op, {"Out": b.dtype_of(x), "Indices": dtype, "Index": dtype, "Counts": dtype})
    b.emit(op, "unique", {"X": [x]}, attrs, out=out)
