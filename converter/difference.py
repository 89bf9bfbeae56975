"""diff: what two bundles have in common and what not: identity, inputs, operators, weights, files, answers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from converter.graph import Graph
from converter.inspect_model import bytes_text
from converter.ops import evaluate
from converter.publish import read_model
from converter.read.bundle import load_bundle
from converter.signature import sha256_of
from converter.trial import samples
from converter.verify import compare, found_sets

_IDENTITY = ("name", "version", "precision", "source", "converter")
_MEANING = ("inputs", "outputs", "preprocess", "postprocess", "labels")
_SHOWN = 6


def diff(first: Path, second: Path) -> list[str]:
    """Lines that say what differs; none where the bundles are the same. Raises ConvertError for a damaged bundle."""
    models, graphs = (read_model(first), read_model(second)), (load_bundle(first), load_bundle(second))
    lines = []
    for key in (*_IDENTITY, *_MEANING):
        old, new = (model.get(key) for model in models)
        if old != new:
            lines.append(f"{key}: {_shown(old)} → {_shown(new)}")
    lines += _files(first, second) + _operators(*graphs) + _weights(*graphs)
    if any(line.startswith(("operators", "weights")) for line in lines):
        lines += _answers(first, *graphs)
    return lines


def _shown(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:297]}…"


def _files(first: Path, second: Path) -> list[str]:
    """Everything but the chunks and model.json, which are compared by content, and the signature over them all."""
    found = []
    for folder in (first, second):
        found.append({path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()})
    lines = []
    for name in sorted(set(found[0]) | set(found[1])):
        if name in ("model.json", "signature.json") or name.startswith(("chunk_", "report.")):
            continue
        old, new = (files.get(name) for files in found)
        if old is None or new is None:
            lines.append(f"file {name}: " + ("only in the first" if new is None else "only in the second"))
        elif sha256_of(old) != sha256_of(new):
            lines.append(f"file {name}: {bytes_text(old.stat().st_size)} → {bytes_text(new.stat().st_size)}, changed")
    return lines


def _operators(first: Graph, second: Graph) -> list[str]:
    old, new = (Counter(node.type for node in graph.nodes) for graph in (first, second))
    changes = [f"{type} {old[type]} → {new[type]}" for type in sorted(set(old) | set(new)) if old[type] != new[type]]
    if not changes and [(n.type, n.inputs, n.outputs, repr(n.attrs)) for n in first.nodes] != \
            [(n.type, n.inputs, n.outputs, repr(n.attrs)) for n in second.nodes]:
        changes = ["the same kinds, wired otherwise or with other attributes"]
    return [f"operators: {', '.join(changes)}"] if changes else []


def _weights(first: Graph, second: Graph) -> list[str]:
    old, new = ({name: value.data for name, value in graph.values.items() if value.data is not None}
                for graph in (first, second))
    lines = []
    for said, names in (("only in the first", set(old) - set(new)), ("only in the second", set(new) - set(old))):
        if names:
            lines.append(f"weights {said}: {len(names)} ({_names(sorted(names))})")
    changed = {name: _change(old[name], new[name]) for name in sorted(set(old) & set(new))
               if old[name].dtype != new[name].dtype or not np.array_equal(old[name], new[name], equal_nan=False)}
    if changed:
        worst = max(changed, key=lambda name: changed[name])
        lines.append(f"weights changed: {len(changed)} of {len(set(old) & set(new))} ({_names(list(changed))}); "
                     f"at most {changed[worst]:.3g} of a weight's range, in {worst}")
    return lines


def _change(old: np.ndarray, new: np.ndarray) -> float:
    """Largest difference over the range; infinite where the shapes differ."""
    if old.shape != new.shape:
        return float("inf")
    a, b = old.astype(np.float64), new.astype(np.float64)
    return float(np.abs(a - b).max(initial=0.0)) / max(float(np.ptp(a)) if a.size else 0.0, 1e-12)


def _names(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _answers(first: Path, old: Graph, new: Graph) -> list[str]:
    """How far the second's answers to the same noise are from the first's."""
    declared = [[(name, graph.values[name].shape, graph.values[name].dtype) for name in graph.inputs]
                for graph in (old, new)]
    if declared[0] != declared[1]:
        return ["answers: not compared, the inputs differ"]
    feeds = samples(old)
    checks = compare(evaluate(new, feeds), evaluate(old, feeds), "numpy", np.inf, found_sets(first))
    return [f"answers: {check.output} differs by {check.error:.3g} of its range {check.note}".rstrip()
            for check in checks]
