"""Compare a bundle with a reference: worst error per output, as a share of the reference's range.

What a detector's last step finds (see NMS) is a set: scores that differ by less than float32 keeps may come in either
order, so its rows are paired, each of the reference's with the nearest of ours that is left, and not by position.
Positions are compared as a sorted list; how many were found per picture, as it is. The set is that of the whole batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converter import signature, with_paddle
from converter.errors import ConvertError
from converter.graph import Graph
from converter.ops import evaluate
from converter.passes import relax
from converter.read import find, read
from converter.read.bundle import load_bundle
from converter.read.program import weights_of
from converter.run import conform, run_web, timed, web_problem
from converter.trial import samples

TOLERANCE = {"float32": 1e-3, "float16": 0.1, "int8-weights": 0.3, "int8": 0.3}
"""Largest accepted error. float32 bundles usually reach 1e-6, float16 1e-3, int8 0.1; a steep net (a sigmoid of 50 x)
may be beyond its limit, and is then refused. Whole numbers and booleans: the share that differs."""
ROUGH = 0.3
"""From this limit on, an output passes as well whose typical error is at most so much of the deviation: where a steep
sigmoid ends a net, int8 moves single pixels on an edge by nearly all of the range, and the answer is right."""
_MAX_DIFFERING = 0.01
"""An arg_max may fall on the other side of a tie."""

NMS = {"multiclass_nms": ("rows",), "multiclass_nms3": ("rows", "positions"), "matrix_nms": ("rows", "positions")}
"""Operators that find rows [label, score, left, top, right, bottom] → the outputs that are sets; others are not."""


@dataclass(frozen=True)
class Check:
    """One output under one engine. error: worst difference over the reference's range (inf: not comparable). typical:
    root of the mean square over the reference's deviation, where that may decide."""

    output: str
    engine: str
    error: float
    tolerance: float
    note: str = ""
    typical: float | None = None

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance or (self.typical is not None and self.typical <= ROUGH)


def difference(actual: np.ndarray | None, expected: np.ndarray) -> tuple[float, str]:
    """(error, note): inf where the two cannot be compared."""
    if actual is None:
        return np.inf, "is missing"
    if actual.shape != expected.shape:
        return np.inf, f"has shape {list(actual.shape)} instead of {list(expected.shape)}"
    if expected.size == 0:
        return 0.0, ""
    if expected.dtype.kind in "iub":
        return float(np.mean(actual.astype(np.int64) != expected.astype(np.int64))), "share of differing elements"
    a, b = actual.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(b)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(a[finite]).all():
        return np.inf, "has NaN or infinity in other places"
    if not finite.any():
        return 0.0, ""
    spread = float(np.ptp(b[finite]))
    scale = spread if spread > 1e-12 else max(1.0, float(np.abs(b[finite]).max()))
    return float(np.abs(a[finite] - b[finite]).max()) / scale, ""


def rows_difference(actual: np.ndarray, expected: np.ndarray) -> tuple[float, str]:
    """difference() of rows [K, 6] as sets. Labels must be the same; scores are measured against 1, sides against the
    range of all sides, so that a picture of thousands of pixels does not hide a wrong score."""
    sides = expected[:, 2:].astype(np.float64)
    spread = float(np.ptp(sides))
    weights = np.array([1.0, 1.0, *[1 / spread if spread > 1e-12 else 1.0] * 4])
    ours, worst = actual * weights, 0.0
    for row in expected * weights:
        apart = np.where(ours[:, 0] == row[0], np.abs(ours - row).max(axis=1), np.inf)
        nearest = int(np.argmin(apart))
        if not apart[nearest] < np.inf:
            return np.inf, f"has another number of rows of label {row[0]:g}"
        worst = max(worst, float(apart[nearest]))
        ours = np.delete(ours, nearest, axis=0)
    return worst, "rows as a set"


def _difference_of_sets(actual: np.ndarray | None, expected: np.ndarray, kind: str | None) -> tuple[float, str]:
    """difference(), for a kind of NMS without regard to the order."""
    comparable = actual is not None and actual.shape == expected.shape and expected.size > 0
    if comparable and kind == "positions":
        return difference(np.sort(actual, axis=None), np.sort(expected, axis=None))
    finite = comparable and np.isfinite(actual).all() and np.isfinite(expected).all()
    if finite and kind == "rows" and expected.shape[1:] == (6,):
        return rows_difference(actual.astype(np.float64), expected.astype(np.float64))
    return difference(actual, expected)


def sets_of(graph: Graph) -> dict[str, str]:
    """A graph's values that are sets: name → "rows" or "positions"."""
    return {name: kind for node in graph.nodes for name, kind in zip(node.outputs["Out"], NMS.get(node.type, ()),
                                                                     strict=False)}


def found_sets(bundle: Path) -> dict[str, str]:
    """The same of a bundle."""
    ops = json.loads((bundle / "model.json").read_text(encoding="utf-8"))["ops"]
    return {name: kind for op in ops for name, kind in zip(op["outputs"].get("Out", []), NMS.get(op["type"], ()),
                                                           strict=False)}


def compare(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray], engine: str, tolerance: float,
            sets: dict[str, str] | None = None) -> list[Check]:
    """One Check per expected output. sets: outputs whose order says nothing, see found_sets."""
    checks = []
    for name, reference in expected.items():
        error, note = _difference_of_sets(actual.get(name), reference, (sets or {}).get(name))
        allowed = tolerance if reference.dtype.kind == "f" else max(tolerance, _MAX_DIFFERING)
        typical = _typical(actual[name], reference) if ROUGH <= allowed < error < np.inf and not note else None
        if typical is not None:
            note = f"typically {typical:.2g} of the deviation"
        checks.append(Check(name, engine, error, allowed, note, typical))
    return checks


def _typical(actual: np.ndarray, expected: np.ndarray) -> float:
    """Of arrays that difference() compared."""
    a, b = (array.astype(np.float64)[np.isfinite(expected)] for array in (actual, expected))
    return float(np.sqrt(np.mean((a - b) ** 2)) / max(b.std(), 1e-12))


def check_bundle(folder: Path, feeds: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float,
                 engines: tuple[str, ...] = ("web",)) -> tuple[list[Check], list[str]]:
    """Run a bundle under the engines that work here; without Node or kernels, under numpy with a note."""
    notes, checks = [], []
    problem = web_problem() if "web" in engines else None
    if problem:
        notes.append(f"checked with numpy only: {problem}")
        engines = tuple(dict.fromkeys("numpy" if engine == "web" else engine for engine in engines))
    for engine in engines:
        outputs = run_web(folder, feeds) if engine == "web" else evaluate(load_bundle(folder), feeds)
        checks += compare(outputs, expected, engine, tolerance, found_sets(folder))
    return checks, notes


def check_package(folder: Path, feeds: dict[str, np.ndarray], expected: dict[str, np.ndarray],
                  tolerance: float) -> tuple[list[Check], list[str]]:
    """Read a package for the original Paddle.js runtime back and compute it; its names may differ, their order not."""
    graph = read(folder)
    shape = [int(size) for size in graph.values["image"].shape]
    outputs = evaluate(graph, {"image": next(iter(feeds.values())).reshape(shape)})
    found = {name: array.reshape(reference.shape) if array.size == reference.size else array
             for (name, reference), array in zip(expected.items(), outputs.values(), strict=True)}
    return compare(found, expected, "numpy", tolerance), ["checked with numpy, not in the original runtime"]


def verify(bundle: str | Path, model: str | Path | None = None, *, params: str | Path | None = None,
           feeds: dict[str, np.ndarray] | None = None, input_shapes: dict[str, tuple[int, ...]] | None = None,
           tolerance: float | None = None,
           progress: Callable[[str], None] = lambda step: None) -> tuple[list[Check], list[str]]:
    """Compare a bundle, all its targets that run here, with its model, or with its own numpy answer without one.

    Raises ConvertError where a file is not the one that was signed. The model's answer is Paddle's where Paddle is
    installed and can read it, else the numpy oracle's.
    """
    progress("reading the bundle")
    graph = load_bundle(bundle)
    if (Path(bundle) / signature.FILE).exists():  # older bundles have none
        signature.check(Path(bundle))
    feeds = samples(graph, input_shapes) if feeds is None else conform(graph, feeds)
    allowed = tolerance or TOLERANCE[graph.meta.get("precision", "float32")]
    progress("computing the reference answer")
    engines: tuple[str, ...] = ("web",)
    if model is None:
        expected, notes = evaluate(graph, feeds), ["compared with the bundle's own numpy answer; name --model to "
                                                   "compare with the model"]
    else:
        expected, notes = _reference(Path(model), Path(params) if params else None, feeds)
        engines = ("numpy", "web")
    progress("running the bundle")
    checks, more = check_bundle(Path(bundle), feeds, expected, allowed, engines)
    beside, unrun = _check_beside(Path(bundle), feeds, expected, allowed, sets_of(graph), progress)
    return checks + beside, notes + more + unrun


def _check_beside(bundle: Path, feeds: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float,
                  sets: dict[str, str], progress: Callable[[str], None]) -> tuple[list[Check], list[str]]:
    """The other targets that the bundle holds; a note for each that cannot run here."""
    checks, notes = [], []
    for engine, place in (("onnx", "model.onnx"), ("lite", "lite"), ("tensorrt", "tensorrt")):
        if not (bundle / place).exists():
            continue
        progress(f"running {place}")
        try:
            outputs, _ = timed(bundle, feeds, engine)
        except ConvertError as error:
            notes.append(f"{place} was not run: {error.what}")
            continue
        checks += compare(outputs, expected, engine, tolerance, sets)
    return checks, notes


def _reference(model: Path, params: Path | None,
               feeds: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    found = find(model)
    if found.kind in ("pir", "program") and with_paddle.installed():
        weights = params or weights_of(found.path)
        return with_paddle.run(found.path, weights, feeds), ["compared with Paddle"]
    why = "Paddle is not installed" if found.kind in ("pir", "program") else f"Paddle does not read {found.kind}"
    return evaluate(relax.run(read(model, params)), feeds), [f"compared with numpy: {why}"]
