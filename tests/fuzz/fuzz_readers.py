"""Fuzz the converter: damaged models are converted or refused with a ConvertError, and nothing else happens.

    python -m tests.fuzz.fuzz_readers --seconds 60 [--seed 1] [--executions N] [--only NAME]
    python -m tests.fuzz.fuzz_readers --replay SEED:NUMBER

Nothing else: no other exception, no crash, nothing that computes for over 10 s, no memory beyond four times the model
plus 200 MB, no file opened outside the model's folder and the output. Every execution is one whole conversion (read,
passes, shapes, write; not verification) of one damaged model; number N of seed S is always the same model.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converter import ConvertError, convert
from tests.fuzz.mutate import mutate
from tests.fuzz.seeds import Seed, repaired, seeds

LIMIT_S = 10
SPARE_BYTES = 200 << 20
STALL_S = 3 * LIMIT_S
"""A worker that ends nothing for so long, while its watch is awake, waits for something or is stuck inside C code."""
START_S = 600
"""Reading the seeds and converting each once, on a machine that has much else to do."""
TICK_S = 0.2
REAL_SHARE = 0.01
_EVENTS = {"open": 0, "os.listdir": 0, "os.scandir": 0, "os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.rename": 1,
           "os.chmod": 0, "os.symlink": 1, "os.link": 1, "os.truncate": 0, "shutil.rmtree": 0}
_FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "socket.bind")


class TooLong(BaseException):
    """Raised by the alarm; no handler for ordinary errors may catch it."""


class Strayed(BaseException):
    """A path outside the model's folder was touched."""


MAX_KEPT = 3
"""Failures of one kind whose models are kept."""


@dataclass
class Failure:
    """One bad execution: replay is "SEED:NUMBER", folder a copy of the damaged model or ""."""

    replay: str
    what: str
    folder: str


@dataclass
class Tally:
    executions: int = 0
    accepted: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0
    by_seed: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)


# one execution


def damaged(all_seeds: list[Seed], seed: int, number: int) -> tuple[Seed, dict[str, bytes]]:
    """The model of an execution: always the same for the same two numbers and seeds."""
    rng = random.Random(f"{seed}:{number}")
    kinds: tuple[list[Seed], list[Seed]] = ([], [])
    for one in all_seeds:
        kinds[one.real].append(one)
    made, real = kinds
    chosen = rng.choice(real) if real and (not made or rng.random() < REAL_SHARE) else rng.choice(made)
    files = dict(chosen.files)
    for name in rng.sample(chosen.changed, k=min(len(chosen.changed), rng.choice((1, 1, 1, 2)))):
        if rng.random() < 0.005:
            del files[name]
        else:
            files[name] = mutate(files[name], name, rng)
    if chosen.name.startswith("bundle") and rng.random() < 0.7:
        files = repaired(files)
    return chosen, files


class Sandbox:
    """Runs conversions under the limits, in this process; the limits stay until it ends."""

    def __init__(self, root: Path, extra_bytes: int) -> None:
        self.root = os.path.realpath(root)
        self.model, self.out = root / "model", root / "out"
        self.extra_bytes, self.armed = extra_bytes, False
        self.laid: dict[str, bytes] = {}
        # The processor's time: on a busy machine, or stopped for a while, a process is not to blame for the clock's.
        signal.signal(signal.SIGPROF, self._alarm)
        sys.addaudithook(self._audit)

    def limit_memory(self) -> None:
        """Address space: what the process has now, and what a conversion may take."""
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + self.extra_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def _alarm(self, signum: int, frame: Any) -> None:
        raise TooLong

    def _audit(self, event: str, args: tuple) -> None:
        if not self.armed:
            return
        if event in _FORBIDDEN:
            raise Strayed(event)
        if event in _EVENTS:
            for path in args[:_EVENTS[event] + 1]:
                if isinstance(path, (str, bytes, os.PathLike)) and not self._allowed(path):
                    raise Strayed(f"{event} {path!r}")

    def _allowed(self, path: Any) -> bool:
        text = os.fsdecode(path)
        return os.path.realpath(text).startswith(self.root + os.sep) or text.endswith((".py", ".pyc", "__pycache__"))

    def lay(self, files: dict[str, bytes]) -> None:
        self.model.mkdir(exist_ok=True)
        for name in self.laid.keys() - files.keys():
            (self.model / name).unlink()
        for name, data in files.items():
            if self.laid.get(name) is not data:
                (self.model / name).write_bytes(data)
        self.laid = dict(files)

    def attempt(self, files: dict[str, bytes], armed: bool = True) -> tuple[bool, str]:
        """(accepted, what went wrong or ""). armed: watch the paths that are touched."""
        self.lay(files)
        self.armed = armed
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
        try:
            convert(self.model, self.out, verify=False)
            return True, ""
        except ConvertError as error:
            return False, _hidden(error)
        except (TooLong, Strayed) as error:
            return False, f"{type(error).__name__} {error}\n{_where(error)}"
        except MemoryError as error:
            return False, f"MemoryError: more than 4 x the model + 200 MB\n{_where(error)}"
        except Exception as error:  # noqa: BLE001  (finding these is the point)
            return False, f"{type(error).__name__}: {str(error)[:300]}\n{_where(error)}"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.armed = False


def _hidden(error: BaseException) -> str:
    """Whether a refusal was really a lack of memory."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return f"MemoryError behind: {str(error)[:300]}\n{_where(cause)}"
        cause = cause.__cause__ or cause.__context__
    return ""


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return "\n".join(f"  {Path(frame.filename).name}:{frame.lineno} {frame.name}: {frame.line}"
                     for frame in frames[-6:])


# the worker and its watch


def worker(root: Path, seed: int, numbers: range, only: str | None, keep: Path, state: Any, reports: Any) -> None:
    """Execute numbers until told to stop; state: [next number, accepted, peak bytes, stop, started]."""
    chosen = [one for one in seeds() if only is None or one.name == only]
    largest = max(sum(map(len, one.files.values())) for one in chosen)
    sandbox = Sandbox(root, SPARE_BYTES + 4 * largest)
    os.chdir(root)  # what shutil opens relative to a folder's descriptor is then seen below the root
    for one in chosen:  # once each unharmed: all modules are loaded, and a seed that is itself refused is a mistake
        accepted, wrong = sandbox.attempt(one.files, armed=False)
        if not accepted:
            reports.put(Failure(f"the seed {one.name}", wrong or "the seed itself is refused", ""))
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sandbox.limit_memory()
    kinds: Counter[str] = Counter()
    state[4] = 1
    for number in numbers:
        if state[3]:
            return
        state[0] = number
        model, files = damaged(chosen, seed, number)
        accepted, wrong = sandbox.attempt(files)
        if wrong:
            kinds[wrong] += 1
            copy = keep / f"{seed}_{number}"
            if kinds[wrong] <= MAX_KEPT:
                Seed(model.name, files, ()).lay(copy)
            reports.put(Failure(f"{seed}:{number} ({model.name})", wrong, str(copy) if copy.exists() else ""))
        state[1] += accepted
        state[2] = max(state[2], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - base)
    state[0] = numbers.stop


def fuzz(seconds: float, executions: int, seed: int = 1, only: str | None = None, keep: Path | None = None) -> Tally:
    """Run until the time or the executions are used up; keep: where damaged models that fail are copied.

    What a worker takes to start does not count as time.
    """
    tally, number = Tally(), 0
    keep = keep or Path(tempfile.mkdtemp(prefix="inpage-crashers-"))
    shared = Path("/dev/shm")
    context = multiprocessing.get_context("spawn")
    while number < executions and tally.seconds < seconds:
        with tempfile.TemporaryDirectory(prefix="inpage-fuzz-", dir=shared if shared.is_dir() else None) as folder:
            state, reports = context.Array("q", [number, 0, 0, 0, 0]), context.Queue()
            process = context.Process(target=worker, args=(Path(folder), seed, range(number, executions), only, keep,
                                                           state, reports))
            process.start()
            died = _watch(process, state, reports, tally, seconds)
            if died:
                copy = keep / f"{seed}_{state[0]}"
                if (Path(folder) / "model").is_dir():
                    shutil.copytree(Path(folder) / "model", copy, dirs_exist_ok=True)
                tally.failures.append(Failure(f"{seed}:{state[0]}", died, str(copy)))
            tally.executions += state[0] - number
            tally.accepted += state[1]
            tally.peak_bytes = max(tally.peak_bytes, state[2])
            number = state[0] + 1
    return tally


def _watch(process: Any, state: Any, reports: Any, tally: Tally, seconds: float) -> str:
    """Wait for a worker, and count its time; "" when it ended in order, else how it died."""
    quiet_s, seen = 0.0, (-1, 0)
    while process.is_alive():
        before = time.monotonic()
        process.join(TICK_S)
        _collect(reports, tally)
        passed = time.monotonic() - before
        quiet_s += min(passed, 2 * TICK_S)  # what is stopped together with its watch does not hang
        tally.seconds += passed if state[4] else 0.0
        if (state[0], state[4]) != seen:
            quiet_s, seen = 0.0, (state[0], state[4])
        if tally.seconds > seconds:
            state[3] = 1
        if quiet_s > (STALL_S if state[4] else START_S):
            process.kill()
            process.join()
            tally.seconds += 0.0 if state[4] else seconds  # what does not start once will not later
            return f"hung for {quiet_s:.0f} s"
    _collect(reports, tally)
    return "" if process.exitcode == 0 else f"the process died with exit code {process.exitcode}"


def _collect(reports: Any, tally: Tally) -> None:
    while not reports.empty():
        tally.failures.append(reports.get())


def report(tally: Tally) -> str:
    rate = tally.executions / max(tally.seconds, 1e-9)
    lines = [f"{tally.executions} executions in {tally.seconds:.0f} s ({rate:.0f}/s), {tally.accepted} accepted, "
             f"memory peak +{tally.peak_bytes / 2**20:.0f} MB, {len(tally.failures)} failures"]
    grouped: dict[str, list[Failure]] = {}
    for failure in tally.failures:
        grouped.setdefault(failure.what, []).append(failure)
    for what, same in sorted(grouped.items(), key=lambda item: -len(item[1])):
        lines.append(f"\n{len(same)} x, first {same[0].replay}, kept in {same[0].folder}\n{what}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.fuzz_readers", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--executions", type=int, default=10**9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="one seed model by name")
    parser.add_argument("--replay", metavar="SEED:NUMBER", help="one execution in this process, with its traceback")
    arguments = parser.parse_args(argv)
    if arguments.replay:
        seed, number = map(int, arguments.replay.split(":"))
        with tempfile.TemporaryDirectory(prefix="inpage-fuzz-") as folder:
            model, files = damaged([s for s in seeds() if arguments.only in (None, s.name)], seed, number)
            print(f"from {model.name}")
            convert(Seed(model.name, files, ()).lay(Path(folder) / "model"), Path(folder) / "out", verify=False)
        return 0
    tally = fuzz(arguments.seconds, arguments.executions, arguments.seed, arguments.only)
    print(report(tally))
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
