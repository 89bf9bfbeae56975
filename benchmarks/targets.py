"""Every target of a model side by side: size, worst error, agreement with float32 over many pictures, speed.

    python benchmarks/targets.py [--only NAME …] [--mobilenet FOLDER] [--count 200] [--weights LIST]

All at the converter's default options. Agreement with float32 in ONNX Runtime: the same first class for a classifier,
F1 of the boxes around what is above 0.3 for a detector of text. Classifiers are judged on pictures that they recognise
(float32 gives its first class a probability of 0.3 and more), and in brackets on any; the detector on drawn pages.
Calibration sees other photos, pages or patterns. Worst error: of any number in those answers, over their range. ms: the
median of many runs on one picture; web under Node.

--mobilenet names what benchmarks/mobilenet.py made. Without ../shared there is nothing else to measure. Paddle Lite is
measured where its tools are found.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

import mobilenet  # noqa: E402  (beside this script)
from judged import SURE, crops, first_probability, judge, pages  # noqa: E402

from converter import ConvertError, convert, paddle_lite, with_onnxruntime  # noqa: E402
from converter.executor import Executor  # noqa: E402
from converter.preprocess import apply  # noqa: E402
from converter.read.bundle import load_bundle  # noqa: E402
from converter.run import timed  # noqa: E402
from converter.targets import Options  # noqa: E402

SHARED = REPO.parent / "shared"
IMAGENET: dict[str, Any] = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
WEIGHTS = ("float32", "float16", "int8-weights", "int8")
LITE = ("x86", "arm")
RUNS, POOL = 30, 6
Feeds = list[dict[str, np.ndarray]]


@dataclass
class Case:
    """A model and its pictures: those that calibrate, and those that judge: first some as they come, then recognised
    ones."""

    name: str
    source: Path
    spec: dict[str, Any]
    typical: list[Image.Image]
    judging: list[Image.Image]
    feeds: Feeds = field(default_factory=list)
    exact: list[np.ndarray] = field(default_factory=list)


def photos(folder: Path) -> list[Path]:
    """In an order of chance, without the cut-out faces."""
    found = sorted(path for path in folder.rglob("*")
                   if path.suffix.lower() in (".jpg", ".png") and "crops" not in path.parts)
    return [found[k] for k in np.random.default_rng(0).permutation(len(found))]


def cases(given: argparse.Namespace) -> Iterator[Case]:
    """Those whose model is here; POOL times as many photos as are wanted are looked through for recognised ones."""
    def wanted(name: str, source: Path) -> bool:
        return (not given.only or name in given.only) and source.is_dir()

    name = "mobilenet_v2"
    if given.mobilenet and wanted(name, given.mobilenet):
        yield Case(name, given.mobilenet, IMAGENET | {"size": [224, 224]}, mobilenet.pictures(given.seen, 21),
                   mobilenet.pictures(given.count, 22))
    files = photos(SHARED / "faces") if (SHARED / "faces").is_dir() else []
    for name, folder in (("cls_shufflenetv2_x0_25", "cls_shufflenetv2_x0_25_legacy"),
                         ("gesture_rec_mobilenetv2", "gesture_rec_mobilenetv2")):
        if files and wanted(name, SHARED / "models" / folder):
            yield Case(name, SHARED / "models" / folder, IMAGENET | {"size": [224, 224]},
                       crops(files[::2], given.seen, 1), crops(files[1::2], POOL * given.count, 2))
    name = "ppocrv3_det_ch"
    if wanted(name, SHARED / "models" / name):
        yield Case(name, SHARED / "models" / name, IMAGENET | {"size": [320, 320], "channels": "bgr"},
                   pages(given.seen, 1), pages(given.count, 2))


def choose(case: Case, bundle: Path, count: int) -> None:
    """Keep as many pictures as come, and as many that the model recognises; their feeds and float32's answers."""
    graph = load_bundle(bundle)
    session = with_onnxruntime.load(bundle / with_onnxruntime.FILE)
    recognised, looked_through, case.judging = 0, case.judging, []
    for place, picture in enumerate(looked_through):
        feeds = {graph.inputs[0]: apply(graph.meta["preprocess"], np.asarray(picture.convert("RGBA")))}
        answer = next(iter(with_onnxruntime.run(session, feeds).values()))
        sure = answer.ndim == 4 or first_probability(answer) >= SURE
        if place < count or (sure and recognised < count):
            case.judging.append(picture)
            case.feeds.append(feeds)
            case.exact.append(answer)
            recognised += sure


def by_web(bundle: Path, feeds: Feeds) -> list[np.ndarray]:
    graph = load_bundle(bundle)
    with Executor(graph, graph.outputs) as run:
        return [next(iter(run(one).values())) for one in feeds]


def by_onnx(bundle: Path, feeds: Feeds) -> list[np.ndarray]:
    session = with_onnxruntime.load(bundle / with_onnxruntime.FILE)
    return [next(iter(with_onnxruntime.run(session, one).values())) for one in feeds]


def by_lite(bundle: Path, feeds: Feeds, opt: str) -> list[np.ndarray]:
    target = str(paddle_lite.here())
    joined = {name: np.concatenate([one[name] for one in feeds]) for name in feeds[0]}
    arrays, _ = paddle_lite.run(paddle_lite.needed(opt), bundle / "lite" / f"{target}.nb", target, joined, each=True)
    return [arrays[0][row:row + 1] for row in range(len(feeds))]


def typical_into(folder: Path, case: Case) -> None:
    """The pictures that calibrate, as files."""
    folder.mkdir()
    for k, picture in enumerate(case.typical):
        picture.save(folder / f"{k:04}.png")


def rows_of(case: Case, weights: list[str], count: int, opt: str | None, work: Path) -> Iterator[str]:
    """Cells from the target on, one row after the other."""
    typical_into(work / "typical", case)
    whole: dict[str, int] = {}
    for precision in weights:
        bundle, lite = work / precision, ("lite",) if opt and precision in ("float32", "int8") else ()
        more = {"calibrate": work / "typical"} if precision == "int8" else {}
        try:
            report = convert(case.source, bundle, name=case.name, precision=precision, targets=("web", "onnx", *lite),
                             preprocess=dict(case.spec), **more,
                             options=Options(lite_opt=opt, lite_targets=LITE, keep_going=True))
        except ConvertError as error:
            yield f"all | {precision} | – | – | {error.what.splitlines()[0]} | – | –"
            continue
        if not case.feeds:
            choose(case, bundle, count)
        runs = {"web": by_web, "onnx": by_onnx, "lite x86": partial(by_lite, opt=opt)}
        for name, size in sizes(bundle).items():
            share = size / whole.setdefault(name, size)
            measured = "not run here | – | –"
            if name in runs:
                times = timed(bundle, case.feeds[0], name.split()[0], RUNS, opt)[1]
                measured = f"{judge(case.exact, runs[name](bundle, case.feeds), count)} | {np.median(times[1:]):.1f}"
            yield f"{name} | {precision} | {size / 1000:.0f} | {share:.3f} | {measured}"
        if report.quantisation:
            kinds = Counter(layer["precision"] for layer in report.quantisation["layers"])
            print(f"{case.name}: {dict(kinds)}, error {report.quantisation['error']:.3f}, "
                  f"{report.quantisation['seconds']:.0f} s", file=sys.stderr)
        for line in report.refused:
            yield f"{line} | {precision} | – | – | refused | – | –"


def sizes(bundle: Path) -> dict[str, int]:
    """Bytes of each target's weights, by name."""
    found = {"web": sum(path.stat().st_size for path in bundle.glob("chunk_*.dat"))}
    if (bundle / with_onnxruntime.FILE).is_file():
        found["onnx"] = (bundle / with_onnxruntime.FILE).stat().st_size
    return found | {f"lite {path.stem}": path.stat().st_size for path in sorted(bundle.glob("lite/*.nb"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="names of models")
    parser.add_argument("--mobilenet", type=Path)
    parser.add_argument("--seen", type=int, default=100, help="pictures that calibrate")
    parser.add_argument("--count", type=int, default=200, help="pictures that judge")
    parser.add_argument("--weights", default=",".join(WEIGHTS), help="float32 first")
    parser.add_argument("--paddle-lite-opt")
    given = parser.parse_args()
    tools = paddle_lite.find(given.paddle_lite_opt)
    opt = str(tools.opt) if tools is not None and tools.python is not None else None
    print("" if opt else "Paddle Lite's tools were not found\n", end="")
    print("| model | target | weights | KB | of float32 | worst error | same answer (on any picture) | ms |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    for case in cases(given):
        with tempfile.TemporaryDirectory(prefix="inpage-targets-") as folder:
            for row in rows_of(case, given.weights.split(","), given.count, opt, Path(folder)):
                print(f"| {case.name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
