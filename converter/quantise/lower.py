"""Float graph + choices → the same graph on int8, with quantize_linear and dequantize_linear where the two kinds meet.

A value that int8 operators make or take has a twin: NAME.int8, with the channels last. A value gets its float form only
when something asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from converter.graph import Graph, Node, Value
from converter.ops import complete
from converter.ops.infer import infer
from converter.quantise.params import (
    HIGH,
    INT8,
    LOW,
    NARROW,
    WIDE,
    Params,
    affine,
    nearest,
    rows_of,
    short_scales,
    short_sums,
    whole,
)

PASSING = {"concat", "split", "channel_shuffle", "nearest_interp_v2"}
CUTTING = {"", "relu", "relu6", "clip"}
"""Activations that are bounds of the result."""
FEW = 4
"""A picture of so few channels is rounded to 12 bits while it gets its border."""


@dataclass
class Plan:
    """What to make of a graph. Names are those of values; a layer is called by its result.

    ranges: of what becomes int8; leader: values of one scale → one of them; reach: largest magnitude; means: per
    channel. float_layers stay float; narrow ones (layer → its input) have 7-bit weights and take 7-bit numbers, which
    relaxed SIMD multiplies twice as fast; limits: the largest whole weight of the others.
    """

    ranges: dict[str, tuple[float, float]]
    leader: dict[str, str]
    reach: dict[str, float]
    means: dict[str, np.ndarray] = field(default_factory=dict)
    float_layers: set[str] = field(default_factory=set)
    narrow: dict[str, str] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)

    @property
    def params(self) -> dict[str, Params]:
        narrow = {self.leader.get(name, name) for name in self.narrow.values()}
        return {name: affine(*span, 0 if self.leader.get(name, name) in narrow else LOW, HIGH)
                for name, span in self.ranges.items()}

    def limit(self, layer: str) -> int:
        return NARROW if layer in self.narrow else self.limits.get(layer, INT8)


def is_layer(node: Node) -> bool:
    return node.type in ("conv2d", "fc")


def picture(value: Value) -> bool:
    """A 4-D float tensor of more than one pixel."""
    return len(value.shape) == 4 and value.dtype == "float32" and tuple(value.shape[2:]) != (1, 1)


def can_quantise(graph: Graph, node: Node) -> bool:
    """Whether there is an operator on int8 for this one. Shapes must have been inferred."""
    a, out = node.attrs, graph.values[node.out]
    source = graph.values[node.inputs[next(iter(node.inputs))][0]] if node.inputs else out
    if node.type == "conv2d":
        constant = all(graph.data_of(node.input(slot)) is not None for slot in ("Filter", "Bias") if node.input(slot))
        if not constant or a["data_format"] == "NHWC" or graph.data_of(node.inputs["Filter"][0]).dtype.kind != "f":
            return False
        if is_pixel(graph, node):
            return True
        few = range(1, FEW + 1)             # what only prepares a picture would lose its last bits
        if source.shape[1] in few and graph.values[node.inputs["Filter"][0]].shape[0] in few:
            return False
        return picture(source) and a["fuse_activation"] in CUTTING | {"hard_swish", "leaky_relu"} and not (
            a["fuse_activation"] == "clip" and (a["fuse_alpha"] > 0 or a["fuse_beta"] < 0))
    if node.type == "fc":
        return graph.data_of(node.inputs["W"][0]) is not None and \
            (node.input("Bias") is None or graph.data_of(node.input("Bias")) is not None)
    if node.type == "elementwise_mul":
        x, gate = (graph.values[name] for name in gated(graph, node))
        return picture(x) and not gate.is_constant and tuple(gate.shape) == (*x.shape[:2], 1, 1) \
            and a["fuse_activation"] == ""
    if not picture(source) or source.is_constant:
        return False
    if node.type == "elementwise_add":
        other = graph.values[node.inputs["Y"][0]]
        return alike(other, source) and not other.is_constant and a["fuse_activation"] in ("", "relu", "relu6")
    if node.type == "pool2d":
        if a["data_format"] == "NHWC":
            return False
        if tuple(out.shape[2:]) == (1, 1) and (a["global_pooling"] or a["adaptive"]):
            return a["pooling_type"] == "avg"
        return a["pooling_type"] == "max" and not a["adaptive"] and not a["global_pooling"]
    if node.type in ("concat", "split"):
        return a["axis"] in (1, -3) and all(picture(graph.values[n]) for n in node.input_names())
    if node.type == "nearest_interp_v2":
        return list(node.inputs) == ["X"] and a["data_layout"] == "NCHW"
    return node.type == "channel_shuffle" and a["data_format"] == "NCHW"


def alike(a: Value, b: Value) -> bool:
    """Of one shape, as far as that shows before run time: what is open in both may be the same size."""
    return len(a.shape) == len(b.shape) and all(
        p == q or isinstance(p, str) and isinstance(q, str) for p, q in zip(a.shape, b.shape, strict=True))


def gated(graph: Graph, node: Node) -> tuple[str, str]:
    """Picture and gate of a product."""
    x, y = (node.inputs[slot][0] for slot in ("X", "Y"))
    return (x, y) if picture(graph.values[x]) else (y, x)


def is_pixel(graph: Graph, node: Node) -> bool:
    """A 1x1 convolution of one pixel: a row of a matrix."""
    x, w = graph.values[node.inputs["Input"][0]], graph.values[node.inputs["Filter"][0]]
    return tuple(x.shape[1:]) == (w.shape[1], 1, 1) and tuple(w.shape[2:]) == (1, 1) and node.attrs["groups"] == 1 \
        and not node.input("ResidualData")


class Lowering:
    """Builds the new graph node by node."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.old, self.plan, self.params = graph, plan, plan.params
        values = {name: Value(v.name, v.shape, v.dtype, v.data) for name, v in graph.values.items()}
        self.new = Graph(values, [], list(graph.inputs), list(graph.outputs), dict(graph.meta))
        self.twins: dict[str, str] = {}
        self.floats = set(graph.inputs)
        self.made = {name for name, value in values.items() if value.is_constant} | self.floats

    def run(self) -> Graph:
        for node in self.old.nodes:
            lower = self._choice(node)
            if lower is not None:
                lower(node)
                continue
            for name in node.input_names():
                self.real(name)
            self._emit(Node(node.type, {k: list(v) for k, v in node.inputs.items()},
                            {k: list(v) for k, v in node.outputs.items()}, dict(node.attrs), node.name))
            self.floats.update(node.output_names())
        for name in self.new.outputs:
            self.real(name)
        used = {n for node in self.new.nodes for n in (*node.input_names(), *node.output_names())}
        keep = used | set(self.new.inputs) | set(self.new.outputs)
        self.new.values = {name: value for name, value in self.new.values.items() if name in keep}
        for node in self.new.nodes:
            complete(node)
        infer(self.new)
        self.new.check()
        return self.new

    def _choice(self, node: Node) -> Callable[[Node], None] | None:
        if node.out in self.plan.float_layers or not can_quantise(self.old, node):
            return None
        if node.type == "conv2d":
            return self._pixel if is_pixel(self.old, node) else self._conv
        if node.type == "fc":
            return self._fc
        if node.type == "pool2d" and node.attrs["pooling_type"] == "avg":
            return self._mean if node.inputs["X"][0] in self.twins else None
        if node.type in PASSING | {"pool2d", "elementwise_add", "elementwise_mul"}:
            names = [n for n in node.input_names() if picture(self.old.values[n])]
            if not any(name in self.twins for name in names) or not all(n in self.params for n in names):
                return None
            return {"elementwise_add": self._add, "elementwise_mul": self._mul, "pool2d": self._pool}.get(
                node.type, self._passing)
        return None

    def _emit(self, node: Node) -> None:
        self.new.nodes.append(node)

    def _constant(self, base: str, data: np.ndarray) -> str:
        return self.new.constant(base, data).name

    def real(self, name: str) -> str:
        """Makes sure that the float form of a value is there."""
        if name in self.floats or self.new.values[name].is_constant:
            return name
        p = self.params[name]
        four = len(self.old.values[name].shape) == 4
        self._emit(Node("dequantize_linear", {"X": [self.twins[name]]}, {"Out": [name]},
                        {"scale": p.scale, "zero_point": p.zero, "channels_first": four}))
        self.floats.add(name)
        return name

    def twin(self, name: str) -> str:
        """The int8 form of a value."""
        if name not in self.twins:
            p = self.params[name]
            self._emit(Node("quantize_linear", {"X": [name]}, {"Out": [self._twin_of(name)]},
                            {"inverse_scale": p.inverse, "zero_point": p.zero, "low": p.low, "high": p.high,
                             "channels_last": True}))
        return self.twins[name]

    def _twin_of(self, name: str) -> str:
        value = self.new.add_value(Value(self.new.fresh(f"{name}.int8"), (), "int8"))
        self.twins[name] = value.name
        return value.name

    def _result(self, node: Node, type: str, inputs: dict[str, list[str]], attrs: dict[str, Any]) -> None:
        self._emit(Node(type, inputs, {"Out": [self._twin_of(node.out)]}, attrs, node.name))

    def _bounds(self, node: Node) -> dict[str, int]:
        """Zero point and bounds of a result, its activation's bounds among them."""
        p, a = self.params[node.out], node.attrs
        low, high = p.low, p.high
        if a.get("fuse_activation") in ("relu", "relu6"):
            low = p.zero
        if a.get("fuse_activation") == "relu6":
            high = p.nearest(a["fuse_alpha"])
        if a.get("fuse_activation") == "clip":
            low, high = p.nearest(a["fuse_alpha"]), p.nearest(a["fuse_beta"])
        return {"out_zero": p.zero, "out_low": low, "out_high": high}

    def _conv(self, node: Node) -> None:
        a, out, name = node.attrs, self.params[node.out], node.inputs["Input"][0]
        window = ("strides", "paddings", "padding_algorithm", "dilations", "groups")
        attrs: dict[str, Any] = {key: a[key] for key in window}
        few = name not in self.twins and self.old.values[name].shape[1] in range(1, FEW + 1)
        if few:
            p = wide_params(self.plan.reach[name])
            attrs["in_inverse"] = p.inverse
            source = self.real(name)
        else:
            p, source = self.params[name], self.twin(name)
        activation = "" if a["fuse_activation"] in CUTTING else a["fuse_activation"]
        attrs |= {"in_zero": p.zero, "in_low": p.low, "in_high": p.high, "fuse_activation": activation,
                  "fuse_alpha": float(a["fuse_alpha"])} | self._bounds(node)
        unit = 1.0 if a["fuse_activation"] == "hard_swish" else out.scale
        attrs["out_factor"] = float(np.float32(1 / (6 * out.scale))) if a["fuse_activation"] == "hard_swish" else 1.0
        weights, exponents = self._weights(node, "Filter", p, unit)
        inputs = {"Input": [source]} | weights
        attrs |= exponents
        if node.input("ResidualData"):
            residual = node.inputs["ResidualData"][0]
            r = self.params[residual]
            inputs["Residual"] = [self.twin(residual)]
            attrs |= {"residual_scale": float(np.float32(r.scale / unit)), "residual_zero": r.zero}
        self._result(node, "conv2d_int8", inputs, attrs)

    def _weights(self, node: Node, slot: str, p: Params, unit: float) -> tuple[dict[str, list[str]], dict[str, int]]:
        """Whole weights, the scales from sums to units of the result, and the bias with the zero point in it; and the
        exponents of the last two."""
        data = self.old.values[node.inputs[slot][0]].data
        assert data is not None
        rows = rows_of(node.type, data.astype(np.float32))
        depth, largest = rows[0].size, max(abs(p.low), abs(p.high))
        limit = min(self.plan.limit(node.out), 2**30 // (depth * largest))   # no sum may pass 32 bits
        scale = short_scales(whole(rows, limit)[1] * p.scale / unit)
        steps = np.ldexp(scale[0].astype(np.float64), scale[1]) * unit / p.scale
        q = nearest(rows, steps, limit)
        bias = self.old.data_of(node.input("Bias"))
        total = np.zeros(len(q)) if bias is None else bias.astype(np.float64).reshape(-1)
        total = total - self._shift(node, rows, q, steps)
        flat = q.reshape(len(q), -1).astype(np.int64)
        # Beyond 2^30 no sum of products reaches the bias: the channel says the same.
        sums = short_sums(np.clip(total / (steps * p.scale) - p.zero * flat.sum(1), -(2**30), 2**30))
        base = node.inputs[slot][0]
        names = {slot: [self._constant(f"{base}.int8", q)], "Scale": [self._constant(f"{base}.scale", scale[0])],
                 "Bias": [self._constant(f"{base}.bias", sums[0])]}
        return names, {"scale_exponent": scale[1], "bias_exponent": sums[1], "weight_limit": limit}

    def _shift(self, node: Node, rows: np.ndarray, q: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """What rounding the weights adds to each result on average, as far as the mean input says."""
        mean = self.plan.means.get(node.inputs["Input"][0])
        if mean is None or node.type != "conv2d":
            return np.zeros(len(rows))
        wrong = (q.reshape(len(q), -1) * scale[:, None]).reshape(rows.shape) - rows    # [O,kh,kw,I/g]
        groups = node.attrs["groups"]
        means = np.repeat(mean.reshape(groups, 1, -1), len(rows) // groups, 1).reshape(len(rows), -1)
        return np.einsum("okli,oi->o", wrong, means)

    def _fc(self, node: Node) -> None:
        name = self.real(node.inputs["Input"][0])
        self._matrix(node, name, "W", node.out, node.attrs["in_num_col_dims"])
        self.floats.add(node.out)

    def _pixel(self, node: Node) -> None:
        name = self.real(node.inputs["Input"][0])
        flat = self.new.add_value(Value(self.new.fresh(f"{node.out}.row"))).name
        self._matrix(node, name, "Filter", flat, 1)
        self._emit(Node("reshape2", {"X": [flat]}, {"Out": [node.out]}, {"shape": [0, -1, 1, 1]}))
        self.floats.add(node.out)

    def _matrix(self, node: Node, name: str, slot: str, out: str, lead: int) -> None:
        data = self.old.values[node.inputs[slot][0]].data
        assert data is not None
        p = wide_params(self.plan.reach[name])
        weights, exponents = self._weights(node, slot, p, 1.0)
        del exponents["weight_limit"]
        inputs = {"Input": [name]} | weights
        if slot == "Filter":
            inputs["W"] = inputs.pop("Filter")
            self.new.values[inputs["W"][0]].data = self.new.values[inputs["W"][0]].data.reshape(len(data), -1)
            self.new.values[inputs["W"][0]].shape = (len(data), data.shape[1])
        ending = {key: node.attrs[key] for key in ("fuse_activation", "fuse_alpha", "fuse_beta")}
        self._emit(Node("fc_int8", inputs, {"Out": [out]},
                        {"in_num_col_dims": lead, "in_inverse": p.inverse, "in_low": p.low, "in_high": p.high,
                         **exponents, **ending}, node.name))

    def _mean(self, node: Node) -> None:
        name = node.inputs["X"][0]
        p = self.params[name]
        self._emit(Node("mean_int8", {"X": [self.twin(name)]}, {"Out": [node.out]},
                        {"scale": p.scale, "zero_point": p.zero}, node.name))
        self.floats.add(node.out)

    def _add(self, node: Node) -> None:
        x, y = (node.inputs[slot][0] for slot in ("X", "Y"))
        p, r, out = self.params[x], self.params[y], self.params[node.out]
        self._result(node, "add_int8", {"X": [self.twin(x)], "Y": [self.twin(y)]},
                     {"x_zero": p.zero, "x_scale": float(np.float32(p.scale / out.scale)), "y_zero": r.zero,
                      "y_scale": float(np.float32(r.scale / out.scale)), **self._bounds(node)})

    def _mul(self, node: Node) -> None:
        x, gate = gated(self.old, node)
        gate = self.real(gate)
        p, out = self.params[x], self.params[node.out]
        self._result(node, "mul_int8", {"X": [self.twin(x)], "Gate": [gate]},
                     {"x_zero": p.zero, "scale": float(np.float32(p.scale / out.scale)), **self._bounds(node)})

    def _pool(self, node: Node) -> None:
        keys = ("ksize", "strides", "paddings", "ceil_mode", "padding_algorithm")
        self._result(node, "max_pool_int8", {"X": [self.twin(node.inputs["X"][0])]}, {k: node.attrs[k] for k in keys})

    def _passing(self, node: Node) -> None:
        """What only moves numbers, moves whole numbers as well."""
        inputs = {"X": [self.twin(name) for name in node.inputs["X"]]}
        outputs = {"Out": [self._twin_of(name) for name in node.outputs["Out"]]}
        if node.type == "nearest_interp_v2":
            keys = ("out_h", "out_w", "scale", "align_corners")
            self._emit(Node("resize_int8", inputs, outputs, {k: node.attrs[k] for k in keys}, node.name))
            return
        attrs = dict(node.attrs) | ({"data_format": "NHWC"} if node.type == "channel_shuffle" else {"axis": 3})
        self._emit(Node(node.type, inputs, outputs, attrs, node.name))


def wide_params(reach: float) -> Params:
    """12 bits around zero, with room for inputs that reach further than those seen."""
    return Params(float(np.float32(1.5 * max(reach, 1e-9) / WIDE)), 0, -WIDE, WIDE)


def ties(graph: Graph) -> dict[str, str]:
    """Values that must have one scale, because int8 only moves between them → the same one of them."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name
    for node in graph.nodes:
        moves = node.type in PASSING or (node.type == "pool2d" and node.attrs["pooling_type"] == "max")
        if moves and can_quantise(graph, node):
            names = [*node.inputs["X"], *node.outputs["Out"]]
            for name in names[1:]:
                leader[find(name)] = find(names[0])
    return {name: find(name) for name in list(leader)}
