import pytest

from converter.passes import fuse_residual
from tests.converter.pass_helpers import check_pass, types

START = "x: float32[1,3,H,W] = input; w: float32[3,3,3,3] = const; p: float32[3,3,1,1] = const; b: float32[3] = const;"
CONV = "conv2d(Input=x, Filter=w, Bias=b, paddings=[1, 1, 1, 1])"


@pytest.mark.parametrize("order", ["x, a", "a, x"])
def test_joins_either_way_round(order):
    graph = check_pass(fuse_residual.run, f"{START} a = {CONV}; y = elementwise_add({order}); return y")
    assert types(graph) == ["conv2d"]
    assert graph.nodes[0].inputs["ResidualData"] == ["x"]


def test_the_later_convolution_takes_the_sum():
    graph = check_pass(fuse_residual.run, f"""{START}
        a = {CONV}
        c = conv2d(Input=x, Filter=p)
        d = relu(c)
        y = elementwise_add(a, d, fuse_activation="relu")
        return y""")
    assert types(graph) == ["conv2d", "relu", "conv2d"]
    assert graph.nodes[2].inputs["ResidualData"] == ["d"]
    assert graph.nodes[2].attrs["fuse_activation"] == "relu"


def test_equal_sizes_behind_a_stride_are_recognised():
    graph = check_pass(fuse_residual.run, f"""{START}
        a = conv2d(Input=x, Filter=w, strides=[2, 2], paddings=[1, 1, 1, 1])
        c = conv2d(Input=x, Filter=p, strides=[2, 2])
        y = elementwise_add(a, c)
        return y""")
    assert types(graph) == ["conv2d", "conv2d"]


@pytest.mark.parametrize("rest", [
    "c = pool2d(x, ksize=[1, 1], global_pooling=true); y = elementwise_add(a, c); return y",
    "y = elementwise_add(a, x); return y, a",
    "y = elementwise_add(a, x); z = relu(a); return y, z",
    "y = elementwise_add(a, a); return y",
    "y = elementwise_sub(a, x); return y",
    "c = relu(a); y = elementwise_add(c, x); return y",
])
def test_refuses(rest):
    graph = check_pass(fuse_residual.run, f"{START} a = {CONV}; {rest}")
    assert not any(node.inputs.get("ResidualData") for node in graph.nodes)


def test_chains_of_blocks():
    text = START + "a0 = conv2d(Input=x, Filter=p);"
    for i in range(4):
        text += (f"c{i} = conv2d(Input=a{i}, Filter=w, paddings=[1, 1, 1, 1]);"
                 f"a{i + 1} = elementwise_add(a{i}, c{i});")
    graph = check_pass(fuse_residual.run, text + "return a4")
    assert types(graph) == ["conv2d"] * 5
