import pytest

from converter.passes import fuse_bias
from tests.converter.pass_helpers import check_pass, types

CONSTANTS = """
    k: float32[4] = const
    k11: float32[1,4,1,1] = const
    c11: float32[4,1,1] = const
    column: float32[4,1] = const
    one: float32[1] = const [0.5]
    row: float32[3] = const
    batch: float32[2,4,1,1] = const
"""
CONV = "x: float32[2,3,5,5] = input; w: float32[4,3,3,3] = const; b: float32[4] = const;" + CONSTANTS


@pytest.mark.parametrize("call", [
    "elementwise_add(a, k, axis=1)", "elementwise_add(a, k11)", "elementwise_add(k11, a)", "elementwise_add(a, c11)",
    "elementwise_add(a, column, axis=1)", "elementwise_add(a, one)", "elementwise_sub(a, k11)",
    "elementwise_sub(k11, a)", 'elementwise_add(a, k11, fuse_activation="relu")',
])
@pytest.mark.parametrize("bias", ["", ", Bias=b"])
def test_joins_conv(call, bias):
    graph = check_pass(fuse_bias.run, f"{CONV} a = conv2d(Input=x, Filter=w{bias}); y = {call}; return y")
    assert types(graph) == ["conv2d"]


@pytest.mark.parametrize("call", ["elementwise_add(a, row)", "elementwise_add(a, batch)", "elementwise_add(a, a)"])
def test_refuses(call):
    graph = check_pass(fuse_bias.run, f"{CONV} a = conv2d(Input=x, Filter=w); y = {call}; return y")
    assert types(graph) == ["conv2d", "elementwise_add"]


def test_refuses_a_public_inner_value():
    graph = check_pass(fuse_bias.run, f"{CONV} a = conv2d(Input=x, Filter=w); y = elementwise_add(a, k11); return a, y")
    assert types(graph) == ["conv2d", "elementwise_add"]


@pytest.mark.parametrize(("layer", "call"), [
    ("conv2d_transpose(Input=x, Filter=t)", "elementwise_add(a, k, axis=1)"),
    ('conv2d(Input=x, Filter=l, data_format="NHWC")', "elementwise_add(a, k)"),
])
def test_joins_other_layers(layer, call):
    graph = check_pass(fuse_bias.run, f"""{CONV}
        t: float32[3,4,2,2] = const; l: float32[4,5,1,1] = const
        a = {layer}; y = {call}; return y""")
    assert len(graph.nodes) == 1


def test_joins_fc_over_its_last_axis():
    text = f"x: float32[2,3,5] = input; w: float32[5,4] = const; b: float32[4] = const; {CONSTANTS}"
    graph = check_pass(fuse_bias.run, f"""{text}
        a = fc(Input=x, W=w, in_num_col_dims=2); y = elementwise_add(a, k); return y""")
    assert types(graph) == ["fc"]
    graph = check_pass(fuse_bias.run, f"""{text}
        a = fc(Input=x, W=w, in_num_col_dims=2); y = elementwise_add(a, row, axis=1); return y""")
    assert types(graph) == ["fc", "elementwise_add"]
