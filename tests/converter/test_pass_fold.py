import numpy as np

from converter.passes import fold
from tests.converter.pass_helpers import check_pass, types


def test_computes_nodes_over_constants():
    graph = check_pass(fold.run, """
        x: float32[2,3] = input
        w: float32[3,3] = const
        t = transpose2(w, axis=[1, 0])
        s = scale(t, scale=2.0)
        y = matmul_v2(x, s)
        return y
    """)
    assert types(graph) == ["matmul_v2"]
    assert set(graph.values) == {"x", "s", "y"}


def test_does_not_swell_the_model():
    graph = check_pass(fold.run, """
        x: float32[N,200,200] = input
        one = fill_constant(shape=[1, 200, 200], value=1.0)
        y = elementwise_add(x, one)
        return y
    """)
    assert types(graph) == ["fill_constant", "elementwise_add"]


def test_keeps_a_public_constant_computed():
    graph = check_pass(fold.run, """
        x: float32[2] = input
        k: float32[2] = const
        y = relu(k)
        z = relu(x)
        return y, z
    """)
    assert types(graph) == ["relu", "relu"]


def test_shape_of_a_static_tensor_becomes_an_attribute():
    graph = check_pass(fold.run, """
        x: float32[2,3,4] = input
        s = shape(Input=x)
        n = slice(Input=s, axes=[0], starts=[0], ends=[2])
        m: int32[1] = const [-1]
        t = concat(X=[n, m], axis=0)
        y = reshape2(x, Shape=t)
        return y
    """)
    assert types(graph) == ["reshape2"]
    assert graph.nodes[0].inputs == {"X": ["x"]}
    assert graph.nodes[0].attrs["shape"] == [2, 3, -1]


def test_symbolic_batch_becomes_a_copied_dimension():
    graph = check_pass(fold.run, """
        x: float32[N,6,4] = input
        s = shape(Input=x)
        n = slice(Input=s, axes=[0], starts=[0], ends=[1], decrease_axis=[0])
        a: int32[] = const [3]
        b: int32[] = const [8]
        y = reshape2(x, ShapeTensor=[n, a, b])
        return y
    """)
    assert types(graph) == ["reshape2"]
    assert graph.nodes[0].attrs["shape"] == [0, 3, 8]


def test_two_unknown_sizes_stay_inputs():
    graph = check_pass(fold.run, """
        x: float32[N,H,4] = input
        four: int32[1] = const [4]
        s = shape(Input=x)
        h = slice(Input=s, axes=[0], starts=[1], ends=[2])
        n = slice(Input=s, axes=[0], starts=[0], ends=[1])
        y = reshape2(x, ShapeTensor=[h, n, four])
        return y
    """)
    assert types(graph) == ["shape", "slice", "slice", "reshape2"]


def test_static_part_of_a_dynamic_shape_is_found():
    graph = check_pass(fold.run, """
        x: float32[N,3,H,W] = input
        s = shape(Input=x)
        c = slice(Input=s, axes=[0], starts=[1], ends=[2])
        f = cast(c, out_dtype="float32")
        y = elementwise_mul(x, f)
        return y
    """)
    assert types(graph) == ["elementwise_mul"]
    assert graph.data_of("f").tolist() == [3.0]


def test_fill_like_a_known_batch():
    graph = check_pass(fold.run, """
        x: float32[2,3] = input
        z = fill_constant_batch_size_like(Input=x, shape=[-1, 3], value=0.5)
        y = elementwise_add(x, z)
        return y
    """)
    assert types(graph) == ["elementwise_add"]
    assert np.array_equal(graph.data_of("z"), np.full((2, 3), 0.5, np.float32))


def test_fill_like_an_open_batch_stays():
    graph = check_pass(fold.run, """
        x: float32[N,3] = input
        z = fill_constant_batch_size_like(Input=x, shape=[-1, 3], value=0.5)
        y = elementwise_add(x, z)
        return y
    """)
    assert types(graph) == ["fill_constant_batch_size_like", "elementwise_add"]


def test_tensor_inputs_become_attributes():
    graph = check_pass(fold.run, """
        x: float32[1,2,4,4] = input
        size: int32[2] = const [7, 8]
        begin: int32[1] = const [1]
        end: int32[1] = const [6]
        shape: int32[4] = const [2, -1, -1, -1]
        a = bilinear_interp_v2(x, OutSize=size)
        b = slice(Input=a, StartsTensor=begin, EndsTensor=end, axes=[2])
        y = expand_v2(b, Shape=shape)
        return y
    """)
    assert [dict(node.inputs) for node in graph.nodes] == [{"X": ["x"]}, {"Input": ["a"]}, {"X": ["b"]}]
    assert (graph.nodes[0].attrs["out_h"], graph.nodes[0].attrs["out_w"]) == (7, 8)


def test_a_size_that_only_shows_at_run_time_stays_an_input():
    graph = check_pass(fold.run, """
        x: float32[1,2,4,4] = input
        like: float32[1,2,H,W] = input
        s = shape(Input=like)
        size = slice(Input=s, axes=[0], starts=[2], ends=[4])
        y = nearest_interp_v2(x, OutSize=size)
        return y
    """)
    assert types(graph) == ["shape", "slice", "nearest_interp_v2"]


def test_folding_repeats_until_shapes_are_known():
    graph = check_pass(fold.run, """
        x: float32[N,12] = input
        a: int32[2] = const [-1, 3]
        k: int32[1] = const [2]
        d = scale(k, scale=1.0, bias=2.0)
        r = reshape2(x, Shape=a)
        s = shape(Input=r)
        c = slice(Input=s, axes=[0], starts=[1], ends=[2])
        t = concat(X=[c, d], axis=0)
        z = fill_constant(ShapeTensor=t, value=1.0)
        y = matmul_v2(r, z)
        return y
    """)
    assert types(graph) == ["reshape2", "matmul_v2"]
    assert graph.values["z"].shape == (3, 4)
