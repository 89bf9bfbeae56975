"""Value, Node and Graph: what a Paddle program is between reading and writing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from converter.errors import ConvertError

Dim = int | str
"""A size, or a symbol: the same symbol is the same size; one that starts with "?" is unknown until run time."""
Shape = tuple[Dim, ...]

DTYPES = ("float32", "float16", "float64", "int8", "uint8", "int16", "int32", "int64", "bool")

MAX_RANK, MAX_ELEMENTS = 16, 2**40
"""Beyond these no device holds a tensor: the shape is a mistake, or meant to do harm."""


@dataclass
class Value:
    """A tensor in the graph; `data` is set for constants only (weights, folded values)."""

    name: str
    shape: Shape = ()
    dtype: str = "float32"
    data: np.ndarray | None = None

    @property
    def is_constant(self) -> bool:
        return self.data is not None


@dataclass
class Node:
    """One operator: canonical type, slots of value names, complete attributes."""

    type: str
    inputs: dict[str, list[str]] = field(default_factory=dict)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    def input(self, slot: str, index: int = 0) -> str | None:
        """Name in a slot, or None where the optional slot is empty."""
        names = self.inputs.get(slot) or []
        return names[index] if index < len(names) else None

    @property
    def out(self) -> str:
        """The first name of the primary output slot."""
        return self.outputs["Out"][0]

    def input_names(self) -> Iterator[str]:
        for names in self.inputs.values():
            yield from names

    def output_names(self) -> Iterator[str]:
        for names in self.outputs.values():
            yield from names

    @property
    def blocks(self) -> list[Graph]:
        """The graphs inside a node of control flow, in the order of its attributes."""
        return [value for value in self.attrs.values() if isinstance(value, Graph)]

    @property
    def where(self) -> str:
        return f"{self.type} ({self.name or ', '.join(self.output_names()) or 'no output'})"


@dataclass
class Graph:
    """Nodes in execution order over named values; each name is written once.

    inputs and outputs are value names and, at the same time, the public feed and result names.
    meta carries what is not computation: source, preprocess, postprocess, labels, name.
    """

    values: dict[str, Value] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)

    def add_value(self, value: Value) -> Value:
        if value.name in self.values:
            raise ConvertError("this name is used twice", where=value.name)
        self.values[value.name] = value
        return value

    def constant(self, name: str, data: np.ndarray) -> Value:
        """Add a constant under `name`, made fresh where it is taken."""
        data = np.asarray(data)
        return self.add_value(Value(self.fresh(name), tuple(data.shape), str(data.dtype), data))

    def fresh(self, base: str) -> str:
        """A name not yet in the graph, close to `base`."""
        if base not in self.values:
            return base
        n = 1
        while f"{base}.{n}" in self.values:
            n += 1
        return f"{base}.{n}"

    def producers(self) -> dict[str, Node]:
        return {name: node for node in self.nodes for name in node.output_names()}

    def consumers(self) -> dict[str, list[Node]]:
        """Nodes that read a name, in order, a node once per use."""
        uses: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.input_names():
                uses.setdefault(name, []).append(node)
        return uses

    def data_of(self, name: str | None) -> np.ndarray | None:
        """The constant under a name; None where it is computed or absent."""
        return self.values[name].data if name is not None and name in self.values else None

    def check(self) -> None:
        """Raise ConvertError unless every name is known, written once and before it is read."""
        written = {name for name, value in self.values.items() if value.is_constant}
        for name in self.inputs:
            if name not in self.values:
                raise ConvertError("the graph input is not a value of the graph", where=name)
            if name in written:
                raise ConvertError("the graph input is also a constant or stands twice", where=name)
            written.add(name)
        for node in self.nodes:
            for name in node.input_names():
                if name not in written:
                    raise ConvertError(f"'{name}' is read before anything writes it", where=node.where,
                                       hint="the program is cyclic, out of order or lacks a weight")
            for name in node.output_names():
                if name not in self.values:
                    raise ConvertError(f"the output '{name}' is not a value of the graph", where=node.where)
                if name in written:
                    raise ConvertError(f"'{name}' is written twice", where=node.where)
                written.add(name)
            for block in node.blocks:
                _check_block(node, block)
                block.check()
        for name in self.outputs:
            if name not in written:
                raise ConvertError("nothing computes this graph output", where=name)
        for value in self.values.values():
            self._check_value(value)

    @staticmethod
    def _check_value(value: Value) -> None:
        _check_shape(value)
        if value.dtype not in DTYPES:
            raise ConvertError(f"dtype {value.dtype} is not supported", where=value.name)
        if value.data is None:
            return
        if tuple(value.data.shape) != value.shape or str(value.data.dtype) != value.dtype:
            raise ConvertError(
                f"declared {value.dtype}{list(value.shape)} but holds {value.data.dtype}{list(value.data.shape)}",
                where=value.name)


def _check_shape(value: Value) -> None:
    elements = 1
    for size in value.shape:
        if isinstance(size, int):
            elements *= max(size, 1)
        elif not isinstance(size, str):
            raise ConvertError(f"the shape {list(value.shape)} holds something that is no size", where=value.name)
    if len(value.shape) > MAX_RANK or elements > MAX_ELEMENTS:
        shown = ", ".join(map(str, value.shape[:MAX_RANK])) + (", …" if len(value.shape) > MAX_RANK else "")
        raise ConvertError(f"the shape [{shown[:200]}] cannot be right: a tensor has at most {MAX_RANK} dimensions and "
                           f"{MAX_ELEMENTS} elements", where=value.name,
                           hint="the file is damaged, or not what it claims to be")


def _check_block(node: Node, block: Graph) -> None:
    """A block takes the values of X and gives those of Out; a loop's gives the condition too, and carries what it
    gives."""
    taken, given = len(node.inputs.get("X", [])), len(node.outputs.get("Out", []))
    loop = node.type == "while"
    if len(block.inputs) != taken or len(block.outputs) != given + loop or (loop and given > taken):
        raise ConvertError(f"gives {taken} values to a block of {len(block.inputs)} and takes {given} from "
                           f"{len(block.outputs)}", where=node.where, hint="the file is damaged; export it again")
