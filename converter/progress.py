"""Progress on stderr, only for steps that take long."""

from __future__ import annotations

import sys
import threading
from types import TracebackType

SLOW_S = 2.0


class Progress:
    """Names the step at work once it has taken SLOW_S: `with Progress() as progress: progress("reading")`."""

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self.timer: threading.Timer | None = None

    def __call__(self, step: str) -> None:
        self._stop()
        if self.enabled:
            self.timer = threading.Timer(SLOW_S, print, (f"… {step}",), {"file": sys.stderr, "flush": True})
            self.timer.daemon = True
            self.timer.start()

    def _stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stop()
