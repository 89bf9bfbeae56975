"""What stops a process for a while (a paused machine, a stopped process group, a debugger) is nobody's fault."""

import time
from typing import Any

LEAST_S = 5.0  # both main loops look once a second, and seldom later than that


class Pauses:
    """For a loop that looks at the clock about once a second."""

    def __init__(self) -> None:
        self.looked = time.monotonic()

    def look(self, now: float) -> float:
        """How long the process was stopped since it looked last, in seconds; 0 if it was not."""
        before, self.looked = self.looked, now
        return now - before if now - before >= LEAST_S else 0.0


def forgive(server: Any) -> None:
    """gunicorn's parent replaces processes that show no life for `timeout`, and takes those for dead that were stopped
    with it: after a pause they get that time again. Otherwise every request that they hold would be lost.
    """
    replace, pauses, until = server.murder_workers, Pauses(), 0.0

    def replace_silent() -> None:
        nonlocal until
        now = time.monotonic()
        if pauses.look(now):
            until = now + server.timeout
        if now >= until:
            replace()

    server.murder_workers = replace_silent
