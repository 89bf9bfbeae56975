from converter.passes import prune
from tests.converter.pass_helpers import check_pass, types


def test_drops_what_no_output_needs():
    graph = check_pass(prune.run, """
        x: float32[2,3] = input
        w: float32[3] = const
        unused: float32[3] = const
        a = elementwise_add(x, w)
        dead = relu(a)
        deader = exp(dead)
        y = sigmoid(a)
        return y
    """)
    assert types(graph) == ["elementwise_add", "sigmoid"]
    assert set(graph.values) == {"x", "w", "a", "y"}


def test_keeps_unused_inputs_and_all_parts_of_a_split():
    graph = check_pass(prune.run, """
        x: float32[2,4] = input
        z: float32[1] = input
        a, b = split(x, axis=1, num=2)
        return b
    """)
    assert graph.inputs == ["x", "z"]
    assert set(graph.values) == {"x", "z", "a", "b"}
