"""How many models run at a time, how many requests wait for it, and for how long. No Flask here.

On a CPU more runs than cores only make every run slower, so the rest waits in order, in a queue that has an end.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FIRST_GUESS_S = 0.05  # how long a run takes, until one was seen
SMOOTHING = 0.1


class Full(Exception):
    """The queue is full. `retry_s`: when it may be worth trying again."""

    def __init__(self, retry_s: int) -> None:
        super().__init__(f"the queue is full; try again in {retry_s} s")
        self.retry_s = retry_s


class Late(Exception):
    """The request's time ran out before it could run."""


def unwatched(running: int, waiting: int) -> None:
    """Where nobody counts."""


class Gate:
    """`runs` at a time, `queue` more may wait, first come first served."""

    def __init__(self, runs: int, queue: int, watch: Callable[[int, int], None] = unwatched) -> None:
        self.runs, self.queue, self.watch = runs, queue, watch
        self.lock = threading.Lock()
        self.running = 0
        self.waiting: deque[threading.Event] = deque()
        self.run_s = FIRST_GUESS_S

    @contextmanager
    def enter(self, deadline: float) -> Iterator[None]:
        """Wait for a turn until `deadline` (time.monotonic); raises Full at once or Late then."""
        self.wait(deadline)
        began = time.monotonic()
        try:
            yield
        finally:
            self.leave(time.monotonic() - began)

    def wait(self, deadline: float) -> None:
        """Take a turn, or a place in the queue."""
        if time.monotonic() >= deadline:
            raise Late
        with self.lock:
            if self.running < self.runs and not self.waiting:
                self.running += 1
                self.watch(self.running, 0)
                return
            if len(self.waiting) >= self.queue:
                raise Full(max(1, math.ceil(self.run_s * (len(self.waiting) + 1) / self.runs)))
            turn = threading.Event()
            self.waiting.append(turn)
            self.watch(self.running, len(self.waiting))
        if turn.wait(max(0.0, deadline - time.monotonic())):
            return
        with self.lock:
            if not turn.is_set():
                self.waiting.remove(turn)
                self.watch(self.running, len(self.waiting))
                raise Late
        self.leave(None)  # the turn came in the very moment that the time ran out: pass it on
        raise Late

    def leave(self, took_s: float | None) -> None:
        """Hand the turn to the first who waits, or give it back."""
        with self.lock:
            if took_s is not None:
                self.run_s += SMOOTHING * (took_s - self.run_s)
            if self.waiting:
                self.waiting.popleft().set()
            else:
                self.running -= 1
            self.watch(self.running, len(self.waiting))
