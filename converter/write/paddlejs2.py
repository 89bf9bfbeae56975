"""Graph -> a package that the original Paddle.js 2.x runtime loads (@paddlejs/paddlejs-core 2.2.0 with backend-webgl).

The graph must be lowered for it (passes/paddlejs2.py). What that runtime needs of the files:
vars as an object in the order of the weights, no name that JavaScript would sort first or that the runtime gives a
meaning of its own; one feed `image`, one fetch, several outputs joined by `connect` and told apart by multiOutputs;
attributes spelt out wherever it has no default, or another one than Paddle's.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import ConvertError
from converter.graph import Graph, Node

CHUNK_BYTES = 4 * 1024 * 1024
IMAGE, JOINED = "image", "connect_result"
_RESERVED = {IMAGE, JOINED, "feed", "fetch", "fetch_pack", "img_origin", "img_pre_processed", "__proto__"}
# Integer-like names are moved to the front by JavaScript; the runtime strips _packed and looks for …_image.
_AWKWARD = re.compile(r"\d+$|.*_packed$|.*_image$|$", re.S)
_MAX_OUTPUTS = 15
_JOINED_WIDTH = 1024


def write(graph: Graph, folder: Path, version: str = "") -> dict[str, int]:
    """Write into an existing, empty folder; returns {"weight_bytes", "json_bytes", "chunks", "float16_weights"}."""
    if len(graph.outputs) > _MAX_OUTPUTS:
        raise ConvertError(f"the model has {len(graph.outputs)} outputs, the original Paddle.js runtime joins at most "
                           f"{_MAX_OUTPUTS}")
    names = _names(graph)
    weights = {names[name]: value.data for name, value in graph.values.items() if value.data is not None}
    payload = b"".join(np.ascontiguousarray(weights[name], "<f4").tobytes() for name in sorted(weights))
    starts = range(0, max(len(payload), 1), CHUNK_BYTES)
    for number, start in enumerate(starts, 1):
        (folder / f"chunk_{number}.dat").write_bytes(payload[start:start + CHUNK_BYTES])
    document = _document(graph, names, len(starts), version)
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    (folder / "model.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    return {"weight_bytes": len(payload), "json_bytes": len(text.encode("utf-8", "surrogatepass")),
            "chunks": len(starts), "float16_weights": 0}


def runner_note(spec: dict[str, Any]) -> str:
    """How a page tells the original Runner what the model's own preprocessing is; the package has no place for it.

    spec: the bundle's, y = (x * scale - mean) / std. The Runner computes (x / 255 - mean) / std.
    """
    unit = 255 * float(spec["scale"])
    options: dict[str, Any] = {"mean": [round(float(mean) / unit, 9) for mean in spec["mean"]],
                               "std": [round(float(std) / unit, 9) for std in spec["std"]]}
    if spec["channels"] == "bgr":
        options["bgr"] = True
    if spec["resize"] == "stretch":
        options["keepRatio"] = False
    elif spec["resize"] == "short" and spec.get("size"):
        options["scale"] = min(spec["size"])
    if spec["channels"] == "gray" or spec["layout"] != "nchw" or spec["resize"] in ("fit", "limit"):
        return "the original Runner cannot prepare this model's pictures: do so in the page, for predictWithFeed()"
    return f"the package carries no preprocessing: new Runner({{modelPath, ...{json.dumps(options)}}}) does the same"


def _names(graph: Graph) -> dict[str, str]:
    """Graph name → name in the package, the same wherever that is possible."""
    names = {graph.inputs[0]: IMAGE}
    taken = {name for name in graph.values if not _awkward(name)} | _RESERVED
    for name in graph.values:
        if name in names:
            continue
        new, count = name, 0
        while _awkward(new) or (new != name and new in taken):
            new, count = f"v.{name}.{count}", count + 1
        taken.add(new)
        names[name] = new
    return names


def _awkward(name: str) -> bool:
    return name in _RESERVED or _AWKWARD.match(name) is not None


def _document(graph: Graph, names: dict[str, str], chunks: int, version: str) -> dict[str, Any]:
    shapes = {names[name]: [int(size) for size in value.shape] or [1] for name, value in graph.values.items()}
    weights = {names[name] for name, value in graph.values.items() if value.is_constant}
    ops = [{"type": "feed", "inputs": {"X": ["feed"]}, "outputs": {"Out": [IMAGE]}, "attrs": {}}]
    ops += [_op(node, names) for node in graph.nodes]
    outputs = [names[name] for name in graph.outputs]
    fetched, extra = outputs[0], {}
    if len(outputs) > 1:
        fetched = JOINED
        ops.append({"type": "connect", "inputs": {"X": outputs}, "outputs": {"Out": [JOINED]}, "attrs": {}})
        total = sum(math.prod(shapes[name]) for name in outputs)
        width = min(total, _JOINED_WIDTH)
        shapes[JOINED] = [-(-total // width), width]
        extra["multiOutputs"] = [{"name": name, "shape": shapes[name]} for name in outputs]
    ops.append({"type": "fetch", "inputs": {"X": [fetched]}, "outputs": {"Out": ["fetch"]}, "attrs": {}})
    variables = {name: {"name": name, "shape": shapes[name], "persistable": name in weights} for name in sorted(shapes)}
    _, channels, height, width = shapes[IMAGE]
    return {"vars": variables, "ops": ops, "chunkNum": chunks, "dataLayout": "nchw",
            "feedShape": {"fc": channels, "fh": height, "fw": width}, **extra,
            "converter": {"version": version, "target": "paddlejs2"}, "source": graph.meta.get("source", {})}


def _op(node: Node, names: dict[str, str]) -> dict[str, Any]:
    inputs = {slot: [names[name] for name in given] for slot, given in node.inputs.items() if given}
    outputs = {"Out": [names[name] for name in node.outputs["Out"]]}
    writer = _ATTRS.get(node.type)
    if writer is None:
        raise ConvertError("the original Paddle.js runtime has no such operator", where=node.where)
    return {"type": _TYPES.get(node.type, node.type), "inputs": inputs, "outputs": outputs,
            "attrs": _finite(writer(node.attrs), node)}


def _finite(attrs: dict[str, Any], node: Node) -> dict[str, Any]:
    for name, value in attrs.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConvertError(f"attribute '{name}' is {value}, which JSON cannot say", where=node.where)
    return attrs


def _conv(attrs: dict[str, Any]) -> dict[str, Any]:
    """fuse_relu must stand there: without it a shader does not compile."""
    top, _, left, _ = attrs["paddings"]
    written = {"strides": attrs["strides"], "paddings": [top, left], "dilations": attrs["dilations"],
               "groups": attrs["groups"], "padding_algorithm": "EXPLICIT", "data_format": "NCHW",
               "fuse_relu": attrs["fuse_activation"] == "relu"}
    if attrs["fuse_activation"] == "relu6":
        written |= {"act_type": "relu6", "fuse_brelu_threshold": 6.0}
    elif attrs["fuse_activation"] == "hard_swish":
        written |= {"act_type": "hard_swish", "hard_swish_offset": 3.0, "hard_swish_scale": 6.0,
                    "hard_swish_threshold": 6.0}
    if "output_size" in attrs:
        written["output_size"] = attrs["output_size"]
    return written


def _pool(attrs: dict[str, Any]) -> dict[str, Any]:
    top, _, left, _ = attrs["paddings"]
    return {"pooling_type": attrs["pooling_type"], "ksize": attrs["ksize"], "strides": attrs["strides"],
            "paddings": [top, left], "ceil_mode": attrs["ceil_mode"], "exclusive": True, "adaptive": False,
            "global_pooling": False, "data_format": "NCHW"}


def _kept(*names: str) -> Any:
    return lambda attrs: {name: attrs[name] for name in names}


_ATTRS: dict[str, Any] = {
    "conv2d": _conv, "conv2d_transpose": _conv, "pool2d": _pool,
    **{f"elementwise_{name}": _kept("axis") for name in ("add", "sub", "mul", "div")},
    **{name: _kept() for name in ("relu", "sigmoid")},
    "relu6": _kept("threshold"), "hard_swish": _kept("threshold", "scale", "offset"),
    "hard_sigmoid": _kept("slope", "offset"), "scale": _kept("scale", "bias", "bias_after_scale"),
    "pow": _kept("factor"), "matmul_v2": _kept("trans_x", "trans_y"), "softmax": _kept("axis"),
    "reshape2": _kept("shape"), "transpose2": _kept("axis"), "concat": _kept("axis"),
    "split": _kept("axis", "num", "sections"), "pad3d": _kept("paddings", "mode", "value", "data_format"),
    "nearest_interp_v2": _kept("out_h", "out_w", "align_corners", "align_mode"),
    "bilinear_interp_v2": _kept("out_h", "out_w", "align_corners", "align_mode"),
    # Registered there, but its own shader does not compile: an epilogue of nothing.
    "exp": lambda attrs: {"scale": 1.0, "bias": 0.0, "bias_after_scale": True, "fuse_opt": {"exp": {}}},
    "arg_max": lambda attrs: {"axis": attrs["axis"], "flatten": False},
}
"""Canonical type → the attributes that the runtime reads, and those that make the package readable as Paddle's."""

_TYPES = {"exp": "scale"}
"""Where the type in the package is another one."""
