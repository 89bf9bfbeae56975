"""What an engine is: made by `load(bundle, options)`, then `run`, then `close`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from webapp.models import Bundle

Arrays = dict[str, np.ndarray]


class EngineError(Exception):
    """An engine that cannot take this model. `passing`: it may be able to later, so try again."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing


class RunError(Exception):
    """A run that failed. `status` is what to answer: 422 for the input's fault, 502, 503 or 504 for the engine's."""

    def __init__(self, reason: str, status: int = 422) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Options:
    """The settings that engines need."""

    remote_url: str = ""
    remote_timeout_s: float = 10.0
    max_answer_bytes: int = 256 << 20


class Engine(Protocol):
    """A loaded model; `run` is called by several threads at once."""

    platform: str  # as the protocol names it, for example onnxruntime_onnx

    def run(self, feeds: Arrays, timeout_s: float) -> Arrays:
        """All outputs by name. Raises RunError; `timeout_s` is what is left of the request's time."""

    def close(self) -> None:
        """Free what it holds; nothing runs any more."""


Load = Callable[[Bundle, Options], Engine]
