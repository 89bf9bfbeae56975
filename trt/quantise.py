"""Q/DQ nodes for int8: where calibrators are gone, and where calibrated int8 everywhere is too coarse.

Each convolution is tried alone in integers; then those are left so, the least sensitive first, that keep the outputs
within the tolerance together. Weights are scaled per output channel, activations per tensor, both symmetric; the
threshold of an activation is the one with the smallest mean square error over its histogram. ONNX Runtime computes all
of it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trt import check, reference
from trt.errors import TrtError

LEVELS, BINS, CANDIDATES = 127, 2048, 64
OLDEST_OPSET = 13  # Q/DQ with an axis
Feeds = Mapping[str, np.ndarray]


def library() -> Any:
    """The onnx package. Raises TrtError: not_installed."""
    try:
        import onnx
    except ImportError as error:
        raise TrtError("not_installed", f"onnx cannot be imported ({error}): pip install onnx") from error
    return onnx


def parsed(content: bytes) -> Any:
    """The model. Raises TrtError: invalid."""
    try:
        return library().load_from_string(content)
    except TrtError:
        raise
    except Exception as error:  # protobuf raises its own class
        raise TrtError("invalid", f"this is no ONNX model ({error})") from error


def has_integers(content: bytes) -> bool:
    """Whether the model says by Q/DQ nodes where it computes in integers."""
    return any(node.op_type == "QuantizeLinear" for node in parsed(content).graph.node)


def halved(content: bytes, float32: Collection[str] = ()) -> bytes:
    """The model in half precision, its inputs and outputs as they were; `float32`: nodes (by outputs) that are, too.

    Raises TrtError: not_installed, invalid.
    """
    model, half = parsed(content), reference.to_float16()
    kept = [node for node in model.graph.node if node.output[0] in float32]
    for node in kept:
        node.name = node.output[0]
    blocked = {"node_block_list": [node.name for node in kept]} if kept else {}
    return half(model, keep_io_types=True, **blocked).SerializeToString()


@dataclass
class Plan:
    """Which convolutions compute in integers, and the errors of the outputs then."""

    chosen: list[str]
    convolutions: int
    errors: dict[str, check.Errors]


class Model:
    """A model whose convolutions can be put into integers."""

    def __init__(self, content: bytes) -> None:
        self.onnx, self.proto = library(), parsed(content)
        opset = max((entry.version for entry in self.proto.opset_import if entry.domain in ("", "ai.onnx")), default=0)
        if opset < OLDEST_OPSET:
            raise TrtError("invalid", f"the model has opset {opset}; Q/DQ nodes need {OLDEST_OPSET}")
        graph = self.proto.graph
        self.weights = {entry.name: self.onnx.numpy_helper.to_array(entry) for entry in graph.initializer}
        self.outputs = [output.name for output in graph.output]
        self.convolutions = {
            node.output[0]: node for node in graph.node if node.op_type == "Conv" and node.input[1] in self.weights
        }
        self.scales: dict[str, float] = {}

    def calibrate(self, rows: Sequence[Feeds]) -> None:
        """Find the scale of every convolution's input over these feeds."""
        wanted = sorted({node.input[0] for node in self.convolutions.values()})
        watched = self.onnx.ModelProto()
        watched.CopyFrom(self.proto)
        known = {value.name for value in [*watched.graph.input, *watched.graph.output]}
        for name in wanted:
            if name not in known:
                watched.graph.output.append(self.onnx.ValueInfoProto(name=name))
        session = reference.session(watched.SerializeToString())
        names = [name for name in wanted if name not in rows[0]]
        most = dict.fromkeys(wanted, 1e-9)
        for counting in (False, True):
            counts = {name: np.zeros(BINS) for name in wanted}
            for feeds in rows:
                found = {**dict(zip(names, session.run(names, dict(feeds)), strict=True)), **feeds}
                for name in wanted:
                    sizes = np.abs(found[name]).ravel()
                    if counting:
                        counts[name] += np.histogram(sizes, BINS, (0.0, most[name]))[0]
                    else:
                        most[name] = max(most[name], float(sizes.max()))
        self.scales = {name: threshold(counts[name], most[name]) / LEVELS for name in wanted}

    def with_integers(self, chosen: Sequence[str]) -> bytes:
        """The model with Q/DQ nodes around the inputs and weights of these convolutions (named by their outputs)."""
        helper, arrays = self.onnx.helper, self.onnx.numpy_helper
        made = self.onnx.ModelProto()
        made.CopyFrom(self.proto)
        graph, nodes, done = made.graph, [], {}

        def pair(source: str, scale: np.ndarray, **axis: int) -> str:
            """source -> Q -> DQ; returns the name of what comes out."""
            if source not in done:
                parts = {"scale": scale.astype(np.float32), "zero": np.zeros(scale.shape, np.int8)}
                for kind, array in parts.items():
                    graph.initializer.append(arrays.from_array(array, f"{source}/{kind}"))
                ends = [f"{source}/scale", f"{source}/zero"]
                for kind, start, end in (("QuantizeLinear", source, "/q"), ("DequantizeLinear", source + "/q", "/dq")):
                    name = source + end
                    nodes.append(helper.make_node(kind, [start, *ends], [name], name=name, **axis))
                done[source] = source + "/dq"
            return done[source]

        for node in graph.node:
            if node.output and node.output[0] in chosen:
                weights = self.weights[node.input[1]]
                largest = np.abs(weights).reshape(len(weights), -1).max(1)
                node.input[0] = pair(node.input[0], np.array(self.scales[node.input[0]]))
                node.input[1] = pair(node.input[1], np.maximum(largest, 1e-9) / LEVELS, axis=0)
            nodes.append(node)
        kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(kept)
        self.let_rounding_cut(graph)
        return made.SerializeToString()

    def let_rounding_cut(self, graph: Any) -> None:
        """Relu for a Clip from 0 on that only integers see, whose upper bound is theirs as well.

        TensorRT 8.5 computes a Clip that it puts into an int8 convolution wrongly.
        """
        bounds = {**self.weights, **{entry.name: self.onnx.numpy_helper.to_array(entry) for entry in graph.initializer}}
        readers: dict[str, list[Any]] = {name: [None] for name in self.outputs}
        for node in graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        for node in graph.node:
            low, high = (bounds.get(name) for name in [*node.input, "", ""][1:3])
            if node.op_type != "Clip" or low is None or high is None or low != 0:
                continue
            if all(user is not None and user.op_type == "QuantizeLinear"
                   and (LEVELS - 0.5) * bounds[user.input[1]] <= high for user in readers[node.output[0]]):  # fmt: skip
                node.op_type = "Relu"
                del node.input[1:]


def threshold(counts: np.ndarray, most: float) -> float:
    """Above which values are cut, so that cutting and rounding together cost the least (mean square)."""
    centres = (np.arange(BINS) + 0.5) * most / BINS
    best, found = np.inf, most
    for share in np.linspace(1.0 / CANDIDATES, 1.0, CANDIDATES):
        step = share * most / LEVELS
        rounded = np.minimum(np.round(centres / step), LEVELS) * step
        # Within a bin values are spread; where steps are finer than bins the centre alone would see no rounding.
        cost = float((counts * ((rounded - centres) ** 2 + np.where(centres < share * most, step**2 / 12, 0))).sum())
        if cost < best:
            best, found = cost, share * most
    return found


def least_first(parts: Sequence[Any], worst: Callable[[Sequence[Any]], float], tolerance: float,
                tell: Callable[[str], None] = lambda words: None) -> list[Any]:  # fmt: skip
    """Parts that are within the tolerance together: the least sensitive first, each that leaves the others so."""
    alone = []
    for part in parts:
        alone.append(worst([part]))
        tell(f"{part}: {alone[-1]:.2e}")
    chosen: list[Any] = []
    for k in np.argsort(alone, kind="stable"):
        if worst([*chosen, parts[k]]) <= tolerance:
            chosen.append(parts[k])
    return chosen


def plan(content: bytes, calibration: Sequence[Feeds], trial: Feeds, tolerance: float, measure: str = "largest",
         tell: Callable[[str], None] = lambda words: None) -> tuple[bytes, Plan]:
    """The model with as many convolutions in integers as `tolerance` allows on `trial` (rows not calibrated with).

    measure: which of check.Errors the tolerance is about. Raises TrtError (out_of_tolerance) when not even one may be.
    """  # fmt: skip
    if not calibration:
        raise TrtError("invalid", "there is nothing to calibrate with")
    model = Model(content)
    exact = reference.by_onnxruntime(content, trial)
    model.calibrate(calibration)

    def errors(chosen: Sequence[str]) -> dict[str, check.Errors]:
        return check.compare(reference.by_onnxruntime(model.with_integers(chosen), trial), exact)

    def worst(chosen: Sequence[str]) -> float:
        return max(getattr(found, measure) for found in errors(chosen).values())

    chosen = least_first(list(model.convolutions), worst, tolerance, tell)
    if not chosen:
        raise TrtError("out_of_tolerance", f"no convolution can be in integers within {tolerance:g}")
    return model.with_integers(chosen), Plan(chosen, len(model.convolutions), errors(chosen))
