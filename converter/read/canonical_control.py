"""Handlers, continued: while and if. What a block reads of the program around it becomes its input."""

from __future__ import annotations

import numpy as np

from converter.graph import Graph, Value
from converter.read.canonical import Builder, Op, computed
from converter.read.canonical_ops import handles
from converter.read.raw import RawBlock, RawOp, RawProgram


class Inner(Builder):
    """The graph of a block. Constants of the program around it are taken in, other values become inputs."""

    def __init__(self, outer: Builder, block: RawBlock) -> None:
        raw = outer.raw
        super().__init__(RawProgram(ops=block.ops, values=raw.values, where=raw.where, lod=raw.lod), outer.handlers)
        self.outer, self.block = outer, block
        self.captured: dict[str, str] = {}
        """Name here → name in the graph around."""

    def translate(self) -> Graph:
        graph = self.graph
        for name in self.block.args:
            declared = self.raw.values.get(name) or Value(name)
            graph.inputs.append(graph.add_value(Value(name, declared.shape, computed(declared.dtype))).name)
            self.current[name] = name
        for index, raw in enumerate(self.raw.ops):
            self.index = index
            self._operator(raw)
        last = RawOp("yield", where="the end of a block")
        graph.outputs = [self.use(self._result(name, last)) for name in self.block.outs]
        graph.inputs += self.captured
        self.outer.faults += self.faults
        for type, (count, first) in self.unsupported.items():
            before, earliest = self.outer.unsupported.get(type, (0, first))
            self.outer.unsupported[type] = (before + count, earliest)
        return graph

    def _resolve(self, name: str, raw: RawOp) -> str:
        if name in self.current or name in self.pending or name in self.dropped:
            return super()._resolve(name, raw)
        around = self.outer._resolve(name, raw)
        data = self.outer.data_of(around)
        if data is not None:
            self.pending[name] = data
            return name
        value = Value(name, self.outer.shape_of(around), self.outer.dtype_of(around))
        self.current[name] = self.graph.add_value(value).name
        self.captured[name] = around
        return name

    def _result(self, name: str, last: RawOp) -> str:
        """An output; a block that did not run leaves what stood there before, or nothing."""
        if self.block.optional and not self._known(name):
            declared = self.raw.values.get(name) or Value(name)
            return self.hold(name, np.zeros(0, declared.dtype))
        return self._resolve(name, last)

    def _known(self, name: str) -> bool:
        builder: Builder | None = self
        while builder is not None:
            if name in builder.current or name in builder.pending:
                return True
            builder = builder.outer if isinstance(builder, Inner) else None
        return False


@handles("while")
def loop(b: Builder, op: Op) -> None:
    inner = Inner(b, op.attr("body"))
    body = inner.translate()
    b.emit(op, "while", {"Condition": [op.one("Condition")], "X": [*op.inputs.get("X", []), *inner.captured.values()]},
           {"body": body})


@handles("if")
def choose(b: Builder, op: Op) -> None:
    ways = {name: Inner(b, op.attr(name)) for name in ("then", "otherwise")}
    graphs = {name: inner.translate() for name, inner in ways.items()}
    captured = {name: around for inner in ways.values() for name, around in inner.captured.items()}
    for graph in graphs.values():
        for name, around in captured.items():
            if name not in graph.values:
                graph.add_value(Value(name, b.shape_of(around), b.dtype_of(around)))
        graph.inputs = list(captured)
    b.emit(op, "if", {"Condition": [op.one("Condition")], "X": list(captured.values())}, graphs)


@handles("select_input")
def select_input(b: Builder, op: Op) -> None:
    """One of two values, by a number."""
    given = op.inputs.get("X", [])
    if len(given) != 2:
        raise op.error(f"selects between {len(given)} values; only two are supported")
    ways = []
    for chosen in (1, 0):
        graph = Graph(inputs=["first", "second"])
        for name, around in zip(graph.inputs, given, strict=True):
            graph.add_value(Value(name, b.shape_of(around), b.dtype_of(around)))
        graph.outputs = [graph.inputs[chosen]]
        ways.append(graph)
    b.emit(op, "if", {"Condition": [op.one("Mask")], "X": given}, {"then": ways[0], "otherwise": ways[1]})
