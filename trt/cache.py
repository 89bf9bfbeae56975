"""Built engines on disk, by what they depend on; each file is whole or not there."""

import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from trt.errors import TrtError
from trt.recipe import Recipe

DIGEST_BYTES = 32
OURS = re.compile(r"([0-9a-f]{24}-[A-Za-z0-9-]+-(?:fp32|fp16|int8)-[0-9a-f]{12})\.(.+)")  # as `path` names them
BESIDE = ("progress", "table", "lock")  # what a build keeps beside its engine
LEFT_S = 24 * 3600.0  # after so long nobody comes back to what lies about without an engine


def write_whole(path: Path, content: bytes) -> None:
    """Write beside, then rename. Raises TrtError (cannot_write); what was there before stays, nothing else is left."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        reason = f"{path.name} cannot be written to {path.parent} ({error.strerror})"
        raise TrtError("cannot_write", reason) from error


def machine(version: str, gpu: str) -> str:
    """What an engine is bound to, as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{version} {gpu}").strip("-")


class EngineCache:
    """A folder of engines. An engine runs only on the GPU and the TensorRT version that it was built with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, model_sha256: str, version: str, gpu: str, recipe: Recipe) -> Path:
        """Where the engine of exactly this model, TensorRT, GPU, precision and profile is."""
        return self.folder / f"{model_sha256[:24]}-{machine(version, gpu)}-{recipe.words()}.engine"

    def timing(self, version: str, gpu: str) -> Path:
        """Where the builds of all models keep how fast kernels are there."""
        return self.folder / f"{machine(version, gpu)}.timing"

    def load(self, path: Path) -> bytes | None:
        """The engine, or None when there is none or the file was damaged."""
        try:
            content = path.read_bytes()
        except OSError:
            return None
        plan = content[DIGEST_BYTES:]
        return plan if plan and hashlib.sha256(plan).digest() == content[:DIGEST_BYTES] else None

    def store(self, path: Path, plan: bytes) -> None:
        """Keep an engine. Raises TrtError: cannot_write."""
        write_whole(path, hashlib.sha256(plan).digest() + plan)

    def touch(self, path: Path) -> None:
        """Note that an engine is used. Where that cannot be written it only counts as older."""
        with contextlib.suppress(OSError):
            os.utime(path)

    def prune(self, most_bytes: int, keep: Collection[Path] = ()) -> list[Path]:
        """Remove the engines that were not used for longest until the rest has at most so many bytes; returns them.

        `keep` stays, whatever its size. What builds left beside an engine goes with it, or a day after it was in vain.
        Only files named as `path` names them are looked at: the folder may hold others.
        """
        found = sorted(self.engines(), key=lambda one: (one[0] in keep, one[1]), reverse=True)
        total, removed = 0, []
        for path, _, size in found:
            total += size
            if total > most_bytes and path not in keep:
                total -= size
                with contextlib.suppress(OSError):
                    path.unlink()
                    removed.append(path)
        names = {path.stem for path, _, _ in found}
        gone = {path.stem for path in removed}
        self.tidy(names - gone, gone)
        return removed

    def engines(self) -> Iterator[tuple[Path, float, int]]:
        """Path, time of the last use and bytes of each."""
        for path in self.folder.glob("*.engine"):
            if OURS.fullmatch(path.name):
                with contextlib.suppress(OSError):
                    about = path.stat()
                    yield path, about.st_mtime, about.st_size

    def tidy(self, there: Collection[str], gone: Collection[str]) -> None:
        """Remove what belongs to engines that are gone or never came, and what a killed build had half written."""
        old = time.time() - LEFT_S
        for path in self.folder.iterdir():
            found = OURS.fullmatch(path.name)
            if found is None:
                continue
            name, rest = found.groups()
            with contextlib.suppress(OSError):
                aged = path.stat().st_mtime < old
                beside = rest in BESIDE and name not in there and (aged or name in gone)
                if beside or (rest.endswith(".part") and aged):
                    remove_unlocked(path)


def remove_unlocked(path: Path) -> None:
    """Remove a file, unless it is the lock of a build that is under way."""
    if path.suffix != ".lock":
        path.unlink()
        return
    with path.open("ab") as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)  # OSError: somebody has it
        path.unlink()
