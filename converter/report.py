"""BUNDLE/report.json and report.html: what a conversion did and measured, on one page that needs nothing else."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from converter.inspect_model import bytes_text
from converter.report_page import page
from converter.verify import Check

JSON, HTML = "report.json", "report.html"


@dataclass
class Facts:
    """What the report is made of, besides model.json.

    speeds: engine → milliseconds of each run. refused: what was asked for and could not be made, with the reason.
    quantisation: converter.quantise.report.QuantReport as plain data, None where nothing was quantised.
    """

    before: dict[str, int]
    after: dict[str, int]
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    speeds: dict[str, list[float]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    quantisation: dict[str, Any] | None = None
    tensorrt: dict[str, Any] | None = None


def write(folder: Path, facts: Facts) -> dict[str, Any]:
    """Write both files into a bundle's folder; returns what report.json holds."""
    model = json.loads((folder / "model.json").read_text(encoding="utf-8", errors="surrogatepass"))
    content = _content(folder, model, facts)
    text = json.dumps(content, indent=1, ensure_ascii=True, allow_nan=False) + "\n"
    (folder / JSON).write_text(text, encoding="utf-8")
    (folder / HTML).write_text(page(content), encoding="utf-8", errors="xmlcharrefreplace")
    return content


def _content(folder: Path, model: dict[str, Any], facts: Facts) -> dict[str, Any]:
    floats = sum(_size(var["shape"]) * 4 for var in model["vars"].values() if var["persistable"])
    return {
        "name": model["name"], "version": model.get("version"), "precision": model["precision"],
        "source": model["source"], "converter": model["converter"],
        "machine": {"system": platform.system(), "processor": platform.machine(), "python": platform.python_version()},
        "inputs": model["inputs"], "outputs": model["outputs"],
        "operators": {"before": facts.before, "after": facts.after},
        "targets": [target | {"ofFloat32": round(target["bytes"] / floats, 4) if floats else None}
                    for target in _targets(folder, model)],
        "float32Bytes": floats,
        "checks": [_finite(asdict(check) | {"passed": check.passed}) for check in facts.checks],
        "speed": {engine: _speed(times) for engine, times in facts.speeds.items() if times},
        "tensorrt": facts.tensorrt, "quantisation": _finite(facts.quantisation),
        "refused": facts.refused, "notes": facts.notes,
    }


def _size(shape: list[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _targets(folder: Path, model: dict[str, Any]) -> list[dict[str, Any]]:
    """Name, files and bytes of what lies in the bundle for each target."""
    chunks, document = model["chunks"], (folder / "model.json").stat().st_size
    found = [{"target": "web", "bytes": sum(chunk["bytes"] for chunk in chunks),
              "detail": f"{model['precision']}, {len(chunks)} chunk{'s' * (len(chunks) != 1)}, and "
                        f"{bytes_text(document)} of model.json"}]
    if "onnx" in model:
        found.append({"target": "onnx", "bytes": model["onnx"]["bytes"],
                      "detail": f"operator set {model['onnx']['opset']}"})
    for name, entry in model.get("lite", {}).items():
        found.append({"target": f"lite {name}", "bytes": entry["bytes"], "detail": entry["precision"]})
    engine = folder / "tensorrt" / "engine"
    if engine.is_file():
        found.append({"target": "tensorrt", "bytes": engine.stat().st_size, "detail": "for this GPU only"})
    return found


def _speed(times: list[float]) -> dict[str, float]:
    """The first run apart: it also plans and allocates."""
    later = sorted(times[1:] or times)
    return {"runs": len(times), "firstMs": round(times[0], 3), "bestMs": round(later[0], 3),
            "medianMs": round(later[len(later) // 2], 3)}


def _finite(value: Any) -> Any:
    """JSON has no infinity: what is not finite as text."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return str(value)
    return value


