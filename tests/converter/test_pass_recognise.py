import pytest

from converter.passes import recognise
from tests.converter.pass_helpers import check_pass, types

X = "x: float32[2,3,4] = input;"


@pytest.mark.parametrize(("text", "found"), [
    ("s = sigmoid(x); y = elementwise_mul(x, s); return y", "silu"),
    ("s = sigmoid(x); y = elementwise_mul(s, x); return y", "silu"),
    ("y = swish(x); return y", "silu"),
    ("s = softplus(x); t = tanh(s); y = elementwise_mul(t, x); return y", "mish"),
    ("s = hard_sigmoid(x, slope=0.1666667, offset=0.5); y = elementwise_mul(x, s); return y", "hard_swish"),
    ("a = scale(x, bias=3.0); b = relu6(a); y = scale(b, scale=0.16666667); return y", "hard_sigmoid"),
    ("a = scale(x, bias=3.0); b = relu6(a); c = elementwise_mul(b, x); y = scale(c, scale=0.16666667); return y",
     "hard_swish"),
    ("y = clip(x, min=0.0, max=inf); return y", "relu"),
    ("half: float32[1] = const [0.5]; one: float32[1] = const [1.0]; root: float32[1] = const [1.41421356];"
     "a = elementwise_div(x, root); b = erf(a); c = elementwise_add(one, b); d = elementwise_mul(x, c);"
     "y = elementwise_mul(d, half); return y", "gelu"),
    ("t = transpose2(x, axis=[1, 2, 0]); y = transpose2(t, axis=[1, 0, 2]); return y", "transpose2"),
    ("t = reshape2(x, shape=[6, 4]); y = reshape2(t, shape=[4, -1]); return y", "reshape2"),
])
def test_names(text, found):
    assert types(check_pass(recognise.run, X + text)) == [found]


@pytest.mark.parametrize("text", [
    "s = sigmoid(x); y = elementwise_mul(x, s); return y, s",
    "s = sigmoid(x); y = elementwise_mul(x, s); z = relu(s); return y, z",
    "r = relu(x); s = sigmoid(r); y = elementwise_mul(x, s); return y",
    'z: float32[2,3] = input; s = sigmoid(z); y = elementwise_mul(x, s, axis=0, fuse_activation="relu"); return y',
    "y = swish(x, beta=2.0); return y",
    "s = hard_sigmoid(x); y = elementwise_mul(x, s); return y",
    "a = scale(x, bias=2.0); b = relu6(a); y = scale(b, scale=0.16666667); return y",
    "t = reshape2(x, shape=[6, 4]); y = reshape2(t, shape=[0, 2, 2]); return y",
    "t = transpose2(x, axis=[1, 2, 0]); y = transpose2(t, axis=[1, 0, 2]); return y, t",
])
def test_refuses(text):
    before = types(check_pass(lambda graph: graph, X + text))
    assert types(check_pass(recognise.run, X + text)) == before


def test_rewrites_every_place_and_what_follows_from_it():
    graph = check_pass(recognise.run, X + """
        a = sigmoid(x); b = elementwise_mul(x, a); c = sigmoid(b); d = elementwise_mul(c, b)
        t = transpose2(d, axis=[2, 0, 1]); u = transpose2(t, axis=[2, 1, 0]); y = transpose2(u, axis=[0, 2, 1])
        return y
    """)
    assert types(graph) == ["silu", "silu", "transpose2"]
