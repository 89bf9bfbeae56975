"""A version on an engine: the first one, in order, that takes the model and shows itself in a trial. No Flask here."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from webapp.bundle import Bundle
from webapp.engines import Engine, EngineError, Load, Options, Pending
from webapp.engines.trial import trial
from webapp.tensors import Layout

log = logging.getLogger(__name__)


@dataclass
class Loaded:
    """A version that can run. It is closed when it was replaced and the last request let go of it."""

    bundle: Bundle
    engine: Engine
    engine_name: str
    refused: list[str]  # engines that were tried before, each with its reason
    load_s: float
    pending: dict[str, Pending] = field(default_factory=dict)  # better engines that are being made ready
    since: float = field(default_factory=time.time)
    layouts: dict[bytes, Layout] = field(default_factory=dict, repr=False)  # of requests, by their JSON
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


class NoEngine(EngineError):
    """No engine takes the model; `pending` may do so later."""

    def __init__(self, tried: "Attempts") -> None:
        super().__init__("; ".join(tried.reasons), passing=tried.passing)
        self.pending = tried.pending


@dataclass
class Attempts:
    """What came of trying engines: why not, whether that may change, and what is being made ready."""

    reasons: list[str] = field(default_factory=list)
    passing: bool = False
    pending: dict[str, Pending] = field(default_factory=dict)


class Loader:
    """`order`: the engines to try, by name."""

    def __init__(self, order: Sequence[str], options: Options, engines: Mapping[str, Load]) -> None:
        self.order, self.options, self.engines = order, options, engines

    def load(self, bundle: Bundle) -> Loaded:
        """The first engine that takes the model and passes its trial. Raises NoEngine with every reason."""
        tried = Attempts()
        for name in self.order:
            found = self.attempt(name, bundle, tried)
            if found is not None:
                found.refused, found.pending = tried.reasons, tried.pending
                return found
        raise NoEngine(tried)

    def attempt(self, name: str, bundle: Bundle, tried: Attempts) -> Loaded | None:
        """The version on that engine, tried; None with one more reason."""
        about = {"model": bundle.name, "version": bundle.number, "engine": name}
        began, level = time.monotonic(), logging.WARNING
        try:
            engine = self.engines[name](bundle, self.options)
            try:
                trial(engine, bundle)
            except BaseException:
                engine.close()
                raise
        except EngineError as error:
            tried.reasons.append(f"{name}: {error}")
            if isinstance(error, Pending):
                tried.pending[name] = error
            else:
                tried.passing = tried.passing or error.passing
            if error.quiet or bundle.pages_only:
                level = logging.INFO
        except Exception as error:  # an engine's own bug must not keep the others from being tried
            log.exception("engine %s failed in an unexpected way", name, extra=about)
            tried.reasons.append(f"{name}: {type(error).__name__}")
        else:
            took_s = time.monotonic() - began
            log.info("model ready on %s after %.2f s", name, took_s, extra=about)
            return Loaded(bundle, engine, name, [], took_s)
        log.log(level, "engine not used: %s", tried.reasons[-1], extra=about)
        return None

    def improved(self, loaded: Loaded) -> Loaded:
        """The same version on a better engine, where one has become ready."""
        for name in [name for name, pending in loaded.pending.items() if pending.finished()]:
            tried = Attempts()
            better = self.attempt(name, loaded.bundle, tried)
            kept = [line for line in loaded.refused if not line.startswith(f"{name}: ")]
            others = {other: pending for other, pending in loaded.pending.items() if other != name}
            if better is not None:
                better.refused, better.pending = kept, others
                return better
            loaded.refused, loaded.pending = [*tried.reasons, *kept], {**tried.pending, **others}
        return loaded
