import pytest

from converter.passes import fuse_activation
from tests.converter.pass_helpers import check_pass, types

CALLS = ["relu(a)", "relu6(a)", "relu6(a, threshold=1.0)", "sigmoid(a)", "tanh(a)", "silu(a)", "mish(a)", "gelu(a)",
         "swish(a, beta=1.5)", "hard_swish(a)", "hard_sigmoid(a, slope=0.3, offset=0.1)", "leaky_relu(a, alpha=0.1)",
         "clip(a, min=-0.5, max=0.5)"]
HOSTS = {
    "conv2d": "w: float32[4,3,3,3] = const; a = conv2d(Input=x, Filter=w)",
    "conv2d_transpose": "w: float32[3,4,2,2] = const; a = conv2d_transpose(Input=x, Filter=w)",
    "fc": "w: float32[5,4] = const; a = fc(Input=x, W=w, in_num_col_dims=3)",
    "elementwise_add": "a = elementwise_add(x, x)",
    "elementwise_mul": "w: float32[3,1,1] = const; a = elementwise_mul(x, w)",
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("host", ["conv2d", "elementwise_add"])
def test_every_activation(host, call):
    graph = check_pass(fuse_activation.run, f"x: float32[1,3,5,5] = input; {HOSTS[host]}; y = {call}; return y")
    assert types(graph) == [host]
    assert graph.nodes[0].attrs["fuse_activation"] == call.split("(")[0]


@pytest.mark.parametrize("host", HOSTS)
def test_every_host(host):
    graph = check_pass(fuse_activation.run, f"x: float32[1,3,5,5] = input; {HOSTS[host]}; y = relu(a); return y")
    assert types(graph) == [host]


@pytest.mark.parametrize("call", ["gelu(a, approximate=true)", "hard_swish(a, offset=2.0)", "exp(a)", "softplus(a)",
                                  "elu(a)"])
def test_refuses_what_has_no_epilogue(call):
    graph = check_pass(fuse_activation.run, f"x: float32[1,3,5,5] = input; {HOSTS['conv2d']}; y = {call}; return y")
    assert len(graph.nodes) == 2


def test_refuses_a_second_activation_readers_and_outputs():
    start = f"x: float32[1,3,5,5] = input; {HOSTS['conv2d']}; "
    assert types(check_pass(fuse_activation.run, start + "b = relu(a); y = tanh(b); return y")) == ["conv2d", "tanh"]
    assert len(check_pass(fuse_activation.run, start + "y = relu(a); z = tanh(a); return y, z").nodes) == 3
    assert len(check_pass(fuse_activation.run, start + "y = relu(a); return y, a").nodes) == 2


def test_integers_keep_their_own_node():
    graph = check_pass(fuse_activation.run, "x: int64[5] = input; a = elementwise_add(x, x); y = relu(a); return y")
    assert types(graph) == ["elementwise_add", "relu"]
