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

from webapp.bundle import Bundle
from webapp.engines.base import Arrays, Engine, RunError
from webapp.engines.rows import Kind, Place, Rows, side_by_side
from webapp.gate import Bell, Late, Usual

MOST_ROWS = 8  # more rows save little, and the first of them waits for the last
MOST_BYTES = 16 << 20  # of inputs in one run
MOST_SHARED_BYTES = 48 << 20  # for the rows of all requests that run or wait
ALIGNED = 64

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
    """A request: what it feeds, then what it gets. `turn` is rung when it is answered, or when it is to lead."""

    def __init__(self, feeds: Arrays, until: float, place: Place | None = None) -> None:
        self.feeds, self.key, self.until, self.place = feeds, key_of(feeds), until, place
        first = next(iter(feeds.values()))
        self.rows = first.shape[0]
        self.bytes = sum(array.nbytes for array in feeds.values())
        self.came = self.started = time.monotonic()
        self.turn = Bell()
        self.leads = False
        self.results: Arrays | None = None
        self.error: Exception | None = None


class Rooms:
    """Memory that rows are put together in, a piece for each run at a time; kept, for new memory costs page faults."""

    def __init__(self) -> None:
        self.kept: list[np.ndarray] = []

    def take(self, nbytes: int) -> np.ndarray:
        """A piece that is large enough."""
        try:
            room = self.kept.pop()
        except IndexError:
            room = np.empty(0, np.uint8)
        return room if room.nbytes >= nbytes else np.empty(nbytes, np.uint8)

    def give(self, room: np.ndarray) -> None:
        """Nobody looks at it any more."""
        self.kept.append(room)


class Together:
    """An engine of which `runs` may run at a time; `queue` requests more may wait.

    watch: told how many rows run together. depth: told how many requests run and wait, whenever that changes.
    """

    batches = True

    def __init__(self, engine: Engine, *, runs: int, queue: int, watch: Callable[[int], None] = lambda rows: None,
                 depth: Callable[[int, int], None] = lambda running, waiting: None) -> None:  # fmt: skip
        self.engine, self.platform, self.runs, self.queue = engine, engine.platform, runs, queue
        self.watch, self.depth = watch, depth
        self.lock = threading.Lock()
        self.running = 0
        self.waiting: deque[Ask] = deque()
        self.usual = Usual()
        self.rooms = Rooms()
        self.shared = Rows(runs * MOST_ROWS + queue + MOST_ROWS, 2 * MOST_ROWS, MOST_SHARED_BYTES)

    @property
    def broken(self) -> str:
        """Why the engine inside will never run again."""
        return self.engine.broken

    def run(self, feeds: Arrays, timeout_s: float) -> Arrays:
        """All outputs by name. Raises what the engine raises; Full at once, Late when it could not start in time."""
        return self.ask(feeds, time.monotonic() + timeout_s)[0]

    def refuse(self, deadline: float) -> None:
        """Raise what a request of one row that comes now would be told at once, if anything: Full, or Late."""
        if time.monotonic() >= deadline:
            raise Late
        if self.running < self.runs:
            return
        before = (len(self.waiting) // MOST_ROWS + 1) / self.runs
        if len(self.waiting) >= self.queue or not self.usual.fits(before, deadline):
            raise self.usual.full(before)

    def place(self, kind: Kind) -> Place | None:
        """A row in memory that requests share, to be given to `ask` and then back; None where there is none."""
        return self.shared.place(kind)

    def give_back(self, place: Place) -> None:
        """The request of that row is answered."""
        self.shared.give_back(place)

    def ask(self, feeds: Arrays, deadline: float, place: Place | None = None) -> tuple[Arrays, float]:
        """The same until `deadline` (time.monotonic), and how long it waited for its run, in seconds.

        place: where what it feeds lies, if it lies in a place of this engine.
        """
        mine = Ask(feeds, deadline, place)
        with self.lock:
            self.refuse(deadline)
            mine.leads = self.running < self.runs
            if mine.leads:
                self.running += 1
            else:
                self.waiting.append(mine)
            self.depth(self.running, len(self.waiting))
        if not mine.leads:
            self.wait(mine)
        if mine.leads:
            self.lead(mine)
        if mine.error is not None:
            raise mine.error
        assert mine.results is not None
        return mine.results, mine.started - mine.came

    def wait(self, mine: Ask) -> None:
        """Until it is answered or is to lead; out of the queue when its time is up."""
        if mine.turn.wait(max(0.0, mine.until - time.monotonic())):
            return
        with self.lock:
            if mine in self.waiting:
                self.waiting.remove(mine)
                self.depth(self.running, len(self.waiting))
                raise Late
        mine.turn.wait()  # it is being run, or was just made the leader

    def lead(self, mine: Ask) -> None:
        """Run with everybody who waits for the same, then hand the core on."""
        began = time.monotonic()
        with self.lock:
            batch = [mine, *self.company(mine, began)] if began < mine.until else []
        try:
            for one in batch:
                one.started = began
            if batch:
                self.watch(sum(one.rows for one in batch))
                self.run_batch(batch, mine.until - began)
            else:
                mine.error = Late()  # its thread was late itself
        except Exception as error:  # each of them gets it, in its own request
            for one in batch:
                one.error = error
        finally:
            with self.lock:
                if batch:
                    self.usual.note(time.monotonic() - began)
                following, late = self.following()
                self.depth(self.running, len(self.waiting))
            # The next run first: who has a result needs Python's lock to send it, and the run would wait for them all.
            for one in [*([following] if following else []), *batch[1:], *late]:
                one.turn.ring()

    def following(self) -> tuple[Ask | None, list[Ask]]:
        """Who leads next, where somebody waits; and who came before, and is too late by now. With the lock."""
        late, now = [], time.monotonic()
        while self.waiting:
            one = self.waiting.popleft()
            if now < one.until:
                one.leads = True
                return one, late
            one.error = Late()
            late.append(one)
        self.running -= 1
        return None, late

    def company(self, mine: Ask, now: float) -> list[Ask]:
        """Those who run with it, taken out of the queue in their order. With the lock."""
        rows, size, found, others = mine.rows, mine.bytes, [], deque[Ask]()
        for one in self.waiting:
            fits = one.key == mine.key and rows + one.rows <= MOST_ROWS and size + one.bytes <= MOST_BYTES
            if fits := fits and now < one.until:
                rows, size = rows + one.rows, size + one.bytes
            (found if fits else others).append(one)
        self.waiting = others
        return found

    def run_batch(self, batch: list[Ask], timeout_s: float) -> None:
        """One run, and to each its own rows; where it fails each runs alone, so that none suffers for another."""
        if len(batch) == 1:
            batch[0].results = self.engine.run(batch[0].feeds, timeout_s)
            return
        room = None
        try:
            batch = sorted(batch, key=lambda one: one.place.row if one.place else 0)
            feeds = as_they_lie(batch)
            if feeds is None:
                room = self.rooms.take(room_for(batch))
                feeds = joined(batch, room)
            results, end = self.engine.run(feeds, timeout_s), 0
            for one in batch:
                start, end = end, end + one.rows
                one.results = {name: own(array[start:end], room) for name, array in results.items()}
        except RunError:
            for one in batch:
                try:
                    one.results = self.engine.run(one.feeds, timeout_s)
                except RunError as error:
                    one.error = error
        finally:
            if room is not None:
                self.rooms.give(room)

    def close(self) -> None:
        """Free what the engine inside holds."""
        self.depth(0, 0)
        self.engine.close()


def as_they_lie(batch: list[Ask]) -> Arrays | None:
    """The rows of all requests, where they lie side by side already."""
    places = [one.place for one in batch if one.place is not None]
    if len(places) < len(batch):
        return None
    rows = side_by_side(places)
    (name,) = batch[0].feeds
    return None if rows is None else {name: rows}


def room_for(batch: list[Ask]) -> int:
    """Bytes that all rows of a batch take, each input beginning at an aligned address."""
    inputs = len(batch[0].feeds)
    return sum(one.bytes for one in batch) + inputs * ALIGNED


def joined(batch: list[Ask], room: np.ndarray) -> Arrays:
    """The rows of all requests, one behind the other."""
    found, first_at = {}, -room.ctypes.data % ALIGNED
    at = first_at
    for name, first in batch[0].feeds.items():
        pieces = [one.feeds[name] for one in batch]
        shape = (sum(len(piece) for piece in pieces), *first.shape[1:])
        end = at + math.prod(shape) * first.itemsize
        found[name] = np.concatenate(pieces, out=room[at:end].view(first.dtype).reshape(shape))
        at = end + (first_at - end) % ALIGNED
    return found


def own(rows: np.ndarray, room: np.ndarray | None) -> np.ndarray:
    """Results that will stay: an engine may hand out what it was given, and the room is soon another's."""
    return rows.copy() if room is not None and np.may_share_memory(rows, room) else rows
