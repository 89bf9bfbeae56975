"""What an engine is: made by `load(bundle, options)`, then `run`, then `close`."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from webapp.bundle import Bundle

Arrays = dict[str, np.ndarray]


class EngineError(Exception):
    """An engine that cannot take this model. `passing`: it may be able to later, so try again.

    `quiet`: nothing is wrong, this machine simply has no such engine.
    """

    def __init__(self, reason: str, *, passing: bool = False, quiet: bool = False) -> None:
        super().__init__(reason)
        self.passing, self.quiet = passing, quiet


class Pending(EngineError):
    """An engine that is being made ready; another one answers meanwhile, and is replaced when `finished()`."""

    def __init__(self, reason: str, finished: Callable[[], bool], state: Callable[[], dict[str, Any]],
                 cancel: Callable[[], None] = lambda: None, *, quiet: bool = False) -> None:  # fmt: skip
        super().__init__(reason, passing=True, quiet=quiet)
        self.finished, self.state, self.cancel = finished, state, cancel


class RunError(Exception):
    """A run that failed. `status` is what to answer: 422 for the input's fault, 502, 503 or 504 for the engine's."""

    def __init__(self, reason: str, status: int = 422) -> None:
        super().__init__(reason)
        self.status = status


def unwatched(model: str, rows: int) -> None:
    """Where nobody counts."""


def unseen(who: object, running: int, waiting: int) -> None:
    """Where nobody looks."""


@dataclass(frozen=True)
class Options:
    """The settings that engines need."""

    remote_url: str = ""
    remote_timeout_s: float = 10.0
    max_answer_bytes: int = 256 << 20
    trt_precision: str = "fp16"
    trt_tolerance: float = 1e-2
    trt_measure: str = "largest"
    trt_cache: str = ""
    trt_cache_mb: int = 4096
    trt_calibration: str = ""
    trt_quick: bool = False
    batch_rows: int = 32
    batch_wait_s: float = 0.002
    batch_queue: int = 128
    cpu_runs: int = 2
    cpu_queue: int = 24
    batch_room: AbstractContextManager[None] = field(default_factory=nullcontext)  # entering raises Full
    watch_batch: Callable[[str, int], None] = unwatched
    watch_depth: Callable[[object, int, int], None] = unseen  # of an engine's own queue: who, running, waiting


class Engine(Protocol):
    """A loaded model; `run` is called by several threads at once."""

    platform: str  # as the protocol names it, for example onnxruntime_onnx
    batches: bool = False  # puts requests together by itself, so that each needs no turn of its own
    broken: str = ""  # why it will never run again, where that happened

    def run(self, feeds: Arrays, timeout_s: float) -> Arrays:
        """All outputs by name. Raises RunError; one that batches also Full and Late (see gate).

        `timeout_s` is what is left of the request's time.
        """

    def ask(self, feeds: Arrays, deadline: float) -> tuple[Arrays, float]:
        """Only where it batches: the same until `deadline` (time.monotonic), and the seconds that it waited."""

    def refuse(self, deadline: float) -> None:
        """Only where it batches: raise Full or Late where a request that comes now would be told so at once."""

    def close(self) -> None:
        """Free what it holds; nothing runs any more."""


Load = Callable[[Bundle, Options], Engine]
