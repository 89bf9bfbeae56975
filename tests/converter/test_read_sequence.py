"""fluid's operators over sequences: an input of a bundle is one sequence, and its rows are the steps."""

import numpy as np
import pytest
from programs import Legacy

from converter.errors import ConvertError
from converter.ops import evaluate
from converter.read import read

RNG = np.random.default_rng(5)
STEPS = RNG.uniform(-1, 1, (5, 3)).astype(np.float32)
ROW = RNG.uniform(-1, 1, (1, 3)).astype(np.float32)
FILTER = RNG.uniform(-1, 1, (9, 2)).astype(np.float32)
PICTURE = RNG.uniform(-1, 1, (1, 2, 4, 5)).astype(np.float32)


def program(folder, kind, inputs, slot, attrs, levels=None, out="Out", open_rows=True):
    """One operator; every input is fed, and is a sequence as deep as `levels` says."""
    p = Legacy()
    for name, array in inputs.items():
        p.feed(name, [-1 if open_rows else array.shape[0], *array.shape[1:]], str(array.dtype))
        p.block.vars[-1].type.lod_tensor.lod_level = (levels or {}).get(name, 1)
    p.var("out", [-1, *[-1] * (inputs[slot].ndim - 1)])
    p.op(kind, {name: [name] for name in inputs}, {out: ["out"]}, **attrs)
    p.fetch("out")
    return p.save(folder)


def run(folder, inputs):
    graph = read(folder)
    return evaluate(graph, inputs)["out"]


def neighbours(x, length, start):
    """Each step with its neighbours, zeros beyond the ends."""
    rows = [x[t] if 0 <= t < len(x) else 0 * x[0] for t in range(-9, len(x) + 9)]
    return np.stack([np.concatenate(rows[t + start + 9:t + start + 9 + length]) for t in range(len(x))])


POOLS = {"AVERAGE": STEPS.mean(0), "SUM": STEPS.sum(0), "SQRT": STEPS.sum(0) / np.sqrt(5), "MAX": STEPS.max(0),
         "LAST": STEPS[-1], "FIRST": STEPS[0]}


@pytest.mark.parametrize("kind", POOLS)
def test_a_pool_makes_one_row(tmp_path, kind):
    attrs = {"pooltype": kind, "is_test": True, "pad_value": 0.0}
    path = program(tmp_path, "sequence_pool", {"X": STEPS}, "X", attrs)
    np.testing.assert_allclose(run(path, {"X": STEPS}), POOLS[kind][None], atol=1e-6)


@pytest.mark.parametrize(("length", "start"), [(3, -1), (2, 0), (1, 0), (2, 1), (3, -3), (1, -2), (4, -1)])
def test_a_convolution_sees_neighbours(tmp_path, length, start):
    filter = FILTER[:length * 3] if length < 4 else np.concatenate([FILTER, FILTER[:3]])
    attrs = {"contextLength": length, "contextStart": start, "contextStride": 1, "paddingTrainable": False}
    path = program(tmp_path, "sequence_conv", {"X": STEPS, "Filter": filter}, "X", attrs, {"Filter": 0})
    np.testing.assert_allclose(run(path, {"X": STEPS, "Filter": filter}), neighbours(STEPS, length, start) @ filter,
                               atol=1e-6)


@pytest.mark.parametrize(("kind", "inputs", "levels", "want"), [
    ("sequence_softmax", {"X": STEPS[:, :1]}, {}, np.exp(STEPS[:, :1]) / np.exp(STEPS[:, :1]).sum()),
    ("sequence_expand", {"X": ROW, "Y": STEPS}, {"X": 0}, np.repeat(ROW, 5, 0)),
    ("sequence_expand_as", {"X": ROW, "Y": STEPS}, {"X": 0}, np.repeat(ROW, 5, 0)),
    ("sequence_reverse", {"X": STEPS}, {}, STEPS[::-1]),
])
def test_other_operators(tmp_path, kind, inputs, levels, want):
    slot = "Y" if kind == "sequence_reverse" else "Out"
    found = run(program(tmp_path, kind, inputs, "X", {}, levels, out=slot), inputs)
    np.testing.assert_allclose(found, want, atol=1e-6)


def test_a_picture_becomes_the_sequence_of_its_windows(tmp_path):
    attrs = {"kernels": [2, 3], "strides": [1, 2], "paddings": [0, 1, 0, 1], "out_stride": [1, 1]}
    path = program(tmp_path, "im2sequence", {"X": PICTURE}, "X", attrs, {"X": 0})
    wide = np.pad(PICTURE, [(0, 0), (0, 0), (0, 0), (1, 1)])
    want = [wide[0, :, i:i + 2, j:j + 3].ravel() for i in range(3) for j in (0, 2, 4)]
    np.testing.assert_array_equal(run(path, {"X": PICTURE}), want)
    with pytest.raises(ConvertError):
        run(path, {"X": np.concatenate([PICTURE, PICTURE])})


def test_a_text_classifier_of_fluid(tmp_path):
    """The layers of a net of 2019: an embedding, a layer, an LSTM with peepholes, two pools, a classifier."""
    p, words = Legacy(), np.array([[3], [1], [4], [1]])
    weights = {name: RNG.uniform(-1, 1, shape).astype(np.float32) for name, shape in {
        "table": (6, 4), "w": (4, 8), "own": (2, 8), "bias": (1, 14), "a": (8, 3), "b": (2, 3)}.items()}
    for name, data in weights.items():
        p.param(name, data)
    p.feed("words", [-1, 1], "int64")
    p.block.vars[-1].type.lod_tensor.lod_level = 1
    for name in ("emb", "x", "h", "c", "px", "ph", "ya", "yb", "sum", "out"):
        p.var(name, [-1, {"emb": 4, "x": 8, "px": 8, "h": 2, "c": 2, "ph": 2}.get(name, 3)])
    p.op("lookup_table", {"W": ["table"], "Ids": ["words"]}, {"Out": ["emb"]}, padding_idx=-1)
    p.op("mul", {"X": ["emb"], "Y": ["w"]}, {"Out": ["x"]}, x_num_col_dims=1, y_num_col_dims=1)
    p.op("lstm", {"Input": ["x"], "Weight": ["own"], "Bias": ["bias"]}, {"Hidden": ["h"], "Cell": ["c"]},
         use_peepholes=True, is_reverse=False, gate_activation="sigmoid", cell_activation="tanh",
         candidate_activation="tanh")
    for x, out in (("x", "px"), ("h", "ph")):
        p.op("sequence_pool", {"X": [x]}, {"Out": [out]}, pooltype="MAX", is_test=True, pad_value=0.0)
    p.op("mul", {"X": ["px"], "Y": ["a"]}, {"Out": ["ya"]}, x_num_col_dims=1, y_num_col_dims=1)
    p.op("mul", {"X": ["ph"], "Y": ["b"]}, {"Out": ["yb"]}, x_num_col_dims=1, y_num_col_dims=1)
    p.op("sum", {"X": ["ya", "yb"]}, {"Out": ["sum"]})
    p.op("softmax", {"X": ["sum"]}, {"Out": ["out"]}, axis=-1)
    p.fetch("out")
    graph = read(p.save(tmp_path))
    x = weights["table"][words[:, 0]] @ weights["w"]
    sums = x.max(0) @ weights["a"] + hidden(x, weights["own"], weights["bias"][0]).max(0) @ weights["b"]
    np.testing.assert_allclose(evaluate(graph, {"words": words})["out"], [np.exp(sums) / np.exp(sums).sum()], atol=1e-6)


def hidden(x, own, bias):
    """The hidden states of an LSTM of two units with peepholes."""
    h, c, out = np.zeros(2), np.zeros(2), []
    for row in x:
        new, i, f, o = np.split(row + bias[:8] + h @ own, 4)
        i, f = 1 / (1 + np.exp(-i - c * bias[8:10])), 1 / (1 + np.exp(-f - c * bias[10:12]))
        c = np.tanh(new) * i + c * f
        h = np.tanh(c) / (1 + np.exp(-o - c * bias[12:]))
        out.append(h)
    return np.array(out)


def test_deeper_sequences_are_refused(tmp_path):
    attrs = {"pooltype": "SUM", "is_test": True, "pad_value": 0.0}
    path = program(tmp_path, "sequence_pool", {"X": STEPS}, "X", attrs, {"X": 2})
    with pytest.raises(ConvertError, match="sequences of sequences"):
        read(path)


def test_repeating_a_sequence_is_refused(tmp_path):
    with pytest.raises(ConvertError, match="repeats a sequence"):
        read(program(tmp_path, "sequence_expand", {"X": STEPS, "Y": STEPS}, "X", {"ref_level": 0}))
