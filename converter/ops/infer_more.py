"""Output shapes of recurrent layers and of the operators that sort, pick and scatter."""

from __future__ import annotations

from converter.ops.infer_rules import rule
from converter.ops.recurrent import GATES, check, states_of


@rule("rnn")
def rnn(sizes, node, shapes):
    a, (steps, batch, width) = node.attrs, shapes["Input"][0]
    check(a["mode"], len(shapes["WeightList"]), a["num_layers"], a["is_bidirec"])
    directions, hidden, rows = 2 if a["is_bidirec"] else 1, a["hidden_size"], GATES[a["mode"]] * a["hidden_size"]
    half = len(shapes["WeightList"]) // 2
    for i, shape in enumerate(shapes["WeightList"]):
        layer = i // 2 // directions
        columns = hidden if i % 2 else width if layer == 0 else hidden * directions
        wanted = (rows, columns) if i < half else (rows,)
        if shape != wanted and not any(isinstance(size, str) for size in (*shape, *wanted)):
            raise ValueError(f"weight {i} has shape {list(shape)}, not {list(wanted)}")
    state = (a["num_layers"] * directions, batch, hidden)
    return [(steps, batch, directions * hidden), *[state] * states_of(a["mode"])]
