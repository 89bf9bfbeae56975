"""Float graph + choices → the same graph on int8, with quantize_linear and dequantize_linear where the two kinds meet.

A value that int8 operators make or take has a twin: NAME.int8, with the channels last. A value gets its float form only
when something asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converter.graph import Graph, Node, Value
from converter.ops import complete
from converter.ops.infer import infer
from converter.quantise.params import INT8, ROWS, WIDE, Params, rows_of, short_scales, short_sums, three_rows, whole
from converter.quantise.plan import CUTTING, FEW, PASSING, Plan, can_quantise, gated, is_pixel, picture, weight_slot

_MOST = 2**30
"""No sum of products may pass it, so that the bias still fits into 32 bits."""
_FINE = 4096
"""The largest bias over what counts in a result: its 16 bits then err by less than an eighth of that."""


def coarse(new: Graph, node: Node, plan: Plan, limit: int = 0) -> Node:
    """A copy of a node that computes in float32, for a new graph. A layer's weights that are to take one byte each, or
    that have a limit, become whole numbers times scales, which meta["rounded"] says: name → (axis, scales)."""
    copy = Node(node.type, {k: list(v) for k, v in node.inputs.items()}, {k: list(v) for k, v in node.outputs.items()},
                dict(node.attrs), node.name)
    if not limit and (node.out not in plan.float_layers or plan.limits[node.out] > INT8):
        return copy
    slot = weight_slot(node)
    data = new.values[node.inputs[slot][0]].data
    assert data is not None
    rows = rows_of(node.type, data.astype(np.float32))
    limit = limit or INT8
    scales = whole(rows, limit)[1].astype(np.float32)
    q = plan.rounded(node.out, rows, scales.astype(np.float64), limit)
    real = q * scales.reshape(-1, *[1] * (rows.ndim - 1))
    weight = new.constant(f"{node.inputs[slot][0]}.rounded",
                          real.T if node.type == "fc" else real.transpose(0, 3, 1, 2))
    copy.inputs[slot] = [weight.name]
    new.meta["rounded"][weight.name] = (1 if node.type == "fc" else 0, scales)
    bias = new.data_of(node.input("Bias"))
    shift = plan.shift(node.out, (real - rows).reshape(len(rows), -1))
    total = (0.0 if bias is None else bias.reshape(-1)) - shift
    copy.inputs["Bias"] = [new.constant(f"{node.out}.bias", total.astype(np.float32)).name]
    return copy


class Lowering:
    """Builds the new graph node by node."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.old, self.plan, self.params = graph, plan, plan.params
        values = {name: Value(v.name, v.shape, v.dtype, v.data) for name, v in graph.values.items()}
        self.new = Graph(values, [], list(graph.inputs), list(graph.outputs), graph.meta | {"rounded": {}})
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
            self._emit(coarse(self.new, node, self.plan))
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
            p = self._wide(node, name, self.old.values[node.inputs["Filter"][0]].shape[1:])
            attrs["in_inverse"] = p.inverse
            source = self.real(name)
        else:
            p, source = self.params[name], self.twin(name)
        activation = "" if a["fuse_activation"] in CUTTING else a["fuse_activation"]
        attrs |= {"in_zero": p.zero, "in_low": p.low, "in_high": p.high, "fuse_activation": activation,
                  "fuse_alpha": float(a["fuse_alpha"])} | self._bounds(node)
        unit = 1.0 if a["fuse_activation"] == "hard_swish" else out.scale
        attrs["out_factor"] = float(np.float32(1 / (6 * out.scale))) if a["fuse_activation"] == "hard_swish" else 1.0
        weights, exponents = self._weights(node, "Filter", p, unit, out.scale)
        inputs = {"Input": [source]} | weights
        attrs |= exponents
        if node.input("ResidualData"):
            residual = node.inputs["ResidualData"][0]
            r = self.params[residual]
            inputs["Residual"] = [self.twin(residual)]
            attrs |= {"residual_scale": float(np.float32(r.scale / unit)), "residual_zero": r.zero}
        self._result(node, "conv2d_int8", inputs, attrs)

    def _weights(self, node: Node, slot: str, p: Params, unit: float,
                 fine: float | None = None) -> tuple[dict[str, list[str]], dict[str, int]]:
        """Whole weights, the scales from sums to units of the result, and the bias with the zero point in it; and the
        exponents of the last two. fine: what counts in a result; None: a 256th of the largest bias."""
        data = self.old.values[node.inputs[slot][0]].data
        assert data is not None
        rows = rows_of(node.type, data.astype(np.float32))
        depth, largest = rows[0].size, max(abs(p.low), abs(p.high))
        limit = min(self.plan.limit(node.out), _MOST // (depth * largest))
        most = ROWS if node.out in self.plan.depthwise and node.out in self.plan.narrow else _MOST
        bias = self.old.data_of(node.input("Bias"))
        total = np.zeros(len(rows)) if bias is None else bias.astype(np.float64).reshape(-1)
        largest_bias = max(float(np.abs(total).max()), 1e-30)
        shares = np.abs(total) / ((fine or largest_bias / 256) * _FINE)
        scale, steps, q = self._steps(node, rows, limit, p.scale / unit, most, shares)
        flat, real = q.reshape(len(q), -1).astype(np.int64), rows.reshape(len(q), -1)
        total = total - self.plan.shift(node.out, flat * steps[:, None] - real)
        # Beyond 2^30 no sum of products reaches the bias: the channel says the same.
        sums = short_sums(np.clip(total / (steps * p.scale) - p.zero * flat.sum(1), -_MOST, _MOST))
        base = node.inputs[slot][0]
        names = {slot: [self._constant(f"{base}.int8", q)], "Scale": [self._constant(f"{base}.scale", scale[0])],
                 "Bias": [self._constant(f"{base}.bias", sums[0])]}
        return names, {"scale_exponent": scale[1], "bias_exponent": sums[1], "weight_limit": limit, "rows_limit": most}

    def _steps(self, node: Node, rows: np.ndarray, limit: int, factor: float,
               most: int, shares: np.ndarray) -> tuple[tuple[np.ndarray, int], np.ndarray, np.ndarray]:
        """Scales (times factor, in short), what they stand for, and whole weights; three rows of a window never add up
        to more than `most`, and no scale is below its share of the largest: all biases share a unit, which that of a
        channel with next to no weights would make too coarse for the others."""
        wanted = whole(rows, limit)[1]
        wanted = np.maximum(wanted, wanted.max() * np.minimum(shares, 1))
        if most < _MOST:
            wanted = np.maximum(wanted, three_rows(rows) / most)
        while True:
            scale = short_scales(wanted * factor)
            steps = np.ldexp(scale[0].astype(np.float64), scale[1]) / factor
            q = self.plan.rounded(node.out, rows, steps, limit)
            over = three_rows(q) > most if most < _MOST else np.zeros(len(rows), bool)
            if not over.any():
                return scale, steps, q
            wanted = np.where(over, wanted * 1.01, wanted)

    def _wide(self, node: Node, name: str, row: Sequence[int | str]) -> Params:
        """As many bits, from 12 to 16, as sums over a row of weights allow; around zero, with room for inputs beyond
        those seen."""
        depth = int(np.prod([int(size) for size in row]))
        most = max(WIDE, min(2**15 - 1, _MOST // (depth * self.plan.limit(node.out))))
        return Params(float(np.float32(1.5 * max(self.plan.reach[name], 1e-9) / most)), 0, -most, most)

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
        p = self._wide(node, name, data.shape[:1] if node.type == "fc" else data.shape[1:])
        weights, exponents = self._weights(node, slot, p, 1.0)
        del exponents["weight_limit"], exponents["rows_limit"]
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
