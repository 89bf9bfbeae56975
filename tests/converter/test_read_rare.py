"""Rarer operators: each read from a program of Paddle 2 or 3 and computed."""

import numpy as np
import pytest
from programs import Legacy
from test_read_more import one_op

from converter.errors import ConvertError
from converter.ops import evaluate
from converter.read import read

RNG = np.random.default_rng(8)
X = RNG.uniform(-2, 2, (4, 6)).astype(np.float32)
Y = RNG.uniform(-2, 2, (4, 6)).astype(np.float32)
ROWS = RNG.uniform(-2, 2, (3, 6)).astype(np.float32)
PLACES = np.array([2, 0, 3])
PICTURE = RNG.uniform(0.1, 2, (1, 7, 4, 6)).astype(np.float32)
WHOLE = np.array([[-7, 3], [0, 5]])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def neighbours(x, n, k, alpha, beta):
    wide = np.pad(x * x, [(0, 0), ((n - 1) // 2, n - 1 - (n - 1) // 2), (0, 0), (0, 0)])
    return x * (k + alpha * sum(wide[:, i:i + x.shape[1]] for i in range(n))) ** -beta


def placed(x, rows, add=False):
    out = x.copy()
    out[PLACES] = out[PLACES] + rows if add else rows
    return out


@pytest.mark.parametrize(("kind", "attrs", "inputs", "want"), [
    ("trunc", {}, {"X": X * 3}, np.trunc(X * 3)),
    ("trunc", {}, {"X": WHOLE}, WHOLE),
    ("floor", {}, {"X": WHOLE}, WHOLE),
    ("logical_not", {}, {"X": WHOLE}, WHOLE == 0),
    ("exp", {}, {"X": WHOLE}, np.exp(WHOLE)),
    ("pow", {"factor": 3.0}, {"X": WHOLE}, WHOLE ** 3),
    ("isnan_v2", {}, {"X": WHOLE}, WHOLE != WHOLE),
    ("logit", {"eps": 0.2}, {"X": sigmoid(X)}, np.log(np.clip(sigmoid(X), .2, .8) / (1 - np.clip(sigmoid(X), .2, .8)))),
    ("amax", {"axis": [1], "keepdim": True}, {"X": X}, X.max(1, keepdims=True)),
    ("amin", {"axis": [0], "keepdim": False}, {"X": X}, X.min(0)),
    ("rrelu", {"lower": 0.1, "upper": 0.3, "is_test": True}, {"X": X}, np.where(X > 0, X, X * 0.2)),
    ("swiglu", {}, {"X": X}, X[:, :3] * sigmoid(X[:, :3]) * X[:, 3:]),
    ("swiglu", {}, {"X": X, "Y": Y}, X * sigmoid(X) * Y),
    ("rms_norm", {"epsilon": 1e-5, "begin_norm_axis": 1}, {"X": X, "Scale": Y[0]},
     X / np.sqrt((X * X).mean(1, keepdims=True) + 1e-5) * Y[0]),
    ("lrn", {"n": 5, "k": 2.0, "alpha": 0.3, "beta": 0.75}, {"X": PICTURE}, neighbours(PICTURE, 5, 2, 0.3, 0.75)),
    ("lrn", {"n": 4, "k": 1.0, "alpha": 0.5, "beta": 0.5}, {"X": PICTURE}, neighbours(PICTURE, 4, 1, 0.5, 0.5)),
    ("cos_sim", {}, {"X": X, "Y": Y},
     (X * Y).sum(1, keepdims=True) / np.linalg.norm(X, axis=1, keepdims=True) / np.linalg.norm(Y, axis=1)[:, None]),
    ("lp_pool2d", {"norm_type": 2.0, "ksize": [2, 3], "strides": [2, 3], "paddings": [0, 0]}, {"X": PICTURE},
     np.sqrt((PICTURE.reshape(1, 7, 2, 2, 2, 3) ** 2).sum((3, 5)))),
    ("equal_all", {}, {"X": X, "Y": X}, True),
    ("index_put", {}, {"X": X, "Indices": PLACES, "Value": ROWS}, placed(X, ROWS)),
    ("index_put", {"accumulate": True}, {"X": X, "Indices": PLACES, "Value": ROWS}, placed(X, ROWS, True)),
    ("index_put", {}, {"X": X, "Indices": X > 0, "Value": np.float32([9])}, np.where(X > 0, 9, X)),
    ("index_add", {"axis": 0}, {"X": X, "Index": PLACES, "AddValue": ROWS}, placed(X, ROWS, True)),
    ("index_add", {"axis": -1}, {"X": X.T.copy(), "Index": PLACES, "AddValue": ROWS.T.copy()}, placed(X, ROWS, True).T),
    ("fused_gemm_epilogue", {"activation": "relu"}, {"X": X, "Y": Y.T.copy(), "Bias": ROWS[0, :4]},
     np.maximum(X @ Y.T + ROWS[0, :4], 0)),
    ("linear_v2", {}, {"X": X, "Y": Y.T.copy(), "Bias": ROWS[0, :4]}, X @ Y.T + ROWS[0, :4]),
])
def test_it_computes(tmp_path, kind, attrs, inputs, want):
    graph, feeds = one_op(tmp_path, kind, inputs, "Out", attrs)
    found = evaluate(graph, feeds)["out0"]
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5)
    assert found.shape == np.shape(want)


@pytest.mark.parametrize("with_old", [True, False])
@pytest.mark.parametrize("how", ["add", "mul", "mean", "amax", "amin"])
def test_reductions_at_places(tmp_path, how, with_old):
    index, value = RNG.integers(0, 4, (5, 6)), RNG.uniform(-2, 2, (5, 6)).astype(np.float32)
    graph, feeds = one_op(tmp_path, "put_along_axis", {"Input": X, "Index": index, "Value": value}, "Result",
                          {"Axis": 0, "Reduce": how, "Include_self": with_old})
    functions = {"add": np.sum, "mul": np.prod, "mean": np.mean, "amax": np.max, "amin": np.min}
    want = X.copy()
    for i, j in np.ndindex(X.shape):
        found = value[:, j][index[:, j] == i]
        if len(found):
            want[i, j] = functions[how]([X[i, j], *found] if with_old else found)
    np.testing.assert_allclose(evaluate(graph, feeds)["out0"], want, rtol=1e-5, atol=1e-5)


def test_lengths_become_a_mask(tmp_path):
    p = Legacy()
    p.feed("x", [3], "int64")
    p.var("out", [3, 4], "bool")
    p.op("sequence_mask", {"X": ["x"]}, {"Y": ["out"]}, maxlen=4, out_dtype=0)
    p.fetch("out")
    found = evaluate(read(p.save(tmp_path)), {"x": np.array([2, 0, 4])})["out"]
    np.testing.assert_array_equal(found, np.arange(4) < np.array([[2], [0], [4]]))


def test_tensors_in_one_shape(tmp_path):
    graph, feeds = one_op(tmp_path, "broadcast_tensors", {"X": X[:, :1]}, "Out", {}, outputs=1)
    np.testing.assert_array_equal(evaluate(graph, feeds)["out0"], X[:, :1])
    p = Legacy()
    p.feed("a", [4, 1])
    p.feed("b", [1, 6])
    for name in ("p", "q"):
        p.var(name, [4, 6])
    p.op("broadcast_tensors", {"X": ["a", "b"]}, {"Out": ["p", "q"]})
    p.fetch("p")
    p.fetch("q")
    found = evaluate(read(p.save(tmp_path / "two")), {"a": X[:, :1], "b": X[:1]})
    np.testing.assert_array_equal(found["p"] + found["q"], X[:, :1] + X[:1])


def test_slots_in_small_letters(tmp_path):
    graph, feeds = one_op(tmp_path, "swiglu", {"x": X, "y": Y}, "out", {})
    np.testing.assert_allclose(evaluate(graph, feeds)["out0"], X * sigmoid(X) * Y, rtol=1e-5)


@pytest.mark.parametrize(("kind", "attrs", "inputs", "message"), [
    ("index_put", {}, {"X": X, "Indices": X[:, 0] > 0, "Value": np.float32([9])}, "a mask that picks slices"),
    ("lp_pool2d", {"norm_type": 2.0, "ksize": [2, 2], "paddings": [1, 1]}, {"X": PICTURE}, "padded"),
    ("put_along_axis", {"Axis": 0, "Reduce": "mean"}, {"Input": WHOLE, "Index": WHOLE * 0, "Value": WHOLE}, "mean"),
    ("atan2", {}, {"X1": X[:1], "X2": X}, "two tensors of one shape"),
    ("gaussian_random", {"shape": [2], "mean": 0.0}, {"X": X}, "gaussian_random"),
])
def test_what_is_refused(tmp_path, kind, attrs, inputs, message):
    with pytest.raises(ConvertError, match=message):
        one_op(tmp_path, kind, inputs, "Out", attrs)
