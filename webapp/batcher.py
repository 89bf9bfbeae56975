"""Dynamic batching: requests of the same shape share one run of the engine. No Flask and no GPU here.

The thread of each request copies its own rows into memory that the engine reads, and its own results out again; the
thread that opened a batch runs it for all. So while one batch runs, the next one is being filled, without a thread or
a copy in between.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from webapp.gate import FIRST_GUESS_S, SMOOTHING, Full, Late

Arrays = Mapping[str, np.ndarray]
Key = tuple[tuple[str, tuple[int, ...]], ...]


class Memory(Protocol):
    """Room for one run."""

    def write(self, row: int, feeds: Arrays) -> None:
        """Copy rows in, from `row` on; several threads at once."""

    def read(self, row: int, rows: int) -> dict[str, np.ndarray]:
        """A copy of these rows of every output."""


class Runnable(Protocol):
    """An engine that runs several rows at once; `buffers` are as many as batches may be under way."""

    max_rows: int
    buffers: Sequence[Memory]

    def execute(self, buffers: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Run what was written, and wait for it."""


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


class Batch:
    """Requests that run together. Its fields change only under the batcher's lock."""

    def __init__(self, key: Key, buffers: Memory) -> None:
        self.key, self.buffers = key, buffers
        self.rows = 0
        self.opened = time.monotonic()
        self.members = self.written = self.finished = 0
        self.closed = False
        self.full, self.ready = Bell(), Bell()
        self.followers: list[Bell] = []
        self.error: Exception | None = None


class Waiter:
    """A request that waits for memory; `batch` is set when there is some."""

    def __init__(self, key: Key, rows: int) -> None:
        self.key, self.rows = key, rows
        self.turn, self.done = Bell(), Bell()
        self.batch: Batch | None = None
        self.row = 0
        self.leads = False


def unwatched(rows: int, waited_s: float) -> None:
    """Where nobody counts."""


class Room:
    """How many requests may be in all batchers of a process: each holds a thread, and others need one too."""

    def __init__(self, places: int) -> None:
        self.places, self.taken, self.lock = places, 0, threading.Lock()

    def __enter__(self) -> None:
        """Raises Full."""
        with self.lock:
            if self.taken >= self.places:
                raise Full(1)
            self.taken += 1

    def __exit__(self, *problem: object) -> None:
        with self.lock:
            self.taken -= 1


class Batcher:
    """`max_rows` together at most; a batch that is not full runs after `max_wait_s`; `queue` more may wait."""

    def __init__(self, engine: Runnable, *, max_rows: int = 0, max_wait_s: float = 0.002, queue: int = 128,
                 watch: Callable[[int, float], None] = unwatched) -> None:
        self.engine, self.max_wait_s, self.queue, self.watch = engine, max_wait_s, queue, watch
        self.max_rows = min(max_rows or engine.max_rows, engine.max_rows)
        self.lock = threading.Lock()
        self.free = list(engine.buffers)
        # One batch runs and one more is ready to follow it at once; the others are being filled or read.
        self.under_way = threading.BoundedSemaphore(max(1, min(2, len(self.free) - 1)))
        self.open: dict[Key, Batch] = {}
        self.waiting: deque[Waiter] = deque()
        self.run_s = FIRST_GUESS_S

    def run(self, feeds: Arrays, deadline: float) -> dict[str, np.ndarray]:
        """All outputs by name. Raises Full at once; Late when it could not start by `deadline` (time.monotonic)."""
        rows = next(iter(feeds.values())).shape[0]
        if rows > self.max_rows:
            starts = range(0, rows, self.max_rows)
            pieces = [{name: array[at : at + self.max_rows] for name, array in feeds.items()} for at in starts]
            found = [self.run(piece, deadline) for piece in pieces]
            return {name: np.concatenate([part[name] for part in found]) for name in found[0]}
        place = self.join(tuple((name, array.shape[1:]) for name, array in feeds.items()), rows, deadline)
        batch = place.batch
        assert batch is not None
        problem = None
        try:
            batch.buffers.write(place.row, feeds)
        except Exception as error:  # this request's own; the others of the batch run all the same
            problem = error
        self.note_written(batch)
        try:
            self.lead(batch) if place.leads else place.done.wait()
            if problem or batch.error:
                raise problem or batch.error  # type: ignore[misc]
            return batch.buffers.read(place.row, rows)
        finally:
            self.let_go(batch)

    # ---- a place in a batch ----

    def join(self, key: Key, rows: int, deadline: float) -> Waiter:
        """A place in a batch, waited for if need be."""
        mine = Waiter(key, rows)
        if time.monotonic() >= deadline:
            raise Late
        with self.lock:
            batch = self.open.get(key)
            if batch is not None and batch.rows + rows <= self.max_rows:
                self.place(mine, batch)
                return mine
            if self.free and not self.waiting:
                self.place(mine, self.opened(key))
                return mine
            if len(self.waiting) >= self.queue:
                ahead = sum(waiter.rows for waiter in self.waiting) / self.max_rows + 1
                raise Full(max(1, math.ceil(self.run_s * ahead)))
            self.waiting.append(mine)
        if not mine.turn.wait(max(0.0, deadline - time.monotonic())):
            with self.lock:
                if mine.batch is None:
                    self.waiting.remove(mine)
                    raise Late
        return mine

    def opened(self, key: Key) -> Batch:
        """A new batch in memory that is free. With the lock."""
        batch = Batch(key, self.free.pop())
        older = self.open.get(key)
        if older is not None:
            older.full.ring()  # nobody will join it any more
        self.open[key] = batch
        return batch

    def place(self, waiter: Waiter, batch: Batch) -> None:
        """Give a request its rows. With the lock."""
        waiter.batch, waiter.row, waiter.leads = batch, batch.rows, batch.members == 0
        if not waiter.leads:
            batch.followers.append(waiter.done)
        batch.rows += waiter.rows
        batch.members += 1
        if batch.rows >= self.max_rows:
            batch.full.ring()

    # ---- running ----

    def note_written(self, batch: Batch) -> None:
        """One more member's rows are in."""
        with self.lock:
            batch.written += 1
            if batch.closed and batch.written == batch.members:
                batch.ready.ring()

    def close(self, batch: Batch) -> None:
        """Nobody joins any more; wait for the rows of those who did."""
        with self.lock:
            batch.closed = True
            if self.open.get(batch.key) is batch:
                del self.open[batch.key]
            if batch.written == batch.members:
                return
        batch.ready.wait()

    def lead(self, batch: Batch) -> None:
        """Wait for company, then run the batch; whoever was waiting for it goes on, whatever happened."""
        try:
            batch.full.wait(max(0.0, batch.opened + self.max_wait_s - time.monotonic()))
            with self.under_way:  # others still join while this waits
                self.close(batch)
                began = time.monotonic()
                self.watch(batch.rows, began - batch.opened)
                self.engine.execute(batch.buffers, {name: (batch.rows, *rest) for name, rest in batch.key})
                self.run_s += SMOOTHING * (time.monotonic() - began - self.run_s)
        except Exception as error:
            batch.error = error
        finally:
            for follower in batch.followers:
                follower.ring()

    def let_go(self, batch: Batch) -> None:
        """A member has its results. After the last one, the memory goes to those who wait."""
        with self.lock:
            batch.finished += 1
            if batch.finished < batch.members:
                return
            self.free.append(batch.buffers)
            if not self.waiting:
                return
            key = self.waiting[0].key
            following, others, placed = self.opened(key), deque[Waiter](), []
            for waiter in self.waiting:
                if waiter.key == key and following.rows + waiter.rows <= self.max_rows:
                    self.place(waiter, following)
                    placed.append(waiter)
                else:
                    others.append(waiter)
            self.waiting = others
        for waiter in placed:
            waiter.turn.ring()
