"""What a bundle can hold beside the page's files: each target is written from the graph that pages get, then run and
compared with the reference answer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from converter import with_onnxruntime
from converter.errors import ConvertError
from converter.graph import Graph
from converter.verify import Check, compare, found_sets
from converter.write import onnx

BESIDE = ("onnx",)


@dataclass
class Wanted:
    """What the caller asked for besides web."""

    targets: tuple[str, ...] = ()
    precision: str = "float32"
    opset: int | None = None
    version: str = ""
    progress: Callable[[str], None] = field(default=lambda step: None)

    @property
    def dialect(self) -> onnx.Dialect:
        """13 where TensorRT 8 is to read the file."""
        opset = self.opset or (13 if "tensorrt" in self.targets else 17)
        return next(dialect for dialect in onnx.DIALECTS.values() if dialect.opset == opset)


def write(graph: Graph, folder: Path, wanted: Wanted) -> dict[str, int]:
    """Write what is wanted into the bundle's folder, before model.json, which names it; returns sizes by name."""
    sizes: dict[str, int] = {}
    if "onnx" in wanted.targets:
        wanted.progress("writing model.onnx")
        path = folder / onnx.FILE
        sizes |= onnx.write(graph, path, wanted.dialect, wanted.precision, wanted.version)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        graph.meta["onnx"] = {"file": onnx.FILE, "bytes": sizes["onnx_bytes"], "sha256": digest,
                              "opset": sizes["onnx_opset"]}
    return sizes


def check(folder: Path, wanted: Wanted, feeds: dict[str, np.ndarray], expected: dict[str, np.ndarray],
          tolerance: float) -> list[Check]:
    """Run each target that can run here. A file that nothing has run is not handed out: ConvertError."""
    checks: list[Check] = []
    if "onnx" in wanted.targets:
        wanted.progress("running model.onnx")
        if (why := with_onnxruntime.problem()) is not None:
            raise ConvertError(f"model.onnx cannot be checked: {why}", hint="or say --no-verify")
        outputs = with_onnxruntime.run(with_onnxruntime.load(folder / onnx.FILE), feeds)
        checks += compare(outputs, expected, "onnx", tolerance, found_sets(folder))
    return checks
