import pytest

from converter.passes import relax
from tests.converter.pass_helpers import check_pass

CONV = "w: float32[4,3,3,3] = const; a = conv2d(Input=x, Filter=w, strides=[2, 2], paddings=[1, 1, 1, 1]);"



def test_a_net_with_global_pooling_takes_any_picture():
    graph = relax.run(check_pass(lambda g: g, f"""
        x: float32[N,3,32,40] = input; {CONV}
        p = pool2d(a, ksize=[1, 1], pooling_type="avg", adaptive=true)
        v: float32[4,5] = const
        y = fc(Input=p, W=v)
        return y"""))
    graph.check()
    assert graph.values["x"].shape == ("N", 3, "x.2", "x.3")
    assert graph.values["p"].shape == ("N", 4, 1, 1)
    assert graph.meta["declared_shapes"] == {"x": ["N", 3, 32, 40]}


@pytest.mark.parametrize("rest", [
    "v: float32[1280,5] = const; y = fc(Input=a, W=v); return y",
    "g: float32[1,1,16,20] = const; y = elementwise_add(a, g); return y",
    "y = reshape2(a, shape=[0, 4, 320]); return y",
    "u = nearest_interp_v2(a, out_h=32, out_w=40); y = concat(X=[x, u], axis=1); return y",
])
def test_a_net_that_needs_its_size_keeps_it(rest):
    text = f"x: float32[1,3,32,40] = input; {CONV} {rest}"
    graph = relax.run(check_pass(lambda g: g, text))
    assert graph.values["x"].shape == (1, 3, 32, 40)
    assert "declared_shapes" not in graph.meta
    assert graph.values["a"].shape == (1, 4, 16, 20)


def test_open_sizes_and_other_ranks_stay():
    text = "x: float32[1,3,H,W] = input; z: float32[4,5] = input; y = relu(x); v = relu(z); return y, v"
    graph = relax.run(check_pass(lambda g: g, text))
    assert graph.values["x"].shape == (1, 3, "H", "W")
    assert graph.values["z"].shape == (4, 5)


def test_channels_last():
    graph = relax.run(check_pass(lambda g: g, "x: float32[1,32,40,3] = input; y = relu(x); return y"))
    assert graph.values["x"].shape == (1, "x.1", "x.2", 3)
