"""How pictures become inputs, put into the graph: it then takes the picture's bytes themselves.

Not in a pipeline: it needs the spec, and runs before the others so that they can tidy up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.errors import ConvertError
from converter.graph import Graph, Node, Value
from converter.ops import complete

INPUT = "picture"
_MIX = {"rgb": np.eye(3), "bgr": np.eye(3)[::-1], "gray": np.array([[0.299, 0.587, 0.114]])}
_RESIZE = {"linear": ("bilinear_interp_v2", {"align_mode": 0}), "nearest": ("nearest_interp_v2", {})}


def run(graph: Graph, spec: dict[str, Any]) -> Graph:
    """The input that takes the picture becomes `picture`, uint8 [N, height, width, 3] in the order RGB, of any size.

    spec: complete, see picture.preprocess. Raises ConvertError where a step depends on more than the picture's size can
    say in a graph: only stretching (or no resizing) by linear or nearest pixels can be baked.
    """
    name = spec["input"]
    if spec["resize"] != "stretch" or spec["crop"] or spec["interpolation"] not in _RESIZE:
        raise ConvertError(f"resize {spec['resize']!r} with interpolation {spec['interpolation']!r} cannot be baked",
                           where="preprocess", hint="only --resize stretch with linear or nearest can")
    if graph.values[name].dtype != "float32" or len(graph.values[name].shape) != 4:
        raise ConvertError("the picture's input is not float32 with four dimensions", where=name)
    mix = _MIX[spec["channels"]]
    std, mean = np.array(spec["std"]), np.array(spec["mean"])
    weight = (mix * (spec["scale"] / std)[:, None]).astype(np.float32)[..., None, None]
    graph.add_value(Value(graph.fresh(INPUT), (graph.values[name].shape[0], "?height", "?width", 3), "uint8"))
    picture = next(reversed(graph.values))
    steps: list[tuple[str, dict[str, Any]]]
    steps = [("cast", {"out_dtype": "float32"}), ("transpose2", {"axis": [0, 3, 1, 2]})]
    if spec["size"]:
        kind, mode = _RESIZE[spec["interpolation"]]
        height, width = spec["size"]
        steps.append((kind, {"out_h": height, "out_w": width, **mode}))
    steps.append(("conv2d", {}))
    if spec["layout"] == "nhwc":
        steps.append(("transpose2", {"axis": [0, 2, 3, 1]}))
    nodes, at = [], picture
    for i, (kind, attrs) in enumerate(steps):
        last = i == len(steps) - 1
        out = name if last else graph.add_value(Value(graph.fresh(f"{picture}.{kind}"))).name
        inputs = {"Input" if kind == "conv2d" else "X": [at]}
        if kind == "conv2d":
            inputs |= {"Filter": [graph.constant(f"{picture}.gain", weight).name],
                       "Bias": [graph.constant(f"{picture}.offset", (-mean / std).astype(np.float32)).name]}
        nodes.append(Node(kind, inputs, {"Out": [out]}, attrs))
        at = out
    for node in nodes:
        complete(node)
    graph.nodes = [*nodes, *graph.nodes]
    graph.inputs[graph.inputs.index(name)] = picture
    graph.meta.pop("preprocess", None)
    graph.meta.pop("feedShape", None)
    graph.meta["picture"] = picture
    return graph
