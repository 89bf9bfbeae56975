"""What a bundle can hold beside the page's files: each target is written from the graph that pages get, then run and
compared with the reference answer."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from converter import lite_target, paddle_lite, with_onnxruntime, with_paddle2onnx
from converter.errors import ConvertError
from converter.graph import Graph
from converter.read import find
from converter.read.program import weights_of
from converter.verify import Check, compare, found_sets
from converter.write import onnx, program

BESIDE = ("onnx", "lite")
ROADS = ("auto", "graph", "paddle2onnx")
"""How model.onnx is made: from our graph, by paddle2onnx from the model's own program, or the first that can."""


@dataclass(frozen=True)
class Options:
    """How the targets besides web are made. opset: 13 or 17, None by target. paddle2onnx: a Python that has it.

    lite_targets: which .nb files. lite_opt: Paddle Lite's optimiser, None finds it; lite_install: or installs it.
    """

    opset: int | None = None
    onnx_road: str = "auto"
    paddle2onnx: str | None = None
    lite_targets: tuple[str, ...] = ("arm", "x86")
    lite_opt: str | None = None
    lite_install: bool = False


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
    def dialect(self) -> onnx.Dialect:
        """13 where TensorRT 8 is to read the file."""
        opset = self.options.opset or (13 if "tensorrt" in self.targets else 17)
        return next(dialect for dialect in onnx.DIALECTS.values() if dialect.opset == opset)


class Beside:
    """The targets of one conversion: prepared before the passes, written before model.json, run at the end."""

    def __init__(self, wanted: Wanted, work: Path) -> None:
        self.wanted, self.work = wanted, work
        lite = "lite" in wanted.targets  # a missing tool shows before anything is computed
        self.tools = paddle_lite.needed(wanted.options.lite_opt, wanted.options.lite_install) if lite else None
        self.lite: tuple[Path, Path] | None = None

    def prepare(self, graph: Graph) -> None:
        """What is made of the graph as it was read."""
        if self.tools is not None:
            self.lite = lite_target.prepare(graph, self.work)

    def write(self, graph: Graph, folder: Path) -> dict[str, int]:
        """Into the bundle's folder; returns sizes by name."""
        sizes = write(graph, folder, self.wanted)
        if self.tools is not None and self.lite is not None:
            self.wanted.progress("running Paddle Lite's optimiser")
            graph.meta["lite"] = lite_target.write(self.tools, self.lite, folder, self.wanted.options.lite_targets,
                                                   self.wanted.precision)
            sizes |= {f"lite_{name}_bytes": entry["bytes"] for name, entry in graph.meta["lite"].items()}
        return sizes

    def check(self, folder: Path, feeds: dict[str, np.ndarray], expected: dict[str, np.ndarray],
              tolerance: float) -> list[Check]:
        """Run each target that can run here. What nothing has run is not handed out: ConvertError."""
        checks = check(folder, self.wanted, feeds, expected, tolerance)
        if self.tools is not None and self.lite is not None:
            self.wanted.progress("running Paddle Lite")
            found = lite_target.check(self.tools, self.lite, self.work, self.wanted.precision, list(expected), feeds)
            checks += compare(found, expected, f"lite {paddle_lite.here()}", tolerance, found_sets(folder))
        return checks


def write(graph: Graph, folder: Path, wanted: Wanted) -> dict[str, int]:
    """Write what is wanted into the bundle's folder, before model.json, which names it; returns sizes by name."""
    sizes: dict[str, int] = {}
    if "onnx" in wanted.targets:
        wanted.progress("writing model.onnx")
        path = folder / onnx.FILE
        sizes |= _write_onnx(graph, path, wanted)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        graph.meta["onnx"] = {"file": onnx.FILE, "bytes": sizes["onnx_bytes"], "sha256": digest,
                              "opset": sizes["onnx_opset"]}
    return sizes


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


def check(folder: Path, wanted: Wanted, feeds: dict[str, np.ndarray], expected: dict[str, np.ndarray],
          tolerance: float) -> list[Check]:
    """Run each target that can run here. A file that nothing has run is not handed out: ConvertError."""
    checks: list[Check] = []
    if "onnx" in wanted.targets:
        wanted.progress("running model.onnx")
        if (why := with_onnxruntime.problem()) is not None:
            raise ConvertError(f"model.onnx cannot be checked: {why}", hint="or say --no-verify")
        session = with_onnxruntime.load(folder / onnx.FILE)
        _same_names(session, feeds, expected)
        outputs = with_onnxruntime.run(session, feeds)
        checks += compare(outputs, expected, "onnx", tolerance, found_sets(folder))
    return checks


def _same_names(session: Any, feeds: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """The server asks model.onnx for the names that model.json declares."""
    for kind, mine, wanted in (("inputs", session.get_inputs(), feeds), ("outputs", session.get_outputs(), expected)):
        names = sorted(entry.name for entry in mine)
        if names != sorted(wanted):
            raise ConvertError(f"model.onnx has the {kind} {names}, the model {sorted(wanted)}",
                               hint="convert with --onnx-road graph")
