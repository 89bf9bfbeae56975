"""What `inspect` prints: inputs, outputs, operators, sizes, what is unsupported, and the graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from converter.graph import Graph
from converter.graph.text import dump, name_text, type_text
from converter.read import read


def describe(path: str | Path, params: str | Path | None = None, with_graph: bool = True) -> tuple[str, bool]:
    """(text, everything is supported) for a model or a bundle. Raises ConvertError where it cannot be read at all."""
    graph = read(path, params, strict=False)
    unsupported = graph.meta.get("unsupported", [])
    parts = [_head(graph), _ends(graph), _operators(graph), _weights(graph)]
    if unsupported:
        parts.append("unsupported:\n" + "\n".join(f"  {line}" for line in unsupported))
    if with_graph:
        parts.append("graph:\n" + "\n".join(f"  {line}" for line in dump(graph).splitlines()))
    return "\n".join(parts) + "\n", not unsupported


def _head(graph: Graph) -> str:
    source = graph.meta.get("source", {})
    version = f" version {source['version']}" if "version" in source else ""
    kind = "bundle of " if "precision" in graph.meta else ""
    return f"{graph.meta.get('name') or '(no name)'}: {kind}{source.get('format', 'unknown')}{version}"


def _ends(graph: Graph) -> str:
    lines = []
    for title, names in (("input", graph.inputs), ("output", graph.outputs)):
        lines += [f"{title} {name_text(name)}: {type_text(graph.values[name])}" for name in names]
    for key in ("preprocess", "postprocess"):
        if graph.meta.get(key):
            lines.append(f"{key}: {graph.meta[key]}")
    if graph.meta.get("labels"):
        lines.append(f"labels: {len(graph.meta['labels'])}")
    return "\n".join(lines)


def _operators(graph: Graph) -> str:
    counts = Counter(node.type for node in graph.nodes)
    width = max(map(len, counts), default=0)
    rows = [f"  {type:<{width}} {count}" for type, count in sorted(counts.items(), key=lambda row: (-row[1], row[0]))]
    return f"operators: {len(graph.nodes)}\n" + "\n".join(rows)


def _weights(graph: Graph) -> str:
    arrays = [value.data for value in graph.values.values() if value.data is not None]
    kinds = Counter(str(array.dtype) for array in arrays)
    shown = ", ".join(f"{count} {dtype}" for dtype, count in sorted(kinds.items()))
    elements = sum(array.size for array in arrays)
    return f"weights: {len(arrays)} ({shown}), {elements:,} numbers, {bytes_text(sum(a.nbytes for a in arrays))}"


def bytes_text(count: int) -> str:
    """1234567 → "1.18 MiB"."""
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.1f} KiB" if count < 1024**2 else f"{count / 1024**2:.2f} MiB"
