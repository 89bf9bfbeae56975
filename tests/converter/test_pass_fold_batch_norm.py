import numpy as np
import pytest

from converter.passes import fold_batch_norm
from tests.converter.pass_helpers import check_pass, types

NORM = """
    gamma: float32[{c}] = const
    beta: float32[{c}] = const
    mean: float32[{c}] = const
    y = batch_norm(a, Scale=gamma, Bias=beta, Mean=mean, Variance=variance{more})
    return y
"""


def variance(count: int) -> np.ndarray:
    return np.linspace(0.2, 3, count).astype(np.float32)


@pytest.mark.parametrize(("layer", "filter", "channels"), [
    ("conv2d(Input=x, Filter=w)", "6,4,3,3", 6),
    ("conv2d(Input=x, Filter=w, Bias=b)", "6,4,3,3", 6),
    ("conv2d(Input=x, Filter=w, groups=2)", "6,2,3,3", 6),
    ("conv2d(Input=x, Filter=w, groups=4)", "4,1,3,3", 4),
    ("conv2d(Input=x, Filter=w, groups=4, Bias=b)", "8,1,3,3", 8),
    ("conv2d_transpose(Input=x, Filter=w, strides=[2, 2])", "4,3,2,2", 3),
    ("conv2d_transpose(Input=x, Filter=w, groups=2, Bias=b)", "4,3,3,3", 6),
    ("conv2d_transpose(Input=x, Filter=w, groups=4)", "4,1,3,3", 4),
])
def test_joins(layer, filter, channels):
    graph = check_pass(fold_batch_norm.run, f"""
        x: float32[1,4,7,7] = input
        w: float32[{filter}] = const
        b: float32[{channels}] = const
        variance: float32[{channels}] = const
        a = {layer}
    """ + NORM.format(c=channels, more=", epsilon=0.001"), variance=variance(channels))
    assert len(graph.nodes) == 1
    assert graph.nodes[0].out == "y"
    assert graph.nodes[0].input("Bias") is not None


def test_joins_fc_and_channels_last():
    graph = check_pass(fold_batch_norm.run, """
        x: float32[3,5] = input
        w: float32[5,4] = const
        variance: float32[4] = const
        a = fc(Input=x, W=w)
    """ + NORM.format(c=4, more=""), variance=variance(4))
    assert types(graph) == ["fc"]
    graph = check_pass(fold_batch_norm.run, """
        x: float32[1,5,5,3] = input
        w: float32[4,3,3,3] = const
        variance: float32[4] = const
        a = conv2d(Input=x, Filter=w, data_format="NHWC")
    """ + NORM.format(c=4, more=', data_layout="NHWC"'), variance=variance(4))
    assert types(graph) == ["conv2d"]


@pytest.mark.parametrize(("layer", "outputs"), [
    ('conv2d(Input=x, Filter=w, fuse_activation="relu")', "y"),
    ("conv2d(Input=x, Filter=w)", "y, a"),
])
def test_refuses_what_changes_or_shows_the_inner_value(layer, outputs):
    graph = check_pass(fold_batch_norm.run, f"""
        x: float32[1,3,5,5] = input
        w: float32[4,3,3,3] = const
        variance: float32[4] = const
        a = {layer}
    """ + NORM.format(c=4, more="").replace("return y", f"return {outputs}"), variance=variance(4))
    assert types(graph) == ["conv2d", "batch_norm"]


def test_refuses_a_second_reader():
    graph = check_pass(fold_batch_norm.run, """
        x: float32[1,3,5,5] = input
        w: float32[4,3,3,3] = const
        variance: float32[4] = const
        a = conv2d(Input=x, Filter=w)
        z = relu(a)
    """ + NORM.format(c=4, more="").replace("return y", "return y, z"), variance=variance(4))
    assert types(graph) == ["conv2d", "relu", "batch_norm"]


def test_refuses_another_axis():
    graph = check_pass(fold_batch_norm.run, """
        x: float32[1,3,6,6] = input
        w: float32[4,3,3,3] = const
        variance: float32[4] = const
        a = conv2d(Input=x, Filter=w)
    """ + NORM.format(c=4, more=', data_layout="NHWC"'), variance=variance(4))
    assert types(graph) == ["conv2d", "batch_norm"]


def test_a_shared_filter_keeps_its_other_use():
    graph = check_pass(fold_batch_norm.run, """
        x: float32[1,3,5,5] = input
        w: float32[4,3,3,3] = const
        variance: float32[4] = const
        z = conv2d(Input=x, Filter=w)
        a = conv2d(Input=x, Filter=w)
    """ + NORM.format(c=4, more="").replace("return y", "return y, z"), variance=variance(4))
    assert types(graph) == ["conv2d", "conv2d"]
