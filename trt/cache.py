"""Built engines on disk, by what they depend on; each file is whole or not there."""

import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path

from trt.errors import TrtError
from trt.recipe import Recipe

DIGEST_BYTES = 32


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
