"""One file over HTTP into a folder: progress, resume, retries, limits, checksum. Nothing half-done keeps its name."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from converter.errors import ConvertError
from converter.signature import sha256_of

MAX_BYTES = 4 << 30
_BLOCK = 1 << 18
_LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Patience:
    """timeout_s: silence, or a mere trickle, after which a connection is given up. attempts: in a row without a byte.
    Waits between attempts double from wait_s."""

    timeout_s: float = 30.0
    attempts: int = 5
    wait_s: float = 1.0


PATIENCE = Patience()
_MAX_CONNECTIONS = 50
_TRICKLE_BYTES = 4096


class _Again(Exception):
    """Worth another attempt; the message says what happened."""


def fetch(url: str, file: Path, sha256: str | None = None, progress: Callable[[int, int | None], None] | None = None,
          patience: Patience = PATIENCE) -> str:
    """Download to `file` unless it is there and right; returns its SHA-256. progress(bytes so far, total or None).

    A broken download goes on where it stopped, also in a later run, if the server's file is still the same.
    Raises ConvertError when the server refuses, gives up too often, sends too much, or sends something else.
    """
    _check_address(url)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    with _alone(part.with_suffix(".lock")):
        if file.is_file():
            found = sha256_of(file)
            if sha256 is None or found == sha256:
                return found
            file.unlink()
        _attempts(url, part, progress or (lambda loaded, total: None), patience)
        found = sha256_of(part)
        if sha256 is not None and found != sha256:
            _forget(part)
            raise ConvertError(f"the download's SHA-256 is {found}, {sha256} is expected", where=url,
                               hint="the server sent something else; if a new version was published and you trust it, "
                                    "name its hash: --sha256 HEX")
        part.replace(file)
        _forget(part)
    return found


def _check_address(url: str) -> None:
    """Models come over https; plain http only from this very machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        raise ConvertError("only https addresses are downloaded from", where=url)


def _attempts(url: str, part: Path, progress: Callable[[int, int | None], None], patience: Patience) -> None:
    wait_s, failures = patience.wait_s, 0
    for _ in range(_MAX_CONNECTIONS):
        before = part.stat().st_size if part.is_file() else 0
        try:
            _receive(url, part, progress, patience.timeout_s)
            return
        except _Again as error:
            # What brought bytes counts as one more first attempt: a slow line may break often and still arrive.
            failures = 1 if part.is_file() and part.stat().st_size > before else failures + 1
            if failures >= patience.attempts:
                raise ConvertError(f"the download failed {failures} times in a row: {error}", where=url,
                                   hint="what has arrived is kept; run the command again to go on") from error
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, 30.0)
    raise ConvertError(f"the download broke {_MAX_CONNECTIONS} times", where=url,
                       hint="what has arrived is kept; run the command again to go on")


def _receive(url: str, part: Path, progress: Callable[[int, int | None], None], timeout_s: float) -> None:
    """One connection, appended to what is there; _Again where another may do better."""
    start, mark = _resumable(part)
    headers = {"User-Agent": "paddle-inpage", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": mark}
    try:
        with _OPENER.open(urllib.request.Request(url, headers=headers), timeout=timeout_s) as answer:
            if answer.status != 206 or not _range_is(answer.headers.get("Content-Range"), start):
                start = 0
                _forget(part)
            length = answer.headers.get("Content-Length")
            total = start + int(length) if length and length.isdigit() else None
            if (total or 0) > MAX_BYTES:
                raise ConvertError(f"the server announces {total} bytes, more than any model has", where=url)
            _note(part, answer.headers.get("ETag"))
            _copy(answer, part, start, total, progress, timeout_s)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what is there is as long as the server's file, or longer
            _forget(part)
            raise _Again("the server does not go on where it stopped") from error
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _Again(f"HTTP {error.code} {error.reason}") from error
        raise ConvertError(f"the server answers {error.code} {error.reason}", where=url,
                           hint="the model may have been moved; see its address in: python -m converter zoo") from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # no route, refused, stalled, cut, garbage
        raise _Again(str(getattr(error, "reason", error)) or type(error).__name__) from error


def _copy(answer: Any, part: Path, start: int, total: int | None, progress: Callable[[int, int | None], None],
          timeout_s: float) -> None:
    loaded, seen, since = start, start, time.monotonic()
    with part.open("ab" if start else "wb") as stream:
        while block := answer.read1(_BLOCK):
            loaded += len(block)
            if loaded > MAX_BYTES:
                raise ConvertError(f"the server sends more than {MAX_BYTES} bytes", where=answer.url)
            stream.write(block)
            progress(loaded, total)
            if time.monotonic() - since > timeout_s:
                if loaded - seen < _TRICKLE_BYTES:
                    raise _Again(f"only {loaded - seen} bytes came in {timeout_s:g} s")
                seen, since = loaded, time.monotonic()
    if total is not None and loaded != total:
        raise _Again(f"the connection ended after {loaded} of {total} bytes")


def _range_is(text: str | None, start: int) -> bool:
    return start > 0 and (text or "").startswith(f"bytes {start}-")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """A redirect may not lead away from https."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_Redirects)

# What is known of a partial file lies beside it: the server's own mark for this version.


def _mark_of(part: Path) -> Path:
    return part.with_suffix(".etag")


def _note(part: Path, etag: str | None) -> None:
    if etag and not etag.startswith("W/"):
        _mark_of(part).write_text(json.dumps(etag), encoding="utf-8")
    else:
        _mark_of(part).unlink(missing_ok=True)


def _resumable(part: Path) -> tuple[int, str]:
    """(bytes that are there, the server's mark); (0, "") where nothing can be gone on with."""
    if part.is_file() and part.stat().st_size and _mark_of(part).is_file():
        try:
            return part.stat().st_size, str(json.loads(_mark_of(part).read_text(encoding="utf-8")))
        except ValueError:  # the mark itself was cut: start again
            return 0, ""
    return 0, ""


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _mark_of(part).unlink(missing_ok=True)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Two commands do not write one file; where the system has no such locks (Windows), they had better not try."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # until the file is closed; it stays, so that all wait for the same one
        yield
