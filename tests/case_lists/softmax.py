"""softmax and log_softmax; Paddle's log_softmax clamps at 64 below the largest, so no case goes there."""

import numpy as np

from .case import Case, rand


def cases(type):
    def one(name, x, axis):
        return Case(f"{type}_{name}", type, {"X": [x]}, {"axis": axis})

    return [
        *(one(f"size_{n}", rand(2, n), -1) for n in (1, 3, 5, 7, 9, 17)),
        *(one(f"4d_axis_{axis}", rand(2, 3, 4, 5), axis) for axis in (0, 1, 2, 3, -1, -3)),
        one("5d_axis_2", rand(2, 2, 3, 2, 3), 2),
        one("w33", rand(3, 33), 1),
        one("1d", rand(7), 0),
        one("large_values", np.array([[1000, 999, 950], [88, 89, 90]], np.float32), -1),
        one("equal_values", np.full((2, 5), 3, np.float32), 1),
        one("with_minus_inf", np.array([[0, -np.inf, 1], [2, 1, -np.inf]], np.float32), -1),
    ]


CASES = [*cases("softmax"), *(case for case in cases("log_softmax") if "minus_inf" not in case.name)]
