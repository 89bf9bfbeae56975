import pytest

from converter.passes import scalars
from tests.converter.pass_helpers import check_pass, types

START = """
    x: float32[2,3] = input
    k: float32[1] = const [0.5]
    m: float32[] = const [3.0]
    big: float32[1,1,1] = const [2.0]
"""


@pytest.mark.parametrize("call", ["elementwise_mul(a, k)", "elementwise_mul(k, a)", "elementwise_add(a, m)",
                                  "elementwise_sub(a, k)", "elementwise_div(a, k)"])
def test_one_number(call):
    graph = check_pass(scalars.run, f"{START} a = relu(x); y = {call}; return y")
    assert types(graph) == ["relu", "scale"]


def test_chain_becomes_one():
    graph = check_pass(scalars.run, f"""{START}
        a = elementwise_mul(x, k); b = elementwise_add(a, m); c = scale(b, scale=2.0, bias=1.0, bias_after_scale=false)
        y = elementwise_sub(c, k); return y""")
    assert types(graph) == ["scale"]


@pytest.mark.parametrize("call", ["elementwise_sub(k, x)", "elementwise_div(k, x)", "elementwise_mul(x, big)",
                                  'elementwise_add(x, k, fuse_activation="relu")', "elementwise_max(x, k)"])
def test_refuses(call):
    graph = check_pass(scalars.run, f"{START} y = {call}; return y")
    assert types(graph) == [call.split("(")[0]]
