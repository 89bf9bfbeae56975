"""Boxes of detectors: priors over a feature map, offsets to boxes, YOLO's heads, suppression of overlaps."""

from __future__ import annotations

import numpy as np

from converter.graph import Node
from converter.ops.detect import expanded, half_sizes
from converter.write.onnx.emit import INT64_MAX, Cannot, Emitter, rule

_LOWEST = np.float32(np.finfo(np.float32).min)


def _f(number: float) -> np.float32:
    return np.float32(number)


def side(e: Emitter, name: str, axis: int) -> str:
    """A size as a float32 [1]."""
    return e.cast(e.dims(name, axis, axis + 1), np.float32)


def ramp(e: Emitter, count: str) -> str:
    """0, 1, … count - 1 as float32 [count]; count is a float32 [1]."""
    return e.op("Range", e.const(_f(0)), e.squeeze(count, [0]), e.const(_f(1)))


@rule("prior_box")
def prior_box(e: Emitter, node: Node) -> list[str]:
    """→ boxes [H,W,P,4] as shares of the image, variances [H,W,P,4]."""
    a, x, image = node.attrs, node.input("Input"), node.input("Image")
    half = half_sizes(a["min_sizes"], a["max_sizes"], expanded(a["aspect_ratios"], a["flip"]),
                      a["min_max_aspect_ratios_order"])
    counts = [side(e, x, 2), side(e, x, 3)]
    sides = [side(e, image, 2), side(e, image, 3)]
    steps = [e.const(np.array([a[name]], np.float32)) for name in ("step_h", "step_w")]
    if a["step_w"] == 0 or a["step_h"] == 0:
        steps = [e.op("Div", whole, count) for whole, count in zip(sides, counts, strict=True)]
    grid = e.concat([e.dims(x, 2), e.ints([len(half)])], 0)
    low, high = [], []
    for axis in (1, 0):  # x, then y
        places = e.op("Mul", e.op("Add", ramp(e, counts[axis]), e.const(_f(a["offset"]))), steps[axis])
        places = e.unsqueeze(places, [0, 2] if axis else [1, 2])
        reach = e.const(np.ascontiguousarray(half[:, 1 - axis]))
        for type, found in (("Sub", low), ("Add", high)):
            share = e.op("Div", e.op(type, places, reach), sides[axis])
            found.append(e.unsqueeze(e.op("Expand", share, grid), [3]))
    boxes = e.concat([*low, *high], 3)
    if a["clip"]:
        boxes = e.op("Clip", boxes, e.const(_f(0)), e.const(_f(1)))
    spread = e.const(np.array(a["variances"], np.float32))
    return [boxes, e.op("Expand", spread, e.concat([grid, e.ints([len(a["variances"])])], 0))]


@rule("box_coder")
def box_coder(e: Emitter, node: Node) -> str:
    a, prior, target = node.attrs, node.input("PriorBox"), node.input("TargetBox")
    if a["code_type"] != "decode_center_size":
        raise Cannot(f"box_coder that does {a['code_type']}")
    along = e.unsqueeze(prior, [1]) if a["axis"] == 1 else prior
    last = 2 if a["axis"] == 1 else 1
    extra = e.const(_f(0 if a["box_normalized"] else 1))
    start, stop = e.cut(along, last, 0, 2), e.cut(along, last, 2, 4)
    size = e.op("Add", e.op("Sub", stop, start), extra)
    centre = e.op("Add", start, e.op("Div", size, e.const(_f(2))))
    spread = node.input("PriorBoxVar")
    if spread is None:
        spread = e.const(np.array(a["variance"] or [1] * 4, np.float32))
        parts = [e.cut(spread, 0, 0, 2), e.cut(spread, 0, 2, 4)]
    else:
        spread = e.unsqueeze(spread, [1]) if a["axis"] == 1 else spread
        parts = [e.cut(spread, last, 0, 2), e.cut(spread, last, 2, 4)]
    offsets = [e.cut(target, 2, 0, 2), e.cut(target, 2, 2, 4)]
    middle = e.op("Add", e.op("Mul", e.op("Mul", parts[0], offsets[0]), size), centre)
    half = e.op("Div", e.op("Mul", e.op("Exp", e.op("Mul", parts[1], offsets[1])), size), e.const(_f(2)))
    return e.concat([e.op("Sub", middle, half), e.op("Sub", e.op("Add", middle, half), extra)], 2)


@rule("yolo_box")
def yolo_box(e: Emitter, node: Node) -> list[str]:
    """→ boxes [N,A*H*W,4] in pixels, scores [N,A*H*W,classes]; both zero below the threshold."""
    a, x = node.attrs, node.input("X")
    count, classes = len(a["anchors"]) // 2, a["class_num"]
    rows, columns = side(e, x, 2), side(e, x, 3)
    head = e.cut(x, 1, count, INT64_MAX) if a["iou_aware"] else x
    sizes = e.concat([e.ints([0, count, 5 + classes]), e.dims(x, 2)], 0)
    parts = e.op("Reshape", head, sizes)
    box = [e.squeeze(e.cut(parts, 2, k, k + 1), [2]) for k in range(4)]
    sure = e.op("Sigmoid", e.squeeze(e.cut(parts, 2, 4, 5), [2]))
    if a["iou_aware"]:
        share = _f(a["iou_aware_factor"])
        iou = e.op("Pow", e.op("Sigmoid", e.cut(x, 1, 0, count)), e.const(share))
        sure = e.op("Mul", e.op("Pow", sure, e.const(_f(1 - share))), iou)
    image = e.unsqueeze(e.cast(node.input("ImgSize"), np.float32), [2, 3])
    height, width = e.cut(image, 1, 0, 1), e.cut(image, 1, 1, 2)
    scale, bias = _f(a["scale_x_y"]), _f(-0.5) * (_f(a["scale_x_y"]) - 1)
    middle, half = [], []
    for k, (steps, whole, lie) in enumerate(((columns, width, [0]), (rows, height, [1]))):
        place = e.op("Add", e.op("Mul", e.op("Sigmoid", box[k]), e.const(scale)), e.const(bias))
        place = e.op("Add", e.unsqueeze(ramp(e, steps), lie), place)
        middle.append(e.op("Div", e.op("Mul", place, whole), steps))
        anchor = e.const(np.array(a["anchors"][k::2], np.float32).reshape(-1, 1, 1))
        reach = e.op("Mul", e.op("Mul", e.op("Exp", box[2 + k]), anchor), whole)
        reach = e.op("Div", reach, e.op("Mul", steps, e.const(_f(a["downsample_ratio"]))))
        half.append(e.op("Div", reach, e.const(_f(2))))
    sides = [e.op("Sub", middle[0], half[0]), e.op("Sub", middle[1], half[1]),
             e.op("Add", middle[0], half[0]), e.op("Add", middle[1], half[1])]
    if a["clip_bbox"]:
        last = [e.op("Sub", whole, e.const(_f(1))) for whole in (width, height)]
        sides = [e.op("Max", sides[0], e.const(_f(0))), e.op("Max", sides[1], e.const(_f(0))),
                 e.op("Min", sides[2], last[0]), e.op("Min", sides[3], last[1])]
    boxes = e.concat([e.unsqueeze(part, [4]) for part in sides], 4)
    scores = e.transpose(e.op("Sigmoid", e.cut(parts, 2, 5, INT64_MAX)), [0, 1, 3, 4, 2])
    sure = e.unsqueeze(sure, [4])
    weak = e.op("Less", sure, e.const(_f(a["conf_thresh"])))
    found = []
    for made, width_of in ((boxes, 4), (e.op("Mul", sure, scores), classes)):
        found.append(e.reshape(e.op("Where", weak, e.const(_f(0)), made), [0, -1, width_of]))
    return found


# ---- suppression of overlaps ----

@rule("multiclass_nms", "multiclass_nms3")
def multiclass_nms(e: Emitter, node: Node) -> list[str]:
    """One picture: rows [K,6] by class, then by score; multiclass_nms3 also their positions [K,1] and their number.

    Where the number of pictures is open, ONNX Runtime refuses a run with more than one: the Squeeze below cannot.
    """
    a, boxes, scores = node.attrs, node.input("BBoxes"), node.input("Scores")
    if node.input("RoisNum") is not None or e.rank(scores) != 3:
        raise Cannot("suppression with boxes of their own per class")
    if isinstance(e.shape(scores)[0], int) and e.shape(scores)[0] != 1:
        raise Cannot("suppression over several pictures")
    if a["nms_eta"] < 1:
        raise Cannot("suppression with a limit that tightens (nms_eta)")
    labels, at = _survivors(e, node, boxes, scores)
    flat = e.reshape(boxes, [-1, 4])
    score = e.op("GatherND", e.squeeze(scores, [0]), e.concat([labels, at], 1))
    rows = e.concat([e.cast(labels, np.float32), e.unsqueeze(score, [1]), e.op("Gather", flat, e.squeeze(at, [1]))], 1)
    if node.type == "multiclass_nms":
        return [_or_nothing(e, rows)]
    return [rows, e.cast(at, np.int32), e.cast(e.dims(rows, 0, 1), np.int32)]


def _survivors(e: Emitter, node: Node, boxes: str, scores: str) -> tuple[str, str]:
    """Class and position of what is left, [K,1] each."""
    a, ranked = node.attrs, scores
    classes = e.shape(scores)[1]
    if a["background_label"] >= 0 and (not isinstance(classes, int) or a["background_label"] < classes):
        if not isinstance(classes, int):
            raise Cannot("suppression over an unknown number of classes")
        shown = np.arange(classes).reshape(1, -1, 1) != a["background_label"]
        ranked = e.op("Where", e.const(shown), ranked, e.const(_LOWEST))
    if a["nms_top_k"] > -1:  # only the best candidates of each class take part
        count = e.op("Min", e.dims(scores, 2), e.ints([a["nms_top_k"]]))
        best = e.ops("TopK", [ranked, count], 2, axis=2)[0]
        least = e.op("ReduceMin", best, axes=[2], keepdims=1)
        ranked = e.op("Where", e.op("Less", ranked, least), e.const(_LOWEST), ranked)
    if not a["normalized"]:  # sides count their last pixel
        boxes = e.op("Add", boxes, e.const(np.array([0, 0, 1, 1], np.float32)))
    every = e.dims(scores, 2)
    found = e.op("NonMaxSuppression", boxes, ranked, every, e.const(np.array([a["nms_threshold"]], np.float32)),
                 e.const(np.array([a["score_threshold"]], np.float32)))
    if a["keep_top_k"] > -1:
        score = e.op("GatherND", scores, found)
        count = e.op("Min", e.dims(found, 0, 1), e.ints([a["keep_top_k"]]))
        best = e.ops("TopK", [score, count], 2, axis=0)[1]
        order = e.ops("TopK", [best, e.op("Shape", best)], 2, axis=0, largest=0)[0]
        found = e.op("Gather", found, order)
    return e.cut(found, 1, 1, 2), e.cut(found, 1, 2, 3)


def _or_nothing(e: Emitter, rows: str) -> str:
    """The rows, or where there are none a [1,1] of -1, as Paddle's first version of the operator says it."""
    empty = e.op("Equal", e.op("Squeeze", e.dims(rows, 0, 1)), e.const(np.int64(0)))
    nothing = e.const(np.full((1, 1), -1, np.float32))
    return e.choose(empty, lambda inner: inner.op("Identity", nothing), lambda inner: inner.op("Identity", rows),
                    np.float32)
