"""What the rules write to: ONNX nodes, initializers, and fresh names between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converter.errors import ConvertError
from converter.graph import Dim, Graph, Node, Shape
from converter.schema import onnx as schema

INT64_MAX = 2**63 - 1


@dataclass(frozen=True)
class Dialect:
    """What the file's reader takes. compact: weights may be stored narrower and widened by a node behind them, which
    TensorRT 8 does not take for weights of a convolution."""

    opset: int = 17
    compact: bool = True


Rule = Callable[["Emitter", Node], Any]
RULES: dict[str, Rule] = {}
"""Canonical operator → what writes it; returns the name of Out, or a list of them."""


def rule(*types: str) -> Callable[[Rule], Rule]:
    def declare(body: Rule) -> Rule:
        for type in types:
            if type in RULES:
                raise ValueError(f"operator {type} has two rules")
            RULES[type] = body
        return body

    return declare


class Cannot(ConvertError):
    """This operator, as it stands in the graph, has no form in ONNX that computes the same."""


class Emitter:
    """Collects one ONNX graph. Values of the Graph keep their names; what lies between gets fresh ones."""

    def __init__(self, graph: Graph, dialect: Dialect, taken: set[str] | None = None) -> None:
        self.graph, self.dialect, self.opset = graph, dialect, dialect.opset
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self.known: dict[tuple, str] = {}
        self.weights: dict[str, np.ndarray] = {}  # constants of the Graph that are rounded, as float32
        self.taken = set(graph.values) if taken is None else taken
        self.dead: list[Any] = []  # nodes that turned out not to be needed
        self._readers: dict[str, int] | None = None
        self.open_ranks = False  # whether how many axes a result has shows only at run time

    # ---- names ----

    def fresh(self, base: str) -> str:
        """A name that nothing in the file has."""
        name, count = base, 0
        while name in self.taken:
            count += 1
            name = f"{base}.{count}"
        self.taken.add(name)
        return name

    def shape(self, name: str) -> Shape:
        """Of a value of the Graph."""
        return self.graph.values[name].shape

    def rank(self, name: str) -> int:
        return len(self.shape(name))

    def dtype(self, name: str) -> np.dtype:
        return np.dtype(self.graph.values[name].dtype)

    def static(self, name: str, what: str = "this operator") -> list[int]:
        """The sizes, where all are known."""
        shape = self.shape(name)
        if not all(isinstance(size, int) for size in shape):
            raise Cannot(f"{what} needs sizes that are known at conversion, not {list(shape)}")
        return [int(size) for size in shape]

    # ---- what is written ----

    def const(self, data: np.ndarray | Sequence | float | int, dtype: Any = None) -> str:
        """An initializer; equal ones are written once."""
        array = np.ascontiguousarray(np.asarray(data, dtype)).reshape(np.shape(data))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.known:
            self.known[key] = self.fresh("const")
            self.constants[self.known[key]] = array
        return self.known[key]

    def data_of(self, name: str) -> np.ndarray | None:
        """A constant of the Graph with the rounding that the file has."""
        found = self.weights.get(name)
        return self.graph.data_of(name) if found is None else found

    def readers(self, name: str) -> int:
        """How many nodes of the Graph read a value."""
        if self._readers is None:
            self._readers = {value: len(nodes) for value, nodes in self.graph.consumers().items()}
        return self._readers.get(name, 0)

    def ints(self, values: Sequence[int]) -> str:
        return self.const(np.asarray(list(values), np.int64))

    def op(self, type: str, *inputs: str | None, base: str = "", **attrs: Any) -> str:
        """A node with one output; None is an optional input left out. Attributes that are None are left out."""
        return self.ops(type, inputs, 1, base, **attrs)[0]

    def ops(self, type: str, inputs: Sequence[str | None], count: int, base: str = "", **attrs: Any) -> list[str]:
        """A node with `count` outputs."""
        outputs = [self.fresh(f"{base or type}.out") for _ in range(count)]
        names = [name or "" for name in inputs]
        while names and not names[-1]:
            names.pop()
        node = schema.message("Node")(input=names, output=outputs, op_type=type)
        for name, value in attrs.items():
            if value is not None:
                node.attribute.append(attribute(name, value))
        self.nodes.append(node)
        return outputs

    def cast(self, name: str, dtype: Any) -> str:
        return self.op("Cast", name, to=schema.DTYPES[np.dtype(dtype).name])

    def dims(self, name: str, start: int = 0, stop: int | None = None) -> str:
        """Sizes of a value at run time, int64 [stop - start]."""
        shape = self.op("Shape", name)
        if start == 0 and stop is None:
            return shape
        end = INT64_MAX if stop is None else stop
        return self.op("Slice", shape, self.ints([start]), self.ints([end]), self.ints([0]))

    def reshape(self, name: str, sizes: Sequence[int]) -> str:
        """0 copies a size, one -1 takes what is left."""
        return self.op("Reshape", name, self.ints(sizes))

    def unsqueeze(self, name: str, axes: Sequence[int]) -> str:
        return self.op("Unsqueeze", name, self.ints(axes)) if axes else name

    def squeeze(self, name: str, axes: Sequence[int]) -> str:
        return self.op("Squeeze", name, self.ints(axes)) if axes else name

    def transpose(self, name: str, perm: Sequence[int]) -> str:
        return name if list(perm) == sorted(perm) else self.op("Transpose", name, perm=list(perm))

    def concat(self, names: Sequence[str], axis: int) -> str:
        return names[0] if len(names) == 1 else self.op("Concat", *names, axis=axis)

    def cut(self, name: str, axis: int, start: int, stop: int, step: int = 1) -> str:
        """name[start:stop:step] along an axis."""
        return self.op("Slice", name, self.ints([start]), self.ints([stop]), self.ints([axis]), self.ints([step]))

    def choose(self, condition: str, then: Callable[[Emitter], str], otherwise: Callable[[Emitter], str],
               dtype: Any) -> str:
        """If: each branch is written by a function, reads names from around it and gives one value."""
        branches = []
        for write in (then, otherwise):
            inner = Emitter(self.graph, self.dialect, self.taken)
            inner.constants, inner.known = self.constants, self.known
            made = schema.message("Graph")(name="branch")
            result = write(inner)
            made.node.extend(inner.nodes)
            made.output.add(name=result).type.tensor_type.elem_type = schema.DTYPES[np.dtype(dtype).name]
            branches.append(made)
        return self.op("If", condition, then_branch=branches[0], else_branch=branches[1])

    def scalar(self, value: float, like: str) -> str:
        """A constant without dimensions, in the dtype of a value of the Graph."""
        return self.const(np.asarray(value).astype(self.dtype(like)))

    # ---- one operator of the Graph ----

    def write(self, node: Node) -> None:
        """Write a node under the names that the Graph gives its outputs."""
        found = RULES.get(node.type)
        if found is None:
            raise Cannot(f"{node.type} has no form in ONNX here", where=node.where)
        start, names = len(self.nodes), node.outputs["Out"]
        try:
            made = found(self, node)
        except Cannot as error:
            raise Cannot(error.what, error.where or node.where, error.hint) from error
        made = [made] if isinstance(made, str) else list(made)
        if len(made) != len(names):
            raise Cannot(f"has {len(names)} outputs where {len(made)} are written", where=node.where)
        for result, name in zip(made, names, strict=True):
            self._rename(result, name, self.nodes[start:])

    def _rename(self, result: str, name: str, nodes: list[Any]) -> None:
        """Give a result its public name; what was not computed just now is copied to it."""
        made = [(node, index) for node in nodes for index, output in enumerate(node.output) if output == result]
        if not made:
            copy = schema.message("Node")(input=[result], output=[name], op_type="Identity")
            self.nodes.append(copy)
            return
        node, index = made[0]
        node.output[index] = name
        for other in nodes:
            for index, read in enumerate(other.input):
                if read == result:
                    other.input[index] = name


def attribute(name: str, value: Any) -> Any:
    """One attribute, its kind told from the value: whole numbers, reals, text, arrays, graphs, lists of the first."""
    made = schema.message("Attribute")(name=name)
    items = list(value) if isinstance(value, (list, tuple)) else None
    if isinstance(value, np.ndarray):
        made.type = schema.TENSOR
        made.t.CopyFrom(tensor("", value))
    elif isinstance(value, schema.message("Graph")):
        made.type = schema.GRAPH
        made.g.CopyFrom(value)
    elif isinstance(value, str):
        made.type, made.s = schema.STRING, value.encode()
    elif items is not None and items and isinstance(items[0], str):
        made.type = schema.STRINGS
        made.strings.extend(item.encode() for item in items)
    elif items is not None and any(isinstance(item, float) for item in items):
        made.type = schema.FLOATS
        made.floats.extend(items)
    elif items is not None:
        made.type = schema.INTS
        made.ints.extend(int(item) for item in items)
    elif isinstance(value, (float, np.floating)):
        made.type, made.f = schema.FLOAT, float(value)
    else:
        made.type, made.i = schema.INT, int(value)
    return made


def tensor(name: str, data: np.ndarray) -> Any:
    """A TensorProto, little-endian."""
    number = schema.DTYPES.get(data.dtype.name)
    if number is None:
        raise Cannot(f"weights of dtype {data.dtype.name} have no form in ONNX", where=name)
    raw = np.ascontiguousarray(data, data.dtype.newbyteorder("<")).tobytes()
    return schema.message("Tensor")(name=name, dims=list(data.shape), data_type=number, raw_data=raw)


def value_info(name: str, shape: Sequence[Dim], dtype: str) -> Any:
    """A named input or output; a symbol keeps its name, an unknown size stays open."""
    made = schema.message("ValueInfo")(name=name)
    made.type.tensor_type.elem_type = schema.DTYPES[dtype]
    made.type.tensor_type.shape.SetInParent()
    for size in shape:
        dim = made.type.tensor_type.shape.dim.add()
        if isinstance(size, int):
            dim.dim_value = size
        elif not size.startswith("?"):
            dim.dim_param = size
    return made
