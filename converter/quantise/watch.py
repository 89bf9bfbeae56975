"""Calibration inputs go through a float graph: how far each channel reaches; then ranges, histograms and moments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converter.errors import ConvertError
from converter.graph import Graph, Node
from converter.quantise import equalise
from converter.quantise.fork import Execute, Feeds
from converter.quantise.observe import Seen
from converter.quantise.plan import picture, ties, weight_slot
from converter.quantise.rounding import Moments, moments_for, taken


def equalise_channels(graph: Graph, inputs: Sequence[Feeds], execute: Execute) -> None:
    """In place: channels of one scale brought to one range, as a first look at the inputs shows them."""
    kinds, leader = equalise.channels(graph), ties(graph)
    wanted = [name for name in kinds.free(leader) if picture(graph.values[name])]
    if not wanted:
        return
    reach: dict[str, np.ndarray] = {}
    with execute(graph, wanted) as run:
        for feeds in inputs:
            for name, array in run(feeds).items():
                most = np.abs(array).max((0, 2, 3))
                reach[name] = np.maximum(reach[name], most) if name in reach else most
    if all(np.isfinite(one).all() for one in reach.values()):   # else it is said when ranges are looked for
        equalise.run(graph, kinds, reach, leader)


def watched(graph: Graph, layers: list[Node], inputs: Sequence[Feeds],
            execute: Execute) -> tuple[dict[str, Seen], dict[str, Moments]]:
    """What flows, by value, and what flows into each of the layers, by its result.

    Raises ConvertError where that is not finite, or the inputs say nothing.
    """
    floats = [name for name in graph.inputs if graph.values[name].dtype == "float32"]
    floats += [name for node in graph.nodes for name in node.output_names()
               if graph.values[name].dtype == "float32" and not graph.values[name].is_constant]
    into = {node.inputs["Input"][0] for node in layers}
    seen = {name: Seen() for name in floats if picture(graph.values[name]) or name in into}
    outputs = [name for name in graph.outputs if graph.values[name].dtype == "float32"]
    taps = [name for name in dict.fromkeys([*seen, *outputs]) if name not in graph.inputs]
    moments: dict[str, Moments] = {}
    rng = np.random.default_rng(0)
    with execute(graph, taps) as run:
        for i, feeds in enumerate(inputs):
            found = run(feeds) | feeds
            bad = next((name for name in taps if not np.isfinite(found[name]).all()), None)
            if bad is not None:
                raise ConvertError(f"the model gives NaN or infinity on calibration input {i + 1}", where=bad,
                                   hint="leave this input out, or check how inputs are prepared")
            for name, one in seen.items():
                one.add(found[name])
            for node in layers:
                shape = [int(size) for size in graph.values[node.inputs[weight_slot(node)][0]].shape]
                _one_more(moments, node, shape, found[node.inputs["Input"][0]], len(inputs), rng)
    given = [seen[name] for name in graph.inputs if name in seen]
    if given and all(one.smallest == one.largest for one in given):
        raise ConvertError(f"all calibration inputs are the same, {given[0].smallest:g} everywhere",
                           hint="give typical inputs, prepared as the model wants them")
    return seen, moments


def _one_more(moments: dict[str, Moments], node: Node, shape: list[int], x: np.ndarray, inputs: int,
             rng: np.random.Generator) -> None:
    """Adds what one input brings to a layer; one that is too deep is left out."""
    if node.out not in moments:
        new = moments_for(node, shape, inputs)
        if new is None:
            return
        moments[node.out] = new
    moments[node.out].add(taken(node, x, shape[2:], moments[node.out].places, rng))
