"""Output shapes of recurrent layers and of the operators that sort, pick and scatter."""

from __future__ import annotations

from converter.ops.infer_pictures import join_layout, split_layout
from converter.ops.infer_rules import rule
from converter.ops.recurrent import GATES, check, states_of
from converter.ops.shapes import axis_of


@rule("rnn")
def rnn(sizes, node, shapes):
    a, (steps, batch, width) = node.attrs, shapes["Input"][0]
    check(a["mode"], len(shapes["WeightList"]), a["num_layers"], a["is_bidirec"])
    directions, hidden, rows = 2 if a["is_bidirec"] else 1, a["hidden_size"], GATES[a["mode"]] * a["hidden_size"]
    half = len(shapes["WeightList"]) // 2
    for i, shape in enumerate(shapes["WeightList"]):
        layer = i // 2 // directions
        columns = hidden if i % 2 else width if layer == 0 else hidden * directions
        wanted = (rows, columns) if i < half else (rows,)
        if shape != wanted and not any(isinstance(size, str) for size in (*shape, *wanted)):
            raise ValueError(f"weight {i} has shape {list(shape)}, not {list(wanted)}")
    state = (a["num_layers"] * directions, batch, hidden)
    return [(steps, batch, directions * hidden), *[state] * states_of(a["mode"])]


@rule("lookup_table_v2")
def lookup(sizes, node, shapes):
    return [(*shapes["Ids"][0], shapes["W"][0][1])]


@rule("gather_nd")
def gather_nd(sizes, node, shapes):
    index = shapes["Index"][0]
    if isinstance(index[-1], str):
        return []
    return [(*index[:-1], *shapes["X"][0][index[-1]:])]


@rule("take_along_axis")
def take(sizes, node, shapes):
    return [shapes["Index"][0]]


@rule("put_along_axis")
def put(sizes, node, shapes):
    return [shapes["Input"][0]]


@rule("scatter", "scatter_nd_add", "tril_triu", "cumprod")
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


@rule("set_value")
def set_value(sizes, node, shapes):
    return [shapes["Input"][0]]


@rule("meshgrid")
def meshgrid(sizes, node, shapes):
    return [tuple(sizes.product(list(shape)) for shape in shapes["X"])] * len(shapes["X"])


@rule("pixel_unshuffle")
def pixel_unshuffle(sizes, node, shapes):
    r, layout = node.attrs["downscale_factor"], node.attrs["data_format"]
    batch, channels, picture = split_layout(shapes["X"][0], layout)
    return [join_layout(batch, sizes.product([channels, r * r]), [sizes.quotient([d], [r]) for d in picture], layout)]


@rule("grid_sampler")
def grid_sampler(sizes, node, shapes):
    x, grid = shapes["X"][0], shapes["Grid"][0]
    if len(x) != 4 or len(grid) != 4:
        raise ValueError("only 4-D tensors can be sampled")
    return [(x[0], x[1], grid[1], grid[2])]


@rule("range", "linspace")
def counted(sizes, node, shapes):
    return [(sizes.symbol(),)]              # infer states it where the numbers are known
