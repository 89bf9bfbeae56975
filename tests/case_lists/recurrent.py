"""rnn in every mode: layers, directions, lengths, sizes that leave SIMD tails."""

from .case import Case, rand, vector

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def rnn(mode, steps, batch, width, hidden, layers=1, both=False, lengths=None, name=""):
    directions, rows, half = 2 if both else 1, GATES[mode] * hidden, {"low": -0.5, "high": 0.5}
    weights, biases = [], []
    for k in range(layers * directions):
        columns = width if k < directions else directions * hidden
        weights += [rand(rows, columns, seed=f"in{k}", **half), rand(rows, hidden, seed=f"own{k}", **half)]
        biases += [rand(rows, seed=f"bin{k}", **half), rand(rows, seed=f"bown{k}", **half)]
    states = [rand(layers * directions, batch, hidden, seed=f"state{i}") for i in range(2 if mode == "LSTM" else 1)]
    inputs = {"Input": [rand(steps, batch, width)], "PreState": states, "WeightList": weights + biases}
    if lengths:
        inputs["SequenceLength"] = [vector(*lengths)]
    title = name or f"t{steps}_b{batch}_i{width}_h{hidden}_l{layers}{'_both' if both else ''}"
    attrs = {"mode": mode, "hidden_size": hidden, "num_layers": layers, "is_bidirec": both}
    return Case(f"rnn_{mode.lower()}_{title}", "rnn", inputs, attrs, ["WeightList"], 1 + len(states))


CASES = [
    *(rnn(mode, *sizes) for mode in GATES for sizes in [(3, 2, 5, 4), (4, 1, 3, 7), (2, 3, 4, 1)]),
    *(rnn(mode, 4, 2, 3, 5, both=True) for mode in GATES),
    *(rnn(mode, 3, 2, 3, 5, 2, True) for mode in GATES),
    *(rnn(mode, 3, 1, 6, 3, 3) for mode in ("LSTM", "GRU")),
    *(rnn(mode, 5, 3, 3, 6, 1, both, (5, 2, 1), f"lengths{'_both' if both else ''}") for mode in GATES
      for both in (False, True)),
    rnn("LSTM", 4, 2, 3, 5, 2, True, (1, 3), "lengths_two_layers"),
    rnn("LSTM", 2, 1, 12, 17, both=True),
    rnn("GRU", 1, 1, 9, 8),
]
