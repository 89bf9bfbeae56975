"""Output shapes of recurrent layers and of the operators that sort, pick and scatter."""

from __future__ import annotations

from converter.graph import Shape
from converter.ops.infer_pictures import join_layout, split_layout
from converter.ops.infer_rules import rule
from converter.ops.recurrent import GATES, check, states_of
from converter.ops.shapes import axis_of


def agree(found: Shape, wanted: Shape, what: str) -> None:
    """ValueError where known sizes differ; open ones may turn out right."""
    known = all(a == b or isinstance(a, str) or isinstance(b, str) for a, b in zip(found, wanted, strict=False))
    if len(found) != len(wanted) or not known:
        raise ValueError(f"{what} has shape {list(found)}, not {list(wanted)}")


@rule("rnn")
def rnn(sizes, node, shapes):
    a, (steps, batch, width) = node.attrs, shapes["Input"][0]
    check(a["mode"], len(shapes["WeightList"]), a["num_layers"], a["is_bidirec"])
    directions, hidden, rows = 2 if a["is_bidirec"] else 1, a["hidden_size"], GATES[a["mode"]] * a["hidden_size"]
    half = len(shapes["WeightList"]) // 2
    for i, shape in enumerate(shapes["WeightList"]):
        layer = i // 2 // directions
        columns = hidden if i % 2 else width if layer == 0 else hidden * directions
        agree(shape, (rows, columns) if i < half else (rows,), f"weight {i}")
    state = (a["num_layers"] * directions, batch, hidden)
    for shape in shapes["PreState"]:
        agree(shape, state, "an initial state")
    return [(steps, batch, directions * hidden), *[state] * states_of(a["mode"])]


@rule("lookup_table_v2")
def lookup(sizes, node, shapes):
    return [(*shapes["Ids"][0], shapes["W"][0][1])]


@rule("gather_nd")
def gather_nd(sizes, node, shapes):
    index = shapes["Index"][0]
    if isinstance(index[-1], str):
        return []
    if not 1 <= index[-1] <= len(shapes["X"][0]):
        raise ValueError(f"indices of {index[-1]} into a tensor of rank {len(shapes['X'][0])}")
    return [(*index[:-1], *shapes["X"][0][index[-1]:])]


@rule("take_along_axis", "put_along_axis")
def along_axis(sizes, node, shapes):
    x, index = shapes["Input"][0], shapes["Index"][0]
    axis = axis_of(node.attrs["Axis"], len(x))
    pairs = [*zip(index, x, strict=True)]
    if any(isinstance(i, int) and isinstance(n, int) and i > n for i, n in pairs[:axis] + pairs[axis + 1:]):
        raise ValueError(f"the index {list(index)} reaches beyond {list(x)}")
    if node.type == "take_along_axis":
        return [index]
    agree(shapes["Value"][0], index, "Value")
    return [x]


@rule("scatter")
def scatter(sizes, node, shapes):
    x, ids = shapes["X"][0], shapes["Ids"][0]
    agree(shapes["Updates"][0], (sizes.product(list(ids)), *x[1:]), "Updates")
    return [x]


@rule("scatter_nd_add")
def scatter_nd_add(sizes, node, shapes):
    picked = gather_nd(sizes, node, shapes)
    if picked:
        agree(shapes["Updates"][0], picked[0], "Updates")
    return [shapes["X"][0]]


@rule("tril_triu", "cumprod")
def unchanged(sizes, node, shapes):
    return [shapes["X"][0]]


@rule("cumsum")
def cumsum(sizes, node, shapes):
    x = shapes["X"][0]
    return [(sizes.product(list(x)),)] if node.attrs["flatten"] else [x]


@rule("one_hot_v2")
def one_hot(sizes, node, shapes):
    return [(*shapes["X"][0], node.attrs["depth"])]


@rule("where")
def where(sizes, node, shapes):
    given = [shapes[slot][0] for slot in ("Condition", "X", "Y")]
    rank = max(map(len, given))
    out = []
    for c, x, y in zip(*((1,) * (rank - len(shape)) + shape for shape in given), strict=True):
        out.append(sizes.broadcast(sizes.broadcast(c, x), y))
    return [tuple(out)]


@rule("argsort")
def argsort(sizes, node, shapes):
    return [shapes["X"][0]] * 2


@rule("top_k_v2")
def top_k(sizes, node, shapes):
    x, out = shapes["X"][0], list(shapes["X"][0])
    out[axis_of(node.attrs["axis"], len(x))] = sizes.symbol() if shapes.get("K") else node.attrs["k"]
    return [tuple(out)] * 2


@rule("flip", "roll", "channel_shuffle", "temporal_shift")
def moved(sizes, node, shapes):
    return [shapes["X"][0]]


@rule("pad")
def pad(sizes, node, shapes):
    x, given = shapes["X"][0], node.attrs["paddings"]
    if len(given) != 2 * len(x):
        raise ValueError(f"paddings {given} do not fit a tensor of rank {len(x)}")
    return [tuple(sizes.add([size, given[2 * i], given[2 * i + 1]]) for i, size in enumerate(x))]


@rule("repeat_interleave")
def repeat_interleave(sizes, node, shapes):
    x, axis = shapes["X"][0], axis_of(node.attrs["dim"], len(shapes["X"][0]))
    return [(*x[:axis], sizes.product([x[axis], node.attrs["repeats"]]), *x[axis + 1:])]


@rule("set_value")
def set_value(sizes, node, shapes):
    x, a, value = shapes["Input"][0], node.attrs, shapes["ValueTensor"][0]
    drop = {axis_of(axis, len(x)) for axis in a["decrease_axes"]}
    if not len(a["axes"]) == len(a["starts"]) == len(a["ends"]):
        return [x]                          # bounds come as tensors
    bounds = zip(a["starts"], a["ends"], a["steps"] or [1] * len(a["axes"]), strict=True)
    cut = dict(zip((axis_of(axis, len(x)) for axis in a["axes"]), bounds, strict=True))
    part = [len(range(*slice(*cut[i]).indices(size))) if i in cut and isinstance(size, int) else size
            for i, size in enumerate(x) if i not in drop]
    for have, room in zip(value[::-1], part[::-1], strict=False):
        if isinstance(have, int) and isinstance(room, int) and have not in (1, room):
            raise ValueError(f"a value of shape {list(value)} does not fit into {part}")
    return [x]


@rule("meshgrid")
def meshgrid(sizes, node, shapes):
    return [tuple(sizes.product(list(shape)) for shape in shapes["X"])] * len(shapes["X"])


@rule("pixel_unshuffle")
def pixel_unshuffle(sizes, node, shapes):
    r, layout = node.attrs["downscale_factor"], node.attrs["data_format"]
    batch, channels, picture = split_layout(shapes["X"][0], layout)
    if any(isinstance(size, int) and size % r for size in picture):
        raise ValueError(f"{picture} cannot be cut into blocks of {r} x {r}")
    return [join_layout(batch, sizes.product([channels, r * r]), [sizes.quotient([d], [r]) for d in picture], layout)]


@rule("grid_sampler")
def grid_sampler(sizes, node, shapes):
    x, grid = shapes["X"][0], shapes["Grid"][0]
    if len(x) != 4 or len(grid) != 4:
        raise ValueError("only 4-D tensors can be sampled")
    agree(grid, (x[0], grid[1], grid[2], 2), "Grid")
    return [(x[0], x[1], grid[1], grid[2])]


@rule("deformable_columns")
def deformable_columns(sizes, node, shapes):
    (batch, channels, *_), offset, a = shapes["Input"][0], shapes["Offset"][0], node.attrs
    taps = a["kernel"][0] * a["kernel"][1]
    picture = [sizes.window(size, a["dilations"][i] * (a["kernel"][i] - 1) + 1, a["strides"][i],
                            (a["paddings"][i], a["paddings"][i]), "EXPLICIT")
               for i, size in enumerate(shapes["Input"][0][2:])]
    agree(offset, (batch, 2 * taps * a["deformable_groups"], *picture), "Offset")
    return [(batch, sizes.product([channels, taps]), *picture)]


@rule("range", "linspace")
def counted(sizes, node, shapes):
    return [(sizes.symbol(),)]              # infer states it where the numbers are known
