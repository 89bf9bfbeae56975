"""Paddle's official inference models by name: list them, download one, find the model inside."""

from __future__ import annotations

import difflib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from converter.download import PATIENCE, Patience, fetch
from converter.errors import ConvertError
from converter.unpack import unpack

_DATA = Path(__file__).with_name("zoo.json")
_PROGRAMS = ("inference.json", "*.pdmodel", "__model__")


@dataclass(frozen=True)
class Entry:
    """sha256 None: not known, then pinned in the cache at the first download. preprocess None: the archive says it."""

    name: str
    task: str
    url: str
    sha256: str | None
    licence: str
    preprocess: dict[str, Any] | None = None

    @property
    def file(self) -> str:
        return self.url.rsplit("/", 1)[-1]


def entries() -> list[Entry]:
    data = json.loads(_DATA.read_text(encoding="utf-8"))
    return [Entry(licence=data["licence"], **row) for row in data["models"]]


def find(name: str) -> Entry:
    """The model of a name, in any case; ConvertError with the nearest names."""
    known = {entry.name.lower(): entry for entry in entries()}
    if name.lower() in known:
        return known[name.lower()]
    near = [known[key].name for key in difflib.get_close_matches(name.lower(), known, 4, 0.5)]
    raise ConvertError(f"the zoo has no model '{name}'", where="zoo",
                       hint=f"did you mean {', '.join(near)}?" if near else "list all: python -m converter zoo")


def listing() -> str:
    """All models, by task."""
    lines: list[str] = []
    for entry in entries():
        if not any(line == f"{entry.task}:" for line in lines):
            lines.append(f"{entry.task}:")
        lines.append(f"  {entry.name}")
    return "\n".join([*lines, "", "one of them: python -m converter zoo NAME            its address, licence, checksum",
                      "             python -m converter zoo NAME -o BUNDLE  download and convert it"])


def details(entry: Entry) -> str:
    prepared = json.dumps(entry.preprocess) if entry.preprocess else "as the archive's inference.yml says"
    return "\n".join([f"{entry.name}: {entry.task}", f"  address     {entry.url}",
                      f"  SHA-256     {entry.sha256 or 'not published; pinned at the first download'}",
                      f"  licence     {entry.licence}", f"  pictures    {prepared}"])


def mirrored(entry: Entry, mirror: str | None, sha256: str | None) -> Entry:
    """The same model from another folder on the web, or with another checksum."""
    if mirror:
        entry = replace(entry, url=f"{mirror.rstrip('/')}/{entry.file}")
    return replace(entry, sha256=sha256.lower()) if sha256 else entry


def default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "paddle-inpage"


@contextmanager
def downloaded(entry: Entry, cache: Path | None = None, quiet: bool = False,
               patience: Patience = PATIENCE) -> Iterator[Path]:
    """The folder of a model's files, from the cache or the web; gone after the block (the archive stays cached).

    Raises ConvertError when it cannot be had, is not the file that is known, or holds no model.
    """
    cache = default_cache() if cache is None else cache
    pin = cache / f"{entry.file}.sha256"
    expected = entry.sha256 or _pinned(pin)
    with tempfile.TemporaryDirectory(prefix="inpage-zoo-") as folder:
        try:
            found = fetch(entry.url, cache / entry.file, expected, None if quiet else _Shown(entry.name), patience)
            model = _unpacked(cache / entry.file, Path(folder), entry, known=expected is not None)
            pin.write_text(f"{found}\n", encoding="ascii")
        except OSError as error:
            raise ConvertError(f"cannot keep the download: {error.strerror or error}", where=str(cache),
                               hint="name another folder: --cache DIR") from error
        yield model


def _unpacked(archive: Path, folder: Path, entry: Entry, known: bool) -> Path:
    """The model's folder; what turns out not to be a model, and was never seen before, is not kept."""
    try:
        unpack(archive, folder)
        return _model_folder(folder, entry)
    except ConvertError:
        if not known:
            archive.unlink()
        raise


def _pinned(pin: Path) -> str | None:
    """What the first download was: a server that sends something else later has to be asked about."""
    text = pin.read_text(encoding="ascii", errors="replace").strip() if pin.is_file() else ""
    return text if len(text) == 64 else None


def _model_folder(folder: Path, entry: Entry) -> Path:
    found = sorted({file.parent for pattern in _PROGRAMS for file in folder.rglob(pattern)})
    if len(found) != 1:
        raise ConvertError(f"the archive holds {len(found) or 'no'} model{'s' if len(found) > 1 else ''}",
                           where=entry.url, hint="it is not what the zoo expects under this name")
    return found[0]


class _Shown:
    """Progress on stderr: one line on a terminal, one every tenth elsewhere."""

    def __init__(self, name: str) -> None:
        self.name, self.shown, self.at = name, -1, 0.0

    def __call__(self, loaded: int, total: int | None) -> None:
        live, now = sys.stderr.isatty(), time.monotonic()
        share = loaded * 10 // total if total else loaded >> 24
        done = loaded == total
        if (now - self.at < 0.2 and not done) if live else share == self.shown:
            return
        self.at, self.shown = now, share
        size = f"{loaded / 1e6:.1f} of {total / 1e6:.1f} MB" if total else f"{loaded / 1e6:.1f} MB"
        print(f"{self.name}: {size}", end="\r" if live and not done else "\n", file=sys.stderr, flush=True)
