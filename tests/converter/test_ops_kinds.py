"""The kinds of single operators that the original Paddle.js runtime gets wrong or lacks: each has an operator case.

The cases themselves are computed by the oracle (test_ops_cases.py) and by every backend (tests/runtime/ops.test.js).
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.converter.paddlejs2_kit import all_cases, array

ALL = list(all_cases())
CASES = {case["name"]: case for case in ALL}
SOME_MINUS = -1e-3


def shapes(case: dict[str, Any], slot: str) -> list[int]:
    return case["inputs"][slot][0]["shape"]


def broadcast(y: Callable[[list[int]], list[int]], axis: int) -> Callable[[dict[str, Any]], bool]:
    """Y's shape follows from X's [N, C, H, W], and is placed at the axis."""
    return lambda c: (len(shapes(c, "X")) == 4 and shapes(c, "Y") == y(shapes(c, "X")) and c["attrs"]["axis"] == axis)


def negative(case: dict[str, Any]) -> bool:
    return bool((array(case["inputs"]["X"][0]) < SOME_MINUS).any())


def reduces(case: dict[str, Any]) -> bool:
    return not case["attrs"]["reduce_all"] and bool(case["attrs"]["dim"])


def anything(case: dict[str, Any]) -> bool:
    return bool(case["outputs"]["Out"][0]["data"])


def sides(case: dict[str, Any]) -> list[int]:
    return case["attrs"]["paddings"]


# kind -> operator, name of its case, what makes it that kind
KINDS: dict[str, tuple[str, str, Callable[[dict[str, Any]], bool]]] = {
    "softmax on axis 2": (
        "softmax", "softmax_4d_axis_2", lambda c: c["attrs"]["axis"] == 2 and len(shapes(c, "X")) == 4),
    "convolution with four paddings": (
        "conv2d", "conv2d_asymmetric_padding", lambda c: sides(c)[0] != sides(c)[1] and sides(c)[2] != sides(c)[3]),
    "depthwise convolution with four paddings": (
        "conv2d", "conv2d_depthwise_asymmetric",
        lambda c: sides(c)[0] != sides(c)[1] and c["attrs"]["groups"] == shapes(c, "Input")[1]),
    "max pool with four paddings": (
        "pool2d", "pool2d_max_asymmetric",
        lambda c: sides(c)[0] != sides(c)[1] and c["attrs"]["pooling_type"] == "max"),
    "average pool with four paddings": (
        "pool2d", "pool2d_avg_asymmetric",
        lambda c: sides(c)[0] != sides(c)[1] and c["attrs"]["pooling_type"] == "avg"),
    "padding [0, 1]": ("conv2d", "conv2d_padding_0_1", lambda c: sides(c) == [0, 0, 1, 1]),
    "inclusive average pool": (
        "pool2d", "pool2d_avg_inclusive",
        lambda c: not c["attrs"]["exclusive"] and c["attrs"]["pooling_type"] == "avg" and min(sides(c)) > 0),
    "adaptive average pool other than 1": (
        "pool2d", "pool2d_avg_adaptive_3_2", lambda c: c["attrs"]["adaptive"] and min(c["attrs"]["ksize"]) > 1),
    "adaptive max pool other than 1": (
        "pool2d", "pool2d_max_adaptive_3_2", lambda c: c["attrs"]["adaptive"] and min(c["attrs"]["ksize"]) > 1),
    "hard_sigmoid with offset 0": ("hard_sigmoid", "hard_sigmoid_offset_0", lambda c: c["attrs"]["offset"] == 0),
    "batched matmul, a matrix for all": (
        "matmul_v2", "matmul_v2_broadcast_y_2d", lambda c: len(shapes(c, "X")) == 4 and len(shapes(c, "Y")) == 2),
    "batched matmul, batches broadcast": (
        "matmul_v2", "matmul_v2_broadcast_batches", lambda c: shapes(c, "X")[:2] != shapes(c, "Y")[:2]),
    "add with [C,1,1]": ("elementwise_add", "elementwise_add_channel_c11", broadcast(lambda x: [x[1], 1, 1], -1)),
    "mul with [C] on axis 1": ("elementwise_mul", "elementwise_mul_channel_axis_1", broadcast(lambda x: [x[1]], 1)),
    "mul with [N,C] on axis 0": ("elementwise_mul", "elementwise_mul_nc_axis_0", broadcast(lambda x: x[:2], 0)),
    "pow of a negative base": (
        "elementwise_pow", "elementwise_pow_negative_base",
        lambda c: negative(c) and shapes(c, "X") == shapes(c, "Y")),
    "pow of a negative base to a number": (
        "pow", "pow_3_negative_base", lambda c: negative(c) and c["attrs"]["factor"] == 3),
    "leaky_relu": ("leaky_relu", "leaky_relu", negative),
    "leaky_relu fused into a convolution": (
        "conv2d", "conv2d_leaky_relu_0.1_0", lambda c: c["attrs"]["fuse_activation"] == "leaky_relu"),
    "prelu, one slope": ("prelu", "prelu_all", lambda c: negative(c) and c["attrs"]["mode"] == "all"),
    "prelu per channel": ("prelu", "prelu_channel", lambda c: negative(c) and c["attrs"]["mode"] == "channel"),
    "prelu per element": ("prelu", "prelu_element", lambda c: negative(c) and c["attrs"]["mode"] == "element"),
    "exp": ("exp", "exp", anything),
    "sqrt": ("sqrt", "sqrt", anything),
    "reduce_mean with dim": ("reduce_mean", "reduce_mean_channel", reduces),
    "reduce_sum with dim": ("reduce_sum", "reduce_sum_channel", reduces),
    "slice off the last axis": (
        "slice", "slice_channels", lambda c: len(shapes(c, "Input")) - 1 not in c["attrs"]["axes"]),
    "slice of several axes": ("slice", "slice_negative", lambda c: len(c["attrs"]["axes"]) > 1),
    "swish": ("swish", "swish", negative),
    "silu": ("silu", "silu", negative),
    "gelu": ("gelu", "gelu", lambda c: negative(c) and not c["attrs"]["approximate"]),
    "gelu by tanh": ("gelu", "gelu_tanh", lambda c: negative(c) and c["attrs"]["approximate"]),
    "mish": ("mish", "mish", negative),
    "abs": ("abs", "abs", negative),
    "floor": ("floor", "floor", negative),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_kind_has_its_case(kind: str) -> None:
    operator, name, is_it = KINDS[kind]
    case = CASES[name]
    assert case["op"] == operator
    assert is_it(case), case["attrs"]


def test_there_are_hundreds_of_cases() -> None:
    assert len(CASES) == len(ALL) >= 900
