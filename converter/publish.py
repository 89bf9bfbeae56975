"""push: put a bundle where a server's hot reload, or a fleet of devices, picks it up; pull: the devices' side.

In a folder a model's versions lie side by side, MODEL/1, MODEL/2 …, as the server expects them. A version appears by
one rename, whole or not at all, and is never changed afterwards. MODEL/audit.jsonl tells who put which version there
when; each line carries the hash of the line before it, so that a line that was changed or taken out shows.

An http(s) address stands for a store that takes PUT (WebDAV, an object store, a proxy in front of one): the version
goes there as one archive, and MODEL/latest.json, which devices follow, is replaced last.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from converter import signature, store
from converter.errors import ConvertError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
AUDIT = "audit.jsonl"
UNVERSIONED = "0.0.0"
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_ATTEMPTS = 100


@dataclass(frozen=True)
class Pushed:
    """What a push did. new: False where the newest version there is this one already."""

    place: str
    number: int
    new: bool


def push(bundle: Path, target: str, force: bool = False) -> Pushed:
    """Put a bundle under a folder, a file:// address or an http(s) address.

    force: also where the same semantic version is there with other content. Raises ConvertError for a bundle that is
    not what was signed, and where the target refuses.
    """
    digest, name, version = _identity(bundle)
    scheme = urlsplit(target).scheme
    if scheme in ("http", "https"):
        return _push_to_store(bundle, target, name, version, digest, force)
    if scheme not in ("", "file") and len(scheme) > 1:
        raise ConvertError(f"cannot push to {scheme}: addresses", where=target, hint="a folder, file:// or http(s)://")
    root = Path(url2pathname(urlsplit(target).path)) if scheme == "file" else Path(target)
    return _push_to_folder(bundle, root, name, version, digest, force, "push")


def pull(url: str, root: Path) -> Pushed:
    """Take a model's latest version from a store, MODEL's address there, into a server's folder of models."""
    latest = store.latest(url)
    with tempfile.TemporaryDirectory(prefix="inpage-pull-") as work:
        folder = store.fetch(url, latest, Path(work))
        digest, name, version = _identity(folder)
        if digest != latest["digest"]:
            raise ConvertError("the archive is not the one that latest.json names", where=url,
                               hint="push the version again")
        return _push_to_folder(folder, root, name, version, digest, True, "pull")


def _identity(bundle: Path) -> tuple[str, str, str]:
    """(digest, name, semantic version) of a bundle that is what was signed."""
    digest = signature.check(bundle)["digest"]
    model = read_model(bundle)
    name, version = model.get("name"), model.get("version", UNVERSIONED)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConvertError(f"the model's name {name!r} cannot be a folder's", where=str(bundle),
                           hint="convert with --name: letters, digits, dot, dash, underscore")
    return digest, name, str(version)


def read_model(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "model.json").read_text(encoding="utf-8", errors="surrogatepass"))
    except (OSError, ValueError) as error:
        raise ConvertError(f"model.json cannot be read: {error}", where=str(folder)) from error
    if not isinstance(found, dict):
        raise ConvertError("model.json is not a JSON object", where=str(folder))
    return found


# ---- a folder ----

def _push_to_folder(bundle: Path, root: Path, name: str, version: str, digest: str, force: bool, by: str) -> Pushed:
    home = root / name
    try:
        home.mkdir(parents=True, exist_ok=True)
        there = _versions(home)
        if there and _digest(home, max(there)) == digest:
            return Pushed(str(_folder(home, max(there))), max(there), False)
        _refuse_other_content(home, there, version, digest, force)
        part = Path(tempfile.mkdtemp(prefix=".push-", dir=home))
        try:
            part.chmod(0o755)
            _copy(bundle, part)
            number = _publish(part, home, max(there, default=0) + 1)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        _audit(home, {"action": by, "name": name, "number": number, "version": version, "digest": digest})
    except OSError as error:
        raise ConvertError(f"cannot write there: {error.strerror or error}", where=str(home)) from error
    return Pushed(str(home / str(number)), number, True)


def _versions(home: Path) -> list[int]:
    """The numbers that are taken; a bundle without a number of its own is version 1."""
    bare = [1] if (home / "model.json").is_file() else []
    return bare + [int(path.name) for path in home.iterdir() if path.is_dir() and _NUMBER.fullmatch(path.name)]


def _folder(home: Path, number: int) -> Path:
    numbered = home / str(number)
    return numbered if numbered.is_dir() else home


def _digest(home: Path, number: int) -> str | None:
    """As its signature says; it was checked when it was put there."""
    try:
        return str(json.loads((_folder(home, number) / signature.FILE).read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # put there by hand: not ours, so never the same


def _refuse_other_content(home: Path, there: list[int], version: str, digest: str, force: bool) -> None:
    if version == UNVERSIONED or force:
        return
    for number in there:
        if read_model(_folder(home, number)).get("version") == version and _digest(home, number) != digest:
            raise ConvertError(f"version {version} is there already as number {number}, with other content",
                               where=str(home), hint="convert with another --model-version, or push with --force")


def _copy(bundle: Path, part: Path) -> None:
    """Copy and flush every file, so that a version that is there survives a power cut. What arrived must be what was
    signed: the bundle may have been written to meanwhile."""
    for path in sorted(bundle.rglob("*")):
        target = part / path.relative_to(bundle)
        if path.is_dir():
            target.mkdir()
            continue
        with path.open("rb") as source, target.open("xb") as stream:
            shutil.copyfileobj(source, stream)
            stream.flush()
            os.fsync(stream.fileno())
    signature.check(part)


def _publish(part: Path, home: Path, number: int) -> int:
    """One rename; somebody who was faster takes the number, then the next one is tried."""
    for _ in range(_ATTEMPTS):
        try:
            if number == 1 and (home / "model.json").is_file():
                raise FileExistsError
            part.rename(home / str(number))
        except OSError as error:
            if not (home / str(number)).exists() and not isinstance(error, FileExistsError):
                raise
            number += 1
            continue
        _flush(home)
        return number
    raise ConvertError("other pushes take every number first", where=str(home), hint="try again")


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# ---- the log ----

def _audit(home: Path, entry: dict[str, Any]) -> None:
    """Append one line under a lock, so that two pushes at once make two lines in a row."""
    import fcntl  # a server's folder lies on a POSIX system

    who = {"time": datetime.now(timezone.utc).isoformat(timespec="seconds"), "user": getpass.getuser(),
           "host": platform.node()}
    with (home / AUDIT).open("a+", encoding="utf-8") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        log.seek(0)
        lines = log.read().splitlines()
        previous = hashlib.sha256(lines[-1].encode()).hexdigest() if lines else ""
        log.write(json.dumps({**who, **entry, "previous": previous}, ensure_ascii=False) + "\n")
        log.flush()
        os.fsync(log.fileno())


def audit(home: Path) -> list[dict[str, Any]]:
    """The log's entries; ConvertError where a line does not follow from the one before it."""
    entries, previous = [], ""
    for number, line in enumerate((home / AUDIT).read_text(encoding="utf-8").splitlines(), 1):
        entry = json.loads(line)
        if entry.get("previous") != previous:
            raise ConvertError(f"line {number} does not follow from the line before it: the log was changed",
                               where=str(home / AUDIT))
        previous = hashlib.sha256(line.encode()).hexdigest()
        entries.append(entry)
    return entries


# ---- a store ----

def _push_to_store(bundle: Path, target: str, name: str, version: str, digest: str, force: bool) -> Pushed:
    url = f"{target.rstrip('/')}/{name}"
    latest = store.latest(url, missing_is_none=True)
    if latest is not None and latest["digest"] == digest:
        return Pushed(f"{url}/{latest['file']}", latest["number"], False)
    if latest is not None and version != UNVERSIONED and latest["version"] == version and not force:
        raise ConvertError(f"version {version} is there already, with other content", where=url,
                           hint="convert with another --model-version, or push with --force")
    number = latest["number"] + 1 if latest else 1
    entry = {"name": name, "number": number, "version": version, "digest": digest,
             "time": datetime.now(timezone.utc).isoformat(timespec="seconds"), "user": getpass.getuser()}
    file = store.put(url, bundle, entry)
    return Pushed(f"{url}/{file}", number, True)
