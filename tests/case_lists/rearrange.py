"""Reversing, rolling, shuffling channels, grids, writing into a part, reading at places."""

import numpy as np

from .case import Case, ints, rand
from .layout import X, one


def set_value(name, x, value, axes, starts, ends, steps=None, decrease=()):
    attrs = {"axes": axes, "starts": starts, "ends": ends, "steps": steps or [1] * len(axes),
             "decrease_axes": list(decrease)}
    return Case(f"set_value_{name}", "set_value", {"Input": [x], "ValueTensor": [value]}, attrs, tol=0.0)


def sample(name, x, grid, **attrs):
    return Case(f"grid_sampler_{name}", "grid_sampler", {"X": [x], "Grid": [grid]}, attrs)


def halves(width, height):
    """Places right between pixels (with corners), where the nearest one is a matter of rounding."""
    at = [[(2 * c + 1) / (width - 1) - 1, (2 * r + 1) / (height - 1) - 1]
          for r in range(height - 1) for c in range(width - 1)]
    return np.array(at, np.float32).reshape(1, height - 1, width - 1, 2)


MOVES = [
    one("flip", "last", X, axis=[3]),
    one("flip", "two", X, axis=[1, -1]),
    one("flip", "int64", ints(7), axis=[0]),
    one("roll", "one_axis", X, shifts=[2], axis=[3]),
    one("roll", "two_axes", X, shifts=[-1, 7], axis=[1, 2]),
    one("roll", "flat", rand(3, 5), shifts=[4], axis=[]),
    one("roll", "not_at_all", rand(3, 5), shifts=[5], axis=[1]),
    one("pixel_unshuffle", "2", rand(1, 3, 4, 6), downscale_factor=2),
    one("pixel_unshuffle", "3_nhwc", rand(2, 3, 6, 2), downscale_factor=3, data_format="NHWC"),
    one("channel_shuffle", "2", rand(1, 6, 2, 3), groups=2),
    one("channel_shuffle", "3_nhwc", rand(2, 2, 3, 12), groups=3, data_format="NHWC"),
    one("temporal_shift", "quarter", rand(6, 8, 2, 3), seg_num=3, shift_ratio=0.25),
    one("temporal_shift", "odd", rand(4, 7, 1, 3), seg_num=2, shift_ratio=0.2),
    one("temporal_shift", "nhwc", rand(4, 2, 1, 5), seg_num=4, shift_ratio=0.4, data_format="NHWC"),
    one("pad", "matrix", rand(3, 5), paddings=[1, 0, 2, 3], pad_value=0.5),
    one("pad", "row", rand(7), paddings=[2, 1]),
    one("pad", "batch_and_channels", rand(2, 3, 2, 2), paddings=[1, 0, 0, 2, 0, 0, 1, 1], pad_value=-1.0),
    one("pad", "int64", ints(2, 3), paddings=[0, 1, 1, 0], pad_value=7.0),
    one("repeat_interleave", "first", rand(3, 5), repeats=2, dim=0),
    one("repeat_interleave", "middle", rand(2, 3, 2), repeats=3, dim=1),
    one("repeat_interleave", "int64_last", ints(2, 3), repeats=2, dim=1),
    *(Case(f"meshgrid_{len(sizes)}", "meshgrid", {"X": [rand(n) for n in sizes]}, {}, [], len(sizes), 0.0)
      for sizes in [(3,), (2, 5), (3, 1, 4)]),
    Case("meshgrid_int64", "meshgrid", {"X": [ints(3), ints(2)]}, {}, [], 2, 0.0),
    set_value("rows", rand(5, 3), rand(2, 3), [0], [1], [3]),
    set_value("number", rand(5, 3), rand(1), [0, 1], [1, 0], [4, 2]),
    set_value("every_second", rand(2, 7), rand(2, 4), [1], [0], [7], [2]),
    set_value("backwards", rand(2, 7), rand(2, 3), [1], [5], [2], [-1]),
    set_value("one_row", rand(5, 3), rand(3), [0], [-2], [-1], None, [0]),
    set_value("column", rand(4, 5), rand(4), [1], [2], [3], None, [1]),
    set_value("int64", ints(6), ints(2, low=50, high=99), [0], [4], [100]),
]
SAMPLES = [
    *(sample(f"{mode}_{padding}{'_corners' if corners else ''}", rand(2, 3, 4, 5), rand(2, 3, 7, 2, low=-1.6, high=1.6),
             mode=mode, padding_mode=padding, align_corners=corners)
      for mode in ("bilinear", "nearest") for padding in ("zeros", "border", "reflection")
      for corners in (True, False)),
    sample("halves_nearest", rand(1, 2, 5, 7), halves(7, 5), mode="nearest"),
    sample("halves_bilinear", rand(1, 2, 5, 7), halves(7, 5)),
    sample("far_reflected", rand(1, 1, 3, 4), rand(1, 4, 4, 2, low=-9, high=9), padding_mode="reflection"),
    sample("far_reflected_edges", rand(1, 1, 3, 4), rand(1, 4, 4, 2, low=-9, high=9), padding_mode="reflection",
           align_corners=False),
]
CASES = [*MOVES, *SAMPLES]
