"""Figures: average precision with regions to ignore, recall by size, landmark error, angles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Answer:
    """One picture: what was found (scores falling, boxes x y w h, points) and what is there."""

    scores: np.ndarray
    boxes: np.ndarray
    points: np.ndarray
    truth: np.ndarray
    truth_points: np.ndarray  # NaN where unknown
    ignore: np.ndarray


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[a,4] and [b,4], x y w h -> [a,b]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, :2] + boxes[:, None, 2:], others[None, :, :2] + others[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(2)
    return both / np.maximum(boxes[:, None, 2:].prod(2) + others[None, :, 2:].prod(2) - both, 1e-9)


def covered(boxes: np.ndarray, zones: np.ndarray) -> np.ndarray:
    """[a]: largest share of each box that one zone covers."""
    if not len(zones):
        return np.zeros(len(boxes))
    low = np.maximum(boxes[:, None, :2], zones[None, :, :2])
    high = np.minimum(boxes[:, None, :2] + boxes[:, None, 2:], zones[None, :, :2] + zones[None, :, 2:])
    return (np.clip(high - low, 0, None).prod(2) / np.maximum(boxes[:, 2:].prod(1), 1e-9)[:, None]).max(1)


@dataclass
class Matches:
    """Every box found in any picture: its score, whether it is right, wrong or not counted, the size it matched."""

    scores: np.ndarray
    right: np.ndarray
    counted: np.ndarray
    sizes: np.ndarray  # of the matched face, else of the box
    truth_sizes: np.ndarray
    errors: np.ndarray  # of the five points, as a share of the face's size; NaN where unknown
    eye_errors: np.ndarray  # the same as a share of the distance between the eyes


def matched(answers: list[Answer], threshold: float = 0.5) -> Matches:
    """Greedy by score, each face once. A box that finds none and lies half in a region to ignore is not counted."""
    rows: list[tuple[float, bool, bool, float, float, float]] = []
    truth_sizes: list[float] = []
    for a in answers:
        truth_sizes += list(a.truth[:, 2:].max(1)) if len(a.truth) else []
        table = iou(a.boxes, a.truth)
        taken = np.zeros(len(a.truth), bool)
        zones = covered(a.boxes, a.ignore)
        for i in np.argsort(-a.scores, kind="stable"):
            free = np.where(taken, 0.0, table[i]) if len(a.truth) else np.zeros(0)
            j = int(free.argmax()) if len(free) else -1
            if j >= 0 and free[j] >= threshold:
                taken[j] = True
                gap = np.linalg.norm(a.points[i] - a.truth_points[j], axis=1).mean()
                eyes = np.linalg.norm(a.truth_points[j, 0] - a.truth_points[j, 1])
                size = np.sqrt(a.truth[j, 2:].prod())
                rows.append((a.scores[i], True, True, a.truth[j, 2:].max(), gap / size, gap / max(eyes, 1e-6)))
            else:
                largest = a.boxes[i, 2:].max()
                rows.append((a.scores[i], False, bool(zones[i] < 0.5), largest, np.nan, np.nan))
    table = np.array(rows, float).reshape(-1, 6)
    order = np.argsort(-table[:, 0], kind="stable")
    score, right, counted, sizes, errors, eyes = table[order].T
    return Matches(score, right > 0, counted > 0, sizes, np.array(truth_sizes), errors, eyes)


def average_precision(m: Matches) -> float:
    """Area under the precision envelope (all points)."""
    right, wrong = (m.right & m.counted).cumsum(), (~m.right & m.counted).cumsum()
    if not len(m.truth_sizes) or not len(right):
        return 0.0
    recall = right / len(m.truth_sizes)
    precision = np.maximum.accumulate((right / np.maximum(right + wrong, 1))[::-1])[::-1]
    return float((np.diff(np.concatenate([[0.0], recall])) * precision).sum())


def recall_at_precision(m: Matches, smallest: float, precision: float = 0.9) -> tuple[float, float]:
    """Highest recall of faces of at least `smallest` pixels, with boxes of that size only, where precision holds;
    and the score where it is reached."""
    use = m.counted & (m.sizes >= smallest)
    right, wrong = (m.right & use).cumsum(), (~m.right & use).cumsum()
    total = int((m.truth_sizes >= smallest).sum())
    good = np.flatnonzero(use & (right >= precision * (right + wrong)))
    if not len(good) or not total:
        return 0.0, float("nan")
    best = good[right[good].argmax()]
    return float(right[best] / total), float(m.scores[best])


def five_point_error(m: Matches, lowest: float, smallest: float = 0.0) -> tuple[float, float]:
    """Mean error of the points of faces found: as a share of the face's size, and of the distance of the eyes."""
    use = m.right & (m.scores >= lowest) & (m.sizes >= smallest) & np.isfinite(m.errors)
    return (float(m.errors[use].mean()), float(m.eye_errors[use].mean())) if use.any() else (float("nan"),) * 2


def detector_row(answers: list[Answer]) -> dict[str, float]:
    m = matched(answers)
    recall, at = recall_at_precision(m, 32)
    size, eyes = five_point_error(m, 0.3)
    names = ("ap50", "ap30", "recall32", "at", "nme_size", "nme_eyes")
    values = (average_precision(m), average_precision(matched(answers, 0.3)), recall, at, size, eyes)
    return {n: round(v, 4) for n, v in zip(names, values, strict=True)} | {"faces": len(m.truth_sizes)}
