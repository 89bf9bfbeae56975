import pytest

from converter.passes import fold_scale
from tests.converter.pass_helpers import check_pass, graph_of, types

CONV = "x: float32[1,3,5,5] = input; w: float32[4,3,3,3] = const; b: float32[4] = const;"


@pytest.mark.parametrize("call", [
    "scale(a, scale=0.5)", "scale(a, scale=0.5, bias=2.0)", "scale(a, scale=0.5, bias=2.0, bias_after_scale=false)",
    "elementwise_mul(a, k, axis=1)", "elementwise_mul(a, k11)", "elementwise_mul(k11, a)", "elementwise_mul(a, one)",
    "elementwise_div(a, k11)", 'elementwise_mul(a, k11, fuse_activation="relu")',
])
@pytest.mark.parametrize("bias", ["", ", Bias=b"])
def test_joins(call, bias):
    graph = check_pass(fold_scale.run, f"""{CONV}
        k: float32[4] = const
        k11: float32[1,4,1,1] = const
        one: float32[1] = const [0.25]
        a = conv2d(Input=x, Filter=w{bias}); y = {call}; return y""")
    assert types(graph) == ["conv2d"]


@pytest.mark.parametrize("call", ["elementwise_mul(a, row)", "elementwise_div(k11, a)", "elementwise_mul(a, a)",
                                  "elementwise_mul(a, big)", "elementwise_div(a, zero)"])
def test_refuses(call):
    text = f"""{CONV}
        k11: float32[1,4,1,1] = const
        row: float32[3] = const
        big: float32[1,1,4,1,1] = const
        zero: float32[1] = const [0.0]
        a = conv2d(Input=x, Filter=w); y = {call}; return y"""
    graph = fold_scale.run(graph_of(text))
    assert graph.nodes[0].type == "conv2d"
    assert len(graph.nodes) == 2


def test_several_join_one_after_the_other():
    graph = check_pass(fold_scale.run, """
        x: float32[2,5] = input
        w: float32[5,4] = const
        k: float32[4] = const
        a = fc(Input=x, W=w)
        c = elementwise_mul(a, k)
        y = scale(c, scale=3.0, bias=1.0)
        return y
    """)
    assert types(graph) == ["fc"]
