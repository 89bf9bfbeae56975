"""Operators that become others: each read from a Paddle 2 program of one operator and computed."""

import numpy as np
import pytest
from programs import Legacy, Pir

from converter.errors import ConvertError
from converter.ops import evaluate
from converter.read import read

RNG = np.random.default_rng(3)
X = RNG.uniform(-2, 2, (3, 4)).astype(np.float32)
Y = RNG.uniform(-2, 2, (3, 4)).astype(np.float32)
PICTURE = RNG.uniform(-2, 2, (2, 6, 2, 3)).astype(np.float32)
PLACES = np.array([[0, 3], [1, 1], [2, 0]])


def one_op(folder, kind, inputs, slot, attrs, fixed=(), outputs=1):
    """A program of one operator: inputs slot → array, those in `fixed` as weights. Returns its graph and feeds."""
    p = Legacy()
    for name, array in inputs.items():
        if name in fixed:
            p.param(name, array)
        else:
            p.feed(name, array.shape, str(array.dtype))
    names = [f"out{i}" for i in range(outputs)]
    for name in names:
        p.var(name, [-1])
    p.op(kind, {name: [name] for name in inputs}, {slot: names}, **attrs)
    for name in names:
        p.fetch(name)
    return read(p.save(folder)), {name: array for name, array in inputs.items() if name not in fixed}


def lengths(x, order, axis=-1, keepdims=False):
    return np.linalg.norm(x.astype(np.float64), order, axis, keepdims)


ONE = [
    ("logsumexp", {"axis": [1], "keepdim": False, "reduce_all": False}, {"X": X + 200},
     np.log(np.exp(X.astype(float)).sum(1)) + 200),
    ("logsumexp", {"axis": [0], "keepdim": True, "reduce_all": True}, {"X": X},
     np.log(np.exp(X).sum(keepdims=True))),
    *(("p_norm", {"porder": float(p), "axis": 1, "keepdim": False, "asvector": False}, {"X": X}, lengths(X, p))
      for p in (0, 1, 2, 3.5, np.inf, -np.inf)),
    ("p_norm", {"porder": 3.0, "axis": 0, "keepdim": True, "asvector": False}, {"X": X}, lengths(X, 3, 0, True)),
    ("p_norm", {"porder": 1.0, "axis": -1, "keepdim": False, "asvector": True}, {"X": X}, np.abs(X).sum()),
    ("frobenius_norm", {"dim": [0, 1], "keep_dim": False, "reduce_all": False}, {"X": X}, np.linalg.norm(X)),
    ("norm", {"axis": 1, "epsilon": 1e-6}, {"X": X}, X / np.sqrt((X * X).sum(1, keepdims=True) + 1e-6)),
    ("minus", {}, {"X": X, "Y": Y}, X - Y),
    ("dot", {}, {"X": X, "Y": Y}, (X * Y).sum(1)),
    ("mv", {}, {"X": X, "Vec": Y[0]}, X @ Y[0]),
    ("addmm", {"Alpha": 2.0, "Beta": 0.5}, {"Input": X[:, :3], "X": X, "Y": Y.T}, 2 * X @ Y.T + 0.5 * X[:, :3]),
    ("lerp", {}, {"X": X, "Y": Y, "Weight": np.float32([0.25])}, X + 0.25 * (Y - X)),
    ("crop_tensor", {"shape": [2, -1], "offsets": [1, 2]}, {"X": X}, X[1:3, 2:]),
    ("maxout", {"groups": 3, "axis": 1}, {"X": PICTURE}, PICTURE.reshape(2, 2, 3, 2, 3).max(2)),
    ("maxout", {"groups": 3, "axis": -1}, {"X": PICTURE}, PICTURE.max(-1, keepdims=True)),
    ("affine_channel", {"data_layout": "NCHW"}, {"X": PICTURE, "Scale": np.float32([1, 2, 3, 4, 5, 6]),
                                                 "Bias": np.float32([6, 5, 4, 3, 2, 1])},
     PICTURE * np.arange(1, 7).reshape(6, 1, 1) + np.arange(6, 0, -1).reshape(6, 1, 1)),
    ("shuffle_channel", {"group": 2}, {"X": PICTURE}, PICTURE[:, [0, 3, 1, 4, 2, 5]]),
    ("index_sample", {}, {"X": X, "Index": PLACES}, np.take_along_axis(X, PLACES, 1)),
    ("elementwise_fmax", {"axis": -1}, {"X": PLACES, "Y": PLACES[::-1].copy()}, np.maximum(PLACES, PLACES[::-1])),
    ("bitwise_xor", {}, {"X": X > 0, "Y": Y > 0}, (X > 0) ^ (Y > 0)),
    ("bitwise_not", {}, {"X": X > 0}, ~(X > 0)),
    ("one_hot", {"depth": 4}, {"X": PLACES[:, 1:]}, np.eye(4)[[3, 1, 0]]),
    ("one_hot_v2", {"depth": 4}, {"X": PLACES}, np.eye(4)[PLACES]),
    ("size", {}, {"Input": PICTURE}, 72),
    ("fill_any_like", {"value": 2.5, "dtype": -1}, {"X": X}, np.full((3, 4), 2.5)),
    ("fill_zeros_like", {}, {"X": X}, np.zeros((3, 4))),
    ("linear_interp_v2", {"out_w": 8, "align_corners": False, "align_mode": 0, "data_layout": "NCHW"},
     {"X": X[None]}, np.stack([np.interp((np.arange(8) + 0.5) / 2 - 0.5, np.arange(4), row) for row in X])[None]),
    ("lookup_table", {"padding_idx": -1}, {"W": X, "Ids": PLACES[:2, :1]}, X[[0, 1]]),
    ("set_value", {"axes": [1], "starts": [1], "ends": [3], "steps": [1], "decrease_axes": [], "none_axes": [],
                   "shape": [1], "fp32_values": [7.0]}, {"Input": X}, np.concatenate([X[:, :1], np.full((3, 2), 7),
                                                                                     X[:, 3:]], 1)),
]


@pytest.mark.parametrize(("kind", "attrs", "inputs", "want"), ONE, ids=[f"{i}_{one[0]}" for i, one in enumerate(ONE)])
def test_composed_operators(tmp_path, kind, attrs, inputs, want):
    slot = "Y" if kind == "unstack" else "Out"
    fixed = {"W", "Scale", "Bias"} & set(inputs)
    graph, feeds = one_op(tmp_path / "m", kind, inputs, slot, attrs, fixed)
    got = evaluate(graph, feeds)["out0"]
    assert got.shape == np.shape(want)
    np.testing.assert_allclose(got, want, 1e-5, 1e-6)


def test_open_shapes_are_read_at_run_time(tmp_path):
    p = Legacy()
    p.feed("x", [-1, 4])
    p.feed("y", [-1, 4])
    for name in ("a", "b"):
        p.var(name, [-1, 4])
    p.op("expand_as_v2", {"X": ["x"], "Y": ["y"]}, {"Out": ["a"]}, target_shape=[-1, 4])
    p.op("fill_any_like", {"X": ["y"]}, {"Out": ["b"]}, value=3.0, dtype=2)
    p.fetch("a")
    p.fetch("b")
    graph = read(p.save(tmp_path / "m"))
    out = evaluate(graph, {"x": X[:1], "y": Y})
    assert (out["a"] == X[:1]).all() and out["a"].shape == (3, 4)
    assert out["b"].dtype == np.int32 and (out["b"] == 3).all() and out["b"].shape == (3, 4)


def test_several_outputs_of_which_one_is_read(tmp_path):
    p = Legacy()
    p.feed("x", [3, 4])
    for name, dtype in (("values", "float32"), ("at", "int64"), ("first", "float32"), ("second", "float32")):
        p.var(name, [-1], dtype)
    p.op("top_k_v2", {"X": ["x"]}, {"Out": ["values"], "Indices": ["at"]}, k=2, axis=0, largest=False, sorted=True)
    p.op("unstack", {"X": ["values"]}, {"Y": ["first", "second"]}, axis=0, num=2)
    p.fetch("second")
    p.fetch("at")
    out = evaluate(read(p.save(tmp_path / "m")), {"x": X})
    assert (out["second"] == np.sort(X, 0)[1]).all() and (out["at"] == np.argsort(X, 0)[:2]).all()


def test_the_padding_row_reads_as_zeros(tmp_path):
    graph, feeds = one_op(tmp_path / "m", "lookup_table_v2", {"W": X, "Ids": np.array([[1, 2], [0, 1]])}, "Out",
                          {"padding_idx": 1}, {"W"})
    assert (evaluate(graph, feeds)["out0"] == [[0 * X[1], X[2]], [X[0], 0 * X[1]]]).all()


def test_rnn_drops_what_training_needs(tmp_path):
    p, rng = Pir(), np.random.default_rng(5)
    x, h = p.data("x", [2, 1, 3]), p.data("h", [1, 1, 4])
    weights = [p.param(f"w{i}", rng.standard_normal(shape).astype(np.float32))
               for i, shape in enumerate([(12, 3), (12, 4), (12,), (12,)])]
    scratch = p.param("dropout_state", np.zeros((), np.uint8))
    p.ops[-1]["OA"] = [0, 1, 0]
    del p.params["dropout_state"]
    states, list_of_weights = p.vector("0.combine", [h], [[1, 1, 4]]), p.vector("0.combine", weights, [[1]] * 4)
    nothing = 0
    out = p.add("1.rnn", [x, states, list_of_weights, nothing, scratch],
                [p.result([2, 1, 4]), p.result([], "uint8"), p.result([1, 1, 4]), p.result([])],
                {"mode": "GRU", "hidden_size": 4, "input_size": 3, "num_layers": 1, "is_bidirec": False,
                 "dropout_prob": 0.0, "seed": 0, "is_test": True})
    p.fetch(out)
    graph = read(p.save(tmp_path / "m"))
    node = next(node for node in graph.nodes if node.type == "rnn")
    assert set(node.inputs) == {"Input", "PreState", "WeightList"} and len(node.outputs["Out"]) == 2
    feeds = {"x": np.ones((2, 1, 3), np.float32), "h": np.zeros((1, 1, 4), np.float32)}
    assert evaluate(graph, feeds)["out"].shape == (2, 1, 4)


@pytest.mark.parametrize(("kind", "attrs", "inputs", "message"), [
    ("put_along_axis", {"Axis": 1, "Reduce": "median"}, {"Input": X, "Index": PLACES, "Value": X[:, :2]}, "median"),
    ("put_along_axis", {"Axis": 1, "Reduce": "add", "Include_self": False},
     {"Input": PLACES, "Index": PLACES, "Value": PLACES}, "without the old values"),
    ("one_hot_v2", {"depth": 2, "allow_out_of_range": True}, {"X": PLACES}, "out of range"),
    ("set_value", {"axes": [0], "starts": [0], "ends": [1], "steps": [1], "none_axes": [0], "shape": [1],
                   "fp32_values": [1.0]}, {"Input": X}, "new axes"),
    ("lookup_table_v2", {"padding_idx": 9}, {"W": X, "Ids": PLACES}, "padding_idx 9"),
    ("maxout", {"groups": 1, "axis": 1}, {"X": PICTURE}, "1 groups"),
    ("linear_interp_v2", {"out_w": 8}, {"X": PICTURE}, r"needs a tensor \[N,C,W\]"),
])
def test_what_cannot_be_read_is_named(tmp_path, kind, attrs, inputs, message):
    slot = "Result" if kind == "put_along_axis" else "Out"
    with pytest.raises(ConvertError, match=message):
        one_op(tmp_path / "m", kind, inputs, slot, attrs, {"W"} & set(inputs))


@pytest.mark.parametrize("given", ["float32", "float16"])
def test_half_precision_is_computed_in_float32_with_its_weights_as_they_are(tmp_path, given):
    """As exporters on GPUs write it: a cast in front where the input is float32, weights of half precision, a cast."""
    p, w = Legacy(), RNG.standard_normal((4, 2)).astype(np.float16)
    p.feed("x", [-1, 4], given)
    p.param("w", w)
    for name, dtype in (("half", "float16"), ("product", "float16"), ("out", "float32")):
        p.var(name, [-1, 4], dtype)
    p.op("cast", {"X": ["x"]}, {"Out": ["half"]}, in_dtype=5, out_dtype=4)
    p.op("matmul_v2", {"X": ["half"], "Y": ["w"]}, {"Out": ["product"]}, trans_x=False, trans_y=False)
    p.op("cast", {"X": ["product"]}, {"Out": ["out"]}, in_dtype=4, out_dtype=5)
    p.fetch("out")
    graph = read(p.save(tmp_path / "m"))
    assert graph.values["w"].data.dtype == np.float16 and graph.values["x"].dtype == "float32"
    assert {value.dtype for name, value in graph.values.items() if name != "w"} == {"float32"}
    assert np.allclose(evaluate(graph, {"x": X})["out"], X @ w.astype(np.float32), atol=1e-6)
