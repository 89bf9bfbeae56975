"""Post-training quantisation: see what flows, choose ranges by what they do to results, keep what errs most finer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from converter.errors import ConvertError
from converter.graph import Graph, Node, Value
from converter.ops.infer import infer
from converter.quantise import fork, shuffle, watch
from converter.quantise.fork import Execute, Feeds
from converter.quantise.lower import Lowering
from converter.quantise.observe import Seen, ranges
from converter.quantise.params import INT8, NARROW, WIDE, affine
from converter.quantise.plan import (
    FEW,
    Plan,
    can_quantise,
    is_layer,
    is_pixel,
    is_usual_depthwise,
    picture,
    ties,
    weight_slot,
)
from converter.quantise.qdq import qdq
from converter.quantise.report import Layer, QuantReport, Tensor

_FORKED, _MEASURED, _ALONE = 12, 100, 6
"""How many inputs ranges are compared on, the whole answer is measured on, and the effect of one layer alone."""
PRECISIONS = {0: "float", NARROW: "int8 of 7 bits", INT8: "int8", WIDE: "int8, weights of 12 bits"}
_SMALL = 1024
"""Layers with fewer weights get 12 bits for them: it costs next to nothing."""


@dataclass
class Options:
    """budget: error of the answer (see QuantReport) above which layers are kept finer, or float; agreement: so are they
    while the first class is the same more rarely, where there are classes. size: share of the
    float32 weights' bytes that the result may take. narrow: begin with 7 bits where that is fast."""

    budget: float = 0.1
    agreement: float = 0.99
    size: float = 0.26
    narrow: bool = True


@dataclass(frozen=True)
class Quantised:
    """page: the graph on int8. graph, plan: the float graph, its channels equalised, and what was chosen for it."""

    page: Graph
    report: QuantReport
    graph: Graph
    plan: Plan

    def pairs(self, symmetric: bool = False) -> Graph:
        """For engines that read Q/DQ, see converter.quantise.qdq."""
        return qdq(self.graph, self.plan, symmetric)


def quantise(graph: Graph, inputs: Sequence[Feeds], execute: Execute, options: Options | None = None,
             progress: Callable[[str], None] = lambda step: None) -> Quantised:
    """An optimised float graph on int8. inputs: calibration feeds.

    Raises ConvertError where nothing can be quantised or the graph gives no finite numbers on the inputs.
    """
    return Tuner(graph, inputs, execute, options or Options(), progress).run()


class Tuner:
    def __init__(self, graph: Graph, inputs: Sequence[Feeds], execute: Execute, options: Options,
                 progress: Callable[[str], None]) -> None:
        values = {name: Value(v.name, v.shape, v.dtype, v.data) for name, v in graph.values.items()}
        nodes = [Node(node.type, {slot: list(names) for slot, names in node.inputs.items()}, dict(node.outputs),
                      dict(node.attrs), node.name) for node in graph.nodes]
        self.graph = Graph(values, nodes, list(graph.inputs), list(graph.outputs), dict(graph.meta))
        infer(self.graph)
        shuffle.run(self.graph)
        self.inputs, self.execute, self.options, self.progress = inputs, execute, options, progress
        self.layers = [node for node in self.graph.nodes if is_layer(node) and can_quantise(self.graph, node)]
        self.report = QuantReport(len(inputs), budget=options.budget)
        self.effects: dict[str, float] = {}
        self.exact: list[Feeds] = []

    def run(self) -> Quantised:
        began = time.monotonic()
        if not self.layers:
            raise ConvertError("no layer of this model can be computed on int8", hint="use --precision int8-weights")
        self.progress(f"calibrating: what flows through the model on {len(self.inputs)} inputs")
        watch.equalise_channels(self.graph, self.inputs, self.execute)
        seen, moments = watch.watched(self.graph, self.layers, self.inputs, self.execute)
        reach = {name: max(-one.smallest, one.largest) for name, one in seen.items()}
        plan = Plan(self._choose(seen), ties(self.graph), reach, moments)
        self._limits(plan)
        plan.depthwise = {node.out for node in self.layers if is_usual_depthwise(self.graph, node)}
        if self.options.narrow:
            plan.narrow = {node.out: node.inputs["Input"][0] for node in self.layers if self._may_be_narrow(node, plan)}
        self.exact = self._answers(self.graph, self._spread(_MEASURED))
        self._refine(plan)
        lowered = Lowering(self.graph, plan).run()
        self.report.error, self.report.agreement = self._measure(lowered)
        self._describe(plan)
        self.report.seconds = time.monotonic() - began
        return Quantised(lowered, self.report, self.graph, plan)

    def _spread(self, count: int) -> list[Feeds]:
        """That many of the inputs, from all parts of the list."""
        return [self.inputs[i] for i in self._places(count)]

    def _places(self, count: int) -> list[int]:
        picked = np.linspace(0, len(self.inputs) - 1, min(count, len(self.inputs))).astype(int)
        return [int(i) for i in np.unique(picked)]

    def _choose(self, seen: dict[str, Seen]) -> dict[str, tuple[float, float]]:
        """Per tensor, or group of tensors of one scale, the range whose rounding moves results least."""
        leader = ties(self.graph)
        groups: dict[str, list[str]] = {}
        for name in seen:
            if picture(self.graph.values[name]):
                groups.setdefault(leader.get(name, name), []).append(name)
        found = {name: ranges(seen[name]) for names in groups.values() for name in names}
        merged = {key: {method: _hull([found[name].get(method, found[name]["min-max"]) for name in names])
                        for method in {m for name in names for m in found[name]}} for key, names in groups.items()}
        scores: dict[str, dict[str, float]] = {key: {} for key in groups}
        for method in sorted({method for options in merged.values() for method in options}):
            self.progress(f"calibrating: ranges by {method}")
            tried = {key: affine(*options[method]) for key, options in merged.items() if method in options}
            graph, pairs = fork.rounded_inputs(self.graph, {name: tried[key] for key in tried for name in groups[key]})
            if not pairs:
                continue
            for name, error in fork.errors(self.execute, graph, pairs, self._spread(_FORKED)).items():
                key = leader.get(name, name)
                scores[key][method] = max(error, scores[key].get(method, 0.0))
        chosen = {}
        for key, names in groups.items():
            method = min(scores[key], key=scores[key].__getitem__, default="min-max")
            for name in names:
                chosen[name] = merged[key][method]
                one = seen[name]
                self.report.tensors.append(Tensor(name, (one.smallest, one.largest), chosen[name], method, scores[key]))
        return chosen

    def _may_be_narrow(self, node: Node, plan: Plan) -> bool:
        """Dense convolutions of int8 weights that do a good part of the work, and the usual depthwise ones."""
        weight = self._weight(node)
        source = node.inputs["Input"][0]
        if node.out in plan.depthwise:
            return source in plan.ranges
        few = source in self.graph.inputs and int(weight.shape[1]) <= FEW
        return node.type == "conv2d" and source in plan.ranges and not few and weight.shape[1] != 1 \
            and not is_pixel(self.graph, node) and plan.limits[node.out] == INT8

    def _limits(self, plan: Plan) -> None:
        """Largest whole weight of each layer to begin with: 12 bits for those that cost little room and err much (first
        and depthwise ones), then for small ones, as long as half of the room is left for those that turn out to."""
        plan.limits = {node.out: INT8 for node in self.layers}
        spare, kept = self._spare(plan), 0.0

        def rank(node: Node) -> tuple[bool, int]:
            weight = self._weight(node)
            first = node.inputs["Input"][0] in self.graph.inputs and int(weight.shape[1]) <= FEW
            return not (first or node.type == "conv2d" and weight.shape[1] == 1), _count(weight.shape)
        for node in sorted(self.layers, key=rank):
            other, cost = rank(node)
            kept = kept or (spare / 2 if other else 0.0)
            if cost <= spare - kept and (not other or cost < _SMALL):
                plan.limits[node.out] = WIDE
                spare -= cost

    def _weight(self, node: Node) -> Value:
        return self.graph.values[node.inputs[weight_slot(node)][0]]

    def _answers(self, graph: Graph, feeds: list[Feeds]) -> list[Feeds]:
        with self.execute(graph, list(self.graph.outputs)) as run:
            return [run(one) for one in feeds]

    def _measure(self, lowered: Graph, count: int = _MEASURED) -> tuple[float, float]:
        """(error, agreement) of the answers of a lowered graph, on as many inputs."""
        places = self._places(_MEASURED)
        chosen = range(0, len(places), max(1, len(places) // count))[:count]
        found = self._answers(lowered, [self.inputs[places[i]] for i in chosen])
        return compare([self.exact[i] for i in chosen], found)

    def _refine(self, plan: Plan) -> None:
        """While the answer errs beyond the budget: 12-bit weights for the layer that adds most, else float."""
        self.progress("quantising: measuring the answer")
        error, same = self._measure(Lowering(self.graph, plan).run())
        if error <= self.options.budget and same >= self.options.agreement:
            return
        names = [node.out for node in self.layers]
        for i, node in enumerate(self.layers):
            self.progress(f"quantising: the effect of layer {i + 1} of {len(self.layers)} alone")
            self.effects[node.out] = self._alone(plan, node.out, names)
        left = dict(self.effects)
        # How far effects of one layer alone add up to what was measured; they meet, and are counted, on both sides.
        target = self.options.budget * total(left) / max(error, 1e-12)
        while left:
            while left and total(left) > target:
                self._finer(plan, max(left, key=left.__getitem__), left, names)
            self.progress(f"quantising: {len(plan.float_layers)} layers float, {len(plan.narrow)} of 7 bits")
            error, same = self._measure(Lowering(self.graph, plan).run())
            if error <= self.options.budget and same >= self.options.agreement:
                return
            target = 0.75 * min(target, total(left))

    def _finer(self, plan: Plan, name: str, left: dict[str, float], names: list[str]) -> None:
        """One step for one layer: from 7 bits to 8, to weights of 12, to float. A step that helps too little is the
        next one's at once."""
        if plan.narrow.pop(name, None):
            left[name] = self._alone(plan, name, names)
            return
        node, limit = next(node for node in self.layers if node.out == name), plan.limits[name]
        room = limit >= WIDE or _count(self._weight(node).shape) <= self._spare(plan)
        if limit < WIDE and room:
            plan.limits[name] = WIDE
            finer = self._alone(plan, name, names)
            if finer < 0.7 * left[name]:
                left[name] = finer
                return
        if not room and (node.type == "fc" or is_pixel(self.graph, node)):
            self.report.notes.append(f"{name} adds {left.pop(name):.3f} alone but is too large to keep finer")
            return                      # its input is fine already: float would only cost time
        if limit < WIDE and room:       # float will do it, or nothing does
            plan.limits[name] = limit if _count(self._weight(node).shape) > _SMALL else WIDE
        plan.float_layers.add(name)
        left.pop(name)

    def _alone(self, plan: Plan, name: str, names: list[str]) -> float:
        others = replace(plan, float_layers=set(names) - {name},
                         limits=dict.fromkeys(names, WIDE) | {name: plan.limits[name]})
        return self._measure(Lowering(self.graph, others).run(), _ALONE)[0]

    def _spare(self, plan: Plan) -> float:
        """Bytes that may still be spent: a byte more for every weight that is kept finer."""
        constants = {name: value for name, value in self.graph.values.items() if value.is_constant}
        room = 4 * self.options.size * sum(_count(value.shape) for value in constants.values())
        for node in self.layers:
            weight, bias = self._weight(node), node.input("Bias")
            fine = plan.limits[node.out] > INT8
            rows = weight.shape[1 if node.type == "fc" else 0]
            whole = node.out in plan.float_layers and not fine
            room -= _count(weight.shape) * (2 if fine else 1) + (8 if whole else 4) * int(rows)
            for name in (weight.name, bias):
                constants.pop(name or "", None)
        return room - sum(_count(value.shape) * (4 if len(value.shape) < 2 else 2) for value in constants.values())

    def _describe(self, plan: Plan) -> None:
        chosen = {node.out: plan.limit(node.out) for node in self.layers if node.out not in plan.float_layers}
        graph, pairs = fork.rounded_layers(self.graph, plan.params, chosen)
        found = fork.errors(self.execute, graph, pairs, self._spread(_ALONE))
        for node in self.graph.nodes:
            if not is_layer(node):
                continue
            coarse = node.out in plan.float_layers and plan.limits[node.out] == INT8
            precision = "float, weights of 8 bits" if coarse else PRECISIONS[chosen.get(node.out, 0)]
            reason = "its effect alone is beyond the budget" if node.out in plan.float_layers else \
                "no operator on int8 computes it" if node.out not in chosen else ""
            self.report.layers.append(Layer(node.out, node.type, precision, reason,
                                            _count(self._weight(node).shape), found.get(node.out),
                                            self.effects.get(node.out)))


def total(effects: dict[str, float]) -> float:
    """Of independent errors."""
    return float(np.sqrt(sum(effect * effect for effect in effects.values())))


def compare(exact: list[Feeds], found: list[Feeds]) -> tuple[float, float]:
    """Error and agreement, see QuantReport; the worst output counts."""
    worst, same = 0.0, 1.0
    for name in exact[0]:
        if exact[0][name].dtype.kind != "f":
            continue
        pairs = [(a[name].astype(np.float64), b[name].astype(np.float64)) for a, b in zip(exact, found, strict=True)]
        wrong = float(np.mean([((b - a) ** 2).mean() for a, b in pairs]))
        power = float(np.mean([a.var() for a, _ in pairs]))
        worst = max(worst, float(np.sqrt(wrong / max(power, 1e-30))))
        if pairs[0][0].ndim == 2:
            same = min(same, float(np.mean([(a.argmax(-1) == b.argmax(-1)).mean() for a, b in pairs])))
    return worst, same


def _hull(parts: list[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in parts), max(high for _, high in parts)


def _count(shape: Sequence[int | str]) -> int:
    return int(np.prod([int(size) for size in shape]))
