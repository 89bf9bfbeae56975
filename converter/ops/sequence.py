"""Layers of fluid over one sequence, whose rows are its steps: LSTM with peepholes, GRU, decoding of labels."""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.ops.spec import op
from converter.ops.unary import sigmoid

ACTIVATIONS = {"identity": lambda v: v, "sigmoid": sigmoid, "tanh": np.tanh, "relu": lambda v: np.maximum(v, 0)}


def activation(name: str) -> object:
    if name not in ACTIVATIONS:
        raise ConvertError(f"'{name}' is none of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def order(steps: int, is_reverse: bool) -> range:
    return range(steps - 1, -1, -1) if is_reverse else range(steps)


@op("lstm", inputs="Input Weight Bias H0? C0?", variadic_out=True, use_peepholes=True, is_reverse=False,
    gate_activation="sigmoid", cell_activation="tanh", candidate_activation="tanh")
def lstm(x, w, bias, h, c, use_peepholes, is_reverse, gate_activation, cell_activation, candidate_activation):
    # Input [T,4D] (candidate, input, forget, output), Weight [D,4D], Bias [1,4D], with peepholes [1,7D]: three rows
    # more by which the gates see the cell; H0, C0 [1,D] → hidden states [T,D], cells [T,D]
    gate, state, fresh = (activation(name) for name in (gate_activation, cell_activation, candidate_activation))
    size, bias = len(w), bias.reshape(-1)
    peep = bias[4 * size:].reshape(3, size) if use_peepholes else np.zeros((3, size), x.dtype)
    h, c = (np.zeros(size, x.dtype) if v is None else v.reshape(-1) for v in (h, c))
    hidden, cells = np.empty((2, len(x), size), x.dtype)
    for t in order(len(x), is_reverse):
        new, i, f, o = np.split(x[t] + bias[:4 * size] + h @ w, 4)
        i, f = gate(i + c * peep[0]), gate(f + c * peep[1])
        c = fresh(new) * i + c * f
        h = gate(o + c * peep[2]) * state(c)
        hidden[t], cells[t] = h, c
    return [hidden, cells]


@op("gru", inputs="Input Weight Bias? H0?", is_reverse=False, origin_mode=False, activation="tanh",
    gate_activation="sigmoid")
def gru(x, w, bias, h, is_reverse, origin_mode, activation, gate_activation):
    # Input [T,3D] (update, reset, candidate), Weight [D,3D]: in memory [D,2D] for the gates, then [D,D]; Bias [1,3D];
    # H0 [1,D] → hidden states [T,D]. origin_mode: the update gate keeps the old state, otherwise it lets in the new
    gate, fresh = ACTIVATIONS[gate_activation], ACTIVATIONS[activation]
    size = len(w)
    of_gates, of_candidate = np.split(w.reshape(-1), [2 * size * size])
    of_gates, of_candidate = of_gates.reshape(size, 2 * size), of_candidate.reshape(size, size)
    h = np.zeros(size, x.dtype) if h is None else h.reshape(-1)
    hidden = np.empty((len(x), size), x.dtype)
    for t in order(len(x), is_reverse):
        given = x[t] if bias is None else x[t] + bias.reshape(-1)
        update, reset = np.split(gate(given[:2 * size] + h @ of_gates), 2)
        new = fresh(given[2 * size:] + (reset * h) @ of_candidate)
        h = update * h + (1 - update) * new if origin_mode else (1 - update) * h + update * new
        hidden[t] = h
    return hidden


@op("ctc_align", inputs="Input", blank=0, merge_repeated=True)
def ctc_align(x, blank, merge_repeated):
    # labels [T,1] without blanks and, if merged, repeats [K,1]; one -1 if none is left
    labels = x.reshape(-1)
    again = np.append(False, labels[1:] == labels[:-1]) if merge_repeated else np.zeros(len(labels), bool)
    kept = labels[(labels != blank) & ~again[:len(labels)]]
    return (kept if len(kept) else np.array([-1], x.dtype)).reshape(-1, 1)


@op("crf_decoding", inputs="Emission Transition")
def crf_decoding(emission, transition):     # Emission [T,C], Transition [2+C,C]: start, end, from-to → best path [T,1]
    start, end, between = transition[0], transition[1], transition[2:]
    score, back = start + emission[0], []
    for row in emission[1:]:
        paths = score[:, None] + between
        back.append(paths.argmax(0))
        score = paths.max(0) + row
    path = [int((score + end).argmax())]
    for row in reversed(back):
        path.append(int(row[path[-1]]))
    return np.array(path[::-1], np.int64).reshape(-1, 1)
