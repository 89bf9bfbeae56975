"""Engines that take minutes to build: in a process of their own, one at a time for all processes of the server.

Beside the engine's file lies `.lock`, held by whoever builds, and `.progress`, the last thing that it said. The
building process holds the lock and writes the progress itself, so that a server process that dies loses nothing.
"""

import contextlib
import fcntl
import json
import logging
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trt.cache import write_whole
from trt.errors import TrtError

LOOK_S = 0.5
LIMIT_S = 3600.0  # for one build
FAILURE_COUNTS_S = 300.0  # for so long another process's failure is taken for ours, and a passing one not tried again
PASSING = ("cannot_write", "run_failed")

log = logging.getLogger(__name__)


class BuildProcess:
    """One engine being built, here or elsewhere. `event` is its last known state; `ended`: no other will follow."""

    def __init__(self, path: Path, command: Sequence[str]) -> None:
        self.path, self.command = path, list(command)
        self.progress = path.with_suffix(".progress")
        self.event: dict[str, Any] = {"stage": "waiting", "steps": 0, "seconds": 0.0}
        self.process: subprocess.Popen[str] | None = None
        self.ended = self.stopped = False
        self.ended_at = 0.0
        self.thread = threading.Thread(target=self.go, name=f"build {path.name}", daemon=True)
        self.thread.start()

    @property
    def failure(self) -> tuple[str, str] | None:
        """(kind, reason) of a build that failed."""
        return (self.event["kind"], self.event["reason"]) if self.event.get("stage") == "failed" else None

    @property
    def worth_a_new_try(self) -> bool:
        """Whether it failed for a reason that passes, a while ago."""
        failed = self.failure is not None and self.failure[0] in PASSING
        return self.ended and failed and time.monotonic() - self.ended_at > FAILURE_COUNTS_S

    def state(self) -> dict[str, Any]:
        """For people: stage, layers timed so far, seconds, and the reason of a failure."""
        return {name: self.event[name] for name in ("stage", "steps", "seconds", "reason") if name in self.event}

    def cancel(self) -> None:
        """Stop it; nothing half-written is left."""
        self.stopped = True
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def go(self) -> None:
        """The thread."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.path.with_suffix(".lock").open("ab") as lock:
                self.with_lock(lock.fileno())
        except OSError as error:
            self.fail("cannot_write", f"the folder of engines {self.path.parent} cannot be used ({error.strerror})")
        except Exception as error:  # whatever it is, the model must not seem to be on its way for ever
            log.exception("watching a build failed")
            self.fail("build_failed", f"{type(error).__name__}: {error}")
        finally:
            self.ended_at = time.monotonic()
            self.ended = True

    def fail(self, kind: str, reason: str) -> None:
        """Nothing will come of it."""
        self.event = {**self.event, "stage": "failed", "kind": kind, "reason": reason}

    def with_lock(self, lock: int) -> None:
        """Wait until nobody else builds this engine; then build it, unless that is done or was in vain."""
        while not self.stopped:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.event = self.told() or self.event
                time.sleep(LOOK_S)
                continue
            earlier = self.told()
            if self.path.exists():
                self.event = {**self.event, "stage": "done"}
            elif earlier and earlier.get("stage") == "failed" and time.time() - earlier["at"] < FAILURE_COUNTS_S:
                self.event = earlier
            else:
                self.build(lock)
            return
        self.fail("run_failed", "the build was stopped")

    def told(self) -> dict[str, Any] | None:
        """What the process that builds last said."""
        try:
            found = json.loads(self.progress.read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and {"stage", "at"} <= found.keys() else None

    def tell(self, event: dict[str, Any]) -> None:
        """Keep the state, also for other processes."""
        self.event = {**self.event, **event}
        # They then only know less; the same full disk will show when the engine is written.
        with contextlib.suppress(TrtError):
            write_whole(self.progress, json.dumps({**self.event, "at": time.time()}).encode())

    def build(self, lock: int) -> None:
        """Run the command to its end."""
        self.tell({"stage": "starting"})
        for left in self.path.parent.glob(f"{self.path.name}*.part"):
            left.unlink(missing_ok=True)  # by a build that was killed while it wrote
        until = time.monotonic() + LIMIT_S
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            try:
                self.process = subprocess.Popen(
                    [*self.command, "--progress", str(self.progress)],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True, pass_fds=(lock,),
                )  # fmt: skip
            except OSError as error:
                self.fail("run_failed", f"the build cannot be started ({error.strerror})")
                return
            if self.stopped:
                self.process.terminate()
            code = None
            while code is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = self.process.wait(LOOK_S)
                self.event = self.told() or self.event
                if code is None and time.monotonic() > until:
                    self.process.kill()
            output.seek(0)
            lines = output.read().strip().splitlines() or [""]
            last = lines[-1]
            if self.event["stage"] not in ("done", "failed") and last.startswith("{"):
                self.event = {**self.event, **json.loads(last)}  # what a full disk kept from the progress
        if self.event.get("refused"):
            log.warning("the engine is %s, not as it was asked for: %s", self.event["precision"],
                        "; ".join(self.event["refused"]))  # fmt: skip
        if self.event["stage"] in ("done", "failed"):
            return
        if self.stopped:
            self.fail("run_failed", "the build was stopped")
            self.progress.unlink(missing_ok=True)  # nobody else is to take that for a failure
            return
        how = f"by signal {-code}" if code < 0 else f"with status {code}"
        self.tell({"stage": "failed", "kind": "build_failed", "reason": f"the build ended {how} {last[:200]}".rstrip()})


builds: dict[Path, BuildProcess] = {}
lock = threading.Lock()


def build_of(path: Path, command: Sequence[str]) -> BuildProcess:
    """The build of that engine in this process, begun now if there is none or if it may be tried again."""
    with lock:
        found = builds.get(path)
        gone = found is not None and found.ended and found.failure is None and not path.exists()
        # One that was stopped for a version that went away may be wanted by another version with the same model.
        if found is None or found.worth_a_new_try or gone or (found.stopped and found.ended):
            found = builds[path] = BuildProcess(path, command)
        return found


def forget(path: Path) -> None:
    """The engine is there: how it came to be is of no use any more."""
    with lock:
        if path in builds and builds[path].ended:
            del builds[path]
