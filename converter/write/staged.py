"""A folder that appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from converter.errors import ConvertError

FORMAT = "paddle-inpage"


@contextmanager
def staged(out: str | Path) -> Iterator[Path]:
    """Yield a new folder beside `out`; move it there when the block succeeds, remove it when it does not.

    What stood at `out` is replaced only then, and only if it was a bundle or an empty folder.
    Raises ConvertError where something else stands there or the folder cannot be made.
    """
    target = Path(os.path.realpath(out))
    _check_target(target, str(out))
    made: list[Path] = []
    folder = None
    try:
        try:
            _make_parents(target.parent, made)
            folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        except OSError as error:
            raise ConvertError(f"cannot write here: {error.strerror}", where=str(out)) from error
        folder.chmod(0o777 & ~_umask())
        yield folder
        _publish(folder, target)
        made.clear()
    finally:
        if folder is not None and folder.exists():
            shutil.rmtree(folder)
        for parent in reversed(made):
            if not any(parent.iterdir()):
                parent.rmdir()


def _make_parents(parent: Path, made: list[Path]) -> None:
    """Create missing folders, noting them so that a failure can take them back."""
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir()
        made.append(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _check_target(target: Path, shown: str) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise ConvertError("a file stands where the bundle should go", where=shown, hint="name another folder")
    if any(target.iterdir()) and not _is_bundle(target):
        raise ConvertError("this folder holds something that is not a bundle; it is left alone", where=shown,
                           hint="name a new folder, or remove this one yourself")


def _is_bundle(folder: Path) -> bool:
    try:
        data = json.loads((folder / "model.json").read_bytes())
    except (OSError, ValueError):
        return False
    if not isinstance(data, dict):
        return False
    maker = data.get("converter")  # a package for the original Paddle.js carries no format
    return data.get("format") == FORMAT or (isinstance(maker, dict) and maker.get("target") == "paddlejs2")


def _publish(folder: Path, target: Path) -> None:
    """Two renames; the old bundle comes back if the second one fails."""
    if not target.exists():
        folder.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
    try:
        target.rename(old / "bundle")
        try:
            folder.rename(target)
        except BaseException:
            (old / "bundle").rename(target)
            raise
    finally:
        shutil.rmtree(old)
