"""Priors, box coding, YOLO heads, suppression of overlaps, two stages."""

import numpy as np

from .case import Case, rand, vector


def boxes(*shape: int, seed: str = "", scale: float = 1.0) -> np.ndarray:
    """[..., 4] with left < right and top < bottom, on a grid, many of them overlapping."""
    corner = rand(*shape, 2, low=0.0, high=0.6, seed=f"{seed} corner")
    size = rand(*shape, 2, low=0.05, high=0.5, seed=f"{seed} size")
    return (np.round(np.concatenate([corner, corner + size], -1), 2) * np.float32(scale)).astype(np.float32)


def prior(name, feature=(3, 4), image=(24, 32), **attrs):
    x, picture = np.zeros((1, 2, *feature), np.float32), np.zeros((1, 3, *image), np.float32)
    return Case(f"prior_box_{name}", "prior_box", {"Input": [x], "Image": [picture]}, attrs, outputs=2, tol=1e-6)


def anchors(name, **attrs):
    attrs = {"anchor_sizes": [32.0, 64.0], "aspect_ratios": [0.5, 1.0, 2.0], "stride": [16.0, 16.0], **attrs}
    return Case(f"anchor_generator_{name}", "anchor_generator", {"Input": [np.zeros((1, 2, 3, 5), np.float32)]}, attrs,
                outputs=2, tol=1e-6)


def coder(name, prior_box, target, var=None, **attrs):
    inputs = {"PriorBox": [prior_box], "TargetBox": [target]}
    inputs |= {"PriorBoxVar": [var]} if var is not None else {}
    return Case(f"box_coder_{name}", "box_coder", inputs, attrs)


def yolo(name, shape, classes, anchor, sizes=((320, 416),), ratio=32, threshold=0.3, **attrs):
    x = rand(*shape, low=-3.0, high=3.0)
    return Case(f"yolo_box_{name}", "yolo_box", {"X": [x], "ImgSize": [np.array(sizes, np.int32)]},
                {"anchors": anchor, "class_num": classes, "conf_thresh": threshold, "downsample_ratio": ratio, **attrs},
                outputs=2)


def align(name, shape, rois, numbers, **attrs):
    attrs = {"pooled_height": 2, "pooled_width": 3, **attrs}
    return Case(f"roi_align_{name}", "roi_align", {"X": [rand(*shape)], "ROIs": [rois], "RoisNum": [numbers]}, attrs)


NMS = {"score_threshold": 0.3, "nms_top_k": -1, "keep_top_k": -1, "nms_threshold": 0.4, "background_label": -1}


def scores(*shape: int, low: float = 0.0, seed: str = "") -> np.ndarray:
    """One decimal only: ties."""
    return np.round(rand(*shape, low=low, high=1.0, seed=seed), 1)


def nms(name, bboxes, score, rois=None, type="multiclass_nms3", **attrs):
    inputs = {"BBoxes": [bboxes], "Scores": [score]} | ({} if rois is None else {"RoisNum": [rois]})
    return Case(f"{type}_{name}", type, inputs, {**NMS, **attrs}, outputs=1 if type == "multiclass_nms" else 3, tol=0.0)


def matrix(name, bboxes, score, **attrs):
    wanted = {"score_threshold": 0.2, "post_threshold": 0.15, "nms_top_k": -1, "keep_top_k": -1, "background_label": -1}
    return Case(f"matrix_nms_{name}", "matrix_nms", {"BBoxes": [bboxes], "Scores": [score]}, {**wanted, **attrs},
                outputs=3, tol=1e-6)


def proposals(name, shape, sizes=((20, 24),), score=None, step=8, **attrs):
    n, a, h, w = shape
    anchor = boxes(h, w, a, seed="anchor", scale=16)
    anchor += np.stack(np.meshgrid(np.arange(w), np.arange(h)) * 2, -1)[:, :, None].astype(np.float32) * step
    score = rand(*shape, low=0.0, high=1.0, seed="score") if score is None else score
    inputs = {"Scores": [score], "BboxDeltas": [rand(n, 4 * a, h, w, low=-1.0, high=1.0)],
              "ImShape": [np.array(sizes, np.float32)], "Anchors": [anchor],
              "Variances": [np.abs(rand(h, w, a, 4, seed="v")) + np.float32(0.1)]}
    given = {"pre_nms_topN": 30, "post_nms_topN": 12, "nms_thresh": 0.5, "min_size": 2.0, "pixel_offset": True, **attrs}
    return Case(f"generate_proposals_{name}", "generate_proposals_v2", inputs, given, outputs=3)


def distribute(name, rois, numbers, low=2, high=5, scale=40, **attrs):
    inputs = {"FpnRois": [rois], "RoisNum": [numbers]}
    attrs = {"min_level": low, "max_level": high, "refer_level": 4, "refer_scale": scale, **attrs}
    return Case(f"distribute_fpn_proposals_{name}", "distribute_fpn_proposals", inputs, attrs,
                outputs=1 + 2 * (high - low + 1), tol=0.0)


def collect(name, numbers, top):
    lengths = [int(n.sum()) for n in numbers]
    inputs = {"MultiLevelRois": [boxes(k, seed=f"level {i}") for i, k in enumerate(lengths)],
              "MultiLevelScores": [scores(k, 1, seed=f"level {i}") for i, k in enumerate(lengths)],
              "MultiLevelRoIsNum": numbers}
    return Case(f"collect_fpn_proposals_{name}", "collect_fpn_proposals", inputs, {"post_nms_topN": top}, outputs=2,
                tol=0.0)


def pooled(name, shape, rois, numbers, **attrs):
    attrs = {"pooled_height": 2, "pooled_width": 3, **attrs}
    return Case(f"roi_pool_{name}", "roi_pool", {"X": [rand(*shape)], "ROIs": [rois], "RoisNum": [numbers]}, attrs)


SIZES = {"min_sizes": [8.0, 12.0], "max_sizes": [16.0, 24.0]}
P, V = boxes(7), np.abs(rand(7, 4)) + np.float32(0.1)
B, S = boxes(2, 13), scores(2, 3, 13)
A3 = [10, 13, 16, 30, 33, 23]

CASES = [
    prior("plain", min_sizes=[8.0]),
    prior("step", min_sizes=[8.0, 12.0], step_w=8.0, step_h=8.0),
    prior("max_sizes_ratios_flip_clip", **SIZES, aspect_ratios=[2.0, 3.0], flip=True, clip=True),
    prior("squares_first", **SIZES, aspect_ratios=[1.0, 2.0], flip=True, min_max_aspect_ratios_order=True),
    prior("ratios_repeat", min_sizes=[8.0], aspect_ratios=[1.0, 2.0, 0.5, 2.0], flip=True, offset=0.25),
    prior("one_step_is_none", image=(33, 50), min_sizes=[8.0], step_w=8.0, variances=[0.1, 0.2, 0.3, 0.4]),
    anchors("plain"),
    anchors("uneven", stride=[12.0, 20.0], offset=0.0, variances=[1.0, 2.0, 3.0, 4.0]),
    coder("decode", P, rand(2, 7, 4), V, code_type="decode_center_size"),
    coder("decode_axis_1", boxes(2), rand(2, 5, 4), np.abs(rand(2, 4)), code_type="decode_center_size", axis=1),
    coder("decode_variance", P, rand(3, 7, 4), code_type="decode_center_size", variance=[0.1, 0.1, 0.2, 0.2]),
    coder("decode_variance_axis_1", boxes(3), rand(3, 2, 4), code_type="decode_center_size", axis=1,
          variance=[0.1, 0.2, 0.3, 0.4]),
    coder("decode_plain", P, rand(1, 7, 4), code_type="decode_center_size"),
    coder("decode_plain_axis_1", boxes(3), rand(3, 5, 4), code_type="decode_center_size", axis=1),
    coder("decode_pixels", boxes(7, scale=100), rand(2, 7, 4), V, code_type="decode_center_size", box_normalized=False),
    coder("encode", P, boxes(5, seed="t"), V),
    coder("encode_variance", P, boxes(5, seed="t"), variance=[0.1, 0.1, 0.2, 0.2]),
    coder("encode_plain_pixels", boxes(7, scale=100), boxes(3, seed="t", scale=100), box_normalized=False),
    yolo("plain", (1, 21, 3, 5), 2, A3),
    yolo("two_pictures_unclipped", (2, 14, 2, 3), 2, [10, 13, 16, 30], sizes=((64, 96), (100, 50)), clip_bbox=False),
    yolo("scaled", (1, 12, 3, 3), 1, [10, 13, 16, 30], ratio=16, scale_x_y=1.05, threshold=0.01),
    yolo("iou_aware", (2, 24, 2, 3), 2, A3, sizes=((64, 96), (128, 80)), iou_aware=True, iou_aware_factor=0.4),
    yolo("nothing", (1, 6, 1, 1), 1, [10, 13], threshold=1.0),
    align("plain", (1, 3, 7, 9), boxes(4, scale=9), vector(4)),
    align("aligned", (1, 2, 7, 9), boxes(3, scale=9), vector(3), aligned=True),
    align("sampled", (2, 2, 6, 5), boxes(5, scale=20), vector(2, 3), sampling_ratio=2, spatial_scale=0.25),
    align("sampled_aligned_int64", (2, 1, 6, 5), boxes(3, scale=24), vector(0, 3, dtype="int64"), sampling_ratio=3,
          spatial_scale=0.25, aligned=True),
    align("outside", (1, 2, 5, 6), boxes(3, scale=30) - np.float32(8), vector(3), pooled_width=2),
    align("inside_out", (1, 1, 5, 6), boxes(2, scale=6)[:, [2, 3, 0, 1]].copy(), vector(2)),
    align("one_pixel", (1, 2, 1, 1), boxes(2, scale=2), vector(2), pooled_height=1),
    nms("plain", B, S),
    nms("top_k", B, S, nms_top_k=5, keep_top_k=4),
    nms("keep_top_k", B, S, keep_top_k=7, nms_threshold=0.9),
    nms("background_0", B, S, background_label=0),
    nms("eta", B, S, nms_threshold=0.8, nms_eta=0.7),
    nms("pixels", boxes(1, 9, scale=20), scores(1, 2, 9), normalized=False),
    nms("none_left", B, S, score_threshold=2.0),
    nms("one_picture_empty", B, S * np.array([[[1]], [[0]]], np.float32)),
    nms("keep_none", B, S, keep_top_k=0),
    nms("inside_out", B[..., [2, 3, 0, 1]], S),
    nms("per_class_boxes", boxes(11, 3), scores(11, 3), vector(6, 5)),
    nms("per_class_boxes_top_k", boxes(11, 3), scores(11, 3), vector(4, 0, 7), keep_top_k=5, background_label=1,
        nms_threshold=0.8),
    nms("per_class_boxes_none_left", boxes(5, 2), scores(5, 2), vector(5), score_threshold=1.5),
    nms("rows", B, S, type="multiclass_nms", keep_top_k=9),
    nms("rows_none_left", B, S, type="multiclass_nms", score_threshold=2.0),
    matrix("plain", B, S),
    matrix("ties", boxes(1, 40), scores(1, 2, 40), nms_top_k=23, keep_top_k=17),
    matrix("gaussian", B, S, use_gaussian=True, gaussian_sigma=3.0),
    matrix("background_pixels", boxes(1, 12, scale=30), scores(1, 3, 12), background_label=0, normalized=False),
    matrix("same_boxes", np.repeat(boxes(1, 1), 4, 1), scores(1, 1, 4, low=0.5), post_threshold=0.0),
    matrix("none_left", B, S, post_threshold=2.0),
    *(Case(f"nms_{name}", "nms", {"Boxes": [own]}, {"iou_threshold": limit}, tol=0.0) for name, own, limit in (
        ("plain", boxes(13), 0.3), ("twins", np.repeat(boxes(3), 3, 0), 0.9), ("pixels", boxes(9, scale=20), 0.1),
        ("inside_out", boxes(6)[:, [2, 3, 0, 1]].copy(), 0.3))),
    proposals("plain", (1, 3, 4, 5)),
    proposals("all_of_them", (1, 2, 3, 3), pre_nms_topN=-1, post_nms_topN=-1, pixel_offset=False),
    proposals("two_pictures", (2, 3, 3, 4), sizes=((20, 24), (13, 9)), pixel_offset=False, nms_thresh=0.7),
    proposals("eta", (1, 3, 4, 4), nms_thresh=0.9, eta=0.8),
    proposals("ties", (1, 2, 2, 4), score=np.round(rand(1, 2, 2, 4, low=0.0, high=1.0, seed="tie"), 1), pre_nms_topN=0,
              step=3),
    proposals("nothing_large_enough", (1, 1, 2, 3), min_size=500.0),
    distribute("plain", boxes(9, scale=90), vector(9)),
    distribute("two_pictures_no_pixel", boxes(11, scale=60), vector(4, 7), pixel_offset=False),
    distribute("one_level_inside_out", boxes(3, scale=60)[:, [2, 3, 0, 1]].copy(), vector(3), low=3, high=3),
    distribute("levels_stay_empty", boxes(2, scale=9), vector(2)),
    collect("best", [vector(2, 3), vector(0, 4), vector(1, 1)], 6),
    collect("all", [vector(3), vector(2)], 100),
    pooled("plain", (1, 3, 7, 9), boxes(4, scale=9), vector(4)),
    pooled("scaled", (2, 2, 6, 5), boxes(5, scale=20), vector(2, 3), spatial_scale=0.25),
    pooled("outside", (1, 2, 5, 6), boxes(3, scale=30) - np.float32(8), vector(3), pooled_width=2),
    pooled("inside_out_one_pixel", (1, 1, 1, 1), boxes(2, scale=6)[:, [2, 3, 0, 1]].copy(), vector(2)),
]
