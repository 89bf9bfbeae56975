"""report.json as one page: no scripts, no other files, no other hosts; it follows the system's colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from converter.inspect_model import bytes_text

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#ccd, #445); --soft: light-dark(#667, #99a);
  --fill: light-dark(#36c, #7af); --bad: light-dark(#b30, #f86); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; overflow-wrap: anywhere; } h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; }
td, th { padding: .25rem .6rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.soft { color: var(--soft); } .bad { color: var(--bad); font-weight: 600; } code { overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
.scroll { overflow-x: auto; } .scroll svg { min-width: 38rem; }
@media (max-width: 40rem) { .scroll td, .scroll th { white-space: nowrap; } }
"""
_BAR, _LEFT, _WIDE = 17, 260, 860
_MOST_BARS = 400


def page(report: dict[str, Any]) -> str:
    """The whole document. report: the content of report.json."""
    parts = [_head(report), _targets(report), _accuracy(report), _speed(report), _graph(report),
             _quantisation(report.get("quantisation")), _said("Refused", report["refused"]),
             _said("Notes", report["notes"]), _provenance(report)]
    title = escape(f"{report['name']}: conversion report")
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{_STYLE}</style></head>\n'
            f"<body>{''.join(parts)}</body></html>\n")


def _head(report: dict[str, Any]) -> str:
    version = "" if report.get("version") in (None, "0.0.0") else f" {report['version']}"
    machine = report["machine"]
    return (f"<h1>{escape(report['name'] + version)}</h1><p class='soft'>{escape(report['precision'])} bundle, "
            f"converted and measured on {escape(machine['system'])} {escape(machine['processor'])}.</p>")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Cells are HTML already; `numbers`: columns set to the right. A column without any cell is left out."""
    rows = list(rows)
    shown = [i for i in range(len(heads)) if any(row[i] for row in rows)]

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(f"<{tag}{' class=n' if i in numbers else ''}>{row[i]}</{tag}>" for i in shown)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<div class=scroll><table><tr>{cells('th', heads)}</tr>{body}</table></div>"


def _targets(report: dict[str, Any]) -> str:
    rows = [(escape(target["target"]), bytes_text(target["bytes"]),
             "" if target["ofFloat32"] is None else f"{target['ofFloat32']:.3f}", escape(target["detail"]))
            for target in report["targets"]]
    return "<h2>Targets</h2>" + _table(("target", "size", "of float32 weights", ""), rows, (1, 2))


def _accuracy(report: dict[str, Any]) -> str:
    rows = []
    for check in report["checks"]:
        bad = "" if check["passed"] else " <span class=bad>above the limit</span>"
        rows.append((escape(check["engine"]), escape(check["output"]), _number(check["error"]) + bad,
                     f"{check['tolerance']:g}", escape(check["note"])))
    return "<h2>Worst error</h2>" + (_table(
        ("engine", "output", "of the output's range", "limit", ""), rows, (2, 3)) if rows else "<p>Not verified.</p>")


def _speed(report: dict[str, Any]) -> str:
    rows = [(escape(engine), f"{speed['medianMs']:.2f}", f"{speed['bestMs']:.2f}", f"{speed['firstMs']:.2f}",
             str(speed["runs"])) for engine, speed in report["speed"].items()]
    if not rows:
        return ""
    return "<h2>Speed on this machine</h2>" + _table(("engine", "median ms", "best ms", "first ms", "runs"), rows,
                                                     (1, 2, 3, 4))


def _graph(report: dict[str, Any]) -> str:
    before, after = report["operators"]["before"], report["operators"]["after"]
    kinds = sorted(set(before) | set(after), key=lambda kind: (-after.get(kind, 0), -before.get(kind, 0), kind))
    rows = [(escape(kind), str(before.get(kind, 0)), str(after.get(kind, 0))) for kind in kinds]
    rows.append(("<b>all</b>", f"<b>{sum(before.values())}</b>", f"<b>{sum(after.values())}</b>"))
    ends = [(kind, escape(entry["name"]), escape(f"{entry['dtype']} {' × '.join(map(str, entry['shape']))}"))
            for kind in ("inputs", "outputs") for entry in report[kind]]
    return ("<h2>Graph</h2>" + _table(("", "name", "shape"), [(kind[:-1], name, shape) for kind, name, shape in ends])
            + _table(("operator", "in the model", "in the bundle"), rows, (1, 2)))


def _quantisation(quantised: dict[str, Any] | None) -> str:
    """Layer by layer: precision, error of its own, effect on the answer; a bar per layer."""
    if not quantised:
        return ""
    layers = quantised.get("layers", [])
    kinds = Counter(str(layer["precision"]) for layer in layers)
    methods = Counter(str(tensor["method"]) for tensor in quantised.get("tensors", []))
    same = 100 * float(quantised.get("agreement", 0))
    said = (f"<p>Calibrated on {quantised.get('inputs', 0)} inputs. The answer errs by "
            f"{_short(quantised.get('error'))} of its deviation (budget {_short(quantised.get('budget'))}); its "
            f"largest element is the same on {same:.1f} % of them. Layers: {_counted(kinds)}. "
            f"Ranges by {_counted(methods)}.</p>")
    rows = [(escape(layer["name"]), escape(layer["kind"]), escape(layer["precision"]), escape(layer["reason"]),
             str(layer["weights"]), _number(layer.get("error")), _number(layer.get("effect"))) for layer in layers]
    return ("<h2>Quantisation</h2>" + said + _bars("error of each layer's own result", layers, "error")
            + _bars("effect of each layer alone on the answer", layers, "effect")
            + _table(("layer", "kind", "precision", "why", "weights", "error", "effect"), rows, (4, 5, 6))
            + _said("", quantised.get("notes", [])))


def _bars(title: str, layers: list[dict[str, Any]], key: str) -> str:
    """One bar per layer that was measured, in the order of the graph."""
    shown = [(str(layer["name"]), float(layer[key]), str(layer["precision"])) for layer in layers
             if isinstance(layer.get(key), (int, float))][:_MOST_BARS]
    if not shown:
        return ""
    most = max(value for _, value, _ in shown) or 1.0
    height = _BAR * len(shown) + 8
    lines = []
    for row, (name, value, precision) in enumerate(shown):
        y, width = _BAR * row + 4, (_WIDE - _LEFT - 90) * value / most
        short = name if len(name) <= 38 else f"…{name[-37:]}"
        faded = ' fill-opacity=".35"' if precision.startswith("float") else ""
        lines.append(f'<text x="{_LEFT - 6}" y="{y + 11}" text-anchor="end">{escape(short)}</text>'
                     f'<rect x="{_LEFT}" y="{y + 2}" width="{max(width, 0.5):.1f}" height="{_BAR - 5}" '
                     f'fill="var(--fill)"{faded}/><text x="{_LEFT + width + 5:.1f}" y="{y + 11}">{value:.2e}</text>')
    return (f'<h3>{escape(title[0].upper() + title[1:])}</h3><div class=scroll>'
            f'<svg viewBox="0 0 {_WIDE} {height}" role="img" '
            f'aria-label="{escape(title)}" width="{_WIDE}">{"".join(lines)}</svg></div>')


def _said(title: str, lines: list[str]) -> str:
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return (f"<h2>{title}</h2>" if title else "") + f"<ul>{items}</ul>"


def _provenance(report: dict[str, Any]) -> str:
    source, maker = report["source"], report["converter"]
    rows = [(escape(key), f"<code>{escape(str(value))}</code>") for key, value in
            [*((f"source {key}", value) for key, value in source.items()),
             *((f"converter {key}", value) for key, value in maker.items())]]
    return "<h2>Provenance</h2>" + _table(("", ""), rows)


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.2e}" if isinstance(value, (int, float)) else escape(str(value))


def _short(value: Any) -> str:
    return "?" if value is None else f"{value:.3g}" if isinstance(value, (int, float)) else escape(str(value))


def _counted(kinds: Counter[str]) -> str:
    """"12 int8, 3 float"."""
    return escape(", ".join(f"{count} {kind}" for kind, count in kinds.most_common())) or "none"
