"""Handlers, continued: recurrent layers, sorting, picking and scattering."""

from __future__ import annotations

from converter.read.canonical import Builder, Op
from converter.read.canonical_ops import handles


def several(b: Builder, op: Op, slots: dict[str, int], dtypes: dict[str, str]) -> list[str]:
    """Graph names for several output slots joined in one, `slots` saying how many each has; the others are dropped.

    An output that the program leaves out gets a name of its own. dtypes: of such outputs.
    """
    for slot, names in op.outputs.items():
        if slot not in slots:
            b.dropped.update(dict.fromkeys(names, f"{op.where}, slot {slot},"))
    made = []
    for slot, count in slots.items():
        names = op.outputs.get(slot) or []
        if len(names) not in (0, count):
            raise op.error(f"output '{slot}' has {len(names)} tensors, not {count}")
        made += [b.write(name) for name in names] or \
            [b.temporary(f"{op.out_names[0]}.{slot}", (), dtypes[slot]) for _ in range(count)]
    return made


@handles("rnn")
def rnn(b: Builder, op: Op) -> None:
    """Out, then the last states; Reserve and DropoutState serve training."""
    op.skip("dropout_prob", "seed", "input_size")
    mode = op.attr("mode", "RNN_TANH")
    inputs = {slot: op.inputs.get(slot, []) for slot in ("Input", "PreState", "WeightList", "SequenceLength")}
    attrs = {"mode": mode, "hidden_size": int(op.attr("hidden_size", 10)), "num_layers": int(op.attr("num_layers", 1)),
             "is_bidirec": bool(op.attr("is_bidirec", False))}
    out = several(b, op, {"Out": 1, "State": 2 if mode == "LSTM" else 1}, {"State": b.dtype_of(op.one("Input"))})
    b.emit(op, "rnn", inputs, attrs, out=out)
