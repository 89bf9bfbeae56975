"""Archives of models: plain files below one folder, nothing else, and never more than a model needs."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from converter.errors import ConvertError

MAX_BYTES, MAX_FILES = 8 << 30, 20_000
_BLOCK = 1 << 20
_REFUSED = "do not use this archive"


def unpack(archive: Path, folder: Path) -> None:
    """Write an archive's files (.tar, .tar.gz …, .zip) below the existing, empty `folder`.

    Raises ConvertError for a damaged archive, and for one that holds links, devices, paths that lead out, or too much.
    """
    left = MAX_BYTES
    try:
        for count, (name, size, opened) in enumerate(_members(archive), 1):
            if count > MAX_FILES or size > left:
                raise ConvertError("the archive holds more than any model needs", where=str(archive), hint=_REFUSED)
            target = folder / _inside(name, archive)
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened() as source, target.open("xb") as stream:
                left -= _copy(source, stream, left, archive)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, FileExistsError,
            NotADirectoryError, NotImplementedError, RuntimeError) as error:
        raise ConvertError(f"the archive is damaged: {error}", where=str(archive),
                           hint="remove the file and download it again") from error


def _members(archive: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes]]]]:
    """(name, declared size, how to read it) of every file; what is neither file nor folder is refused."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as found:
            for info in found.infolist():
                if info.external_attr >> 28 not in (0, 4, 8):  # Unix kinds: unknown, folder, file
                    raise _kind(info.filename, archive)
                if not info.is_dir():
                    yield info.filename, info.file_size, lambda info=info: found.open(info)  # type: ignore[misc]
        return
    with tarfile.open(archive, "r:*") as found_tar:
        for member in found_tar:
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise _kind(member.name, archive)
            yield member.name, member.size, lambda member=member: found_tar.extractfile(member)  # type: ignore[misc]


def _kind(name: str, archive: Path) -> ConvertError:
    return ConvertError(f"'{name[:200]}' is a link or device, not a file", where=str(archive), hint=_REFUSED)


def _inside(name: str, archive: Path) -> Path:
    """A member's place below the folder."""
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or not path.parts or ".." in path.parts
    if unsafe or any(character in name for character in "\0\\:") or len(path.parts) > 8:
        raise ConvertError(f"the path '{name[:200]}' leads out of the archive", where=str(archive), hint=_REFUSED)
    return Path(*path.parts)


def _copy(source: IO[bytes], target: IO[bytes], limit: int, archive: Path) -> int:
    """Bytes written: counted here, because a header may say less than a compressed stream holds."""
    written = 0
    while block := source.read(_BLOCK):
        written += len(block)
        if written > limit:
            raise ConvertError("the archive holds more than any model needs", where=str(archive), hint=_REFUSED)
        target.write(block)
    return written
