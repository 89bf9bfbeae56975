"""Runs paddle2onnx in a process of its own, on a repaired copy of the program. It stands alone: any Python can run it.

    python paddle2onnx_child.py PROGRAM PARAMS OUT.onnx OPSET

paddle2onnx 2.1 reads real numbers of operators as float32 only. Programs that Paddle 3.3 writes store them as float64,
and so do the programs that it makes of .pdmodel files on the way: leaky_relu then loses its slope, pad its value,
group_norm its epsilon, resizing its factor, silently. So every program is repaired right before it is read. Paddle
itself refuses the repaired form: it must not meet it.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

REPAIRED = ("leaky_relu", "pad3d", "group_norm", "bilinear_interp", "nearest_interp", "bicubic_interp",
            "linear_interp", "trilinear_interp")
"""Operators whose attributes are rewritten; others read float64 well, or (full) keep their number elsewhere."""


def repair(program: Any) -> int:
    """float64 attributes of those operators as float32, in place, in every block; returns how many were changed."""
    if isinstance(program, list):
        return sum(repair(item) for item in program)
    if not isinstance(program, dict):
        return 0
    name = program.get("#")
    if isinstance(name, str) and name.partition(".")[2].rstrip("_") in REPAIRED and isinstance(program.get("A"), list):
        return _narrow(program["A"])
    return sum(repair(value) for value in program.values())


def _narrow(value: Any) -> int:
    if isinstance(value, list):
        return sum(_narrow(item) for item in value)
    if not isinstance(value, dict):
        return 0
    found = value.get("#") == "0.a_f64"
    if found:
        value["#"] = "0.a_f32"
    return found + sum(_narrow(item) for item in value.values())


def repair_file(path: Path) -> None:
    program = json.loads(path.read_text(encoding="utf-8"))
    if repair(program):
        path.write_text(json.dumps(program), encoding="utf-8")


def main(program: str, params: str, out: str, opset: str) -> int:
    """Exit code 0 and the file, or an exception on stderr."""
    from paddle2onnx import convert

    export = convert.c_p2o.export

    def repaired(model: str, *rest: Any) -> Any:
        if model.endswith(".json"):
            repair_file(Path(model))
        return export(model, *rest)

    convert.c_p2o.export = repaired
    with tempfile.TemporaryDirectory(prefix="inpage-paddle2onnx-") as work:
        copy = Path(work) / f"model{Path(program).suffix}"
        shutil.copyfile(program, copy)
        weights = copy.with_suffix(".pdiparams")
        if params:
            shutil.copyfile(params, weights)
        convert.export(str(copy), str(weights) if params else "", out, opset_version=int(opset),
                       auto_upgrade_opset=False, enable_onnx_checker=True, optimize_tool="none")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
