"""The target lite: BUNDLE/lite/TARGET.nb, made by Paddle Lite's own optimiser from the graph as it was read.

The optimiser has fusions of its own; after ours it computes some models wrongly (a detector by 0.39 of its range), and
says nothing. So every conversion makes the file for this machine too and compares its answers; files for other
machines come from the same program by the same optimiser, and nobody has run them here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from converter import paddle_lite
from converter.errors import ConvertError
from converter.graph import Graph
from converter.signature import sha256_of
from converter.write import program

FOLDER = "lite"


def prepare(graph: Graph, work: Path, precision: str = "float32") -> tuple[Path, Path]:
    """The graph as a Paddle 2 program, before the passes."""
    return program.write(graph, work, mul=precision.startswith("int8"))


def write(tools: paddle_lite.Tools, written: tuple[Path, Path], folder: Path, targets: tuple[str, ...],
          precision: str) -> dict[str, dict[str, Any]]:
    """FOLDER/TARGET.nb in a bundle's folder; returns what model.json says of them."""
    (folder / FOLDER).mkdir()
    entries = {}
    for target in targets:
        path = folder / FOLDER / f"{target}.nb"
        paddle_lite.optimise(tools, *written, target, precision, path)
        entries[target] = {"file": f"{FOLDER}/{path.name}", "bytes": path.stat().st_size, "sha256": sha256_of(path),
                           "precision": precision}
    return entries


def check(tools: paddle_lite.Tools, written: tuple[Path, Path], work: Path, precision: str, outputs: list[str],
          feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the same program computes here, optimised for this machine."""
    target = paddle_lite.here()
    if target is None:
        raise ConvertError("Paddle Lite runs on x86 and ARM only; its files cannot be checked here",
                           where="--targets lite", hint="or say --no-verify")
    path = work / "here.nb"
    paddle_lite.optimise(tools, *written, target, precision, path)
    return _named(paddle_lite.run(tools, path, target, feeds)[0], outputs, path)


def run(bundle: Path, feeds: dict[str, np.ndarray], outputs: list[str], opt: str | None = None,
        repeat: int = 1) -> tuple[dict[str, np.ndarray], list[float]]:
    """The bundle's own .nb for this machine."""
    entries = json.loads((bundle / "model.json").read_text(encoding="utf-8")).get("lite") or {}
    target = next((name for name in entries if paddle_lite.TARGETS.get(name) == paddle_lite.here()), None)
    if target is None:
        raise ConvertError(f"the bundle has no .nb for this machine ({', '.join(entries) or 'none at all'})",
                           where=str(bundle), hint="convert with --targets web,lite --lite-targets x86,arm")
    path = bundle / FOLDER / f"{target}.nb"
    if not path.is_file() or sha256_of(path) != entries[target]["sha256"]:
        raise ConvertError("is missing or damaged", where=str(path), hint="convert the model again")
    arrays, times = paddle_lite.run(paddle_lite.needed(opt), path, target, feeds, repeat)
    return _named(arrays, outputs, path), times


def _named(arrays: list[np.ndarray], names: list[str], where: Path) -> dict[str, np.ndarray]:
    if len(arrays) != len(names):
        raise ConvertError(f"gives {len(arrays)} outputs where the model has {len(names)}", where=str(where))
    for name, array in zip(names, arrays, strict=True):
        if array.dtype.kind == "f" and array.size and np.isnan(array).all():
            raise ConvertError(f"Paddle Lite answers nothing but NaN for {name}", where=str(where),
                               hint="at --precision int8 its own rounding of weights does that to some: use float32; "
                                    "a file that was made for another machine does it too")
    return dict(zip(names, arrays, strict=True))
