"""Half precision where it does no harm: which parts of a model have to stay in float32.

What half precision costs is computed by ONNX Runtime on the CPU, before an engine is built: every result is rounded to
16 bits, and so are the weights. A model is cut into stretches of nodes; each is tried alone in half precision, then
those are left so, the least sensitive first, that keep the outputs within the tolerance together.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from trt import check, reference
from trt.errors import TrtError
from trt.quantise import least_first, library, parsed

STRETCHES, ROWS = 24, 8  # parts that a model is cut into; rows of input that are tried
EXACT = {"QuantizeLinear", "DequantizeLinear", "Constant", "Cast"}  # what is left as it is
Feeds = Mapping[str, np.ndarray]


class Model:
    """A model of which any nodes can be computed in half precision. `parts`: stretches of nodes, named by outputs."""

    def __init__(self, content: bytes) -> None:
        self.onnx, self.proto = library(), parsed(content)
        graph, floating = self.proto.graph, self.onnx.TensorProto.FLOAT
        typed = self.onnx.shape_inference.infer_shapes(self.proto).graph
        known = [*typed.value_info, *typed.output]
        self.floats = {value.name for value in known if value.type.tensor_type.elem_type == floating}
        self.weights = {entry.name: entry for entry in graph.initializer if entry.data_type == floating}
        names = [node.output[0] for node in graph.node if node.op_type not in EXACT and node.output[0] in self.floats]
        self.parts = [tuple(part.tolist()) for part in np.array_split(np.array(names), STRETCHES) if part.size]

    def rounded(self, half: Collection[str]) -> bytes:
        """The model with the results and the weights of these nodes rounded to 16 bits."""
        made = self.onnx.ModelProto()
        made.CopyFrom(self.proto)
        nodes: list[Any] = []
        rounded: set[str] = set()
        for node in made.graph.node:
            nodes.append(node)
            if node.output[0] not in half:
                continue
            for k, name in enumerate(node.input):
                if name in self.weights:
                    node.input[k] = f"{name}/half"
                    rounded.add(name)
            for k, name in enumerate(node.output):
                if name in self.floats:
                    node.output[k] = f"{name}/exact"
                    nodes += self.through_half(f"{name}/exact", name)
        for name in rounded:
            array = self.onnx.numpy_helper.to_array(self.weights[name])
            with np.errstate(over="ignore"):
                array = array.astype(np.float16).astype(np.float32)
            made.graph.initializer.append(self.onnx.numpy_helper.from_array(array, f"{name}/half"))
        kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del made.graph.node[:]
        made.graph.node.extend(kept)
        return made.SerializeToString()

    def through_half(self, source: str, target: str) -> list[Any]:
        """source -> float16 -> target."""
        make, kinds = self.onnx.helper.make_node, self.onnx.TensorProto
        return [make("Cast", [source], [f"{target}/16"], to=kinds.FLOAT16),
                make("Cast", [f"{target}/16"], [target], to=kinds.FLOAT)]  # fmt: skip


def in_float32(content: bytes, feeds: Feeds, tolerance: float, measure: str = "largest") -> list[str]:
    """The nodes (by their first outputs) to compute in float32 so that the rest may be in half precision.

    None where all may be. feeds: what it is tried on, of which a few rows are taken. Raises TrtError.
    """
    model = Model(content)
    feeds = {name: array[:ROWS] for name, array in feeds.items()}
    exact = reference.by_onnxruntime(content, feeds)

    def worst(parts: Sequence[tuple[str, ...]]) -> float:
        found = reference.by_onnxruntime(model.rounded({name for part in parts for name in part}), feeds)
        try:
            return max(getattr(errors, measure) for errors in check.compare(found, exact).values())
        except TrtError:  # beyond the largest number that 16 bits can say
            return math.inf

    if worst(model.parts) <= tolerance:
        return []
    half = {name for part in least_first(model.parts, worst, tolerance) for name in part}
    return [name for part in model.parts for name in part if name not in half]
