import pytest

from converter.passes import matmul_to_fc
from tests.converter.pass_helpers import check_pass, types


@pytest.mark.parametrize("shape", ["3,5", "2,3,5", "2,1,3,5", "N,5"])
@pytest.mark.parametrize(("weight", "attrs"), [("5,4", ""), ("4,5", ", trans_y=true")])
def test_constant_matrix(shape, weight, attrs):
    graph = check_pass(matmul_to_fc.run, f"""
        x: float32[{shape}] = input; w: float32[{weight}] = const; y = matmul_v2(x, w{attrs}); return y""")
    assert types(graph) == ["fc"]
    assert set(graph.nodes[0].inputs) == {"Input", "W"}


@pytest.mark.parametrize("text", [
    "x: float32[5,3] = input; w: float32[5,4] = const; y = matmul_v2(x, w, trans_x=true); return y",
    "x: float32[2,3,5] = input; w: float32[2,5,4] = const; y = matmul_v2(x, w); return y",
    "x: float32[3,5] = input; w: float32[5,4] = input; y = matmul_v2(x, w); return y",
    "x: float32[5] = input; w: float32[5,4] = const; y = matmul_v2(x, w); return y",
    "x: float32[4,5] = input; w: float32[3,4] = const; y = matmul_v2(w, x); return y",
])
def test_refuses(text):
    assert types(check_pass(matmul_to_fc.run, text)) == ["matmul_v2"]
