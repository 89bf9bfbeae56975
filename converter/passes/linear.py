"""What conv2d, conv2d_transpose and fc have in common: a linear map per output channel, then a bias."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from converter.graph import Graph, Node
from converter.passes.links import Links

EPILOGUE = ("fuse_activation", "fuse_alpha", "fuse_beta")
WEIGHT = {"conv2d": "Filter", "conv2d_transpose": "Filter", "fc": "W"}


def is_open(graph: Graph, node: Node | None) -> bool:
    """A linear node with constant weights whose result nothing changes yet."""
    if node is None or node.type not in WEIGHT or node.attrs["fuse_activation"] or node.inputs.get("ResidualData"):
        return False
    weight = graph.data_of(node.input(WEIGHT[node.type]))
    bias = node.input("Bias")
    known = bias is None or graph.data_of(bias) is not None
    return weight is not None and weight.dtype in (np.float32, np.float16) and known


def channels(graph: Graph, node: Node) -> int:
    """How many output channels the node has."""
    shape = graph.values[node.inputs[WEIGHT[node.type]][0]].shape
    if node.type == "fc":
        return int(shape[1])
    return int(shape[0]) if node.type == "conv2d" else int(shape[1]) * node.attrs["groups"]


def channel_axis(node: Node) -> tuple[int, int]:
    """Rank of the output, and which axis holds the channels."""
    if node.type == "fc":
        return node.attrs["in_num_col_dims"] + 1, node.attrs["in_num_col_dims"]
    return 4, 3 if node.attrs["data_format"] == "NHWC" else 1


def scaled(graph: Graph, node: Node, factor: np.ndarray) -> np.ndarray:
    """The weights with output channel c multiplied by factor[c], in float64."""
    w = graph.data_of(node.inputs[WEIGHT[node.type]][0]).astype(np.float64)
    if node.type == "fc":
        return w * factor
    if node.type == "conv2d":
        return w * factor[:, None, None, None]
    groups = node.attrs["groups"]           # filter [I, O/groups, kh, kw]
    split = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    return (split * factor.reshape(groups, 1, -1, 1, 1)).reshape(w.shape)


def apply_affine(links: Links, node: Node, factor: np.ndarray | None, shift: np.ndarray | None, base: str) -> None:
    """node's result becomes result * factor + shift, per channel; base names the new constants."""
    graph = links.graph
    bias = graph.data_of(node.input("Bias"))
    total = np.zeros(channels(graph, node)) if bias is None else bias.astype(np.float64).reshape(-1)
    slot = WEIGHT[node.type]
    with np.errstate(invalid="ignore"):     # infinite weights make NaN here as they do in Paddle
        if factor is not None:
            weight = single(scaled(graph, node, factor))
            links.set_input(node, slot, [links.constant(f"{node.inputs[slot][0]}.scaled", weight)])
            total = total * factor
        if shift is not None:
            total = total + shift
    if bias is not None or shift is not None:
        links.set_input(node, "Bias", [links.constant(f"{base}.bias", single(total))])


def single(data: np.ndarray) -> np.ndarray:
    """As float32; what is beyond it becomes an infinity, which verification sees."""
    with np.errstate(over="ignore"):
        return data.astype(np.float32)


Affine = tuple[np.ndarray | None, np.ndarray | None]
"""Factor and shift per channel, float64; None where there is none."""
Reader = Callable[[Graph, Node, Node], Affine | None]
"""What the second node does to each channel of the first one's result; None where it is nothing of the kind."""


def absorb(graph: Graph, *readers: Reader) -> Graph:
    """Take into every linear node what stands behind it, as long as a reader understands it."""
    links = Links(graph)
    for node in graph.nodes:
        while is_open(graph, node):
            follower = links.only_user(node.out)
            found = None if follower is None else next(
                (a for a in (read(graph, node, follower) for read in readers) if a is not None), None)
            if follower is None or found is None:
                break
            apply_affine(links, node, *found, base=follower.out)
            epilogue = {name: follower.attrs[name] for name in EPILOGUE if name in follower.attrs}
            links.take_output(node, follower)
            node.attrs.update(epilogue)
    return links.close()


def per_channel(graph: Graph, linear: Node, other: Node) -> tuple[np.ndarray, bool] | None:
    """The constant operand of an elementwise node after a linear one, as a float64 vector over the channels,
    and whether it is the second operand; None where it is not constant, or varies along another axis."""
    sides = {slot: graph.data_of(other.input(slot)) for slot in ("X", "Y")}
    slot = "Y" if other.input("X") == linear.out else "X"
    data = sides[slot]
    if data is None or data.dtype.kind != "f" or not np.isfinite(data).all():
        return None
    rank, axis = channel_axis(linear)
    if data.ndim > rank:
        return None
    start = other.attrs["axis"]
    start = rank - data.ndim if start == -1 or data.ndim == rank else start
    shape = list(data.shape)
    while len(shape) > 1 and shape[-1] == 1 and start + len(shape) > rank:
        shape.pop()
    shape = [1] * start + shape + [1] * (rank - start - len(shape))
    count = channels(graph, linear)
    others = [size for i, size in enumerate(shape) if i != axis]
    if len(shape) != rank or set(others) - {1} or shape[axis] not in (1, count):
        return None
    return np.broadcast_to(data.reshape(-1).astype(np.float64), (count,)), slot == "Y"
