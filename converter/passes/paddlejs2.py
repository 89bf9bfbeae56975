"""Lower a graph to what the original Paddle.js 2.x runtime computes correctly, or refuse it by operator and node.

That runtime's shaders are right for part of what their operators promise only; the rules here and in the modules
beside are what was found in @paddlejs/paddlejs-core 2.2.0 and @paddlejs/paddlejs-backend-webgl 1.2.9:

- every size is fixed, every tensor has at most four dimensions and fits a texture of 4096 × 4096;
- the first operand of an elementwise operator has the shape of the result; the second is read through an axis
  (add, sub) or with its ones clamped (mul, div), never both;
- paddings are symmetric, average pooling leaves the border out, softmax knows the last axis and axis 1 of four;
- only a few activations exist, the others are spelt out in those.

The result consists of canonical operators, so the oracle computes it like any other graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from converter.errors import ConvertError
from converter.graph import Graph, Node, Shape, Value
from converter.ops import complete
from converter.ops.infer import infer

MAX_RANK = 4
MAX_SIDE = 4096
"""What every WebGL2 device allows for a texture's sides."""

Lower = Callable[["Lowering", Node], None]
LOWER: dict[str, Lower] = {}
"""Canonical type → how it is written for the original runtime; the modules paddlejs2_*.py fill it."""


class Refused(Exception):
    """Why one node cannot be written."""


def lowers(*types: str) -> Callable[[Lower], Lower]:
    """Register the lowering of these types."""
    def register(function: Lower) -> Lower:
        LOWER.update(dict.fromkeys(types, function))
        return function
    return register


class Lowering:
    """The new nodes of a graph, and what its nodes need to know of each other."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []
        self.where = ""

    def shape(self, name: str) -> tuple[int, ...]:
        """The fixed shape of a value."""
        shape = self.graph.values[name].shape
        if not all(isinstance(size, int) and size > 0 for size in shape):
            raise Refused(f"the size of '{name}', {list(shape)}, is not known before the run")
        return tuple(int(size) for size in shape)

    def data(self, name: str | None) -> np.ndarray | None:
        return self.graph.data_of(name)

    def constant(self, data: Any) -> str:
        """A new float32 weight."""
        return self.graph.constant(f"{self.where}.const", np.asarray(data, np.float32)).name

    def value(self, shape: Shape, suffix: str = "part") -> str:
        """A new value that a node will write."""
        return self.graph.add_value(Value(self.graph.fresh(f"{self.where}.{suffix}"), tuple(shape))).name

    def emit(self, type: str, inputs: dict[str, list[str]], shape: Shape, out: str | None = None, /,
             **attrs: Any) -> str:
        """Add a node of one result; without `out` a new value of that shape."""
        if out is None:
            out = self.value(shape, type)
        node = Node(type, inputs, {"Out": [out]}, attrs)
        complete(node)
        self.nodes.append(node)
        return out

    def one(self, type: str, x: str, out: str | None = None, /, **attrs: Any) -> str:
        """An operator whose result has the shape of its input."""
        return self.emit(type, {"X": [x]}, self.shape(x), out, **attrs)

    def scale(self, x: str, factor: float, shift: float = 0.0, out: str | None = None) -> str:
        return self.one("scale", x, out, scale=float(factor), bias=float(shift), bias_after_scale=True)

    def reshape(self, x: str, shape: Shape, out: str | None = None) -> str:
        """x itself where it has that shape already and no name is asked for."""
        if out is None and self.shape(x) == tuple(shape):
            return x
        return self.emit("reshape2", {"X": [x]}, shape, out, shape=list(shape))

    def transpose(self, x: str, axes: list[int], out: str | None = None) -> str:
        shape = self.shape(x)
        return self.emit("transpose2", {"X": [x]}, tuple(shape[axis] for axis in axes), out, axis=list(axes))


def run(graph: Graph) -> Graph:
    """Lower every node; raises one ConvertError that names all that cannot be."""
    infer(graph)
    lowering = Lowering(graph)
    faults = []
    for node in graph.nodes:
        lowering.where = node.out
        try:
            if any(graph.values[name].dtype != "float32" for name in node.input_names()):
                raise Refused("it computes with whole numbers or booleans, the original runtime with floats alone")
            function = LOWER.get(node.type)
            if function is None:
                raise Refused("the original runtime has no such operator, nor operators to spell it with")
            function(lowering, node)
        except Refused as refused:
            faults.append(f"{node.where}: {refused}")
    if faults:
        raise ConvertError(f"{len(faults)} operators cannot run in the original Paddle.js runtime:\n  "
                           + "\n  ".join(faults), hint="leave --target out: this project's own runtime takes the model")
    graph.nodes = lowering.nodes
    return graph


def frame(graph: Graph) -> Graph:
    """The two ends as that runtime expects them: an input [1,C,H,W] with one reader, outputs made by an operator.

    Raises ConvertError for what no package can say: several inputs, a batch, whole numbers.
    """
    if len(graph.inputs) != 1:
        raise ConvertError(f"the original Paddle.js runtime takes one input, the model has {graph.inputs}",
                           hint="leave --target out: this project's own runtime takes the model")
    name = graph.inputs[0]
    value = graph.values[name]
    shape = tuple(int(size) for size in value.shape)
    if value.dtype != "float32" or len(shape) > MAX_RANK or (len(shape) == MAX_RANK and shape[0] != 1):
        raise ConvertError(f"the original Paddle.js runtime takes one float picture [1, C, H, W], "
                           f"not {value.dtype}{list(shape)}", where=f"input {name}")
    lowering = Lowering(graph)
    lowering.where = name
    readers = [node for node in graph.nodes for other in node.input_names() if other == name]
    if len(shape) < MAX_RANK or len(readers) > 1:
        _replace_input(lowering, name, shape)
    written = graph.producers()
    for index, output in enumerate(graph.outputs):
        maker = written.get(output)
        if maker is None or len(maker.outputs["Out"]) > 1:
            lowering.where = output
            graph.outputs[index] = lowering.scale(output, 1.0)
            graph.nodes += lowering.nodes[-1:]
    return graph


def _replace_input(lowering: Lowering, name: str, shape: tuple[int, ...]) -> None:
    """Put a reshape, or a scale by one, between the input and its readers."""
    graph = lowering.graph
    full = (1,) * (MAX_RANK - len(shape)) + shape
    value = Value(graph.fresh(f"{name}.image"), full)
    graph.add_value(value)
    if full == shape:
        lowering.scale(value.name, 1.0, out=name)
    else:
        lowering.reshape(value.name, shape, out=name)
    graph.nodes[:0] = lowering.nodes
    lowering.nodes = []
    graph.inputs = [value.name]


def fix_inputs(graph: Graph, shapes: dict[str, tuple[int, ...]] | None = None) -> Graph:
    """Give every input a fixed shape: as asked for, else as the model declared it, with a batch of one.

    Raises ConvertError for a size that neither says.
    """
    declared = graph.meta.get("declared_shapes", {})
    for name in graph.inputs:
        value = graph.values[name]
        given = (shapes or {}).get(name)
        if given is not None and (len(given) != len(value.shape) or any(
                isinstance(size, int) and size != wanted for size, wanted in zip(value.shape, given, strict=True))):
            raise ConvertError(f"the shape {list(given)} does not fit {list(value.shape)}", where=f"input {name}")
        fixed = list(given or declared.get(name) or value.shape)
        if fixed and isinstance(fixed[0], str):
            fixed[0] = 1
        if any(isinstance(size, str) for size in fixed):
            raise ConvertError(f"a Paddle.js package has one fixed size, the model declares {list(value.shape)}",
                               where=f"input {name}", hint=f"say --input-shape {name}="
                               + ",".join(str(size) if isinstance(size, int) else "SIZE" for size in fixed))
        value.shape = tuple(fixed)
    infer(graph)
    return graph


def check(graph: Graph) -> Graph:
    """Refuse tensors that no texture holds, and operators that would never be reached."""
    faults = [f"{node.where}: it computes from weights alone, which that runtime never does" for node in graph.nodes
              if all(graph.values[name].is_constant for name in node.input_names())]
    for node in graph.nodes:
        for name in (*node.output_names(), *node.input_names()):
            value = graph.values[name]
            if len(value.shape) > MAX_RANK:
                faults.append(f"{node.where}: '{name}' has {len(value.shape)} dimensions, the most are {MAX_RANK}")
            elif not fits_texture(tuple(int(size) for size in value.shape)):
                faults.append(f"{node.where}: '{name}' {list(value.shape)} fits no texture of {MAX_SIDE} × {MAX_SIDE}")
    if faults:
        raise ConvertError("the original Paddle.js runtime cannot hold or reach all of this:\n  "
                           + "\n  ".join(dict.fromkeys(faults)),
                           hint="leave --target out: this project's own runtime takes the model")
    return graph


def fits_texture(shape: tuple[int, ...]) -> bool:
    """As that runtime lays tensors out: [N*H, C*W], else the sizes sorted and paired, else one side divided."""
    n, c, h, w = (1,) * (MAX_RANK - len(shape)) + shape
    if n * h <= MAX_SIDE and c * w <= MAX_SIDE:
        return True
    a, b, c, d = sorted((n, c, h, w))
    sides = (a * d, b * c)
    if max(sides) <= MAX_SIDE:
        return True
    small, large = sorted(sides)
    divisor = math.ceil(large / MAX_SIDE)
    while divisor < large and large % divisor:
        divisor += 1
    return small * divisor <= MAX_SIDE and -(-large // divisor) <= MAX_SIDE
