"""Every target of a model side by side: size, worst error, agreement with float32 over many pictures, speed.

    python benchmarks/targets.py [--pictures FOLDER] [--count 200] [--weights LIST] [MODEL ...]

Agreement is the share of pictures with the same largest score for a classifier, and for a detector of text the F1 of
the boxes around what is above 0.3 on drawn pages, both against float32 in ONNX Runtime. ms: nine of ten runs take
longer. Half of the pictures calibrate, the others judge.
Without ../shared (or MODEL and FOLDER) there is nothing to measure. Paddle Lite is measured where its tools are found.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from quantised import pages  # noqa: E402  (beside this script)

from converter import ConvertError, convert, paddle_lite, with_onnxruntime  # noqa: E402
from converter.answer import load_picture  # noqa: E402
from converter.calibration import PICTURES  # noqa: E402
from converter.executor import Executor  # noqa: E402
from converter.read.bundle import load_bundle  # noqa: E402
from converter.targets import Options  # noqa: E402

SHARED = REPO.parent / "shared"
MODELS = ("cls_shufflenetv2_x0_25_legacy", "gesture_rec_mobilenetv2", "ppocrv3_det_ch")
SPEC = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
WEIGHTS = ("float32", "float16", "int8-weights", "int8")
SIDE, LEVEL, IOU, LEAST_PIXELS = 320, 0.3, 0.5, 9
Box = tuple[int, int, int, int]
Feeds = list[dict[str, np.ndarray]]


def mobilenet(folder: Path) -> Path:
    """MobileNetV2 as Paddle builds it, with seeded weights: its scores are close together, so agreement is hard."""
    import paddle

    paddle.seed(7)
    net = paddle.vision.models.mobilenet_v2()
    net.eval()
    spec = [paddle.static.InputSpec([None, 3, 224, 224], "float32", name="image")]
    paddle.jit.save(net, str(folder / "inference"), input_spec=spec)
    return folder


def drawn(folder: Path, count: int) -> list[Path]:
    """Pages of words, as files."""
    folder.mkdir()
    for k, page in enumerate(pages(count, 11)):
        page.save(folder / f"{k:04}.png")
    return sorted(folder.iterdir())


def boxes(scores: np.ndarray) -> list[Box]:
    """Around each connected part of a map [1,1,H,W] above the level: left, top, right, bottom."""
    mask = scores[0, 0] > LEVEL
    found, seen = [], np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        if seen[y, x]:
            continue
        stack, rows, columns = [(y, x)], [], []
        seen[y, x] = True
        while stack:
            b, a = stack.pop()
            rows.append(b)
            columns.append(a)
            for v, u in ((b - 1, a), (b + 1, a), (b, a - 1), (b, a + 1)):
                if 0 <= v < mask.shape[0] and 0 <= u < mask.shape[1] and mask[v, u] and not seen[v, u]:
                    seen[v, u] = True
                    stack.append((v, u))
        if len(rows) >= LEAST_PIXELS:
            found.append((min(columns), min(rows), max(columns) + 1, max(rows) + 1))
    return found


def overlap(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return both / (areas - both)


def agreement(exact: list[np.ndarray], found: list[np.ndarray]) -> float:
    """1 where every picture has the same answer."""
    if exact[0].ndim != 4:
        return float(np.mean([np.argmax(a) == np.argmax(b) for a, b in zip(exact, found, strict=True)]))
    same = total = 0
    for a, b in zip(exact, found, strict=True):
        ours, left = boxes(a), boxes(b)
        total += len(ours) + len(left)
        for box in ours:
            best = max(left, key=lambda other, box=box: overlap(box, other), default=None)
            if best is not None and overlap(box, best) >= IOU:
                left.remove(best)
                same += 2
    return same / total if total else 1.0


def by_onnx(path: Path, feeds: Feeds) -> tuple[list[np.ndarray], list[float]]:
    session = with_onnxruntime.load(path)
    return timed(lambda one: with_onnxruntime.run(session, one), feeds)


def by_web(bundle: Path, feeds: Feeds) -> tuple[list[np.ndarray], list[float]]:
    graph = load_bundle(bundle)
    with Executor(graph, graph.outputs) as run:
        return timed(run, feeds)


def by_lite(bundle: Path, feeds: Feeds, opt: str | None) -> tuple[list[np.ndarray], list[float]]:
    tools, target = paddle_lite.needed(opt), str(paddle_lite.here())
    joined = {name: np.concatenate([one[name] for one in feeds]) for name in feeds[0]}
    arrays, times = paddle_lite.run(tools, bundle / "lite" / f"{target}.nb", target, joined, each=True)
    return [arrays[0][row:row + 1] for row in range(len(feeds))], times


def timed(run, feeds: Feeds) -> tuple[list[np.ndarray], list[float]]:
    """The first output for each of the feeds, and milliseconds."""
    answers, times = [], []
    for one in feeds:
        start = time.perf_counter()
        answers.append(next(iter(run(one).values())))
        times.append(1000 * (time.perf_counter() - start))
    return answers, times


def rows_of(model: Path, name: str, pictures: list[Path], weights: list[str], opt: str | None,
            work: Path) -> Iterable[tuple]:
    """(target, weights, bytes, worst error, agreement, ms) of every variant; the first is float32."""
    judged = pictures[1::2]
    typical = work / "typical"
    typical.mkdir()
    for k, path in enumerate(pictures[::2]):
        (typical / f"{k:04}{path.suffix.lower()}").symlink_to(path)
    spec = SPEC | ({"size": [SIDE, SIDE], "channels": "bgr"} if "det" in name else {"size": [224, 224]})
    exact: list[np.ndarray] = []
    feeds: Feeds = []
    for precision in weights:
        bundle = work / precision
        wanted = ("web", "onnx") + (("lite",) if opt and precision == "float32" else ())
        more = {"calibrate": typical} if precision == "int8" else {}
        try:
            report = convert(model, bundle, name=name, precision=precision, targets=wanted, preprocess=spec,
                             options=Options(lite_opt=opt, lite_targets=("x86", "arm")), **more)
        except ConvertError as error:
            print(f"{name}, {precision}: {str(error).splitlines()[0]}")
            continue
        if not feeds:
            read = json.loads((bundle / "model.json").read_text())["preprocess"]
            feeds = [load_picture(path, read) for path in judged]
            exact = by_onnx(bundle / "model.onnx", feeds)[0]
        worst = {check.engine.split()[0]: check.error for check in report.checks}
        web = sum(path.stat().st_size for path in bundle.glob("chunk_*.dat"))
        yield "web", precision, web, worst.get("web", worst.get("numpy")), *judge(exact, *by_web(bundle, feeds))
        size = (bundle / "model.onnx").stat().st_size
        yield "onnx", precision, size, worst["onnx"], *judge(exact, *by_onnx(bundle / "model.onnx", feeds))
        if "lite" in wanted:
            found = judge(exact, *by_lite(bundle, feeds, opt))
            yield "lite x86", precision, (bundle / "lite" / "x86.nb").stat().st_size, worst["lite"], *found
            yield "lite arm", precision, (bundle / "lite" / "arm.nb").stat().st_size, None, None, None


def judge(exact: list[np.ndarray], found: list[np.ndarray], times: list[float]) -> tuple[float, float]:
    return agreement(exact, found), sorted(times)[len(times) // 10]  # others may be at work here


def text(value: float | None, form: str) -> str:
    return "not run here" if value is None else format(value, form)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--pictures", type=Path, default=SHARED / "faces")
    parser.add_argument("--count", type=int, default=200, help="pictures that judge; as many calibrate")
    parser.add_argument("--weights", default=",".join(WEIGHTS), help="float32 first; int8 takes minutes a model")
    parser.add_argument("--paddle-lite-opt")
    given = parser.parse_args()
    named = [(path.name, path) for path in given.models or [SHARED / "models" / name for name in MODELS]]
    pictures = sorted(path for path in given.pictures.rglob("*") if path.suffix.lower() in PICTURES)
    if not pictures or not all(path.is_dir() for _, path in named):
        print("nothing to measure: neither models and pictures in ../shared nor any named")
        return
    pictures = pictures[::max(1, len(pictures) // (2 * given.count))][:2 * given.count]
    tools = paddle_lite.find(given.paddle_lite_opt)
    opt = str(tools.opt) if tools is not None and tools.python is not None else None
    print(f"{len(pictures[1::2])} pictures judge" + ("" if opt else "; Paddle Lite's tools were not found"))
    print("| model | target | weights | size, KB | of float32 | worst error | agreement | ms |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="inpage-targets-") as folder:
        if not given.models:
            (Path(folder) / "mobilenet").mkdir()
            named.insert(0, ("MobileNetV2, seeded", mobilenet(Path(folder) / "mobilenet")))
        for k, (name, model) in enumerate(named):
            work, whole = Path(folder) / str(k), 0
            work.mkdir()
            own = drawn(work / "pages", 2 * given.count) if "det" in name else pictures
            found = rows_of(model, name, own, given.weights.split(","), opt, work)
            for target, precision, size, worst, same, ms in found:
                whole = whole or size
                print(f"| {name} | {target} | {precision} | {size / 1000:.0f} | {size / whole:.3f} | "
                      f"{text(worst, '.1e')} | {text(same, '.4f')} | {text(ms, '.1f')} |", flush=True)


if __name__ == "__main__":
    main()
