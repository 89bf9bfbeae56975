"""Output sizes, the one place that knows Paddle's formulas: for whole numbers and for symbols alike.

A dimension is an int or a symbol (see graph.Dim). A size that does not follow from what is known is "?".
"""

from __future__ import annotations

from converter.graph import Dim

UNKNOWN = "?"


def window_pads(size: Dim, kernel: int, stride: int, pads: tuple[int, int], algorithm: str) -> tuple[int, int]:
    """(before, after) along one axis. SAME shares an odd remainder towards the end."""
    if algorithm == "VALID":
        return 0, 0
    if algorithm != "SAME":
        return pads
    if not isinstance(size, int):
        raise ValueError("SAME padding needs a known size")
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def window_out(size: Dim, kernel: int, stride: int, pads: tuple[int, int], ceil_mode: bool = False) -> Dim:
    """How many windows of `kernel` (dilated) fit along one axis."""
    if isinstance(size, int):
        room = size + sum(pads) - kernel
        return (room + stride - 1 if ceil_mode else room) // stride + 1
    return size if stride == 1 and sum(pads) == kernel - 1 else UNKNOWN


def conv_out(size: Dim, kernel: int, stride: int, pads: tuple[int, int], dilation: int, algorithm: str) -> Dim:
    """Output size of conv2d along one axis; under SAME Paddle ignores the dilation."""
    if algorithm == "SAME":
        return -(-size // stride) if isinstance(size, int) else size if stride == 1 else UNKNOWN
    return window_out(size, dilation * (kernel - 1) + 1, stride, pads if algorithm != "VALID" else (0, 0))


def transpose_out(size: Dim, kernel: int, stride: int, pads: tuple[int, int], dilation: int, extra: int) -> Dim:
    """Output size of conv2d_transpose along one axis, without output_size."""
    grown = dilation * (kernel - 1) + 1 - sum(pads) + extra
    if isinstance(size, int):
        return (size - 1) * stride + grown
    return size if stride == 1 and grown == 1 else UNKNOWN


def axis_of(axis: int, rank: int) -> int:
    """A non-negative axis; ValueError outside [-rank, rank)."""
    if not -rank <= axis < max(rank, 1):
        raise ValueError(f"axis {axis} is outside a tensor of rank {rank}")
    return axis + rank if axis < 0 else axis
