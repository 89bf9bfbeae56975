"""Tensor inputs that stand for attributes become attributes where their elements are known."""

from __future__ import annotations

from converter.graph import Dim, Graph, Node
from converter.ops.infer import Contents


def listed(node: Node, tensor: str, parts: str, contents: Contents) -> list[Dim | None] | None:
    """The elements of one tensor, or of one tensor per element; None where their number is unknown."""
    if node.inputs.get(tensor):
        known = contents.get(node.inputs[tensor][0])
        return None if known is None else list(known)
    if not node.inputs.get(parts):
        return None
    found: list[Dim | None] = []
    for name in node.inputs[parts]:
        known = contents.get(name)
        found.append(known[0] if known is not None and len(known) == 1 else None)
    return found


def whole(values: list[Dim | None] | None) -> list[int] | None:
    """The list, when every element is a number."""
    if values is None or any(not isinstance(v, int) for v in values):
        return None
    return [int(v) for v in values if isinstance(v, int)]


def drop(node: Node, *slots: str) -> None:
    for slot in slots:
        node.inputs.pop(slot, None)


def reshape(graph: Graph, node: Node, contents: Contents) -> None:
    """A symbol that is the same dimension of X is a 0; one further unknown is the -1."""
    wanted = listed(node, "Shape", "ShapeTensor", contents)
    if wanted is None:
        return
    x, shape = graph.values[node.inputs["X"][0]].shape, []
    for i, size in enumerate(wanted):
        if isinstance(size, int):
            shape.append(size)
        elif size is not None and i < len(x) and x[i] == size:
            shape.append(0)
        else:
            shape.append(-1)
    if shape.count(-1) <= 1:
        node.attrs["shape"] = shape
        drop(node, "Shape", "ShapeTensor")


def expand(graph: Graph, node: Node, contents: Contents) -> None:
    wanted = listed(node, "Shape", "expand_shapes_tensor", contents)
    if wanted is None:
        return
    x = graph.values[node.inputs["X"][0]].shape
    x = (1,) * (len(wanted) - len(x)) + x
    shape = whole([-1 if isinstance(size, str) and size == have else size
                   for size, have in zip(wanted, x, strict=True)])
    if shape is not None:
        node.attrs["shape"] = shape
        drop(node, "Shape", "expand_shapes_tensor")


def tile(graph: Graph, node: Node, contents: Contents) -> None:
    times = whole(listed(node, "RepeatTimes", "repeat_times_tensor", contents))
    if times is not None:
        node.attrs["repeat_times"] = times
        drop(node, "RepeatTimes", "repeat_times_tensor")


def cut(graph: Graph, node: Node, contents: Contents) -> None:
    for bound, title in (("starts", "Starts"), ("ends", "Ends"), ("strides", "Strides")):
        values = whole(listed(node, f"{title}Tensor", f"{title}TensorList", contents))
        if values is not None:
            node.attrs[bound] = values
            drop(node, f"{title}Tensor", f"{title}TensorList")


def fill(graph: Graph, node: Node, contents: Contents) -> None:
    shape = whole(listed(node, "ShapeTensor", "ShapeTensorList", contents))
    if shape is not None:
        node.attrs["shape"] = shape
        drop(node, "ShapeTensor", "ShapeTensorList")


def resize(graph: Graph, node: Node, contents: Contents) -> None:
    """SizeTensor sets the sizes alone; OutSize does so where no scale sets the step."""
    scale = graph.data_of(node.input("Scale"))
    if scale is not None:
        node.attrs["scale"] = [float(v) for v in scale.reshape(-1)]
        drop(node, "Scale")
    parts = node.inputs.get("SizeTensor")
    scaled = bool(node.inputs.get("Scale")) or any(s > 0 for s in node.attrs["scale"])
    if not parts and (scaled or not node.inputs.get("OutSize")):
        return
    size = whole(listed(node, "" if parts else "OutSize", "SizeTensor", contents))
    if size is not None:
        node.attrs.update(out_h=size[0], out_w=size[1], scale=[])
        drop(node, "OutSize", "SizeTensor", "Scale")


def pool(graph: Graph, node: Node, contents: Contents) -> None:
    size = whole(listed(node, "KsizeTensor", "", contents))
    if size is not None:
        node.attrs["ksize"] = size
        drop(node, "KsizeTensor")


HANDLERS = {"reshape2": reshape, "expand_v2": expand, "tile": tile, "slice": cut, "strided_slice": cut,
            "fill_constant": fill, "nearest_interp_v2": resize, "bilinear_interp_v2": resize,
            "bicubic_interp_v2": resize, "pool2d": pool}


def to_attributes(graph: Graph, node: Node, contents: Contents) -> bool:
    """Replace the inputs of one node where everything about them is known; whether any was."""
    handler, before = HANDLERS.get(node.type), len(node.inputs)
    if handler is not None and before > (0 if node.type == "fill_constant" else 1):
        handler(graph, node, contents)
    return len(node.inputs) < before
