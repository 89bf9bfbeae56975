"""Dynamic batching: requests of the same shape share one run of the engine. No Flask and no GPU here.

The thread of each request copies its own rows into memory that the engine reads; the thread that opened a batch runs it
for all and copies the results of all out again, for every turn with Python's lock costs more than such a copy. So while
one batch runs, the next one is being filled, without a thread or a copy in between.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from webapp.gate import Bell, Full, Late, Usual

Arrays = Mapping[str, np.ndarray]
Key = tuple[tuple[str, tuple[int, ...]], ...]


class Memory(Protocol):
    """Room for one run."""

    def write(self, row: int, feeds: Arrays) -> None:
        """Copy rows in, from `row` on; several threads at once."""

    def read(self) -> dict[str, np.ndarray]:
        """A copy of every output of the last run."""


class Runnable(Protocol):
    """An engine that runs several rows at once; `buffers` are as many as batches may be under way."""

    max_rows: int
    buffers: Sequence[Memory]

    def execute(self, buffers: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Run what was written, and wait for it."""


class Batch:
    """Requests that run together. Its fields change only under the batcher's lock."""

    def __init__(self, key: Key, buffers: Memory) -> None:
        self.key, self.buffers = key, buffers
        self.rows = 0
        self.opened = self.started = time.monotonic()
        self.members = self.written = 0
        self.closed = False
        self.full, self.ready = Bell(), Bell()
        self.followers: list[Bell] = []
        self.results: Arrays = {}
        self.error: Exception | None = None


class Waiter:
    """A request that waits for memory; `batch` is set when there is some, `late` when there was none in time."""

    def __init__(self, key: Key, rows: int, deadline: float) -> None:
        self.key, self.rows, self.deadline = key, rows, deadline
        self.came = time.monotonic()
        self.turn, self.done = Bell(), Bell()
        self.batch: Batch | None = None
        self.row = 0
        self.leads = self.late = False


def unwatched(rows: int, waited_s: float) -> None:
    """Where nobody counts."""


def unseen(running: int, waiting: int) -> None:
    """Where nobody looks."""


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
    """`max_rows` together at most; a batch that is not full runs after `max_wait_s`; `queue` more may wait.

    watch: told of each run its rows, and how long the first of them waited. depth: told how many requests are in
    batches and how many wait for a place in one, whenever memory is given out.
    """

    def __init__(self, engine: Runnable, *, max_rows: int = 0, max_wait_s: float = 0.002, queue: int = 128,
                 watch: Callable[[int, float], None] = unwatched,
                 depth: Callable[[int, int], None] = unseen) -> None:  # fmt: skip
        self.engine, self.max_wait_s, self.queue, self.watch, self.depth = engine, max_wait_s, queue, watch, depth
        self.max_rows = min(max_rows or engine.max_rows, engine.max_rows)
        self.lock = threading.Lock()
        self.free = list(engine.buffers)
        # One batch runs and one more is ready to follow it at once; the others are being filled or read.
        self.under_way = threading.BoundedSemaphore(max(1, min(2, len(self.free) - 1)))
        self.open: dict[Key, Batch] = {}
        self.waiting: deque[Waiter] = deque()
        self.inside = 0
        self.usual = Usual()

    def run(self, feeds: Arrays, deadline: float) -> dict[str, np.ndarray]:
        """All outputs by name. Raises Full at once; Late when it could not start by `deadline` (time.monotonic)."""
        return self.ask(feeds, deadline)[0]

    def ask(self, feeds: Arrays, deadline: float) -> tuple[dict[str, np.ndarray], float]:
        """The same, and how long it waited for its run, in seconds."""
        rows = next(iter(feeds.values())).shape[0]
        if rows > self.max_rows:
            starts = range(0, rows, self.max_rows)
            pieces = [{name: array[at : at + self.max_rows] for name, array in feeds.items()} for at in starts]
            found, waits = zip(*(self.ask(piece, deadline) for piece in pieces), strict=True)
            return {name: np.concatenate([part[name] for part in found]) for name in found[0]}, sum(waits)
        place = self.join(tuple((name, array.shape[1:]) for name, array in feeds.items()), rows, deadline)
        batch = place.batch
        assert batch is not None
        problem = None
        try:
            batch.buffers.write(place.row, feeds)
        except Exception as error:  # this request's own; the others of the batch run all the same
            problem = error
        self.note_written(batch)
        self.lead(batch) if place.leads else place.done.wait()
        if problem or batch.error:
            raise problem or batch.error  # type: ignore[misc]
        mine = slice(place.row, place.row + rows)
        return {name: array[mine] for name, array in batch.results.items()}, max(0.0, batch.started - place.came)

    # ---- a place in a batch ----

    def join(self, key: Key, rows: int, deadline: float) -> Waiter:
        """A place in a batch, waited for if need be."""
        mine = Waiter(key, rows, deadline)
        if mine.came >= deadline:
            raise Late
        with self.lock:
            batch = self.open.get(key)
            if batch is not None and batch.rows + rows <= self.max_rows:
                self.place(mine, batch)
                return mine
            if self.free and not self.waiting:
                self.place(mine, self.opened(key))
                return mine
            self.refuse(deadline)
            self.waiting.append(mine)
            self.depth(self.inside, len(self.waiting))
        if not mine.turn.wait(max(0.0, deadline - time.monotonic())):
            with self.lock:
                if mine.batch is None and not mine.late:
                    self.waiting.remove(mine)
                    raise Late
        if mine.late:
            raise Late
        return mine

    def refuse(self, deadline: float) -> None:
        """Raise what a request that comes now would be told at once, if anything: Full, or Late."""
        if time.monotonic() >= deadline:
            raise Late
        if self.free and not self.waiting:
            return
        # One batch of those under way has to end before there is memory, the others before the GPU is free.
        before = len(self.waiting) // self.max_rows + max(1, len(self.engine.buffers) - 1)
        if len(self.waiting) >= self.queue or not self.usual.fits(before, deadline):
            raise self.usual.full(before)

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
        self.inside += 1
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
                batch.started = time.monotonic()
                self.watch(batch.rows, batch.started - batch.opened)
                self.engine.execute(batch.buffers, {name: (batch.rows, *rest) for name, rest in batch.key})
                self.usual.note(time.monotonic() - batch.started)
            batch.results = batch.buffers.read()
        except Exception as error:
            batch.error = error
        finally:
            self.let_go(batch)
            for follower in batch.followers:
                follower.ring()

    def let_go(self, batch: Batch) -> None:
        """Its results are out, or there are none: the memory goes to those who wait."""
        with self.lock:
            self.inside -= batch.members
            self.free.append(batch.buffers)
            called = self.invite() if self.waiting else []
            self.depth(self.inside, len(self.waiting))
        for waiter in called:
            waiter.turn.ring()

    def invite(self) -> list[Waiter]:
        """Places for those who wait longest and want the same; who is too late by now is told so. With the lock."""
        now = time.monotonic()
        called = [waiter for waiter in self.waiting if now >= waiter.deadline]
        for waiter in called:
            waiter.late = True
        waiting = [waiter for waiter in self.waiting if not waiter.late]
        self.waiting = others = deque[Waiter]()
        following = self.opened(waiting[0].key) if waiting else None
        for waiter in waiting:
            if following and waiter.key == following.key and following.rows + waiter.rows <= self.max_rows:
                self.place(waiter, following)
                called.append(waiter)
            else:
                others.append(waiter)
        return called
