"""Recurrent layers: ONNX's LSTM, GRU and RNN, one per layer."""

from __future__ import annotations

import numpy as np

from converter.graph import Node
from converter.write.onnx.emit import Cannot, Emitter, rule

# Paddle's gates in ONNX's order: LSTM i f c o → i o f c, GRU r z c → z r c.
_ORDER = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN_TANH": [0], "RNN_RELU": [0]}


@rule("rnn")
def rnn(e: Emitter, node: Node) -> list[str]:
    """Out [T,B,directions*H], then the last h (and c) [layers*directions,B,H]."""
    a, x = node.attrs, node.input("Input")
    mode, directions, layers = a["mode"], 2 if a["is_bidirec"] else 1, a["num_layers"]
    weights = [e.data_of(name) for name in node.inputs["WeightList"]]
    if any(data is None for data in weights) or mode not in _ORDER:
        raise Cannot(f"a recurrent layer of mode {mode} with weights that are computed")
    half, last = len(weights) // 2, []
    lengths = node.input("SequenceLength")
    lengths = e.reshape(e.cast(lengths, np.int32), [-1]) if lengths is not None else None
    for layer in range(layers):
        rows = range(layer * directions, (layer + 1) * directions)
        w = e.const(np.stack([_gates(weights[2 * k], mode) for k in rows]))
        r = e.const(np.stack([_gates(weights[2 * k + 1], mode) for k in rows]))
        b = e.const(np.stack([np.concatenate([_gates(weights[half + 2 * k], mode),
                                              _gates(weights[half + 2 * k + 1], mode)]) for k in rows]))
        states = [name if layers == 1 else e.cut(name, 0, rows.start, rows.stop) for name in node.inputs["PreState"]]
        made = _layer(e, node, [x, w, r, b, lengths, *states])
        # [T,directions,B,H] → [T,B,directions*H]
        x = e.op("Reshape", e.transpose(made[0], [0, 2, 1, 3]), e.ints([0, 0, -1]))
        last.append(made[1:])
    return [x, *(e.concat([pair[i] for pair in last], 0) for i in range(len(last[0])))]


def _layer(e: Emitter, node: Node, inputs: list[str | None]) -> list[str]:
    mode, both = node.attrs["mode"], node.attrs["is_bidirec"]
    shared = {"hidden_size": node.attrs["hidden_size"], "direction": "bidirectional" if both else "forward"}
    if mode == "LSTM":
        return e.ops("LSTM", inputs, 3, **shared)
    if mode == "GRU":
        return e.ops("GRU", inputs, 2, linear_before_reset=1, **shared)
    name = "Tanh" if mode == "RNN_TANH" else "Relu"
    return e.ops("RNN", inputs, 2, activations=[name] * (2 if both else 1), **shared)


def _gates(weight: np.ndarray, mode: str) -> np.ndarray:
    order = _ORDER[mode]
    parts = np.split(np.asarray(weight, np.float32), len(order))
    return np.concatenate([parts[k] for k in order])
