"""Normalisations for the original Paddle.js runtime, spelt in pools and elementwise operators."""

from __future__ import annotations

import math

import numpy as np

from converter.graph import Node
from converter.passes.paddlejs2 import Lowering, Refused, lowers
from converter.passes.paddlejs2_binary import binary


@lowers("batch_norm")
def batch_norm(w: Lowering, node: Node) -> None:
    """One that no layer took in: a factor and a shift per channel."""
    slots = ("Scale", "Bias", "Mean", "Variance")
    scale, bias, mean, variance = (w.data(node.inputs[slot][0]) for slot in slots)
    if scale is None or bias is None or mean is None or variance is None or node.attrs["data_layout"] == "NHWC":
        raise Refused("its statistics must be weights, and its channels the second axis")
    x = node.inputs["X"][0]
    factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + node.attrs["epsilon"])
    shift = bias - mean * factor
    full = (1, -1) + (1,) * (len(w.shape(x)) - 2)
    scaled = binary(w, "elementwise_mul", x, w.constant(factor.reshape(full)))
    binary(w, "elementwise_add", scaled, w.constant(shift.reshape(full)), node.out)


@lowers("layer_norm")
def layer_norm(w: Lowering, node: Node) -> None:
    x, axis = node.inputs["X"][0], node.attrs["begin_norm_axis"]
    shape = w.shape(x)
    axis %= len(shape)
    columns = math.prod(shape[axis:])
    rows = _standardised(w, x, math.prod(shape[:axis]), columns, node.attrs["epsilon"])
    w.reshape(_affine(w, node, rows, (1, 1, columns, 1)), shape, node.out)


@lowers("instance_norm", "group_norm")
def group_norm(w: Lowering, node: Node) -> None:
    """Over the picture of a channel, or of a group of channels; the factors are per channel."""
    if node.attrs.get("data_layout") == "NHWC":
        raise Refused("channels last are not supported there")
    x = node.inputs["X"][0]
    shape = w.shape(x)
    batch, channels, picture = shape[0], shape[1], math.prod(shape[2:])
    groups = node.attrs.get("groups", channels)
    rows = _standardised(w, x, batch * groups, channels // groups * picture, node.attrs["epsilon"])
    rows = w.reshape(rows, (1, batch * channels, picture, 1))
    w.reshape(_affine(w, node, rows, (1, batch * channels, 1, 1)), shape, node.out)


def _standardised(w: Lowering, x: str, rows: int, columns: int, epsilon: float) -> str:
    """[1, rows, columns, 1] with mean 0 and variance 1 along the columns."""
    table = w.reshape(x, (1, rows, columns, 1))
    centred = binary(w, "elementwise_sub", table, _mean(w, table))
    variance = _mean(w, binary(w, "elementwise_mul", centred, centred))
    return binary(w, "elementwise_mul", centred, w.one("pow", w.scale(variance, 1.0, epsilon), factor=-0.5))


def _mean(w: Lowering, table: str) -> str:
    _, rows, columns, _ = w.shape(table)
    return w.emit("pool2d", {"X": [table]}, (1, rows, 1, 1), None, pooling_type="avg", ksize=[columns, 1],
                  strides=[1, 1])


def _affine(w: Lowering, node: Node, rows: str, full: tuple[int, int, int, int]) -> str:
    """The learnt factor and shift, repeated where a batch asks for it."""
    for slot, type in (("Scale", "elementwise_mul"), ("Bias", "elementwise_add")):
        name = node.input(slot)
        if name is None:
            continue
        data = w.data(name)
        if data is None:
            raise Refused("its factors must be weights")
        data = np.tile(data.reshape(-1), math.prod(full) // data.size)
        rows = binary(w, type, rows, w.constant(data.reshape(full)))
    return rows
