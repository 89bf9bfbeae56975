"""The models that this process runs: found, loaded, tried, switched, and given to whoever asks. No Flask here.

A look at the disk is cheap while nothing changed. A version that is new or changed is loaded and tried beside the one
that answers, and takes its place only when it has shown itself; one that fails leaves all as it was and says why.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from webapp.bundle import Bundle
from webapp.engines import ENGINES, Load, Options, Pending
from webapp.loading import Loaded, Loader, NoEngine
from webapp.models import Models

RETRY_S = 30.0  # how long an engine that failed for a passing reason is left alone
MOST_WAIT = 16  # requests for the first look; health checks need threads meanwhile
PENDING_S = 1.0  # between looks while an engine is being made ready

log = logging.getLogger(__name__)


class UnknownModel(LookupError):
    """There is no model, or no version, of that name."""


class Starting(Exception):
    """The models are being loaded."""


class NotReady(Exception):
    """The model is there but cannot run; the message is the reason."""


@dataclass
class Entry:
    """One version: what is on disk, what of it runs (maybe an earlier content), and what is wrong."""

    bundle: Bundle
    loaded: Loaded | None = None
    problem: str = ""
    tried: tuple[str, ...] | None = None
    retry_at: float | None = None  # time.monotonic; None: only when a file changes
    pending: dict[str, Pending] = field(default_factory=dict)

    @property
    def building(self) -> dict[str, Pending]:
        """Engines on their way, whether another one answers meanwhile or not."""
        return self.loaded.pending if self.loaded else self.pending


def identity(bundle: Bundle) -> tuple[str, ...]:
    """What a version holds: touching a file does not change it."""
    return bundle.version, bundle.onnx_sha256, bundle.program_sha256


class Serving:
    """The models of this process by name and version number. Reading takes no lock: the table is replaced whole."""

    def __init__(
        self,
        models: Models,
        order: Sequence[str],
        options: Options,
        *,
        engines: Mapping[str, Load] = ENGINES,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.models, self.loader = models, Loader(order, options, engines)
        self.changed = changed
        self.table: dict[str, dict[int, Entry]] = {}
        self.scanning = threading.Lock()
        self.scanned = threading.Event()
        self.ended, self.wake = threading.Event(), threading.Event()
        self.thread: threading.Thread | None = None
        self.patient = threading.BoundedSemaphore(MOST_WAIT)

    # ---- keeping up with the disk ----

    def start(self, every_s: float) -> None:
        """Look now, and then again and again, in a thread. Calling it twice starts one."""
        with self.scanning:
            if self.thread is None:
                self.thread = threading.Thread(target=self.keep_looking, args=(every_s,), name="models", daemon=True)
                self.thread.start()

    def keep_looking(self, every_s: float) -> None:
        """The thread: nothing that goes wrong with one look may end it."""
        while not self.ended.is_set():
            try:
                self.scan()
            except Exception:
                log.exception("looking for models failed; the known ones keep answering")
            self.scanned.set()
            waiting = any(entry.building for _, _, entry in self.entries())
            if not every_s and not waiting:
                return
            self.wake.wait(min(every_s or PENDING_S, PENDING_S) if waiting else every_s)
            self.wake.clear()

    def look_soon(self) -> None:
        """Something happened that the next look should see to."""
        self.wake.set()

    def wait_for_first_look(self, seconds: float | None = None) -> None:
        """Until the models were looked at. Where nobody started the thread (another server than ours), look now.

        Raises Starting after so many seconds, or at once where MOST_WAIT wait already: each of them holds a thread.
        """
        if self.scanned.is_set():
            return
        if self.thread is None:
            self.scan()
            return
        if seconds is None:
            self.scanned.wait()
            return
        if not self.patient.acquire(blocking=False):
            raise Starting
        try:
            if not self.scanned.wait(seconds):
                raise Starting
        finally:
            self.patient.release()

    def scan(self) -> None:
        """Make the table what the disk says. One scan at a time: who comes second finds the work done."""
        with self.scanning:
            found = {(bundle.name, bundle.number): bundle for bundle in self.models.found()}
            known = {(name, number): entry for name, number, entry in self.entries()}
            for key, bundle in found.items():
                entry = known.get(key)
                self.put(key, self.refreshed(entry, bundle), entry)
            for key in known.keys() - found.keys():
                self.put(key, None, known[key])
            self.scanned.set()

    def put(self, key: tuple[str, int], new: Entry | None, old: Entry | None) -> None:
        """Publish an entry at once, then let go of what it replaces."""
        if new is old:
            return
        name, number = key
        versions = {n: entry for n, entry in self.table.get(name, {}).items() if n != number}
        if new is not None:
            versions[number] = new
        table = {n: entries for n, entries in self.table.items() if n != name}
        if versions:
            table[name] = dict(sorted(versions.items()))
        self.table = table
        if old is not None and old.loaded is not None and (new is None or new.loaded is not old.loaded):
            old.loaded.retire()
        if old is not None and (new is None or identity(new.bundle) != identity(old.bundle)):
            for pending in old.building.values():
                pending.cancel()
        if new is None:
            log.info("model removed", extra={"model": name, "version": number})
        self.changed()

    def refreshed(self, entry: Entry | None, bundle: Bundle) -> Entry:
        """The entry for what is on disk now: the same object when there is nothing to do."""
        loaded = entry.loaded if entry else None
        if bundle.problem:
            if entry and entry.problem == bundle.problem:
                return entry
            log.warning("model refused: %s", bundle.problem, extra={"model": bundle.name, "version": bundle.number})
            return Entry(bundle, loaded, bundle.problem)
        if loaded and identity(loaded.bundle) == identity(bundle):
            loaded = self.loader.improved(loaded)
            if loaded.engine.broken:
                return self.replaced(loaded, bundle)
            return entry if entry and not entry.problem and entry.loaded is loaded else Entry(
                bundle, loaded, tried=identity(bundle)
            )
        if entry and entry.tried == identity(bundle) and not self.due(entry):
            return entry
        return self.replaced(loaded, bundle)

    def due(self, entry: Entry) -> bool:
        """Whether a version that could not be loaded should be tried again."""
        if any(pending.finished() for pending in entry.pending.values()):
            return True
        return entry.retry_at is not None and time.monotonic() >= entry.retry_at

    def replaced(self, loaded: Loaded | None, bundle: Bundle) -> Entry:
        """The entry with what is on disk now; where that fails, with what ran before, unless that can run no more."""
        try:
            return Entry(bundle, self.loader.load(bundle), tried=identity(bundle))
        except NoEngine as error:
            retry_at = time.monotonic() + RETRY_S if error.passing else None
            kept = None if loaded and loaded.engine.broken else loaded
            return Entry(bundle, kept, str(error), identity(bundle), retry_at, error.pending)

    def stop(self) -> None:
        """End the thread, stop what is being built, and close what nobody holds."""
        self.ended.set()
        self.wake.set()
        with self.scanning:
            table, self.table = self.table, {}
        for versions in table.values():
            for entry in versions.values():
                for pending in entry.building.values():
                    pending.cancel()
                if entry.loaded is not None:
                    entry.loaded.retire()

    # ---- asking ----

    def entries(self) -> list[tuple[str, int, Entry]]:
        """Every version of every model."""
        return [(name, number, entry) for name, found in self.table.items() for number, entry in found.items()]

    def answering(self) -> set[tuple[str, str, str]]:
        """(model, version, engine) of everything that can run."""
        return {
            (name, str(number), entry.loaded.engine_name)
            for name, number, entry in self.entries()
            if entry.loaded is not None
        }

    def versions(self, name: str) -> dict[int, Entry]:
        """The versions of a model by number, ascending. Raises UnknownModel."""
        found = self.table.get(name)
        if not found:
            raise UnknownModel(f"there is no model {name[:100]!r}")
        return found

    def pick(self, name: str, number: int | None = None) -> Entry:
        """That version, or the newest that can run, else the newest. Raises UnknownModel."""
        found = self.versions(name)
        if number is not None:
            if number not in found:
                raise UnknownModel(f"the model {name} has no version {number}; it has {', '.join(map(str, found))}")
            return found[number]
        ready = [entry for entry in found.values() if entry.loaded is not None]
        return ready[-1] if ready else list(found.values())[-1]

    @contextmanager
    def use(self, name: str, number: int | None = None) -> Iterator[Loaded]:
        """The version to run, kept open meanwhile. Raises UnknownModel or NotReady."""
        while True:
            entry = self.pick(name, number)
            if entry.loaded is None:
                raise NotReady(entry.problem)
            if entry.loaded.hold():
                break  # else it was replaced between the two lines: look again
        try:
            yield entry.loaded
        finally:
            entry.loaded.release()
