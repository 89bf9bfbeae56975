"""Suppression of overlapping boxes: how many are left shows at run time. Ties fall as in Paddle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from converter.errors import ConvertError
from converter.ops.spec import REQUIRED, op

Kept = list[tuple[int, int]]
"""(class, position of the box) in order of output."""


def area(box: np.ndarray, extra: np.float32) -> np.ndarray:
    """[..., 4] → [...]; 0 where a box is turned inside out."""
    size = box[..., 2:] - box[..., :2]
    return np.where((size < 0).any(-1), np.float32(0), (size[..., 0] + extra) * (size[..., 1] + extra))


def overlaps(box: np.ndarray, others: np.ndarray, normalized: bool) -> np.ndarray:
    """Intersection over union of a box [4] with others [K,4]. Not normalized: sides count their last pixel."""
    extra = np.float32(0 if normalized else 1)
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    inner = (high - low + extra).prod(-1)
    apart = (others[:, :2] > box[2:]).any(-1) | (others[:, 2:] < box[:2]).any(-1)
    return np.where(apart, np.float32(0), inner / (area(box, extra) + area(others, extra) - inner))


def suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float, top_k: int, iou: float, eta: float,
             normalized: bool) -> list[int]:
    """Positions of the boxes of one class that survive, by falling score; eta < 1 tightens the limit with each."""
    candidates = np.flatnonzero(scores > np.float32(threshold))
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    limit, kept = np.float32(iou), []
    for at in candidates[:top_k] if top_k > -1 else candidates:
        if kept and not (overlaps(boxes[at], boxes[kept], normalized) <= limit).all():
            continue
        kept.append(int(at))
        if eta < 1 and limit > 0.5:
            limit = limit * np.float32(eta)
    return kept


def one_picture(boxes: np.ndarray, scores: np.ndarray, shared: bool, attrs: dict) -> Kept:
    """boxes [M,4], scores [C,M] (shared); or boxes [M,C,4], scores [M,C]. Survivors by class, then by score."""
    by_class = scores if shared else scores.T
    kept: Kept = []
    for label, own in enumerate(by_class):
        if label == attrs["background_label"]:
            continue
        found = suppress(boxes if shared else boxes[:, label], own, attrs["score_threshold"], attrs["nms_top_k"],
                         attrs["nms_threshold"], attrs["nms_eta"], attrs["normalized"])
        kept += [(label, at) for at in (found if shared else sorted(found))]
    if -1 < attrs["keep_top_k"] < len(kept):
        kept.sort(key=lambda pair: -by_class[pair])         # stable
        kept = kept[:attrs["keep_top_k"]]
        kept.sort(key=(lambda pair: pair[0]) if shared else None)
    return kept


def pictures(bboxes: np.ndarray, scores: np.ndarray, rois_num: np.ndarray | None) -> list[slice]:
    """The part of the tensors that belongs to each picture."""
    if scores.ndim == 3:
        if bboxes.ndim != 3 or bboxes.shape[:2] != (scores.shape[0], scores.shape[2]) or bboxes.shape[2] != 4:
            raise ConvertError(f"boxes {list(bboxes.shape)} do not fit scores {list(scores.shape)}; boxes of four "
                               "coordinates are supported")
        return [slice(i, i + 1) for i in range(len(scores))]
    if rois_num is None or bboxes.shape != (*scores.shape, 4):
        raise ConvertError(f"scores {list(scores.shape)} need RoisNum and boxes of four coordinates per class")
    ends = np.cumsum(rois_num.reshape(-1))
    return [slice(int(end - n), int(end)) for end, n in zip(ends, rois_num.reshape(-1), strict=True)]


def run(bboxes: np.ndarray, scores: np.ndarray, rois_num: np.ndarray | None,
        attrs: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """→ rows [K,6] (class, score, box), positions [K,1] among all boxes, rows per picture."""
    shared, rows, positions, counts = scores.ndim == 3, [], [], []
    for i, part in enumerate(pictures(bboxes, scores, rois_num)):
        own_boxes, own_scores = (bboxes[i], scores[i]) if shared else (bboxes[part], scores[part])
        kept = one_picture(own_boxes, own_scores, shared, attrs)
        for label, at in kept:
            score = own_scores[label, at] if shared else own_scores[at, label]
            rows.append([label, score, *(own_boxes[at] if shared else own_boxes[at, label])])
            positions.append(i * scores.shape[2] + at if shared else (part.start + at) * scores.shape[1] + label)
        counts.append(len(kept))
    return (np.array(rows, np.float32).reshape(-1, 6), np.array(positions, np.int32).reshape(-1, 1),
            np.array(counts, np.int32))


@op("multiclass_nms", inputs="BBoxes Scores", score_threshold=REQUIRED, nms_top_k=REQUIRED, keep_top_k=REQUIRED,
    nms_threshold=0.3, nms_eta=1.0, normalized=True, background_label=0)
def multiclass_nms(bboxes, scores, **attrs):
    # BBoxes [N,M,4], Scores [N,C,M] → rows [K,6]; where none is left a [1,1] of -1
    rows = run(bboxes, scores, None, attrs)[0]
    return rows if len(rows) else np.full((1, 1), -1, np.float32)


@op("multiclass_nms3", inputs="BBoxes Scores RoisNum?", variadic_out=True, score_threshold=REQUIRED,
    nms_top_k=REQUIRED, keep_top_k=REQUIRED, nms_threshold=0.3, nms_eta=1.0, normalized=True, background_label=0)
def multiclass_nms3(bboxes, scores, rois_num, **attrs):
    # BBoxes [N,M,4], Scores [N,C,M], or with RoisNum [N]: BBoxes [M,C,4], Scores [M,C]
    # → rows [K,6], positions [K,1] among all boxes (and classes), rows per picture [N]
    return list(run(bboxes, scores, rois_num, attrs))


@op("matrix_nms", inputs="BBoxes Scores", variadic_out=True, score_threshold=REQUIRED, post_threshold=REQUIRED,
    nms_top_k=REQUIRED, keep_top_k=REQUIRED, use_gaussian=False, gaussian_sigma=2.0, background_label=0,
    normalized=True)
def matrix_nms(bboxes, scores, score_threshold, post_threshold, nms_top_k, keep_top_k, use_gaussian, gaussian_sigma,
               background_label, normalized):
    # BBoxes [N,M,4], Scores [N,C,M] → rows [K,6] by falling score, positions [K,1], rows per picture [N]
    pictures(bboxes, scores, None)
    if nms_top_k == 0:
        raise ConvertError("matrix_nms cannot take the best 0 boxes")
    rows, positions, counts = [], [], []
    for i, (boxes, own) in enumerate(zip(bboxes, scores, strict=True)):
        found: list[tuple[np.float32, int, int]] = []
        for label in range(len(own)):
            if label != background_label:
                found += [(score, label, at) for score, at in decayed(
                    boxes, own[label], score_threshold, post_threshold, nms_top_k, use_gaussian, gaussian_sigma,
                    normalized)]
        best = len(found) if keep_top_k < 0 else min(keep_top_k, len(found))
        for k in partial_sort(list(range(len(found))), best, lambda p, q, found=found: found[p][0] > found[q][0]):
            score, label, at = found[k]
            rows.append([label, score, *boxes[at]])
            positions.append(i * scores.shape[2] + at)
        counts.append(best)
    return [np.array(rows, np.float32).reshape(-1, 6), np.array(positions, np.int32).reshape(-1, 1),
            np.array(counts, np.int32)]


@op("nms", inputs="Boxes", iou_threshold=1.0)
def nms(boxes, iou_threshold):
    # Boxes [N,4], the best first → positions [K] of those that overlap no better one that stays
    kept: list[int] = []
    for at, box in enumerate(boxes):
        if not kept or not (plain_overlaps(box, boxes[kept]) > np.float32(iou_threshold)).any():
            kept.append(at)
    return np.array(kept, np.int64)


def plain_overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box [4] with others [K,4], boxes turned inside out having areas, too."""
    inner = np.maximum(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), np.float32(0)).prod(-1)
    return inner / ((box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(-1) - inner)


def decayed(boxes: np.ndarray, scores: np.ndarray, threshold: float, post_threshold: float, top_k: int,
            gaussian: bool, sigma: float, normalized: bool) -> list[tuple[np.float32, int]]:
    """(score, position) of one class: each score shrunk by the overlap with the better ones."""
    candidates = [int(at) for at in np.flatnonzero(~(scores <= np.float32(threshold)))]
    best = min(top_k, len(candidates)) if top_k > -1 else len(candidates)
    order = partial_sort(candidates, best, lambda p, q: scores[p] > scores[q])
    out, covered = [], np.zeros(0, np.float32)
    for i, at in enumerate(order):
        iou = overlaps(boxes[at], boxes[order[:i]], normalized).astype(np.float32)
        if gaussian:
            decay = np.exp((covered * covered - iou * iou) * np.float32(sigma))
        else:
            decay = ((1.0 - iou.astype(np.float64)) / (1.0 - covered.astype(np.float64))).astype(np.float32)
        least = min([np.float32(1), *(d for d in decay if d < 1)])
        covered = np.append(covered, max([np.float32(0), *(v for v in iou if v > 0)]))
        score = scores[at] * least
        if score > np.float32(post_threshold):
            out.append((score, at))
    return out


def partial_sort(items: list[int], count: int, before: Callable[[int, int], bool]) -> list[int]:
    """The first `count` items in order, equal ones as the heap of GCC's std::partial_sort leaves them."""
    heap = items[:count]
    for parent in range(count // 2 - 1, -1, -1):
        sift(heap, parent, count, heap[parent], before)
    for item in items[count:] if count else []:
        if before(item, heap[0]):
            sift(heap, 0, count, item, before)
    for end in range(count - 1, 0, -1):
        last, heap[end] = heap[end], heap[0]
        sift(heap, 0, end, last, before)
    return heap


def sift(heap: list[int], hole: int, size: int, value: int, before: Callable[[int, int], bool]) -> None:
    """Move the hole to a leaf along the later children, then the value up from there."""
    top, child = hole, 2 * hole + 2
    while child < size:
        child -= before(heap[child], heap[child - 1])
        heap[hole] = heap[child]
        hole, child = child, 2 * child + 2
    if child == size:
        heap[hole] = heap[child - 1]
        hole = child - 1
    while hole > top and before(heap[(hole - 1) // 2], value):
        heap[hole] = heap[(hole - 1) // 2]
        hole = (hole - 1) // 2
    heap[hole] = value
