"""Requests that wait for a CPU anyway run together: one run of several rows costs less than as many runs of one.

Nobody waits for company: a request that finds a core free runs at once and alone. While all are busy, what arrives is
collected, and the next free core takes as much of it as fits into one run.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np

from webapp.engines.base import Arrays, Engine, RunError
from webapp.gate import FIRST_GUESS_S, SMOOTHING, Full, Late
from webapp.models import Bundle

MOST_ROWS = 8  # more rows save little, and the first of them waits for the last
MOST_BYTES = 16 << 20  # of inputs in one run

Key = tuple[tuple[str, str, tuple[int, ...]], ...]


def rows_are_free(bundle: Bundle) -> bool:
    """Whether every input and output counts its rows by the same name: only then can requests be put together."""
    first = {entry["shape"][0] if entry["shape"] else None for entry in [*bundle.inputs, *bundle.outputs]}
    (name,) = first if len(first) == 1 else (None,)
    return isinstance(name, str) and not name.startswith("?")


def key_of(feeds: Arrays) -> Key:
    """What requests must have in common to run together."""
    return tuple((name, array.dtype.str, array.shape[1:]) for name, array in sorted(feeds.items()))


class Ask:
    """A request: what it feeds, then what it gets. `turn` is set when it is answered, or when it is to lead."""

    def __init__(self, feeds: Arrays) -> None:
        self.feeds, self.key = feeds, key_of(feeds)
        first = next(iter(feeds.values()))
        self.rows = first.shape[0]
        self.bytes = sum(array.nbytes for array in feeds.values())
        self.turn = threading.Event()
        self.leads = False
        self.results: Arrays | None = None
        self.error: Exception | None = None


class Together:
    """An engine of which `runs` may run at a time; `queue` requests more may wait."""

    batches = True

    def __init__(
        self, engine: Engine, *, runs: int, queue: int, watch: Callable[[int], None] = lambda rows: None
    ) -> None:
        self.engine, self.platform, self.runs, self.queue, self.watch = engine, engine.platform, runs, queue, watch
        self.lock = threading.Lock()
        self.running = 0
        self.waiting: deque[Ask] = deque()
        self.run_s = FIRST_GUESS_S

    @property
    def broken(self) -> str:
        """Why the engine inside will never run again."""
        return self.engine.broken

    def run(self, feeds: Arrays, timeout_s: float) -> Arrays:
        """All outputs by name. Raises what the engine raises; Full at once, Late when it could not start in time."""
        mine, until = Ask(feeds), time.monotonic() + timeout_s
        with self.lock:
            mine.leads = self.running < self.runs
            if mine.leads:
                self.running += 1
            elif len(self.waiting) >= self.queue:
                ahead = (len(self.waiting) / MOST_ROWS + 1) / self.runs
                raise Full(max(1, math.ceil(self.run_s * ahead)))
            else:
                self.waiting.append(mine)
        if not mine.leads:
            self.wait(mine, until)
        if mine.leads:
            self.lead(mine, until)
        if mine.error is not None:
            raise mine.error
        assert mine.results is not None
        return mine.results

    def wait(self, mine: Ask, until: float) -> None:
        """Until it is answered or is to lead; out of the queue when its time is up."""
        if mine.turn.wait(max(0.0, until - time.monotonic())):
            return
        with self.lock:
            if mine in self.waiting:
                self.waiting.remove(mine)
                raise Late
        mine.turn.wait()  # it is being run, or was just made the leader

    def lead(self, mine: Ask, until: float) -> None:
        """Run with everybody who waits for the same, then hand the core on."""
        with self.lock:
            batch = [mine, *self.company(mine)]
        began = time.monotonic()
        try:
            self.watch(sum(one.rows for one in batch))
            self.run_batch(batch, until - began)
        except Exception as error:  # each of them gets it, in its own request
            for one in batch:
                one.error = error
        finally:
            with self.lock:
                self.run_s += SMOOTHING * (time.monotonic() - began - self.run_s)
                following = self.waiting.popleft() if self.waiting else None
                if following is None:
                    self.running -= 1
                else:
                    following.leads = True
            for one in [*batch[1:], *([following] if following else [])]:
                one.turn.set()

    def company(self, mine: Ask) -> list[Ask]:
        """Those who run with it, taken out of the queue in their order. With the lock."""
        rows, size, found, others = mine.rows, mine.bytes, [], deque[Ask]()
        for one in self.waiting:
            fits = one.key == mine.key and rows + one.rows <= MOST_ROWS and size + one.bytes <= MOST_BYTES
            if fits:
                rows, size = rows + one.rows, size + one.bytes
            (found if fits else others).append(one)
        self.waiting = others
        return found

    def run_batch(self, batch: list[Ask], timeout_s: float) -> None:
        """One run, and to each its own rows; where it fails each runs alone, so that none suffers for another."""
        if len(batch) == 1:
            batch[0].results = self.engine.run(batch[0].feeds, timeout_s)
            return
        joined = {name: np.concatenate([one.feeds[name] for one in batch]) for name in batch[0].feeds}
        try:
            results, end = self.engine.run(joined, timeout_s), 0
        except RunError:
            for one in batch:
                try:
                    one.results = self.engine.run(one.feeds, timeout_s)
                except RunError as error:
                    one.error = error
            return
        for one in batch:
            start, end = end, end + one.rows
            one.results = {name: array[start:end] for name, array in results.items()}

    def close(self) -> None:
        """Free what the engine inside holds."""
        self.engine.close()
