"""Output sizes, the one place that knows Paddle's formulas: for whole numbers and for symbols alike.

A dimension is an int or a symbol (see graph.Dim).
"""

from __future__ import annotations

import math

from converter.graph import Dim


def window_pads(size: int, kernel: int, stride: int, pads: tuple[int, int], algorithm: str) -> tuple[int, int]:
    """(before, after) along one axis. SAME shares an odd remainder towards the end."""
    if algorithm == "VALID":
        return 0, 0
    if algorithm != "SAME":
        return pads
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def window_out(size: int, kernel: int, stride: int, pads: tuple[int, int], ceil_mode: bool = False) -> int:
    """How many windows of `kernel` (dilated) Paddle lays along one axis.

    It divides towards zero, so that an axis too small by less than one stride still gets a window (see overhang).
    """
    room = size + sum(pads) - kernel + (stride - 1 if ceil_mode else 0)
    return (room // stride if room >= 0 else -(-room // stride)) + 1


def overhang(size: int, kernel: int, stride: int, pads: tuple[int, int]) -> int:
    """How far that one window reaches past the padding; 0 where all windows fit."""
    room = size + sum(pads) - kernel
    return -room if -stride < room < 0 else 0


def transpose_out(size: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int, extra: int) -> int:
    """Output size of conv2d_transpose along one axis, without output_size."""
    return (size - 1) * stride + dilation * (kernel - 1) + 1 - sum(pads) + extra


class Sizes:
    """Arithmetic on dimensions. A size that depends on a symbol gets a symbol of its own, "?1", "?2" …:
    the same formula of the same symbols is the same symbol, so equal sizes can be told at conversion."""

    def __init__(self) -> None:
        self.known: dict[tuple, str] = {}

    def symbol(self, *formula: object) -> str:
        """The symbol of a formula; without one a new unknown."""
        key = formula or ("unknown", len(self.known))
        return self.known.setdefault(key, f"?{len(self.known) + 1}")

    def window(self, size: Dim, reach: int, stride: int, pads: tuple[int, int], algorithm: str,
               ceil_mode: bool = False) -> Dim:
        """Output of conv2d or pool2d along one axis, `reach` being the dilated kernel."""
        if algorithm == "SAME":             # ceil(size / stride)
            pads, reach, ceil_mode = (0, 0), 1, False
        elif algorithm == "VALID":
            pads = (0, 0)
        if isinstance(size, int):
            return window_out(size, reach, stride, pads, ceil_mode)
        if stride == 1 and sum(pads) == reach - 1:
            return size
        return self.symbol("window", size, sum(pads) - reach + (stride - 1 if ceil_mode else 0), stride)

    def grow(self, size: Dim, kernel: int, stride: int, pads: tuple[int, int], dilation: int, extra: int) -> Dim:
        """Output of conv2d_transpose along one axis."""
        added = transpose_out(0, kernel, stride, pads, dilation, extra)
        return self.add([self.product([size, stride]), added])

    def add(self, sizes: list[Dim]) -> Dim:
        total = sum(s for s in sizes if isinstance(s, int))
        symbols = sorted(s for s in sizes if isinstance(s, str))
        if not symbols:
            return total
        return symbols[0] if total == 0 and len(symbols) == 1 else self.symbol("sum", total, *symbols)

    def product(self, sizes: list[Dim]) -> Dim:
        total = math.prod(s for s in sizes if isinstance(s, int))
        symbols = sorted(s for s in sizes if isinstance(s, str))
        if not symbols or total == 0:
            return total
        return symbols[0] if total == 1 and len(symbols) == 1 else self.symbol("product", total, *symbols)

    def quotient(self, sizes: list[Dim], by: list[Dim]) -> Dim:
        """prod(sizes) / prod(by), exact; what stands on both sides cancels."""
        above, below = list(sizes), []
        for size in by:
            if isinstance(size, str) and size in above:
                above.remove(size)
            else:
                below.append(size)
        divisor = math.prod(s for s in below if isinstance(s, int))
        if any(isinstance(s, str) for s in below) or divisor == 0:
            return self.symbol("quotient", *sizes, "by", *by)
        total = math.prod(s for s in above if isinstance(s, int))
        symbols: list[Dim] = [s for s in above if isinstance(s, str)]
        if total % divisor:
            return self.symbol("quotient", *sizes, "by", *by) if symbols else total // divisor
        return self.product([total // divisor, *symbols])

    def broadcast(self, a: Dim, b: Dim) -> Dim:
        if a == b or b == 1:
            return a
        if a == 1:
            return b
        if isinstance(a, int) and isinstance(b, int):
            raise ValueError(f"sizes {a} and {b} do not broadcast")
        if isinstance(a, int) or isinstance(b, int):
            return a if isinstance(a, int) else b
        return self.symbol("broadcast", *sorted((a, b)))


def axis_of(axis: int, rank: int) -> int:
    """A non-negative axis; ValueError outside [-rank, rank)."""
    if not -rank <= axis < max(rank, 1):
        raise ValueError(f"axis {axis} is outside a tensor of rank {rank}")
    return axis + rank if axis < 0 else axis
