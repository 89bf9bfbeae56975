"""A program in a process of its own: what it says, or one ConvertError that says how it failed."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from converter.errors import ConvertError

_MOST = 400
"""Characters of a child's own words that go into an error."""


def run(command: Sequence[str | Path], name: str, *, timeout_s: float, where: str = "", fails: str = "fails",
        made: Path | None = None, any_exit: bool = False, telling: Sequence[str] = (), first: bool = False,
        late: str = "", cwd: str | Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run it to its end and return what it said.

    name: of the program, for people; `name fails: its own words` is the error for a bad exit code, or where the file
    `made` is not there afterwards. any_exit: the caller judges the exit code. telling, first: see words. late: what to
    do when it takes longer than timeout_s, after which it is killed. Raises ConvertError.
    """
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, errors="replace",
                              timeout=timeout_s, check=False, cwd=cwd)
    except subprocess.TimeoutExpired as error:
        raise ConvertError(f"{name} did not finish in {timeout_s:g} s", where=where, hint=late) from error
    except OSError as error:
        raise ConvertError(f"{name} does not start: {error.strerror}", where=str(command[0])) from error
    if not any_exit and (done.returncode != 0 or made is not None and not made.is_file()):
        raise ConvertError(f"{name} {fails}: {words(done, telling, first)}", where=where)
    return done


def words(done: subprocess.CompletedProcess[str], telling: Sequence[str] = (), first: bool = False) -> str:
    """The last line that a child said, or the first; one with a telling word in it where there is one."""
    lines = [line.strip() for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
    told = [line for line in lines if any(word in line for word in telling)]
    return (told or lines or [f"no message, exit code {done.returncode}"])[0 if first else -1][:_MOST]
