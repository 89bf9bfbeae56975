"""The whole road on one screen: read, remember the answer, passes, write, verify, publish."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from converter import quantise, signature, with_paddle
from converter import report as reporting
from converter import targets as beside
from converter.calibration import Inputs
from converter.errors import ConvertError, refusing
from converter.executor import Executor, Runtime
from converter.graph import Graph
from converter.metadata import describe
from converter.ops import evaluate
from converter.ops.infer import infer
from converter.passes import bake_preprocess, paddlejs2, prune, relax
from converter.passes.pipelines import PIPELINES
from converter.read import read
from converter.trial import samples
from converter.verify import TOLERANCE, Check, check_bundle, check_package, sets_of
from converter.write import check_vector, web
from converter.write import paddlejs2 as package
from converter.write.staged import staged

VERSION = "0.1.0"
SAME_WHOLE_NUMBERS = 0.02
"""Between the runtime and the reference on int8. Where layers stay float, their last bits may turn a rounding, and what
follows is another answer of the same worth."""
TARGETS = tuple(PIPELINES)
"""web: this project's bundle. paddlejs2: a package for the original Paddle.js 2.x runtime."""


@dataclass
class Report:
    """What a conversion did. before, after: operators by type. checks: one per output and engine. refused: targets
    that were left out. quantisation: converter.quantise.report.QuantReport as plain data."""

    out: str
    before: Counter[str]
    after: Counter[str]
    sizes: dict[str, int]
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    quantisation: dict[str, Any] | None = None

    @property
    def worst(self) -> Check | None:
        return max(self.checks, key=lambda check: check.error / check.tolerance, default=None)


def convert(source: Any, out: str | Path, *, target: str = "web", targets: tuple[str, ...] = ("web",),
            options: beside.Options | None = None, input_spec: Any = None, precision: str = "float32",
            preprocess: dict[str, Any] | None = None, postprocess: dict[str, Any] | None = None,
            labels: list[str] | None = None, name: str | None = None, calibrate: str | Path | None = None,
            error_budget: float | None = None, bake: bool = False, model_version: str = "0.0.0",
            said: str = "", params: str | Path | None = None,
            input_shapes: dict[str, tuple[int, ...]] | None = None, verify: bool = True,
            tolerance: float | None = None, progress: Callable[[str], None] = lambda step: None) -> Report:
    """Convert a model into the bundle folder `out`, which appears whole or not at all.

    source: folder or file of any kind that converter.read knows, or a paddle.nn.Layer with its input_spec.
    target: one of TARGETS. targets: what the bundle holds beside the page's files, with its options: see
    converter.targets. preprocess: keys of the bundle's spec over those found beside the model.
    bake: put how pictures become inputs into the graph, see converter.passes.bake_preprocess.
    calibrate: for precision int8, a folder of pictures or .npz files; error_budget: see converter.quantise.Options.
    model_version: semantic version of the bundle; said: the command, for its provenance.
    input_shapes: sizes of the trial inputs; for paddlejs2 those of the package, which has one size only.
    Raises ConvertError when the model cannot be read, written or verified within the tolerance.
    """
    with staged(out) as folder, _as_path(source, input_spec) as path, \
            _scratch(set(targets) - {"web"}) as work:
        if target != "web" and set(targets) - {"web"}:
            raise ConvertError(f"--target {target} makes a package of its own, without {', '.join(beside.BESIDE)}",
                               hint="leave --target or --targets out")
        others = beside.Beside(beside.Wanted(targets, options or beside.Options(), precision, VERSION, path,
                                             Path(params) if params else None, progress), Path(work))
        progress("reading the model")
        graph = read(path, params)
        with refusing("what says how pictures are prepared is malformed", str(path), "see preprocess in the README"):
            notes = describe(graph, _name(source, name), preprocess, postprocess, labels)
        before = _count(graph)
        with refusing(*_UNUSUAL):
            graph = prune.run(graph)  # what no output needs may not refuse the rest
            refuse_nan(graph)
            graph = relax.run(graph)  # before the trial inputs are made, so that they may have any size that fits
        if bake:
            graph = _baked(graph)
        if target == "paddlejs2":
            graph = paddlejs2.fix_inputs(graph, input_shapes)
        progress("computing the reference answer")
        feeds = samples(graph, input_shapes) if verify else {}
        expected = evaluate(graph, feeds) if verify else {}
        others.prepare(graph)
        graph = optimise(graph, target, progress)
        refuse_nan(graph)
        graph.meta |= {"version": model_version, "command": said, "paddle": _paddle_version(graph, source)}
        page, made = graph, _quantised(graph, precision, calibrate, error_budget, notes, progress)
        if made is not None:
            page, graph = made.page, made.pairs(symmetric="tensorrt" in targets)
            page.meta = graph.meta = page.meta | {"rounded": page.meta["rounded"] | graph.meta["rounded"]}
        progress("writing the bundle")
        with refusing("the bundle cannot be written", str(path), "the file is damaged; export the model again"):
            allowed = TOLERANCE[precision] if tolerance is None else tolerance
            trial = beside.Trial(feeds, expected, allowed, sets_of(graph))
            if target == "web" and precision != "int8":
                page.meta["check"] = check_vector.write(folder, page, feeds, expected)
            sizes = others.write(graph, folder, trial) | _write(page, folder, target, precision)
        if target == "paddlejs2" and graph.meta.get("preprocess"):
            notes.append(package.runner_note(graph.meta["preprocess"]))
        report = Report(str(out), before, _count(page), sizes, notes=notes,
                        quantisation=asdict(made.report) if made else None)
        if verify:
            progress("verifying the bundle")
            report.checks, given, own = others.checks, feeds, expected
            if made is not None and calibrate is not None:
                # The same whole numbers, on an input of their kind: noise may leave no range to compare.
                given = Inputs(calibrate, page)[0]
                own, mixed = evaluate(page, given), {"conv2d", "fc"} & {node.type for node in page.nodes}
                allowed = allowed if mixed else min(allowed, SAME_WHOLE_NUMBERS)
            _verify(report, folder, given, own, allowed, check_package if target == "paddlejs2" else check_bundle)
        if "tensorrt" in targets:
            others.build_engine(folder, graph, feeds or samples(graph, input_shapes), expected, tolerance)
        report.refused = others.refused
        if target == "web":
            if verify and others.wanted.options.report:
                reporting.write(folder, reporting.Facts(
                    dict(report.before), dict(report.after), report.checks, report.notes,
                    others.speeds(folder, feeds), report.refused, report.quantisation, others.engine))
            signature.sign(folder)
    return report


def _baked(graph: Graph) -> Graph:
    if graph.meta.get("preprocess") is None:
        raise ConvertError("nothing says how pictures become inputs", where="preprocess",
                           hint="give --size, --mean, --std and the like")
    return bake_preprocess.run(graph, graph.meta["preprocess"])


def _quantised(graph: Graph, precision: str, folder: str | Path | None, budget: float | None, notes: list[str],
               progress: Callable[[str], None]) -> quantise.Quantised | None:
    """The graph on int8 that pages get, and what others are made of, where that was asked for."""
    if precision != "int8":
        if folder is not None or budget is not None:
            raise ConvertError(f"--calibrate and --error-budget are for --precision int8, not {precision}")
        return None
    if folder is None:
        raise ConvertError("--precision int8 needs typical inputs to find the ranges of what flows through the model",
                           hint="say --calibrate FOLDER with pictures or .npz files, or --precision int8-weights")
    inputs = Inputs(folder, graph)
    options = quantise.Options() if budget is None else quantise.Options(budget=budget, agreement=0.0)
    with Runtime() as runtime:
        made = quantise.quantise(graph, inputs, partial(Executor, runtime=runtime), options, progress)
    notes += [*inputs.notes, *made.report.notes,
              f"int8 errs by {made.report.error:.3g} of the answers' deviation on calibration inputs"]
    return made


def _scratch(needed: set[str]) -> AbstractContextManager[str]:
    """A folder for the other targets' work; without any, nothing outside the bundle is touched."""
    return tempfile.TemporaryDirectory(prefix="inpage-targets-") if needed else nullcontext("")


def _paddle_version(graph: Graph, source: Any) -> str | None:
    """Which Paddle wrote the program, where that is known: Paddle 2 programs say so, Paddle 3's do not."""
    if not isinstance(source, (str, Path)):
        return with_paddle.version()
    said = graph.meta.get("source")  # of a bundle: whatever its model.json holds
    number = said.get("version") if isinstance(said, dict) and said.get("format") == "program" else None
    known = isinstance(number, int) and 0 < number < 1_000_000_000
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}" if known else None


def _write(graph: Graph, folder: Path, target: str, precision: str) -> dict[str, int]:
    if target == "web":
        return web.write(graph, folder, precision, VERSION)
    if precision != "float32":
        raise ConvertError(f"the original Paddle.js runtime reads float32 weights only, not {precision}")
    return package.write(graph, folder, VERSION)


_UNUSUAL = ("this model's operators do not fit together", "",
            "the file is damaged; if Paddle itself runs it, please report this with the line above")


def optimise(graph: Graph, target: str, progress: Callable[[str], None] = lambda step: None) -> Graph:
    """The passes of a target in their order, the graph checked after each."""
    with refusing(*_UNUSUAL):
        for run, reason in PIPELINES[target]:
            progress(f"optimising: {reason}")
            graph = run(graph)
            graph.check()
        infer(graph)
    graph.check()
    return graph


def refuse_nan(graph: Graph) -> None:
    """A weight that is not a number makes every answer not a number: say so before anybody waits for one."""
    bad = sorted(name for name, value in graph.values.items() if value.data is not None and _has_nan(value.data))
    if bad:
        shown = ", ".join(bad[:8]) + (f" and {len(bad) - 8} more" if len(bad) > 8 else "")
        raise ConvertError(f"{len(bad)} weights hold NaN (not a number): {shown}",
                           hint="the training diverged, or the file is damaged; export a sound checkpoint")


def _has_nan(data: np.ndarray) -> bool:
    """min() hands a NaN on, and needs no array of booleans as large as the weight."""
    return data.dtype.kind == "f" and data.size > 0 and bool(np.isnan(data.min()))


def _verify(report: Report, folder: Path, feeds: dict[str, np.ndarray], expected: dict[str, np.ndarray],
            tolerance: float, check: Callable[..., tuple[list[Check], list[str]]]) -> None:
    checks, notes = check(folder, feeds, expected, tolerance)
    report.checks, report.notes = checks + report.checks, report.notes + notes
    failed = [check for check in report.checks if not check.passed]
    if failed:
        lines = [f"{check.output}: {check.error:.3g} of its range ({check.engine}) {check.note}".rstrip()
                 for check in failed]
        raise ConvertError("the bundle does not compute what the model computes; nothing was written:\n  "
                           + "\n  ".join(lines), where=report.out,
                           hint=f"the limit is {tolerance:g}; if this model is known to be sensitive, say --tolerance")


@contextmanager
def _as_path(source: Any, input_spec: Any) -> Iterator[Path]:
    if isinstance(source, (str, Path)):
        yield Path(source)
    else:
        with with_paddle.exported(source, input_spec) as folder:
            yield folder


def _name(source: Any, name: str | None) -> str | None:
    return name or (None if isinstance(source, (str, Path)) else type(source).__name__.lower())


def _count(graph: Graph) -> Counter[str]:
    return Counter(node.type for node in graph.nodes)
