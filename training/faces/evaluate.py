"""How good the shipped bundles are, through the page's own detectFaces under Node:

    python -m training.faces.evaluate --faces FOLDER [--splits val test] [--bundles static/models]
        [--without FOLDER ...] [--table FILE]

Boxes and points on detect.json against one convention (`tbox` where there is one), angles, points and eyes on
crops.json, shoulders on upper.json. --without names folders of pictures without a face, beside the split's own pictures
with every face painted over and pieces of them that hold none. Prints a table in Markdown, beside what the teacher
reaches on human boxes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from training.faces.measure import (
    Answer,
    average_precision,
    covered,
    five_point_error,
    matched,
    recall_at_precision,
)
from training.faces.sources import (
    JOINT_NAMES,
    bodies,
    box_of,
    crops,
    folder_squares,
    paintable,
    read_picture,
    records,
    scenes,
    without_faces,
)

ROOT = Path(__file__).resolve().parents[2]
LOWEST = 0.02  # of the scores that make the precision curve
PIECES = 4  # without a face, of a picture
CROP_BOX = [[128 / 6, 128 / 6, 128 / 1.5, 128 / 1.5]]  # the face in a crop of the pack
JOINTS = dict(zip(JOINT_NAMES, ("nose", "left", "right", "leftEar", "rightEar"), strict=True))
# YuNet (75 856 parameters) on hidden pictures with human boxes, one scale: 320 pixels, as they are, 640.
TEACHER = {"320": 0.777, "native": 0.823, "640": 0.854}


class Page:
    """detect.js in one Node process."""

    def __init__(self, bundles: Path | None) -> None:
        node = shutil.which("node")
        if node is None:
            raise RuntimeError("node is not installed: the page's detector cannot run")
        command = [node, str(Path(__file__).with_name("detect_node.js"))]
        command += [str(bundles.resolve())] if bundles else []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.scratch = tempfile.TemporaryDirectory()
        self.file = Path(self.scratch.name) / "picture.rgba"

    def ask(self, picture: np.ndarray, call: str, **rest: Any) -> Any:
        """picture: RGB uint8 [h,w,3]."""
        height, width = picture.shape[:2]
        rgba = np.dstack([picture, np.full((height, width), 255, np.uint8)])
        self.file.write_bytes(rgba.tobytes())
        order = {"file": str(self.file), "width": width, "height": height, "call": call} | rest
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the page's detector ended; its message is above")
        return json.loads(line)

    def close(self) -> None:
        with self.process:  # closes both pipes, then waits
            pass
        self.scratch.cleanup()


def answer(faces: list[dict], truth: list[list[float]], points: list, ignore: list[list[float]]) -> Answer:
    return Answer(
        np.array([f["score"] for f in faces]),
        np.array([f["box"] for f in faces]).reshape(-1, 4),
        np.array([f["landmarks"] for f in faces]).reshape(-1, 5, 2),
        np.array(truth, float).reshape(-1, 4),
        np.array([p if p else np.full((5, 2), np.nan) for p in points], float).reshape(-1, 5, 2),
        np.array(ignore, float).reshape(-1, 4),
    )


def detector_rows(page: Page, faces: Path, splits: list[str], side: int, score: float) -> dict[str, float]:
    rows = [r for split in splits for r in records(faces, "detect", split)]
    one, human, names = [], [], []
    for r in rows:
        found = page.ask(
            read_picture(faces / r["file"]), "detect", options={"side": side, "score": LOWEST, "most": 200}
        )
        lm = [f.get("lm") for f in r["faces"]]
        one.append(answer(found, [box_of(f) for f in r["faces"]], lm, r["ignore"]))
        names.append(r["source"])
        if any(f.get("human") for f in r["faces"]):
            human.append(answer(found, [f["box"] for f in r["faces"]], lm, r["ignore"]))
    m = matched(one)
    recall, at = recall_at_precision(m, 32)
    above = m.counted & (m.scores >= score)
    size, eyes = five_point_error(m, score)
    row = {
        "pictures": len(one),
        "faces": len(m.truth_sizes),
        "AP50": average_precision(m),
        "AP30": average_precision(matched(one, 0.3)),
        "AP50, human boxes": average_precision(matched(human)),
        "AP30, human boxes": average_precision(matched(human, 0.3)),
        "recall of faces of 32 px and more at precision 0.9": recall,
        "the score where that is": at,
        f"precision at {score}": float(m.right[above].mean()) if above.any() else float("nan"),
        f"recall at {score}": float(m.right[above].sum() / len(m.truth_sizes)),
        "error of five points / face size": size,
        "error of five points / distance of the eyes": eyes,
    }
    large = five_point_error(m, score, 32)
    row["error of five points / face size, faces of 32 px and more"] = large[0]
    row["error of five points / distance of the eyes, faces of 32 px and more"] = large[1]
    for name in sorted(set(names)):
        row[f"AP50 {name}"] = average_precision(matched([a for a, n in zip(one, names, strict=True) if n == name]))
    return row


def faceless_share(page: Page, pictures: list[np.ndarray], side: int, score: float) -> float:
    """Share of pictures where nothing is found."""
    none = [not page.ask(p, "detect", options={"side": side, "score": score}) for p in pictures]
    return float(np.mean(none))


def faceless_piece(boxes: np.ndarray, width: int, height: int, rng: np.random.Generator) -> tuple[slice, slice] | None:
    """Rows and columns of a piece, a third of the picture's sides and more, that stays clear of all boxes; None after a
    few tries."""
    low, high = boxes[:, :2] - 0.4 * boxes[:, 2:], boxes[:, :2] + 1.4 * boxes[:, 2:]
    for _ in range(50):
        size = np.array([width, height]) * rng.uniform(0.3, 0.8, 2)
        at = rng.uniform(0, np.array([width, height]) - size)
        if size.min() >= 96 and not ((low < at + size) & (high > at)).all(1).any():
            (x, y), (w, h) = at.astype(int), size.astype(int)
            return slice(y, y + h), slice(x, x + w)
    return None


def faceless_pieces(faces: Path, splits: list[str]) -> list[np.ndarray]:
    """Of the splits' own pictures."""
    rng, out = np.random.default_rng(7), []
    for r in (r for split in splits for r in records(faces, "detect", split)):
        picture = read_picture(faces / r["file"])
        every = [f["box"] for f in r["faces"]] + [box_of(f) for f in r["faces"]] + r["ignore"]
        boxes = np.array(every, float).reshape(-1, 4)
        tried = [faceless_piece(boxes, picture.shape[1], picture.shape[0], rng) for _ in range(PIECES)]
        out += [np.ascontiguousarray(picture[piece]) for piece in tried if piece]
    return out


def painted_over(faces: Path, splits: list[str]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The splits' own pictures without their faces, and what was painted over or is unsure there."""
    out = []
    for split in splits:
        found = paintable(scenes(faces, split))
        for square, (w, h), boxes, zones in zip(
            without_faces(found), found.sizes.astype(int), found.boxes, found.ignore, strict=True
        ):
            every = np.concatenate([boxes, zones])
            out.append((np.ascontiguousarray(square.transpose(1, 2, 0)[:h, :w]), every[every[:, 2] > 0]))
    return out


def clean_share(page: Page, pictures: list[tuple[np.ndarray, np.ndarray]], side: int, score: float) -> float:
    """The same of painted pictures: what is found where something unsure was painted over does not count."""
    clean = []
    for picture, zones in pictures:
        found = page.ask(picture, "detect", options={"side": side, "score": score})
        boxes = np.array([f["box"] for f in found]).reshape(-1, 4)
        clean.append(not (covered(boxes, zones) < 0.5).any())
    return float(np.mean(clean))


def head_rows(page: Page, faces: Path, splits: list[str]) -> dict[str, float]:
    gaps, facing, fives, eyes, names, seen = [], [], [], [], [], 0
    shut: list[tuple[float, bool, str]] = []
    for split in splits:
        c = crops(faces, split)
        for i in range(len(c.pose)):
            face = page.ask(np.ascontiguousarray(c.pictures[i].transpose(1, 2, 0)), "read", boxes=CROP_BOX)[0]
            if face is None:
                continue
            seen += 1
            pose = np.array([face["pose"][k] for k in ("yaw", "pitch", "roll")])
            gaps.append(np.abs((pose - c.pose[i] + 180) % 360 - 180))
            facing.append(abs(c.pose[i, 0]) < 45)
            off = np.linalg.norm(np.array(face["landmarks"]) - c.five[i], axis=1).mean()
            fives.append(off / (128 / 1.5))
            eyes.append(off / np.linalg.norm(c.five[i, 0] - c.five[i, 1]))
            names.append(c.names[i])
            if c.eye[i] in ("closed", "neutral"):
                shut.append(((face["eyes"]["left"] + face["eyes"]["right"]) / 2, c.eye[i] == "closed", split))
    gap, front = np.array(gaps), np.array(facing)
    total = sum(len(crops(faces, s).pose) for s in splits)
    row = {"crops": total, "read as a face": seen / total, "pose MAE, |yaw| < 45": float(gap[front].mean())}
    row |= {f"{n} MAE, |yaw| < 45": float(v) for n, v in zip(("yaw", "pitch", "roll"), gap[front].mean(0), strict=True)}
    if (~front).any():
        row["pose MAE beyond"] = float(gap[~front].mean())
    row["five points / face size"] = float(np.mean(fives))
    row["five points / distance of the eyes, |yaw| < 45"] = float(np.array(eyes)[front].mean())
    for name in sorted(set(names)):
        mine = front & np.array([n == name for n in names])
        row[f"pose MAE {name}"] = float(gap[mine].mean())
    for split in splits:
        closed = np.array([v for v, s, k in shut if s and k == split])
        opened = np.array([v for v, s, k in shut if not s and k == split])
        row[f"closed below open eyes (AUC), {split}"] = float((closed[:, None] < opened[None]).mean())
        row[f"median openness closed, {split}"] = float(np.median(closed))
        row[f"median openness open, {split}"] = float(np.median(opened))
    return row


def upper_rows(page: Page, faces: Path, splits: list[str]) -> dict[str, float]:
    off: dict[str, list[float]] = {n: [] for n in JOINT_NAMES}
    for split in splits:
        b = bodies(faces, split)
        for i in range(len(b.joints)):
            # The crop is five face sizes wide and centred 1.2 below the face: the box that gives it back.
            g = 128 / 5
            box = [64 - g / 2, 64 - 1.2 * g - g / 2, g, g]
            found = page.ask(np.ascontiguousarray(b.pictures[i].transpose(1, 2, 0)), "upper", boxes=[box])[0]
            for k, name in enumerate(JOINT_NAMES):
                if b.sure[i, k] > 0.5:
                    at = np.array(found[JOINTS[name]]["at"])
                    off[name].append(float(np.linalg.norm(at - b.joints[i, k]) / g))
    row = {f"{JOINTS[n]}, mean error / face size": float(np.mean(v)) for n, v in off.items()}
    return row | {f"{JOINTS[n]}, within half a face": float((np.array(v) < 0.5).mean()) for n, v in off.items()}


def written(title: str, rows: dict[str, float]) -> str:
    lines = [f"| {title} | |", "|---|---|"]
    lines += [f"| {k} | {v if isinstance(v, int) else round(v, 4)} |" for k, v in rows.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--splits", nargs="+", default=["val", "test"])
    parser.add_argument("--bundles", type=Path)
    parser.add_argument("--without", type=Path, action="append", default=[])
    parser.add_argument("--sides", type=int, nargs="+", default=[320, 640])
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    bundles = args.bundles or ROOT / "static" / "models"
    score = json.loads((bundles / "face_detector" / "model.json").read_text())["postprocess"]["score"]
    page, parts = Page(args.bundles), []
    painted, pieces = painted_over(args.faces, args.splits), faceless_pieces(args.faces, args.splits)
    for side in args.sides:
        rows = detector_rows(page, args.faces, args.splits, side, score)
        rows[f"painted over: no face found in {len(painted)}"] = clean_share(page, painted, side, score)
        rows[f"pieces: no face found in {len(pieces)}"] = faceless_share(page, pieces, side, score)
        for folder in args.without:
            squares, sizes = folder_squares(folder)
            sized = zip(squares, sizes.astype(int), strict=True)
            pictures = [np.ascontiguousarray(p.transpose(1, 2, 0)[:h, :w]) for p, (w, h) in sized]
            rows[f"{folder.name}: no face found in {len(pictures)}"] = faceless_share(page, pictures, side, score)
        parts.append(written(f"detectFaces at {side}", rows))
        print(parts[-1], flush=True)
    parts.append(written("the teacher, AP50 on human boxes", TEACHER))
    parts.append(written("heads", head_rows(page, args.faces, args.splits)))
    parts.append(written("upper bodies", upper_rows(page, args.faces, args.splits)))
    page.close()
    print("\n".join(parts[-3:]))
    if args.table:
        args.table.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
