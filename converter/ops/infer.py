"""Shapes and dtypes of everything a graph computes, and the elements of its small integer tensors.

infer() walks the nodes once. Sizes that depend on symbols get symbols of their own (see shapes.Sizes); the elements
of tensors that come from `shape` are followed through slices, casts, joins and arithmetic, so that the constant
folder can turn them into attributes.
"""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.graph import Dim, Graph, Node, Shape
from converter.ops import infer_more, infer_pictures, infer_sequence  # noqa: F401  (they add their rules)
from converter.ops.binary import COMPARISON, LOGICAL
from converter.ops.infer_detect import DTYPES
from converter.ops.infer_rules import RULES
from converter.ops.shapes import Sizes
from converter.ops.spec import REGISTRY
from converter.ops.unary import TO_BOOL

Contents = dict[str, list[Dim]]
"""Elements of integer tensors of rank 0 or 1, row-major: numbers, or the symbols that they are."""

MAX_ELEMENTS = 64
_BOOL = {*COMPARISON, *LOGICAL, *TO_BOOL, "reduce_all", "reduce_any"}
UNRANKED = "?rank "
"""The only "dimension" of a value whose rank shows at run time starts so; it equals no other."""


def infer(graph: Graph) -> Contents:
    """Set shape and dtype of every computed value; return what is known of small integer tensors.

    An operator without a rule, or a rank that only shows at run time, keeps the shape the program declares.
    Raises ConvertError where shapes contradict an operator.
    """
    sizes = Sizes()
    contents: Contents = {}
    for name in graph.inputs:
        value = graph.values[name]
        value.shape = tuple(f"{name}.{i}" if unknown(d) else d for i, d in enumerate(value.shape))
    for name, value in graph.values.items():
        data = value.data
        if data is not None and data.dtype.kind == "i" and data.ndim <= 1 and data.size <= MAX_ELEMENTS:
            contents[name] = [int(v) for v in data.reshape(-1)]
    for node in graph.nodes:
        infer_node(graph, node, sizes, contents)
    return contents


def unknown(size: Dim) -> bool:
    """Whether a declared size says nothing: negative, or one of the symbols that infer makes."""
    if isinstance(size, str):
        return size.startswith("?") and not size.startswith(UNRANKED)
    return size < 0


def infer_node(graph: Graph, node: Node, sizes: Sizes, contents: Contents) -> None:
    shapes = {slot: [graph.values[n].shape for n in names] for slot, names in node.inputs.items()}
    names = node.outputs.get("Out", [])
    results: list[Shape] = []
    ranked = not any(s and str(s[0]).startswith(UNRANKED) for group in shapes.values() for s in group)
    if node.type in RULES and ranked:
        try:
            results = RULES[node.type](sizes, node, shapes)
        except ConvertError as error:
            raise ConvertError(error.what, where=node.where) from error
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise ConvertError(f"the shapes {shapes} do not fit this operator: {error}", where=node.where) from error
    results = stated(graph, node, contents, results)
    for name, shape in zip(names, results, strict=False):
        graph.values[name].shape = tuple(shape)
    for i, name in enumerate(names):
        value = graph.values[name]
        if node.type in RULES and not results and not value.shape:
            value.shape = (f"{UNRANKED}{name}",)
        elif not results:                   # symbols of an earlier walk mean nothing in this one
            value.shape = tuple(sizes.symbol() if unknown(d) else d for d in value.shape)
        value.dtype = dtype_of(graph, node, value.dtype, i)
    if len(names) == 1:
        known = elements(graph, node, contents)
        if known is not None and len(known) <= MAX_ELEMENTS and len(graph.values[names[0]].shape) <= 1:
            contents[names[0]] = known


def stated(graph: Graph, node: Node, contents: Contents, results: list[Shape]) -> list[Shape]:
    """A shape that comes as a tensor, where its elements are known: sizes and symbols, no 0 or -1."""
    if len(results) != 1:
        return results
    if node.type in ("range", "linspace"):
        made = counted(node, contents)
        return results if made is None else [(len(made),)]
    if node.type in ("reshape2", "expand_v2", "fill_constant"):
        slots, start = ("Shape", "ShapeTensor", "expand_shapes_tensor", "ShapeTensorList"), 0
    elif node.type.endswith("_interp_v2"):
        slots = ("SizeTensor",) if node.inputs.get("SizeTensor") else ("OutSize",)
        start = 1 if node.attrs["data_layout"] == "NHWC" else 2
    elif node.type == "pool2d":
        slots, start = ("KsizeTensor",), 1 if node.attrs["data_format"] == "NHWC" else 2
    else:
        return results
    out = list(results[0])
    known = [contents.get(name) for slot in slots for name in node.inputs.get(slot, [])]
    elements = [element for part in known for element in part or [""]]
    if not known or start + len(elements) > len(out):
        return results
    for i, element in enumerate(elements, start):
        if isinstance(element, int) and element > 0 or isinstance(element, str) and element:
            out[i] = element
    return [tuple(out)]


def dtype_of(graph: Graph, node: Node, declared: str, output: int = 0) -> str:
    """The dtype of an output of the operator."""
    if node.type in ("top_k_v2", "argsort") and output == 1:
        return "int64"
    if node.type == "distribute_fpn_proposals":
        return "float32" if 1 <= output <= len(node.outputs["Out"]) // 2 else "int32"
    if node.type in DTYPES:
        return DTYPES[node.type][output]
    if node.blocks:
        body, first = node.blocks[0], 1 if node.type == "while" else 0
        source = body.values[body.outputs[first + output]].dtype
        return "float32" if source == "float16" else source
    if node.type == "where" or (node.type == "unique" and output == 0):
        return dtype_of_input(graph, node, "X")
    if node.type in _BOOL:
        return "bool"
    for attr in ("out_dtype", "dtype"):
        if attr in node.attrs:
            return node.attrs[attr]
    declaring = REGISTRY[node.type].inputs if node.type in REGISTRY else {}
    slot = next((slot for slot in declaring if node.inputs.get(slot)), None)    # programs list slots in any order
    if node.type not in RULES or slot is None:
        return declared
    source = dtype_of_input(graph, node, slot)
    return "int64" if node.type == "reduce_sum" and source in ("int32", "bool") else source


def dtype_of_input(graph: Graph, node: Node, slot: str) -> str:
    """The dtype in which the operator sees an input: float16 weights are widened."""
    source = graph.values[node.inputs[slot][0]].dtype
    return "float32" if source == "float16" else source


def elements(graph: Graph, node: Node, contents: Contents) -> list[Dim] | None:
    """What is known of an integer tensor's elements, None where nothing is."""
    if node.type == "shape":
        return list(graph.values[node.inputs["Input"][0]].shape)
    given = [contents.get(name) for name in node.input_names()]
    if not given or any(g is None for g in given) or graph.values[node.out].dtype not in ("int32", "int64"):
        return None
    known = [g for g in given if g is not None]
    if node.type in ("cast", "assign", "reshape2", "squeeze2", "unsqueeze2", "flatten_contiguous_range"):
        return known[0] if len(known) == 1 else None
    if node.type in ("concat", "stack"):
        return [element for part in known for element in part]
    if node.type in ("slice", "strided_slice") and len(known) == 1:
        a = node.attrs
        return known[0][a["starts"][0]:a["ends"][0]:(a.get("strides") or [1])[0]]
    if node.type == "range":
        made = counted(node, contents)
        return list(made) if made is not None and len(made) <= MAX_ELEMENTS else None
    if node.type == "gather" and all(isinstance(i, int) for i in known[1]):
        return [known[0][int(i)] for i in known[1]]
    return arithmetic(node, known)


def counted(node: Node, contents: Contents) -> range | None:
    """The elements of a range of known whole numbers; of linspace, as many numbers as it has."""
    slots = ("Start", "End", "Step") if node.type == "range" else ("Num",)
    given = [contents.get(node.inputs[slot][0]) or [""] for slot in slots]
    if not all(len(part) == 1 and isinstance(part[0], int) for part in given):
        return None
    found = [int(part[0]) for part in given]
    return range(*found) if found[-1] != 0 else None


def arithmetic(node: Node, known: list[list[Dim]]) -> list[Dim] | None:
    """Elementwise operators and scale over whole numbers; an element with a symbol in it is unknown."""
    functions = {"elementwise_add": np.add, "elementwise_sub": np.subtract, "elementwise_mul": np.multiply,
                 "elementwise_floordiv": np.floor_divide}
    if node.attrs.get("fuse_activation") or not all(isinstance(e, int) for part in known for e in part):
        return None
    if node.type == "scale" and node.attrs["scale"] == int(node.attrs["scale"]):
        scale, bias = int(node.attrs["scale"]), int(node.attrs["bias"])
        if bias == node.attrs["bias"] and node.attrs["bias_after_scale"]:
            return [int(e) * scale + bias for e in known[0]]
    if node.type in functions and len(known) == 2 and not (node.type.endswith("div") and 0 in known[1]):
        return [int(v) for v in np.atleast_1d(functions[node.type](np.array(known[0]), np.array(known[1])))]
    return None
