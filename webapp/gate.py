"""How many models run at a time, how many requests wait for it, and for how long. No Flask here.

On a CPU more runs than cores only make every run slower, so the rest waits in order, in a queue that has an end: in
places, and in time. A request that could not be done before its time is up is refused when it comes, while it can still
go elsewhere, and not after it has waited.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SMOOTHING = 0.1


class Full(Exception):
    """The queue is full. `retry_s`: when it may be worth trying again."""

    def __init__(self, retry_s: int) -> None:
        super().__init__(f"the queue is full; try again in {retry_s} s")
        self.retry_s = retry_s


class Late(Exception):
    """The request's time ran out before it could run."""


class Usual:
    """How long a run took lately, in seconds: 0 until one was seen, for nobody is refused because of a guess."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0

    def note(self, took_s: float) -> None:
        """One more was seen."""
        self.seconds += SMOOTHING * (took_s - self.seconds) if self.seconds else took_s

    def fits(self, runs_before: float, deadline: float) -> bool:
        """Whether a run that starts after so many others, and takes as long as they do, ends by then."""
        return time.monotonic() + (runs_before + 1) * self.seconds <= deadline

    def full(self, runs_before: float) -> Full:
        """What to say to one that would have to wait for so many."""
        return Full(max(1, math.ceil(runs_before * self.seconds)))


class Bell:
    """Rung once by one thread, heard by one other: an Event makes all who wait for it queue for its own lock."""

    __slots__ = ("lock", "rung")

    def __init__(self) -> None:
        self.lock, self.rung = threading.Lock(), False
        self.lock.acquire()

    def ring(self) -> None:
        """Not by two threads at the same time."""
        if not self.rung:
            self.rung = True
            self.lock.release()

    def wait(self, seconds: float = -1) -> bool:
        """Whether it rang; by default as long as it takes."""
        return self.lock.acquire(timeout=seconds)


def unwatched(running: int, waiting: int) -> None:
    """Where nobody counts."""


class Gate:
    """`runs` at a time, `queue` more may wait, first come first served."""

    def __init__(self, runs: int, queue: int, watch: Callable[[int, int], None] = unwatched) -> None:
        self.runs, self.queue, self.watch = runs, queue, watch
        self.lock = threading.Lock()
        self.running = 0
        self.waiting: deque[Bell] = deque()
        self.usual = Usual()

    @contextmanager
    def enter(self, deadline: float) -> Iterator[None]:
        """Wait for a turn until `deadline` (time.monotonic); raises Full at once or Late then."""
        self.wait(deadline)
        began = time.monotonic()
        try:
            yield
        finally:
            self.leave(time.monotonic() - began)

    def refuse(self, deadline: float) -> None:
        """Raise what a request that comes now would be told at once, if anything: Full, or Late."""
        if time.monotonic() >= deadline:
            raise Late
        if self.running < self.runs and not self.waiting:
            return
        before = (len(self.waiting) + 1) / self.runs
        if len(self.waiting) >= self.queue or not self.usual.fits(before, deadline):
            raise self.usual.full(before)

    def wait(self, deadline: float) -> None:
        """Take a turn, or a place in the queue."""
        with self.lock:
            self.refuse(deadline)
            if self.running < self.runs and not self.waiting:
                self.running += 1
                self.watch(self.running, 0)
                return
            turn = Bell()
            self.waiting.append(turn)
            self.watch(self.running, len(self.waiting))
        if turn.wait(max(0.0, deadline - time.monotonic())):
            return
        with self.lock:
            if not turn.rung:
                self.waiting.remove(turn)
                self.watch(self.running, len(self.waiting))
                raise Late
        self.leave(None)  # the turn came in the very moment that the time ran out: pass it on
        raise Late

    def leave(self, took_s: float | None) -> None:
        """Hand the turn to the first who waits, or give it back."""
        with self.lock:
            if took_s is not None:
                self.usual.note(took_s)
            if self.waiting:
                self.waiting.popleft().ring()
            else:
                self.running -= 1
            self.watch(self.running, len(self.waiting))
