"""A pass under test: graph text in, the same numbers out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from converter.graph import Graph
from converter.graph.text import parse
from converter.ops import complete, evaluate
from converter.ops.infer import infer


def graph_of(text: str, **constants: np.ndarray) -> Graph:
    """Parse, complete the attributes, infer the shapes."""
    graph = parse(text, constants)
    for node in graph.nodes:
        complete(node)
    infer(graph)
    return graph


def feeds_for(graph: Graph, size: int = 6) -> dict[str, np.ndarray]:
    """Random inputs; a symbolic dimension gets `size`."""
    rng = np.random.default_rng(7)
    feeds = {}
    for name in graph.inputs:
        value = graph.values[name]
        shape = [d if isinstance(d, int) else size for d in value.shape]
        feeds[name] = rng.uniform(-2, 2, shape).astype(value.dtype)
    return feeds


def assert_same(before: dict[str, np.ndarray], after: dict[str, np.ndarray], tol: float = 1e-5) -> None:
    """Same names, dtypes, shapes; floats within tol of the range, at least of one."""
    assert list(before) == list(after)
    for name, want in before.items():
        got = after[name]
        assert (got.shape, got.dtype) == (want.shape, want.dtype), name
        if want.size:
            spread = max(1.0, float(want.max()) - float(want.min()))
            assert np.abs(got.astype(np.float64) - want).max() <= tol * spread, name


def check_pass(run: Callable[[Graph], Graph], text: str, **constants: np.ndarray) -> Graph:
    """Apply a pass; the graph must stay valid and compute the same. Returns the new graph."""
    before = graph_of(text, **constants)
    feeds = feeds_for(before)
    want = evaluate(before, feeds)
    after = run(graph_of(text, **constants))
    after.check()
    assert_same(want, evaluate(after, feeds))
    infer(after)
    return after


def types(graph: Graph) -> list[str]:
    return [node.type for node in graph.nodes]
