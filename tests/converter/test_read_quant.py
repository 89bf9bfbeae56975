"""Models that PaddleSlim quantised: read as float32 with the same rounding."""

import numpy as np
import pytest
from programs import Legacy

from converter.errors import ConvertError
from converter.ops import evaluate
from converter.read import read

RNG = np.random.default_rng(11)
X = (RNG.uniform(-3, 3, (2, 3, 4, 5))).astype(np.float32)
X[0, 0, 0, :3] = np.float32([0.5, 1.5, -2.5]) * np.float32(1.7 / 127)
ONE, ZERO = np.float32([1.7]), np.zeros(1, np.float32)
EACH = np.float32([0.9, 1.3, 2.1])
COUNTS = np.rint(RNG.uniform(-127, 127, (2, 3, 4, 5))).astype(np.float32)


def even(x, scale):
    return np.clip(np.rint(x * (np.float32(127) * (np.float32(1) / scale))), -128, 127)


def away(x, scale):
    wide = np.clip(x, -scale, scale) * (np.float32(127) * (np.float32(1) / scale))
    return np.sign(wide) * np.floor(np.abs(wide) + np.float32(0.5))


def channels(scale, axis=1):
    return scale.reshape([-1 if i == axis else 1 for i in range(4)])


def run(folder, kind, inputs, fixed, attrs, out="Out"):
    p = Legacy()
    for name, array in inputs.items():
        if name in fixed:
            p.param(name, array)
        else:
            p.feed(name, array.shape)
    p.var("out", X.shape)
    p.var("scale", [1])
    p.op(kind, {name: [name] for name in inputs}, {out: ["out"], "OutScale": ["scale"]}, **attrs)
    p.var("sum", X.shape)
    p.feed("more", X.shape)
    p.op("elementwise_add", {"X": ["out"], "Y": ["more"]}, {"Out": ["sum"]}, axis=-1)
    p.fetch("sum")
    graph = read(p.save(folder))
    feeds = {name: array for name, array in inputs.items() if name not in fixed} | {"more": np.zeros_like(X)}
    return evaluate(graph, feeds)["sum"]


MOVING = "fake_quantize_dequantize_moving_average_abs_max"


@pytest.mark.parametrize(("kind", "inputs", "attrs", "want"), [
    ("quantize_linear", {"X": X, "Scale": ONE, "ZeroPoint": ZERO}, {"round_type": 0, "quant_axis": -1}, even(X, ONE)),
    ("quantize_linear", {"X": X, "Scale": ONE, "ZeroPoint": ZERO}, {"round_type": 1, "quant_axis": -1}, away(X, ONE)),
    ("quantize_linear", {"X": X, "Scale": EACH, "ZeroPoint": ZERO}, {"quant_axis": 1}, even(X, channels(EACH))),
    ("dequantize_linear", {"X": COUNTS, "Scale": EACH, "ZeroPoint": ZERO}, {"quant_axis": 1},
     COUNTS * channels(EACH) / 127),
    ("fake_quantize_moving_average_abs_max", {"X": X, "InScale": ONE}, {"round_type": 1}, away(X, ONE)),
    ("fake_quantize_range_abs_max", {"X": X, "InScale": ONE}, {"round_type": 0}, even(X, ONE)),
    (MOVING, {"X": X, "InScale": ONE}, {"round_type": 0}, even(X, ONE) * ONE / 127),
    ("fake_dequantize_max_abs", {"X": COUNTS, "Scale": ONE}, {"max_range": 127.0 * 127}, COUNTS * ONE / 127 / 127),
    ("fake_channel_wise_dequantize_max_abs", {"X": COUNTS, "Scales": EACH}, {"quant_bits": [8], "quant_axis": 1},
     COUNTS * channels(EACH) / 127),
])
def test_activations(tmp_path, kind, inputs, attrs, want):
    out = "Y" if kind.endswith("_linear") else "Out"
    found = run(tmp_path, kind, inputs, set(inputs) - {"X"}, attrs, out)
    np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("kind", "inputs", "attrs", "want"), [
    ("dequantize_linear", {"X": COUNTS.astype(np.int8), "Scale": EACH[:2], "ZeroPoint": ZERO}, {"quant_axis": 0},
     COUNTS * channels(EACH[:2], 0) / 127),
    ("fake_quantize_dequantize_abs_max", {"X": X}, {"round_type": 1}, away(X, np.abs(X).max()) * np.abs(X).max() / 127),
    ("fake_channel_wise_quantize_abs_max", {"X": X}, {"quant_axis": 1, "round_type": 0},
     even(X, np.abs(X).max((0, 2, 3), keepdims=True))),
])
def test_weights_become_numbers_at_once(tmp_path, kind, inputs, attrs, want):
    found = run(tmp_path, kind, inputs, set(inputs), attrs, "Y" if kind.endswith("_linear") else "Out")
    np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-6)


def test_a_zero_point_is_refused(tmp_path):
    inputs = {"X": X, "Scale": ONE, "ZeroPoint": np.float32([3])}
    with pytest.raises(ConvertError, match="a zero point other than 0"):
        run(tmp_path, "quantize_linear", inputs, {"Scale", "ZeroPoint"}, {"quant_axis": -1}, "Y")
