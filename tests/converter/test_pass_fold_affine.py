import numpy as np
import pytest

from converter.passes import fold_affine, fold_scale_forward
from tests.converter.pass_helpers import check_pass, graph_of, types

START = "x: float32[1,3,6,6] = input; w: float32[4,3,3,3] = const; p: float32[4,3,1,1] = const; b: float32[4] = const;"


def test_any_order_and_number():
    graph = check_pass(fold_affine.run, START + """
        k: float32[1,4,1,1] = const
        one: float32[1] = const [0.5]
        gamma: float32[4] = const
        variance: float32[4] = const
        a = conv2d(Input=x, Filter=w)
        c = elementwise_add(a, k)
        d = elementwise_mul(c, one)
        e = elementwise_add(d, one)
        f = batch_norm(e, Scale=gamma, Bias=b, Mean=b, Variance=variance)
        g = scale(f, scale=2.0, bias=0.5)
        y = elementwise_sub(k, g, fuse_activation="relu")
        return y
    """, variance=np.array([0.5, 1, 2, 3], np.float32))
    assert types(graph) == ["conv2d"]
    assert graph.nodes[0].attrs["fuse_activation"] == "relu"


def test_infinite_weights_become_what_paddle_makes_of_them():
    graph = fold_affine.run(graph_of(START + """
        k: float32[1,4,1,1] = const
        a = conv2d(Input=x, Filter=w, Bias=b)
        y = elementwise_mul(a, k)
        return y
    """, b=np.array([np.inf, 1, 2, 3], np.float32), k=np.array([0, 1, 2, 3], np.float32).reshape(1, 4, 1, 1)))
    bias = graph.data_of(graph.nodes[0].input("Bias"))
    assert types(graph) == ["conv2d"] and np.isnan(bias[0]) and list(bias[1:]) == [1, 4, 9]


def test_an_epilogue_ends_it():
    graph = check_pass(fold_affine.run, START + """
        k: float32[1,4,1,1] = const
        a = conv2d(Input=x, Filter=w)
        c = elementwise_add(a, k, fuse_activation="relu")
        y = elementwise_mul(c, k)
        return y
    """)
    assert types(graph) == ["conv2d", "elementwise_mul"]


@pytest.mark.parametrize("call", [
    "conv2d(Input=s, Filter=p)", "conv2d(Input=s, Filter=w)", "conv2d(Input=s, Filter=w, Bias=b)",
    "conv2d(Input=s, Filter=w, strides=[2, 2], dilations=[2, 2])", "fc(Input=s, W=v, in_num_col_dims=3)",
])
@pytest.mark.parametrize("scale", ["scale=0.5", "scale=0.5, bias=2.0", "scale=0.5, bias=2.0, bias_after_scale=false"])
def test_forward(call, scale):
    text = f"{START} v: float32[6,4] = const; s = scale(x, {scale}); y = {call}; return y"
    graph = check_pass(fold_scale_forward.run, text)
    assert len(graph.nodes) == 1
    assert graph.nodes[0].inputs["Input"] == ["x"]


def test_forward_through_padding_without_a_shift():
    graph = check_pass(fold_scale_forward.run, START + """
        s = scale(x, scale=3.0); y = conv2d(Input=s, Filter=w, Bias=b, paddings=[1, 1, 1, 1]); return y""")
    assert types(graph) == ["conv2d"]


def test_forward_into_several_readers_and_depthwise():
    graph = check_pass(fold_scale_forward.run, START + """
        d: float32[3,1,3,3] = const
        s = scale(x, scale=3.0, bias=1.0)
        y = conv2d(Input=s, Filter=p)
        z = conv2d(Input=s, Filter=d, groups=3)
        return y, z""")
    assert types(graph) == ["conv2d", "conv2d"]


@pytest.mark.parametrize("rest", [
    "y = conv2d(Input=s, Filter=w, paddings=[1, 1, 1, 1]); return y",
    'y = conv2d(Input=s, Filter=w, padding_algorithm="SAME"); return y',
    "y = conv2d(Input=s, Filter=p); z = relu(s); return y, z",
    "y = conv2d(Input=s, Filter=p); return y, s",
    "q: float32[3,3,1,1] = const; y = conv2d(Input=s, Filter=q, ResidualData=s); return y",
    "t: float32[3,4,2,2] = const; y = conv2d_transpose(Input=s, Filter=t); return y",
])
def test_forward_refuses(rest):
    graph = check_pass(fold_scale_forward.run, f"{START} s = scale(x, scale=0.5, bias=2.0); {rest}")
    assert types(graph)[0] == "scale"
