"""Moving elements: nothing may change but the place."""

from .case import Case, ints, rand, vector


def one(type, name, x, slot="X", extra=None, outputs=1, **attrs):
    return Case(f"{type}_{name}", type, {slot: [x], **(extra or {})}, attrs, [], outputs, 0.0)


def many(type, name, xs, axis):
    return Case(f"{type}_{name}", type, {"X": xs}, {"axis": axis}, tol=0.0)


X = rand(2, 3, 4, 5, seed="x")
JOIN = [
    many("concat", "channels", [rand(1, c, 3, 5) for c in (1, 3, 5)], 1),
    many("concat", "last", [rand(2, 3, w) for w in (1, 7, 4)], -1),
    many("concat", "first", [rand(2, 3), rand(1, 3)], 0),
    many("concat", "axis_2", [rand(1, 2, 3, 5), rand(1, 2, 1, 5)], 2),
    many("concat", "single", [rand(2, 3)], 1),
    many("concat", "int64", [ints(2), ints(3)], 0),
    many("concat", "same_tensor_twice", [rand(1, 3, 2), rand(1, 3, 2)], 1),
    many("concat", "rank_5", [rand(1, 2, c, 2, 3) for c in (1, 2)], 2),
    many("concat", "bool", [ints(3, low=0, high=1, dtype="bool"), ints(2, low=0, high=1, dtype="bool")], 0),
    many("stack", "first", [rand(2, 3, seed=str(i)) for i in range(3)], 0),
    many("stack", "last", [rand(2, 3, seed=str(i)) for i in range(2)], -1),
    many("stack", "middle", [rand(2, 3, 5, seed=str(i)) for i in range(2)], 1),
]
SPLIT = [
    one("split", "num", rand(1, 6, 3, 5), outputs=3, axis=1, num=3),
    one("split", "sections", rand(2, 3, 9), outputs=3, axis=2, sections=[2, 3, 4]),
    one("split", "empty_parts", rand(2, 3, 4), outputs=4, axis=1, sections=[0, 2, 0, 1]),
    one("split", "all_in_one", rand(3, 2), outputs=2, axis=0, sections=[3, 0]),
    one("split", "rest", rand(2, 8, 3), outputs=2, axis=1, sections=[3, -1]),
    one("split", "negative_axis", rand(2, 3, 4), outputs=2, axis=-1, num=2),
    one("split", "first", rand(4, 3), outputs=4, axis=0, num=4),
]
RESHAPE = [
    one("reshape2", "plain", X, shape=[6, 20]),
    one("reshape2", "infer", X, shape=[2, -1, 5]),
    one("reshape2", "copy", X, shape=[0, 0, -1]),
    one("reshape2", "copy_and_grow", X, shape=[0, 3, 2, 2, 5]),
    one("reshape2", "flat", X, shape=[-1]),
    one("reshape2", "shape_tensor", X, extra={"Shape": [vector(4, 30)]}, shape=[]),
    one("reshape2", "shape_tensors", X, extra={"ShapeTensor": [vector(2), vector(12), vector(5)]}, shape=[2, -1, 5]),
    one("transpose2", "nhwc", X, axis=[0, 2, 3, 1]),
    one("transpose2", "nchw", X, axis=[0, 3, 1, 2]),
    one("transpose2", "2d", rand(5, 7), axis=[1, 0]),
    one("transpose2", "last_two", rand(2, 3, 5), axis=[0, 2, 1]),
    one("transpose2", "reverse", X, axis=[3, 2, 1, 0]),
    one("transpose2", "identity", X, axis=[0, 1, 2, 3]),
    one("transpose2", "5d", rand(2, 3, 2, 4, 3), axis=[0, 2, 1, 4, 3]),
    one("transpose2", "6d", rand(2, 1, 3, 2, 2, 3), axis=[0, 1, 4, 2, 5, 3]),
    one("transpose2", "int64", ints(3, 5), axis=[1, 0]),
    one("squeeze2", "axes", rand(1, 3, 1, 5), axes=[0, 2]),
    one("squeeze2", "all", rand(1, 3, 1, 5), axes=[]),
    one("squeeze2", "negative", rand(2, 3, 1), axes=[-1]),
    one("squeeze2", "not_one_stays", rand(2, 3, 1), axes=[1, 2]),
    one("unsqueeze2", "front", rand(3, 5), axes=[0]),
    one("unsqueeze2", "two", rand(3, 5), axes=[0, 3]),
    one("unsqueeze2", "negative", rand(3, 5), axes=[-1]),
    one("unsqueeze2", "middle_negative", rand(3, 5), axes=[-2]),
    one("flatten2", "axis_1", X, axis=1),
    one("flatten2", "axis_2", X, axis=2),
    one("flatten2", "axis_0", rand(3, 5), axis=0),
    one("flatten_contiguous_range", "1_to_end", X, start_axis=1, stop_axis=-1),
    one("flatten_contiguous_range", "1_to_2", X, start_axis=1, stop_axis=2),
    one("flatten_contiguous_range", "all", X, start_axis=0, stop_axis=3),
    one("flatten_contiguous_range", "nothing", X, start_axis=2, stop_axis=2),
    one("expand_v2", "rows", rand(1, 5), shape=[3, 5]),
    one("expand_v2", "keep", rand(2, 1, 5), shape=[-1, 3, -1]),
    one("expand_v2", "new_front", rand(3, 1), shape=[2, 3, 5]),
    one("expand_v2", "shape_tensor", rand(1, 5), extra={"Shape": [vector(2, 5)]}, shape=[]),
    one("tile", "both", rand(2, 3), repeat_times=[2, 3]),
    one("tile", "new_front", rand(2, 3), repeat_times=[2, 1, 2]),
    one("tile", "fewer", rand(2, 3, 2), repeat_times=[3]),
    one("tile", "rank_5", rand(1, 2, 1, 3, 1), repeat_times=[2, 1, 3, 1, 2]),
    one("expand_v2", "rank_6", rand(2, 1, 3), shape=[2, 1, 2, 2, 4, 3]),
    one("expand_v2", "int64", ints(1, 3), shape=[2, -1]),
    one("tile", "int64", ints(3), repeat_times=[4]),
]
CUT = [
    one("slice", "channels", X, "Input", axes=[1], starts=[1], ends=[3], decrease_axis=[]),
    one("slice", "negative", X, "Input", axes=[2, 3], starts=[-3, 0], ends=[-1, -2]),
    one("slice", "clamped", X, "Input", axes=[3], starts=[-100], ends=[100]),
    one("slice", "decrease", X, "Input", axes=[1], starts=[2], ends=[3], decrease_axis=[1]),
    one("slice", "decrease_last_item", X, "Input", axes=[3], starts=[-1], ends=[2147483647], decrease_axis=[3]),
    one("slice", "decrease_two", X, "Input", axes=[0, 2], starts=[0, 1], ends=[1, 2], decrease_axis=[0, 2]),
    one("slice", "vector_item", ints(4, dtype="int32"), "Input", axes=[0], starts=[1], ends=[2], decrease_axis=[0]),
    one("slice", "tensors", X, "Input", {"StartsTensor": [vector(1)], "EndsTensor": [vector(3)]}, axes=[3],
        starts=[-1], ends=[-1]),
    one("slice", "rank_5", rand(2, 3, 2, 3, 4), "Input", axes=[0, 2, 4], starts=[1, 0, 1], ends=[2, 1, 4],
        decrease_axis=[2]),
    one("slice", "int64", ints(3, 4), "Input", axes=[1], starts=[1], ends=[3]),
    one("slice", "width_17", rand(1, 3, 17), "Input", axes=[2], starts=[1], ends=[16]),
    one("strided_slice", "step_2", X, "Input", axes=[2, 3], starts=[0, 1], ends=[4, 5], strides=[2, 2]),
    one("strided_slice", "step_3", rand(3, 17), "Input", axes=[1], starts=[1], ends=[17], strides=[3]),
    one("strided_slice", "backwards", rand(3, 5), "Input", axes=[1], starts=[4], ends=[0], strides=[-1]),
    one("strided_slice", "backwards_all", rand(3, 5), "Input", axes=[1], starts=[-1], ends=[-6], strides=[-1]),
    one("strided_slice", "backwards_step_2", rand(3, 7), "Input", axes=[1], starts=[5], ends=[0], strides=[-2]),
    one("strided_slice", "negative_start", rand(3, 7), "Input", axes=[1], starts=[-5], ends=[-1], strides=[2]),
]
PAD = [
    one("pad3d", "5d", rand(1, 2, 2, 3, 5), paddings=[1, 2, 0, 1, 1, 0], value=0.5),
    *(one("pad3d", mode, rand(1, 2, 2, 4, 5), paddings=[2, 1, 1, 2, 0, 0], mode=mode)
      for mode in ("constant", "reflect", "replicate", "circular")),
    one("pad3d", "ndhwc", rand(1, 2, 3, 3, 2), paddings=[1, 1, 0, 1, 0, 1], mode="replicate", data_format="NDHWC"),
    *(one("pad3d", f"4d_{mode}", rand(1, 3, 4, 5), paddings=[1, 3, 2, 0, 0, 0], mode=mode, data_format="NCHW")
      for mode in ("constant", "reflect", "replicate", "circular")),
    one("pad3d", "4d_value", rand(2, 3, 3, 7), paddings=[1, 1, 1, 1, 0, 0], value=-1.5, data_format="NCHW"),
    one("pad3d", "4d_nhwc", rand(1, 3, 4, 5), paddings=[1, 0, 2, 1, 0, 0], value=1.0, data_format="NHWC"),
    one("pixel_shuffle", "2", rand(1, 8, 3, 5), upscale_factor=2),
    one("pixel_shuffle", "3", rand(1, 9, 2, 3), upscale_factor=3),
    one("pixel_shuffle", "nhwc", rand(1, 3, 5, 8), upscale_factor=2, data_format="NHWC"),
]
CASES = [*JOIN, *SPLIT, *RESHAPE, *CUT, *PAD]
