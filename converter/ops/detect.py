"""Boxes of detectors: priors and anchors over a feature map, offsets to boxes and back, YOLO's heads.

A box is [left, top, right, bottom].
"""

from __future__ import annotations

import math

import numpy as np

from converter.errors import ConvertError
from converter.ops.spec import REQUIRED, op
from converter.ops.unary import sigmoid


def expanded(ratios: list[float], flip: bool) -> list[float]:
    """Aspect ratios: 1 first, no near-equals, each followed by its inverse where `flip`."""
    out = [1.0]
    for ratio in map(np.float32, ratios):
        if any(abs(ratio - known) < 1e-6 for known in out):
            continue
        out += [float(ratio), float(np.float32(1) / ratio)] if flip else [float(ratio)]
    return out


def priors_per_cell(attrs: dict) -> int:
    return len(expanded(attrs["aspect_ratios"], attrs["flip"])) * len(attrs["min_sizes"]) + len(attrs["max_sizes"])


def half_sizes(min_sizes: list[float], max_sizes: list[float], ratios: list[float],
               squares_first: bool) -> np.ndarray:
    """[P,2]: half width and height of each prior of a cell."""
    out: list[tuple[float, float]] = []
    for i, size in enumerate(min_sizes):
        by_ratio = [(size * math.sqrt(r) / 2, size / math.sqrt(r) / 2) for r in ratios]
        between = [(math.sqrt(size * max_sizes[i]) / 2,) * 2] if max_sizes else []
        out += [by_ratio[0], *between, *by_ratio[1:]] if squares_first else [*by_ratio, *between]
    return np.array(out, np.float32)


@op("prior_box", inputs="Input Image", variadic_out=True, min_sizes=REQUIRED, max_sizes=[], aspect_ratios=[1.0],
    variances=[0.1, 0.1, 0.2, 0.2], flip=False, clip=False, step_w=0.0, step_h=0.0, offset=0.5,
    min_max_aspect_ratios_order=False)
def prior_box(x, image, min_sizes, max_sizes, aspect_ratios, variances, flip, clip, step_w, step_h, offset,
              min_max_aspect_ratios_order):
    # Input [N,C,H,W], Image [N,C,h,w] → boxes [H,W,P,4] as shares of the image, variances [H,W,P,4]
    if max_sizes and len(max_sizes) != len(min_sizes):
        raise ConvertError(f"prior_box has {len(max_sizes)} largest sizes for {len(min_sizes)} smallest")
    (rows, columns), (height, width) = x.shape[2:], image.shape[2:]
    if step_w == 0 or step_h == 0:
        step_w, step_h = np.float32(width) / columns, np.float32(height) / rows
    half = half_sizes(min_sizes, max_sizes, expanded(aspect_ratios, flip), min_max_aspect_ratios_order)
    size = np.array([width, height], np.float32)
    centre = np.empty((rows, columns, 1, 2), np.float32)
    centre[..., 0] = ((np.arange(columns, dtype=np.float32) + np.float32(offset)) * np.float32(step_w))[None, :, None]
    centre[..., 1] = ((np.arange(rows, dtype=np.float32) + np.float32(offset)) * np.float32(step_h))[:, None, None]
    boxes = np.concatenate([(centre - half) / size, (centre + half) / size], axis=-1)
    if clip:
        boxes = np.clip(boxes, 0, 1)
    return [boxes, np.broadcast_to(np.array(variances, np.float32), (*boxes.shape[:3], len(variances))).copy()]


@op("anchor_generator", inputs="Input", variadic_out=True, anchor_sizes=REQUIRED, aspect_ratios=REQUIRED,
    variances=[0.1, 0.1, 0.2, 0.2], stride=REQUIRED, offset=0.5)
def anchor_generator(x, anchor_sizes, aspect_ratios, variances, stride, offset):
    # Input [N,C,H,W] → anchors [H,W,P,4] in pixels, variances [H,W,P,4]
    f = np.float32
    rows, columns = x.shape[2:]
    stride_w, stride_h = map(f, stride)
    half = []
    for ratio in map(f, aspect_ratios):
        base_w = np.round(np.sqrt(stride_w * stride_h / ratio))
        base_h = np.round(base_w * ratio)
        for size in map(f, anchor_sizes):
            half.append((f(0.5) * (size / stride_w * base_w - 1), f(0.5) * (size / stride_h * base_h - 1)))
    centre = np.empty((rows, columns, 1, 2), f)
    centre[..., 0] = (np.arange(columns, dtype=f) * stride_w + f(offset) * (stride_w - 1))[None, :, None]
    centre[..., 1] = (np.arange(rows, dtype=f) * stride_h + f(offset) * (stride_h - 1))[:, None, None]
    boxes = np.concatenate([centre - np.array(half, f), centre + np.array(half, f)], axis=-1)
    return [boxes, np.broadcast_to(np.array(variances, f), boxes.shape).copy()]


@op("box_coder", inputs="PriorBox PriorBoxVar? TargetBox", code_type="encode_center_size", box_normalized=True,
    axis=0, variance=[])
def box_coder(prior, prior_var, target, code_type, box_normalized, axis, variance):
    # encode: PriorBox [M,4], TargetBox [N,4] → offsets [N,M,4]
    # decode: TargetBox [N,M,4] offsets to the priors along axis 1 (axis 0) or axis 0 (axis 1) → boxes [N,M,4]
    extra = np.float32(0 if box_normalized else 1)
    size = prior[:, 2:] - prior[:, :2] + extra
    centre = prior[:, :2] + size / 2
    spread = np.ones(4, np.float32) if not variance else np.array(variance, np.float32)
    if prior_var is not None:
        spread = prior_var
    if code_type == "encode_center_size":
        own = (target[:, None, 2:] + target[:, None, :2]) / 2
        own_size = target[:, None, 2:] - target[:, None, :2] + extra
        return np.concatenate([(own - centre) / size, np.log(np.abs(own_size / size))], axis=-1) / spread
    if code_type != "decode_center_size":
        raise ConvertError(f"box_coder cannot {code_type!r}")
    if axis == 1:
        size, centre = size[:, None], centre[:, None]
        spread = spread[:, None] if spread.ndim == 2 else spread
    middle = spread[..., :2] * target[..., :2] * size + centre
    half = np.exp(spread[..., 2:] * target[..., 2:]) * size / 2
    return np.concatenate([middle - half, middle + half - extra], axis=-1)


@op("yolo_box", inputs="X ImgSize", variadic_out=True, anchors=REQUIRED, class_num=REQUIRED, conf_thresh=REQUIRED,
    downsample_ratio=REQUIRED, clip_bbox=True, scale_x_y=1.0, iou_aware=False, iou_aware_factor=0.5)
def yolo_box(x, img_size, anchors, class_num, conf_thresh, downsample_ratio, clip_bbox, scale_x_y, iou_aware,
             iou_aware_factor):
    # X [N,A*(5+classes),H,W] (iou_aware: A channels in front), ImgSize [N,2] height and width
    # → boxes [N,A*H*W,4] in pixels, scores [N,A*H*W,classes]; both zero below the threshold
    f = np.float32
    batch, _, rows, columns = x.shape
    count = len(anchors) // 2
    parts = x[:, count if iou_aware else 0:].reshape(batch, count, 5 + class_num, rows, columns)
    confidence = sigmoid(parts[:, :, 4])
    if iou_aware:
        iou = sigmoid(x[:, :count])
        confidence = confidence ** f(1 - f(iou_aware_factor)) * iou ** f(iou_aware_factor)
    image = img_size.astype(f).reshape(batch, 2, 1, 1, 1)
    height, width = image[:, 0], image[:, 1]
    scale, bias = f(scale_x_y), f(-0.5) * (f(scale_x_y) - 1)
    anchor_w, anchor_h = (np.array(anchors[i::2], f)[:, None, None] for i in (0, 1))
    middle_x = (np.arange(columns, dtype=f) + sigmoid(parts[:, :, 0]) * scale + bias) * width / columns
    middle_y = (np.arange(rows, dtype=f)[:, None] + sigmoid(parts[:, :, 1]) * scale + bias) * height / rows
    w = np.exp(parts[:, :, 2]) * anchor_w * width / (downsample_ratio * columns)
    h = np.exp(parts[:, :, 3]) * anchor_h * height / (downsample_ratio * rows)
    sides = [middle_x - w / 2, middle_y - h / 2, middle_x + w / 2, middle_y + h / 2]
    if clip_bbox:
        sides = [np.maximum(sides[0], 0), np.maximum(sides[1], 0), np.minimum(sides[2], width - 1),
                 np.minimum(sides[3], height - 1)]
    weak = confidence < f(conf_thresh)
    boxes = np.where(weak[..., None], f(0), np.stack(sides, axis=-1))
    scores = np.where(weak[..., None], f(0), confidence[..., None] * sigmoid(np.moveaxis(parts[:, :, 5:], 2, -1)))
    return [boxes.reshape(batch, -1, 4), scores.reshape(batch, -1, class_num)]


def samples(start: np.float32, extent: np.float32, bins: int, ratio: int, size: int) -> tuple[np.ndarray, ...]:
    """Positions along one axis of a region, in bins: lower pixel, upper pixel, weight of the lower [bins, samples].

    Without a ratio there is a sample per pixel. Past the picture by more than a pixel both weights are 0.
    """
    f = np.float32
    count = ratio if ratio > 0 else max(0, math.ceil(extent / f(bins)))
    inner = (np.arange(count, dtype=f) + f(0.5)) / f(max(count, 1))
    at = start + extent / f(bins) * (np.arange(bins, dtype=f)[:, None] + inner)
    outside = (at < -1) | (at > size)
    at = np.where(at <= 0, f(0), at)
    low = np.minimum(at.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    at = np.where(low == size - 1, low.astype(f), at)
    weight = high.astype(f) - at
    return low, high, np.where(outside, f(0), weight), np.where(outside, f(0), 1 - weight)


@op("roi_align", inputs="X ROIs RoisNum", pooled_height=1, pooled_width=1, spatial_scale=1.0, sampling_ratio=-1,
    aligned=False)
def roi_align(x, rois, rois_num, pooled_height, pooled_width, spatial_scale, sampling_ratio, aligned):
    # X [N,C,H,W], ROIs [R,4], RoisNum [N] → means of bilinear samples [R,C,pooled_height,pooled_width]
    f = np.float32
    rois_num = rois_num.reshape(-1)
    if len(rois_num) != len(x) or rois_num.sum() != len(rois) or (rois_num < 0).any():
        raise ConvertError(f"roi_align has {len(rois)} boxes and {rois_num.tolist()} per picture")
    out = np.empty((len(rois), x.shape[1], pooled_height, pooled_width), f)
    for r, n in enumerate(np.repeat(np.arange(len(x)), rois_num)):
        box = rois[r] * f(spatial_scale) - f(0.5 if aligned else 0)
        extent = box[2:] - box[:2] if aligned else np.maximum(box[2:] - box[:2], f(1))
        x0, x1, u0, u1 = samples(box[0], extent[0], pooled_width, sampling_ratio, x.shape[3])
        y0, y1, v0, v1 = samples(box[1], extent[1], pooled_height, sampling_ratio, x.shape[2])
        total = np.zeros(out.shape[1:], f)
        for rows, v in ((y0, v0), (y1, v1)):
            for columns, u in ((x0, u0), (x1, u1)):
                weight = v[:, :, None, None] * u
                total += (weight * x[n][:, rows[:, :, None, None], columns]).sum(axis=(2, 4))
        count = x0.shape[1] * y0.shape[1]
        out[r] = total / f(count) if count else f(np.nan)
    return out
