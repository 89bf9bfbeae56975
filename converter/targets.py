"""What a bundle can hold beside the page's files: each target is written from the graph that pages get, then run and
compared with the reference answer."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from converter import lite_target, paddle_lite, tensorrt_target, with_onnxruntime, with_paddle2onnx
from converter.errors import ConvertError
from converter.graph import Graph
from converter.read import find
from converter.read.program import weights_of
from converter.run import timed, web_problem
from converter.verify import Check, compare
from converter.write import onnx, program

BESIDE = ("onnx", "lite", "tensorrt")
"""tensorrt brings onnx with it."""
_RUNS = 8
ROADS = ("auto", "graph", "paddle2onnx")
"""How model.onnx is made: from our graph, by paddle2onnx from the model's own program, or the first that can."""


@dataclass(frozen=True)
class Options:
    """How the targets besides web are made. opset: 13 or 17, None by target. paddle2onnx: a Python that has it.

    keep_going: leave a target out that cannot be made, and say so, instead of refusing the whole. report: write
    report.html and report.json, with speeds.
    lite_targets: which .nb files. lite_opt: Paddle Lite's optimiser, None finds it; lite_install: or installs it.
    """

    opset: int | None = None
    onnx_road: str = "auto"
    paddle2onnx: str | None = None
    lite_targets: tuple[str, ...] = ("arm", "x86")
    lite_opt: str | None = None
    lite_install: bool = False
    tensorrt: tensorrt_target.Options = tensorrt_target.Options()
    keep_going: bool = False
    report: bool = False


@dataclass
class Wanted:
    """What the caller asked for besides web, of which model."""

    targets: tuple[str, ...] = ()
    options: Options = Options()
    precision: str = "float32"
    version: str = ""
    source: Path | None = None
    params: Path | None = None
    progress: Callable[[str], None] = field(default=lambda step: None)

    @property
    def onnx(self) -> bool:
        return bool({"onnx", "tensorrt"} & set(self.targets))

    @property
    def dialect(self) -> onnx.Dialect:
        """13 where TensorRT 8 is to read the file."""
        opset = self.options.opset or (13 if "tensorrt" in self.targets else 17)
        return next(dialect for dialect in onnx.DIALECTS.values() if dialect.opset == opset)


@dataclass(frozen=True)
class Trial:
    """What a target is held to: inputs and right answers (none: nothing is run), and the largest error."""

    feeds: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    tolerance: float
    sets: dict[str, str]


class Beside:
    """The targets of one conversion: prepared before the passes, written and run before model.json, which names them.

    checks: what was compared. refused: targets that were left out, each with the reason. engine: what is known of a
    TensorRT engine.
    """

    def __init__(self, wanted: Wanted, work: Path) -> None:
        self.wanted, self.work = wanted, work
        self.checks: list[Check] = []
        self.refused: list[str] = []
        self.engine: dict[str, Any] | None = None
        self.tools: paddle_lite.Tools | None = None
        self.lite: tuple[Path, Path] | None = None
        if "lite" in wanted.targets:  # a missing tool shows before anything is computed
            options = wanted.options
            with self.or_refused("lite"):
                self.tools = paddle_lite.needed(options.lite_opt, options.lite_install)

    @contextmanager
    def or_refused(self, target: str, *made: Path) -> Iterator[None]:
        """With keep_going a target that cannot be made is noted and left out, and what was made of it is removed."""
        try:
            yield
        except ConvertError as error:
            if not self.wanted.options.keep_going:
                raise
            self.refused.append(f"{target}: {error.what}")
            gone = {target, "tensorrt"} if target == "onnx" else {target}  # TensorRT has nothing to read then
            self.wanted.targets = tuple(name for name in self.wanted.targets if name not in gone)
            for path in made:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def prepare(self, graph: Graph) -> None:
        """What is made of the graph as it was read."""
        if "lite" in self.wanted.targets:
            with self.or_refused("lite"):
                self.lite = lite_target.prepare(graph, self.work, self.wanted.precision)

    def write(self, graph: Graph, folder: Path, trial: Trial) -> dict[str, int]:
        """Into the bundle's folder; graph.meta gets what model.json says of each; returns sizes by name.

        What cannot be run is not handed out: ConvertError. Errors beyond the tolerance are left to the caller, all in
        one message, except with keep_going.
        """
        sizes: dict[str, int] = {}
        if self.wanted.onnx:
            with self.or_refused("onnx", folder / onnx.FILE):
                self.wanted.progress("writing model.onnx")
                found, entry = write_onnx(graph, folder / onnx.FILE, self.wanted)
                self._hold(check_onnx(folder / onnx.FILE, trial) if trial.expected else [])
                sizes |= found
                graph.meta["onnx"] = entry
        if self.tools is not None and self.lite is not None:
            with self.or_refused("lite", folder / lite_target.FOLDER):
                self.wanted.progress("running Paddle Lite's optimiser")
                entries = lite_target.write(self.tools, self.lite, folder, self.wanted.options.lite_targets,
                                            self.wanted.precision)
                self._hold(self._check_lite(self.tools, self.lite, trial) if trial.expected else [])
                sizes |= {f"lite_{name}_bytes": entry["bytes"] for name, entry in entries.items()}
                graph.meta["lite"] = entries
        return sizes

    def _hold(self, checks: list[Check]) -> None:
        failed = [check for check in checks if not check.passed]
        if failed and self.wanted.options.keep_going:
            worst = max(failed, key=lambda check: check.error)
            raise ConvertError(f"its answers are {worst.error:.3g} of the range of {worst.output} off, the limit is "
                               f"{worst.tolerance:g}")
        self.checks += checks

    def _check_lite(self, tools: paddle_lite.Tools, written: tuple[Path, Path], trial: Trial) -> list[Check]:
        self.wanted.progress("running Paddle Lite")
        found = lite_target.check(tools, written, self.work, self.wanted.precision, list(trial.expected), trial.feeds)
        return compare(found, trial.expected, f"lite {paddle_lite.here()}", trial.tolerance, trial.sets)

    def build_engine(self, folder: Path, graph: Graph, feeds: dict[str, np.ndarray],
                     expected: dict[str, np.ndarray], tolerance: float | None) -> None:
        """TensorRT's engine, where this machine can; the reason why not elsewhere. Last, for it takes minutes."""
        self.wanted.progress("building the TensorRT engine")
        with self.or_refused("tensorrt"):
            self.engine, missing = tensorrt_target.build(
                folder, graph, self.wanted.precision, self.wanted.options.tensorrt, feeds, expected, tolerance,
                self.work)
            self.refused += [f"tensorrt: {missing}"] if missing else []

    def speeds(self, folder: Path, feeds: dict[str, np.ndarray]) -> dict[str, list[float]]:
        """Milliseconds of some runs under each engine that can run here."""
        self.wanted.progress("timing")
        engines = ["web"] if web_problem() is None else []
        engines += ["onnx"] if self.wanted.onnx and with_onnxruntime.problem() is None else []
        here = [name for name in self.wanted.options.lite_targets if paddle_lite.TARGETS[name] == paddle_lite.here()]
        lite = "lite" in self.wanted.targets and self.tools is not None and self.tools.python is not None
        engines += ["lite"] if lite and here else []
        engines += ["tensorrt"] if self.engine is not None and self.engine["takesTheTrial"] else []
        return {engine: timed(folder, feeds, engine, _RUNS, self.wanted.options.lite_opt)[1] for engine in engines}


def write_onnx(graph: Graph, path: Path, wanted: Wanted) -> tuple[dict[str, int], dict[str, Any]]:
    """Sizes by name, and what model.json says of the file."""
    sizes = _write_onnx(graph, path, wanted)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return sizes, {"file": path.name, "bytes": sizes["onnx_bytes"], "sha256": digest, "opset": sizes["onnx_opset"]}


def _write_onnx(graph: Graph, path: Path, wanted: Wanted) -> dict[str, int]:
    """By the road that was asked for; else paddle2onnx is asked where our own writer lacks an operator."""
    if wanted.options.onnx_road == "paddle2onnx":
        return _by_paddle2onnx(graph, path, wanted)
    try:
        return onnx.write(graph, path, wanted.dialect, wanted.precision, wanted.version)
    except onnx.Cannot as own:
        if wanted.options.onnx_road == "graph":
            raise
        try:
            return _by_paddle2onnx(graph, path, wanted)
        except ConvertError as other:
            raise onnx.Cannot(f"{own.what}\n  {other.what}", hint=other.hint) from other


def _by_paddle2onnx(graph: Graph, path: Path, wanted: Wanted) -> dict[str, int]:
    """From the model's own program and combined weights; where it has none, or sizes of it were opened, from our graph
    written as one."""
    if wanted.precision != "float32":
        raise ConvertError(f"paddle2onnx writes float32, not {wanted.precision}")
    found = find(wanted.source) if wanted.source else None
    with tempfile.TemporaryDirectory(prefix="inpage-onnx-") as work:
        model, params = None, None
        own = found is not None and found.kind in ("pir", "program") and found.path.suffix in (".json", ".pdmodel")
        if found is not None and own and not graph.meta.get("declared_shapes"):
            model, params = found.path, wanted.params or weights_of(found.path)
        if model is None or (params is None and any(value.is_constant for value in graph.values.values())):
            model, params = program.write(graph, Path(work))
        with_paddle2onnx.convert(model, params, path, wanted.dialect.opset, wanted.options.paddle2onnx)
    onnx.name_outputs(path, graph.outputs)
    return {"onnx_bytes": path.stat().st_size, "onnx_opset": wanted.dialect.opset}


def check_onnx(path: Path, trial: Trial) -> list[Check]:
    """model.onnx in ONNX Runtime."""
    if (why := with_onnxruntime.problem()) is not None:
        raise ConvertError(f"model.onnx cannot be checked: {why}", hint="or say --no-verify")
    session = with_onnxruntime.load(path)
    _same_names(session, trial.feeds, trial.expected)
    return compare(with_onnxruntime.run(session, trial.feeds), trial.expected, "onnx", trial.tolerance, trial.sets)


def _same_names(session: Any, feeds: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """The server asks model.onnx for the names that model.json declares."""
    for kind, mine, wanted in (("inputs", session.get_inputs(), feeds), ("outputs", session.get_outputs(), expected)):
        names = sorted(entry.name for entry in mine)
        if names != sorted(wanted):
            raise ConvertError(f"model.onnx has the {kind} {names}, the model {sorted(wanted)}",
                               hint="convert with --onnx-road graph")
