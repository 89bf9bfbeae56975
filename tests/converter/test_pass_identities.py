import pytest

from converter.passes import identities
from tests.converter.pass_helpers import check_pass, types

IDLE = ["assign(x)", 'cast(x, out_dtype="float32")', "scale(x, scale=1.0)", "transpose2(x, axis=[0, 1, 2])",
        "concat(X=x, axis=1)", "split(x, axis=1, num=1)", "reshape2(x, shape=[0, 3, 4])",
        "reshape2(x, shape=[-1, 3, 4])",
        "expand_v2(x, shape=[-1, -1, -1])", "tile(x, repeat_times=[1, 1, 1])", "squeeze2(x, axes=[1])"]
BUSY = ["scale(x, bias=1.0)", 'cast(x, out_dtype="int32")', "transpose2(x, axis=[0, 2, 1])", "concat(X=[x, x], axis=1)",
        "reshape2(x, shape=[-1, 4, 3])", "tile(x, repeat_times=[2, 1, 1])", "unsqueeze2(x, axes=[0])"]


@pytest.mark.parametrize("call", IDLE)
def test_drops(call):
    graph = check_pass(identities.run, f"i: float32[N,3,4] = input; x = relu(i); a = {call}; y = exp(a); return y")
    assert types(graph) == ["relu", "exp"]


@pytest.mark.parametrize("call", BUSY)
def test_keeps(call):
    graph = check_pass(identities.run, f"i: float32[N,3,4] = input; x = relu(i); y = {call}; return y")
    assert len(graph.nodes) == 2


def test_a_public_name_moves_to_what_computes_it():
    graph = check_pass(identities.run, """
        x: float32[2,3] = input
        a = relu(x)
        b = sigmoid(a)
        y = assign(a)
        return y, b
    """)
    assert types(graph) == ["relu", "sigmoid"]
    assert graph.nodes[0].out == "y"
    assert graph.nodes[1].inputs == {"X": ["y"]}


def test_an_output_that_is_the_input_stays_computed():
    graph = check_pass(identities.run, "x: float32[2,3] = input; y = assign(x); return y")
    assert types(graph) == ["scale"]


def test_two_outputs_of_one_value_stay_apart():
    graph = check_pass(identities.run, "x: float32[2] = input; a = relu(x); y = assign(a); return a, y")
    assert types(graph) == ["relu", "scale"]
    assert graph.outputs == ["a", "y"]


def test_a_chain_of_idle_nodes_goes_at_once():
    graph = check_pass(identities.run, """
        x: float32[2,3] = input
        a = assign(x)
        b = scale(a)
        c = reshape2(b, shape=[2, 3])
        y = relu(c)
        return y
    """)
    assert types(graph) == ["relu"]


def test_sizes_that_cannot_be_told_equal_keep_the_reshape():
    graph = check_pass(identities.run, """
        x: float32[N,M,6] = input
        y = reshape2(x, shape=[6, 6, 6])
        z = exp(y)
        return z
    """)
    assert types(graph) == ["reshape2", "exp"]
