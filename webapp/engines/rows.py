"""Memory in which the rows of several requests lie one behind the other, so that they can run together as they lie.

Each request of one row reads its numbers from its socket straight to its row. Rows are given out in order, round and
round: those who come one after the other get rows side by side, and nothing has to be copied to make a batch of them.
"""

import threading
from dataclasses import dataclass

import numpy as np

ALIGNED = 64

Kind = tuple[str, np.dtype, tuple[int, ...]]  # name, type and shape of the only input


@dataclass(frozen=True)
class Place:
    """A row of shared memory, until it is given back."""

    memory: np.ndarray
    row: int

    @property
    def array(self) -> np.ndarray:
        """The row, as an input of the model."""
        return self.memory[self.row : self.row + 1]


class Rows:
    """At most `most` rows, in at most so many bytes, for one kind of request at a time; none if not `least`."""

    def __init__(self, most: int, least: int, most_bytes: int) -> None:
        self.most, self.least, self.most_bytes = most, least, most_bytes
        self.lock = threading.Lock()
        self.kind: Kind | None = None
        self.memory = np.empty((0, 0), np.uint8)
        self.taken: list[bool] = []
        self.next = self.out = 0  # the row to give out next, and how many are given out

    def place(self, kind: Kind) -> Place | None:
        """A row for a request of this kind; None where there is none, and the request needs memory of its own."""
        with self.lock:
            if kind != self.kind and (self.out or not self.prepare(kind)):
                return None
            count = len(self.taken)
            row = self.next
            while self.taken[row]:  # who has it is slow, and is passed over
                row = (row + 1) % count
                if row == self.next:
                    return None
            self.taken[row] = True
            self.next = (row + 1) % count
            self.out += 1
            return Place(self.memory, row)

    def prepare(self, kind: Kind) -> bool:
        """Memory for another kind; whether its rows are single and small enough. With the lock."""
        _, dtype, shape = kind
        row_bytes = int(np.prod(shape)) * dtype.itemsize
        count = min(self.most, self.most_bytes // row_bytes) if row_bytes and shape[:1] == (1,) else 0
        if count < self.least:
            return False
        raw = np.empty(count * row_bytes + ALIGNED, np.uint8)
        start = -raw.ctypes.data % ALIGNED
        self.memory = raw[start : start + count * row_bytes].view(dtype).reshape(count, *shape[1:])
        self.kind, self.taken, self.next = kind, [False] * count, 0
        return True

    def give_back(self, place: Place) -> None:
        """Nobody reads or writes this row any more."""
        with self.lock:
            self.out -= 1
            self.taken[place.row] = False


def side_by_side(places: list[Place]) -> np.ndarray | None:
    """The rows of these places (in the order of their rows) as one array, where they lie side by side."""
    memory, first = places[0].memory, places[0].row
    if any(place.memory is not memory or place.row != first + k for k, place in enumerate(places)):
        return None
    return memory[first : first + len(places)]
