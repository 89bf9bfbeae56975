"""Recurrent layers: LSTM, GRU and plain RNN, stacked and in both directions."""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.ops.spec import REQUIRED, op
from converter.ops.unary import sigmoid

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
"""Rows of a weight per hidden unit."""


def states_of(mode: str) -> int:
    """How many states a layer carries: LSTM has a cell beside the hidden one."""
    return 2 if mode == "LSTM" else 1


def check(mode: str, weights: int, num_layers: int, is_bidirec: bool) -> None:
    """Raise ConvertError unless the mode is known and every layer and direction has its four weights."""
    if mode not in GATES:
        raise ConvertError(f"rnn mode '{mode}' is none of {', '.join(GATES)}")
    wanted = 4 * num_layers * (2 if is_bidirec else 1)
    if weights != wanted:
        raise ConvertError(f"rnn has {weights} weights where {wanted} are expected")


def cell(mode: str, given: np.ndarray, own: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step from the gates' shares of input and state [B,gates*H]; the new hidden state and cell."""
    if mode == "LSTM":
        i, f, g, o = np.split(given + own, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    if mode == "GRU":
        (xr, xz, xc), (hr, hz, hc) = np.split(given, 3, axis=1), np.split(own, 3, axis=1)
        z = sigmoid(xz + hz)
        return z * h + (1 - z) * np.tanh(xc + sigmoid(xr + hr) * hc), c
    both = given + own
    return (np.tanh(both) if mode == "RNN_TANH" else np.maximum(both, 0)), c


def one_direction(x: np.ndarray, weights: tuple[np.ndarray, ...], h: np.ndarray, c: np.ndarray, mode: str,
                  lengths: np.ndarray, backwards: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x [T,B,I] → [T,B,H], last h and c. Past its length a sequence gives zeros and keeps its state."""
    w_in, w_own, b_in, b_own = weights
    given = x @ w_in.T + b_in
    out = np.zeros((*x.shape[:2], h.shape[1]), x.dtype)
    for t in reversed(range(len(x))) if backwards else range(len(x)):
        alive = (t < lengths)[:, None]
        new_h, new_c = cell(mode, given[t], h @ w_own.T + b_own, h, c)
        h, c = np.where(alive, new_h, h), np.where(alive, new_c, c)
        out[t] = np.where(alive, new_h, 0)
    return out, h, c


@op("rnn", inputs="Input PreState* WeightList* SequenceLength?", variadic_out=True, mode=REQUIRED, hidden_size=REQUIRED,
    num_layers=1, is_bidirec=False)
def rnn(x, states, weights, lengths, mode, hidden_size, num_layers, is_bidirec):
    # Input [T,B,I]; PreState h (and c) [layers*directions,B,H]. WeightList: per layer and direction the weights of
    # input [gates*H,I] and state [gates*H,H], then in the same order the biases of both [gates*H].
    # Gates: LSTM input, forget, cell, output; GRU reset, update, candidate.
    # Out [T,B,directions*H], then the last h (and c).
    check(mode, len(weights), num_layers, is_bidirec)
    directions = 2 if is_bidirec else 1
    half = len(weights) // 2
    lengths = np.full(x.shape[1], len(x)) if lengths is None else lengths.reshape(-1)
    last: list[tuple[np.ndarray, np.ndarray]] = []
    for layer in range(num_layers):
        outs = []
        for direction in range(directions):
            k = layer * directions + direction
            own = (*weights[2 * k:2 * k + 2], *weights[half + 2 * k:half + 2 * k + 2])
            out, h, c = one_direction(x, own, states[0][k], states[-1][k], mode, lengths, direction == 1)
            outs.append(out)
            last.append((h, c))
        x = np.concatenate(outs, axis=2)
    return [x, *(np.stack([pair[i] for pair in last]) for i in range(states_of(mode)))]
