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

from webapp.engines import ENGINES, Engine, EngineError, Load, Options
from webapp.engines.trial import trial
from webapp.models import Bundle, Models

RETRY_S = 30.0  # how long an engine that failed for a passing reason is left alone

log = logging.getLogger(__name__)


class UnknownModel(LookupError):
    """There is no model, or no version, of that name."""


class NotReady(Exception):
    """The model is there but cannot run; the message is the reason."""


@dataclass
class Loaded:
    """A version that can run. It is closed when it was replaced and the last request let go of it."""

    bundle: Bundle
    engine: Engine
    engine_name: str
    refused: list[str]  # engines that were tried before, each with its reason
    load_s: float
    since: float = field(default_factory=time.time)
    holders: int = 0
    retired: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def hold(self) -> bool:
        """Keep it open; False when it is gone already."""
        with self.lock:
            if self.retired:
                return False
            self.holders += 1
            return True

    def release(self) -> None:
        """Let go of it."""
        with self.lock:
            self.holders -= 1
            last = self.retired and self.holders == 0
        if last:
            self.engine.close()

    def retire(self) -> None:
        """Nobody new may hold it."""
        with self.lock:
            self.retired = True
            last = self.holders == 0
        if last:
            self.engine.close()


@dataclass
class Entry:
    """One version: what is on disk, what of it runs (maybe an earlier content), and what is wrong."""

    bundle: Bundle
    loaded: Loaded | None = None
    problem: str = ""
    tried: tuple[str, str] | None = None
    retry_at: float | None = None  # time.monotonic; None: only when a file changes


def identity(bundle: Bundle) -> tuple[str, str]:
    """What a version holds: touching a file does not change it."""
    return bundle.version, bundle.onnx_sha256


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
        self.models, self.order, self.options, self.engines = models, order, options, engines
        self.changed = changed
        self.table: dict[str, dict[int, Entry]] = {}
        self.scanning = threading.Lock()
        self.scanned = threading.Event()
        self.ended = threading.Event()
        self.thread: threading.Thread | None = None

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
            if not every_s:
                return
            self.ended.wait(every_s)

    def wait_for_first_look(self) -> None:
        """Where nobody started the thread (another server than ours), look once now."""
        if not self.scanned.is_set():
            if self.thread is None:
                self.scan()
            self.scanned.wait()

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
            return entry if entry and not entry.problem else Entry(bundle, loaded, tried=identity(bundle))
        waiting = entry and entry.tried == identity(bundle)
        if waiting and (entry.retry_at is None or time.monotonic() < entry.retry_at):
            return entry
        try:
            return Entry(bundle, self.load(bundle), tried=identity(bundle))
        except EngineError as error:
            retry_at = time.monotonic() + RETRY_S if error.passing else None
            return Entry(bundle, loaded, str(error), identity(bundle), retry_at)

    def load(self, bundle: Bundle) -> Loaded:
        """The first engine that takes the model and passes its trial. Raises EngineError with every reason."""
        reasons, passing = [], False
        about = {"model": bundle.name, "version": bundle.number}
        for name in self.order:
            began = time.monotonic()
            try:
                engine = self.engines[name](bundle, self.options)
                try:
                    trial(engine, bundle)
                except BaseException:
                    engine.close()
                    raise
            except EngineError as error:
                passing = passing or error.passing
                reasons.append(f"{name}: {error}")
            except Exception as error:  # an engine's own bug must not keep the others from being tried
                log.exception("engine %s failed in an unexpected way", name, extra=about)
                reasons.append(f"{name}: {type(error).__name__}")
            else:
                took_s = time.monotonic() - began
                log.info("model ready on %s after %.2f s", name, took_s, extra={**about, "engine": name})
                return Loaded(bundle, engine, name, reasons, took_s)
            level = logging.INFO if bundle.pages_only else logging.WARNING
            log.log(level, "engine not used: %s", reasons[-1], extra={**about, "engine": name})
        raise EngineError("; ".join(reasons), passing=passing)

    def stop(self) -> None:
        """End the thread, and close what nobody holds."""
        self.ended.set()
        with self.scanning:
            table, self.table = self.table, {}
        for versions in table.values():
            for entry in versions.values():
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
