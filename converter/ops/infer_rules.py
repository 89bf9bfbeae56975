"""Output shapes per operator, symbols included: rule(sizes, node, shapes of the inputs by slot) → shapes of Out."""

from __future__ import annotations

from collections.abc import Callable

from converter.graph import Dim, Node, Shape
from converter.ops.binary import ARITHMETIC, BITWISE, COMPARISON, LOGICAL
from converter.ops.layout import reshape_dims, section_sizes
from converter.ops.reduce import REDUCTIONS, reduced_axes
from converter.ops.shapes import Sizes, axis_of
from converter.ops.unary import UNARY

Slots = dict[str, list[Shape]]
Rule = Callable[[Sizes, Node, Slots], list[Shape]]
RULES: dict[str, Rule] = {}


def rule(*types: str) -> Callable[[Rule], Rule]:
    def register(body: Rule) -> Rule:
        RULES.update(dict.fromkeys(types, body))
        return body
    return register


@rule(*UNARY, "prelu", "scale", "assign", "softmax", "log_softmax", "batch_norm", "instance_norm", "group_norm",
      "cast")
def same(sizes, node, shapes):
    return [shapes["X"][0]]


@rule("layer_norm")
def layer_norm(sizes, node, shapes):
    x = shapes["X"][0]
    size = sizes.product(list(x[node.attrs["begin_norm_axis"]:]))
    for slot in ("Scale", "Bias"):
        if isinstance(size, int) and shapes.get(slot) and shapes[slot][0] != (size,):
            raise ValueError(f"{slot} has shape {list(shapes[slot][0])}, not [{size}]")
    return [x]


@rule(*ARITHMETIC, *COMPARISON, *LOGICAL, *BITWISE)
def binary(sizes, node, shapes):
    x, y = shapes["X"][0], shapes["Y"][0]
    if len(x) < len(y):
        x, y = y, x
    axis = node.attrs.get("axis", -1)
    axis = len(x) - len(y) if axis == -1 or len(x) == len(y) else axis_of(axis, len(x))
    while len(y) > 1 and y[-1] == 1 and axis + len(y) > len(x):
        y = y[:-1]
    y = (1,) * axis + y + (1,) * (len(x) - axis - len(y))
    return [tuple(sizes.broadcast(a, b) for a, b in zip(x, y, strict=True))]


@rule("fc")
def fc(sizes, node, shapes):
    depth, rows = sizes.product(list(shapes["Input"][0][node.attrs["in_num_col_dims"]:])), shapes["W"][0][0]
    if isinstance(depth, int) and depth != rows:
        raise ValueError(f"{depth} values per row against {rows} rows of weights")
    return [(*shapes["Input"][0][:node.attrs["in_num_col_dims"]], shapes["W"][0][1])]


@rule("matmul_v2")
def matmul(sizes, node, shapes):
    x, y = shapes["X"][0], shapes["Y"][0]
    x = (*x[:-2], x[-1], x[-2]) if node.attrs["trans_x"] and len(x) > 1 else x
    y = (*y[:-2], y[-1], y[-2]) if node.attrs["trans_y"] and len(y) > 1 else y
    inner = (x[-1], y[-2] if len(y) > 1 else y[-1])
    if inner[0] != inner[1] and all(isinstance(d, int) for d in inner):
        raise ValueError(f"inner sizes {inner[0]} and {inner[1]} differ")
    rank = max(len(x), len(y), 2) - 2
    batch = [sizes.broadcast(a, b) for a, b in zip((1,) * (rank - len(x[:-2])) + x[:-2],
                                                   (1,) * (rank - len(y[:-2])) + y[:-2], strict=True)]
    return [(*batch, *(x[-2:-1]), *(y[-1:] if len(y) > 1 else ()))]


@rule("concat")
def concat(sizes, node, shapes):
    all_shapes = shapes["X"]
    axis = axis_of(node.attrs["axis"], len(all_shapes[0]))
    for i, dims in enumerate(zip(*all_shapes, strict=True)):
        if i != axis and len({d for d in dims if isinstance(d, int)}) > 1:
            raise ValueError(f"sizes {list(dims)} differ along axis {i}")
    out = [next((d for d in dims if isinstance(d, int)), dims[0]) for dims in zip(*all_shapes, strict=True)]
    out[axis] = sizes.add([shape[axis] for shape in all_shapes])
    return [tuple(out)]


@rule("stack")
def stack(sizes, node, shapes):
    first = shapes["X"][0]
    axis = axis_of(node.attrs["axis"], len(first) + 1)
    return [(*first[:axis], len(shapes["X"]), *first[axis:])]


@rule("split")
def split(sizes, node, shapes):
    x = shapes["X"][0]
    axis = axis_of(node.attrs["axis"], len(x))
    size, sections, num = x[axis], node.attrs["sections"], node.attrs["num"]
    if isinstance(size, int):
        parts: list[Dim] = list(section_sizes(size, num, sections))
    elif sections:
        parts = [s if s >= 0 else sizes.symbol() for s in sections]
    else:
        parts = [sizes.quotient([size], [num])] * num
    return [(*x[:axis], part, *x[axis + 1:]) for part in parts]


def computed(sizes: Sizes, shapes: Slots, tensor: str, parts: str) -> list[Shape]:
    """The shape is itself computed: its rank is the length of one tensor, or how many tensors there are."""
    count = shapes[tensor][0][0] if shapes.get(tensor) else len(shapes[parts])
    return [tuple(sizes.symbol() for _ in range(count))] if isinstance(count, int) else []


@rule("reshape2")
def reshape(sizes, node, shapes):
    x, want = shapes["X"][0], list(node.attrs["shape"])
    if shapes.get("Shape") or shapes.get("ShapeTensor"):
        return computed(sizes, shapes, "Shape", "ShapeTensor")
    out: list[Dim] = [x[i] if s == 0 and i < len(x) else s for i, s in enumerate(want)]
    if not any(isinstance(d, str) for d in x):
        return [tuple(reshape_dims(x, want))]
    if -1 in out:
        out[out.index(-1)] = sizes.quotient(list(x), [s for s in out if s != -1])
    return [tuple(out)]


@rule("transpose2")
def transpose(sizes, node, shapes):
    return [tuple(shapes["X"][0][a] for a in node.attrs["axis"])]


@rule("squeeze2")
def squeeze(sizes, node, shapes):
    x = shapes["X"][0]
    drop = {axis_of(a, len(x)) for a in node.attrs["axes"]} or set(range(len(x)))
    if any(isinstance(x[a], str) for a in drop):
        return []                           # whether such a dimension is one shows at run time
    return [tuple(d for i, d in enumerate(x) if not (i in drop and d == 1))]


@rule("unsqueeze2")
def unsqueeze(sizes, node, shapes):
    out = list(shapes["X"][0])
    for axis in node.attrs["axes"]:
        out.insert(axis_of(axis, len(out) + 1), 1)
    return [tuple(out)]


@rule("flatten2")
def flatten2(sizes, node, shapes):
    x, axis = shapes["X"][0], node.attrs["axis"]
    return [(sizes.product(list(x[:axis])), sizes.product(list(x[axis:])))]


@rule("flatten_contiguous_range")
def flatten_range(sizes, node, shapes):
    x = shapes["X"][0]
    if not x:
        return [(1,)]
    start, stop = axis_of(node.attrs["start_axis"], len(x)), axis_of(node.attrs["stop_axis"], len(x))
    return [(*x[:start], sizes.product(list(x[start:stop + 1])), *x[stop + 1:])]


@rule("expand_v2")
def expand(sizes, node, shapes):
    x, want = shapes["X"][0], node.attrs["shape"]
    if shapes.get("Shape") or shapes.get("expand_shapes_tensor"):
        return computed(sizes, shapes, "Shape", "expand_shapes_tensor")
    x = (1,) * (len(want) - len(x)) + x
    return [tuple(d if s == -1 else s for d, s in zip(x, want, strict=True))]


@rule("tile")
def tile(sizes, node, shapes):
    x, times = shapes["X"][0], list(node.attrs["repeat_times"])
    if shapes.get("RepeatTimes") or shapes.get("repeat_times_tensor"):
        return []
    rank = max(len(x), len(times))
    x, times = (1,) * (rank - len(x)) + x, [1] * (rank - len(times)) + times
    return [tuple(sizes.product([d, t]) for d, t in zip(x, times, strict=True))]


@rule("slice", "strided_slice")
def cut(sizes, node, shapes):
    x, a = list(shapes["Input"][0]), node.attrs
    fixed = not any(slot != "Input" and given for slot, given in node.inputs.items())
    steps = a.get("strides") or [1] * len(a["axes"])
    for i, axis in enumerate(a["axes"]):
        axis = axis_of(axis, len(x))
        if fixed and isinstance(x[axis], int):
            x[axis] = len(range(*slice(a["starts"][i], a["ends"][i], steps[i]).indices(x[axis])))
        elif not (fixed and a["starts"][i] == 0 and a["ends"][i] >= 2**31 - 1 and steps[i] == 1):
            x[axis] = sizes.symbol()
    drop = {axis_of(axis, len(x)) for axis in a["decrease_axis"]}
    return [tuple(d for i, d in enumerate(x) if i not in drop)]


@rule(*REDUCTIONS)
def reduce(sizes, node, shapes):
    x = shapes["X"][0]
    axes = reduced_axes(node.attrs["dim"], node.attrs["reduce_all"], len(x))
    if node.attrs["keep_dim"]:
        return [tuple(1 if i in axes else d for i, d in enumerate(x))]
    return [tuple(d for i, d in enumerate(x) if i not in axes)]


@rule("arg_max", "arg_min")
def arg(sizes, node, shapes):
    x, keep = shapes["X"][0], node.attrs["keepdims"]
    if node.attrs["flatten"]:
        return [(1,) * len(x) if keep else ()]
    axis = axis_of(node.attrs["axis"], len(x))
    return [(*x[:axis], *((1,) if keep else ()), *x[axis + 1:])]


@rule("gather")
def gather(sizes, node, shapes):
    x, index = shapes["X"][0], shapes["Index"][0]
    axis = axis_of(node.attrs["axis"], len(x))
    return [(*x[:axis], *(index[:1] if len(index) == 2 else index), *x[axis + 1:])]


@rule("shape")
def shape(sizes, node, shapes):
    return [(len(shapes["Input"][0]),)]


@rule("fill_constant", "assign_value")
def fill(sizes, node, shapes):
    if shapes.get("ShapeTensor") or shapes.get("ShapeTensorList"):
        return computed(sizes, shapes, "ShapeTensor", "ShapeTensorList")
    return [tuple(node.attrs["shape"])]


@rule("fill_constant_batch_size_like")
def fill_like(sizes, node, shapes):
    out = list(node.attrs["shape"])
    out[node.attrs["output_dim_idx"]] = shapes["Input"][0][node.attrs["input_dim_idx"]]
    return [tuple(out)]
