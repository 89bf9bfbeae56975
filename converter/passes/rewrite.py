"""Rewriting by pictures: a rule is graph text before and after.

    Rule("silu", before="s = sigmoid(x); y = elementwise_mul(x, s); return y", after="y = silu(x); return y")

In `before`, a name that nothing declares matches any value; `const` matches a constant of one element with that number;
a bare word in an attribute's place captures the attribute. Attributes that are not written must have their defaults.
Sums and products match with their operands either way round. A match is refused when an inner value is a graph output
or has other readers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from converter.graph import Graph, Node, Value
from converter.graph.text import parse
from converter.ops import REGISTRY
from converter.passes.links import Links

MIRRORED = {"elementwise_add", "elementwise_mul", "elementwise_max", "elementwise_min"}
CLOSE = 1e-5
"""Relative difference under which two floats are the same number, such as 1/6 and 0.1666667."""

Captured = dict[str, Any]


@dataclass
class Rule:
    """derive: captured attributes → all that `after` needs, or None to refuse."""

    name: str
    before: str
    after: str
    derive: Callable[[Captured], Captured | None] = lambda captured: captured

    def __post_init__(self) -> None:
        self.pattern, self.replacement = (parse(text, free_inputs=True) for text in (self.before, self.after))
        self.slots = [split_captures(node) for node in self.pattern.nodes]
        self.new_slots = [split_captures(node) for node in self.replacement.nodes]


def split_captures(node: Node) -> tuple[dict[str, list[str]], dict[str, str]]:
    """A pattern node's real inputs, and attribute → capturing word."""
    spec = REGISTRY[node.type]
    inputs = {slot: names for slot, names in node.inputs.items() if slot in spec.inputs}
    return inputs, {slot: names[0] for slot, names in node.inputs.items() if slot not in spec.inputs}


def apply(graph: Graph, rules: list[Rule]) -> Graph:
    """Rewrite until no rule matches; each rewrite makes the graph smaller or equal, so this ends."""
    changed = True
    while changed:
        links = Links(graph)
        by_last = {}
        for rule in rules:
            by_last.setdefault(rule.pattern.nodes[-1].type, []).append(rule)
        fresh: dict[int, list[Node]] = {}
        for node in graph.nodes:
            if id(node) in links.removed:
                continue
            for rule in by_last.get(node.type, []):
                new = attempt(links, rule, node)
                if new is not None:
                    fresh[id(node)] = new
                    break
        changed = bool(fresh)
        graph.nodes = [n for node in graph.nodes for n in fresh.get(id(node), [node]) if id(n) not in links.removed]
    return graph


def attempt(links: Links, rule: Rule, last: Node) -> list[Node] | None:
    """The nodes that replace a match whose last node is `last`, None where the rule does not match there."""
    count = sum(node.type in MIRRORED for node in rule.pattern.nodes)
    for flips in itertools.product((False, True), repeat=count):
        match = Match(links, rule, flips)
        if match.node(len(rule.pattern.nodes) - 1, last):
            captured = rule.derive(match.attrs) if match.closed() else None
            if captured is not None:
                return replace(links, rule, match, captured)
    return None


class Match:
    """One try to lay a pattern over the graph, backwards from its last node."""

    def __init__(self, links: Links, rule: Rule, flips: tuple[bool, ...]) -> None:
        self.links, self.rule = links, rule
        self.values: dict[str, str] = {}
        self.attrs: Captured = {}
        self.nodes: dict[int, Node] = {}
        mirrored = [i for i, node in enumerate(rule.pattern.nodes) if node.type in MIRRORED]
        self.flipped = {i for i, flip in zip(mirrored, flips, strict=True) if flip}
        self.writers = {name: i for i, node in enumerate(rule.pattern.nodes) for name in node.output_names()}

    def node(self, index: int, actual: Node | None) -> bool:
        pattern = self.rule.pattern.nodes[index]
        if index in self.nodes:
            return self.nodes[index] is actual
        if actual is None or actual.type != pattern.type or len(actual.outputs.get("Out", [])) != 1:
            return False
        self.nodes[index] = actual
        self.values[pattern.out] = actual.out
        inputs, captures = self.rule.slots[index]
        return self.attributes(pattern, captures, actual) and self.inputs(index, inputs, actual)

    def attributes(self, pattern: Node, captures: dict[str, str], actual: Node) -> bool:
        for name, default in REGISTRY[pattern.type].attrs.items():
            have = actual.attrs[name]
            if name in captures:
                if captures[name] in self.attrs and not same(self.attrs[captures[name]], have):
                    return False
                self.attrs[captures[name]] = have
            elif not same(pattern.attrs.get(name, default), have):
                return False
        return True

    def inputs(self, index: int, inputs: dict[str, list[str]], actual: Node) -> bool:
        slots = list(inputs)
        actual_slots = slots[::-1] if index in self.flipped else slots
        if set(slots) != {slot for slot, names in actual.inputs.items() if names}:
            return False
        for slot, other in zip(slots, actual_slots, strict=True):
            names, have = inputs[slot], actual.inputs[other]
            if len(names) != len(have) or not all(map(self.value, names, have)):
                return False
        return True

    def value(self, name: str, actual: str) -> bool:
        if name in self.values:
            return self.values[name] == actual
        self.values[name] = actual
        declared = self.rule.pattern.values[name]
        if declared.data is not None:
            data = self.links.graph.data_of(actual)
            return data is not None and data.size == 1 and same(float(declared.data.item()), float(data.item()))
        if name in self.writers:
            return self.node(self.writers[name], self.links.producer.get(actual))
        return True

    def closed(self) -> bool:
        """Every node of the pattern is laid and nothing else sees an inner value."""
        if len(self.nodes) != len(self.rule.pattern.nodes):
            return False
        inside = {id(node) for node in self.nodes.values()}
        for index, node in self.nodes.items():
            if self.rule.pattern.nodes[index].out in self.rule.pattern.outputs:
                continue
            if node.out in self.links.graph.outputs or any(id(u) not in inside for u in self.links.users[node.out]):
                return False
        return True


def same(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) or isinstance(b, float):
        return not isinstance(a, str) and not isinstance(b, str) and math.isclose(a, b, rel_tol=CLOSE, abs_tol=1e-12)
    return bool(a == b)


def replace(links: Links, rule: Rule, match: Match, captured: Captured) -> list[Node]:
    """Build the replacement and take the matched nodes out; the result keeps its name."""
    graph = links.graph
    for node in match.nodes.values():
        links.remove(node)
    names = dict(match.values)
    made = []
    for pattern, (inputs, captures) in zip(rule.replacement.nodes, rule.new_slots, strict=True):
        out = pattern.out
        if out not in rule.replacement.outputs:
            like = graph.values[match.values[rule.pattern.outputs[0]]]
            names[out] = graph.add_value(Value(graph.fresh(f"{like.name}.{out}"), like.shape, like.dtype)).name
        attrs = {name: pattern.attrs.get(name, default) for name, default in REGISTRY[pattern.type].attrs.items()}
        attrs.update({name: captured[word] for name, word in captures.items()})
        node = Node(pattern.type, {slot: [names[n] for n in given] for slot, given in inputs.items()},
                    {"Out": [names[out]]}, attrs)
        for name in node.input_names():
            links.users.setdefault(name, []).append(node)
        links.producer[node.out] = node
        made.append(node)
    return made
