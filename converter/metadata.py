"""Name, preprocessing and labels of a graph: what lies beside the model, under what the caller says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converter import preprocess as pictures
from converter.errors import ConvertError
from converter.graph import Graph
from converter.read.metadata import beside


def describe(graph: Graph, name: str | None, preprocess: dict[str, Any] | None, postprocess: dict[str, Any] | None,
             labels: list[str] | None) -> list[str]:
    """Fill graph.meta; returns notes on what beside the model could not be taken over.

    preprocess: keys over those found; {} takes what is found. Raises ConvertError for a spec that makes no sense.
    """
    found = beside(Path(graph.meta.pop("folder")), graph.meta.pop("program", ""))
    kept = graph.meta.get("preprocess")  # a bundle that is converted again
    spec = {**(kept or {}), **(found.preprocess or {}), **(preprocess or {})}
    if name:
        graph.meta["name"] = name
    graph.meta.setdefault("feedShape", _feed_shape(graph))
    if spec:
        spec = _complete(graph, spec)
        graph.meta["preprocess"] = spec
    for key, value in (("labels", labels if labels is not None else found.labels), ("postprocess", postprocess)):
        if value is not None:
            graph.meta[key] = value
    return found.notes


def _complete(graph: Graph, spec: dict[str, Any]) -> dict[str, Any]:
    """Choose the picture's input, and its declared size where the spec has none."""
    name = spec.pop("input", None) or _picture_input(graph)
    if name not in graph.inputs:
        raise ConvertError(f"the picture's input '{name}' does not exist", where="preprocess",
                           hint=f"the model's inputs are {graph.inputs}")
    layout = spec.get("layout") or "nchw"
    shape = graph.values[name].shape
    height, width = (shape[2:4] if layout == "nchw" else shape[1:3]) if len(shape) == 4 else ("?", "?")
    wanted = spec.get("resize", "stretch") in ("stretch", "fit") and spec.get("size") is None
    if wanted and isinstance(height, int) and isinstance(width, int):
        spec["size"] = [height, width]
    return pictures.complete(spec, name)


def _feed_shape(graph: Graph) -> dict[str, int] | None:
    """Paddle.js's feedShape: channels, height and width of the only input, where the model declares them."""
    shapes = [graph.values[name].shape for name in graph.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or not all(isinstance(size, int) for size in shapes[0][1:]):
        return None
    return dict(zip(("fc", "fh", "fw"), map(int, shapes[0][1:]), strict=True))


def _picture_input(graph: Graph) -> str:
    for name in graph.inputs:
        if len(graph.values[name].shape) == 4:
            return name
    raise ConvertError("no input takes a picture (none has four dimensions)", where="preprocess",
                       hint=f"the model's inputs are {graph.inputs}; leave the preprocessing options out")
