"""Two-stage detectors: the first stage's boxes, their way to the maps of a pyramid, and what lies in them."""

from __future__ import annotations

import math

import numpy as np

from converter.errors import ConvertError
from converter.ops.nms import overlaps
from converter.ops.spec import REQUIRED, op

LARGEST = np.float32(math.log(1000 / 16))
"""An offset of a size is no larger: exp() of it stays in range."""


def decoded(anchors: np.ndarray, offsets: np.ndarray, spread: np.ndarray, size: np.ndarray,
            extra: np.float32) -> np.ndarray:
    """Boxes [K,4] at offsets [K,4] from anchors [K,4], cut at the picture's edges; size: height and width."""
    f = np.float32
    own = anchors[:, 2:] - anchors[:, :2] + extra
    middle = spread[:, :2] * offsets[:, :2] * own + (anchors[:, :2] + f(0.5) * own)
    sides = np.exp(np.minimum(spread[:, 2:] * offsets[:, 2:], LARGEST)) * own
    boxes = np.concatenate([middle - sides / 2, middle + sides / 2 - extra], axis=1)
    return np.maximum(np.minimum(boxes, np.tile(size[::-1], 2) - extra), f(0))


def large_enough(boxes: np.ndarray, least: float, size: np.ndarray, pixels: bool) -> np.ndarray:
    """Positions of the boxes of that size at least, whose middle lies in the picture."""
    sides = boxes[:, 2:] - boxes[:, :2] + np.float32(pixels)
    keep = (sides >= np.maximum(np.float32(least), np.float32(1))).all(1)
    return np.flatnonzero(keep & ((boxes[:, :2] + sides / 2 <= size[::-1]).all(1) if pixels else True))


def survivors(boxes: np.ndarray, scores: np.ndarray, limit: float, eta: float, pixels: bool) -> list[int]:
    """Positions by falling score, of equals the last first; an eta below 1 tightens the limit with each."""
    limit, kept = np.float32(limit), []
    for at in np.argsort(scores, kind="stable")[::-1]:
        if kept and not (overlaps(boxes[at], boxes[kept], not pixels) <= limit).all():
            continue
        kept.append(int(at))
        if eta < 1 and limit > 0.5:
            limit = limit * np.float32(eta)
    return kept


@op("generate_proposals_v2", inputs="Scores BboxDeltas ImShape Anchors Variances", variadic_out=True,
    pre_nms_topN=6000, post_nms_topN=1000, nms_thresh=0.5, min_size=0.1, eta=1.0, pixel_offset=True)
def generate_proposals(scores, deltas, im_shape, anchors, variances, pre_nms_topN, post_nms_topN, nms_thresh,
                       min_size, eta, pixel_offset):
    # Scores [N,A,H,W], BboxDeltas [N,4A,H,W], ImShape [N,2] height and width, Anchors and Variances [H,W,A,4]
    # → boxes [K,4], scores [K,1], boxes per picture [N]
    n, _, rows, columns = scores.shape
    anchors, variances = anchors.reshape(-1, 4), variances.reshape(-1, 4)
    if len(anchors) != scores[0].size or deltas.shape != (n, 4 * scores.shape[1], rows, columns):
        raise ConvertError(f"{len(anchors)} anchors do not fit scores {list(scores.shape)}, offsets "
                           f"{list(deltas.shape)}")
    boxes, chances, counts = [], [], []
    for i in range(n):
        own = scores[i].transpose(1, 2, 0).reshape(-1)
        offsets = deltas[i].transpose(1, 2, 0).reshape(-1, 4)
        best = np.argsort(-own, kind="stable")
        best = best[:pre_nms_topN] if 0 < pre_nms_topN < len(best) else best
        made = decoded(anchors[best], offsets[best], variances[best], im_shape[i], np.float32(pixel_offset))
        keep = large_enough(made, min_size, im_shape[i], pixel_offset)
        made, own = made[keep], own[best][keep]
        if not len(keep):                       # Paddle leaves one of nothing
            made, own = np.zeros((1, 4), np.float32), np.zeros(1, np.float32)
        elif nms_thresh > 0:
            order = survivors(made, own, nms_thresh, eta, pixel_offset)
            order = order[:post_nms_topN] if 0 < post_nms_topN < len(order) else order
            made, own = made[order], own[order]
        boxes.append(made)
        chances.append(own)
        counts.append(len(own))
    return [np.concatenate(boxes), np.concatenate(chances)[:, None], np.array(counts, np.int32)]


def pictures_of(boxes: int, numbers: np.ndarray) -> np.ndarray:
    """Which picture each box belongs to."""
    numbers = numbers.reshape(-1)
    if numbers.sum() != boxes or (numbers < 0).any():
        raise ConvertError(f"{boxes} boxes are not {numbers.tolist()} per picture")
    return np.repeat(np.arange(len(numbers)), numbers)


@op("distribute_fpn_proposals", inputs="FpnRois RoisNum", variadic_out=True, min_level=REQUIRED, max_level=REQUIRED,
    refer_level=REQUIRED, refer_scale=REQUIRED, pixel_offset=True)
def distribute(rois, rois_num, min_level, max_level, refer_level, refer_scale, pixel_offset):
    # FpnRois [R,4] → where each stands in the lists below [R,1], then the boxes of each level [.,4] by size,
    # then their numbers per picture, one [N] for each level
    f, picture = np.float32, pictures_of(len(rois), rois_num)
    sides = rois[:, 2:] - rois[:, :2]
    area = np.where((sides < 0).any(1), f(0), (sides + f(pixel_offset)).prod(1))
    level = np.floor(np.log2(np.sqrt(area) / f(refer_scale) + f(1e-6)) + f(refer_level))
    level = np.clip(level, min_level, max_level).astype(np.int64)
    levels = range(min_level, max_level + 1)
    order = np.concatenate([np.flatnonzero(level == k) for k in levels])
    restore = np.empty((len(rois), 1), np.int32)
    restore[order, 0] = np.arange(len(rois), dtype=np.int32)
    numbers = [np.bincount(picture[level == k], minlength=rois_num.size).astype(np.int32) for k in levels]
    return [restore, *(rois[level == k] for k in levels), *numbers]


@op("collect_fpn_proposals", inputs="MultiLevelRois* MultiLevelScores* MultiLevelRoIsNum*", variadic_out=True,
    post_nms_topN=REQUIRED)
def collect(rois, scores, numbers, post_nms_topN):
    # Per level boxes [.,4], scores [.,1] and numbers per picture [N] → the best of all [K,4] by picture, [N];
    # of equals the last comes first
    if not len(rois) == len(scores) == len(numbers):
        raise ConvertError(f"{len(rois)} lists of boxes, {len(scores)} of scores, {len(numbers)} of numbers")
    picture = np.concatenate([pictures_of(len(own), n) for own, n in zip(rois, numbers, strict=True)])
    best = np.argsort(np.concatenate([own.reshape(-1) for own in scores]), kind="stable")[::-1][:post_nms_topN]
    best = best[np.argsort(picture[best], kind="stable")]
    return [np.concatenate(rois)[best], np.bincount(picture[best], minlength=numbers[0].size).astype(np.int32)]


@op("roi_pool", inputs="X ROIs RoisNum", pooled_height=1, pooled_width=1, spatial_scale=1.0)
def roi_pool(x, rois, rois_num, pooled_height, pooled_width, spatial_scale):
    # X [N,C,H,W], ROIs [R,4], RoisNum [N] → the largest in each bin of whole pixels [R,C,ph,pw]; 0 where a bin is empty
    out = np.zeros((len(rois), x.shape[1], pooled_height, pooled_width), np.float32)
    for r, n in enumerate(pictures_of(len(rois), rois_num)):
        edges = rois[r].astype(np.float32) * np.float32(spatial_scale)
        left, top, right, bottom = (math.floor(abs(v) + 0.5) * (1 if v > 0 else -1) for v in map(float, edges))
        for i, (y0, y1) in enumerate(bins(top, bottom, pooled_height, x.shape[2])):
            for j, (x0, x1) in enumerate(bins(left, right, pooled_width, x.shape[3])):
                if y0 < y1 and x0 < x1:
                    out[r, :, i, j] = x[n, :, y0:y1, x0:x1].max((1, 2))
    return out


def bins(first: int, last: int, count: int, size: int) -> list[tuple[int, int]]:
    """The pixels of each bin from first to last, both included, inside the picture."""
    step = np.float32(max(last - first + 1, 1)) / np.float32(count)
    return [(min(max(math.floor(np.float32(k) * step) + first, 0), size),
             min(max(math.ceil(np.float32(k + 1) * step) + first, 0), size)) for k in range(count)]
