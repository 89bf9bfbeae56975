"""What all processes of one server know together, in a small memory-mapped file: is it stopping, who asked how often.

Readers and writers lock the file, so that a token is never taken twice; the lock is held for microseconds.
"""

import fcntl
import hashlib
import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SLOTS = 8192
PROBES = 8
SLOT = struct.Struct("<Qdd")  # hash of the client, tokens left, when that was
HEADER = struct.Struct("<Qd")  # 1 while stopping; when the server started (seconds since 1970)
SIZE = HEADER.size + SLOTS * SLOT.size


class Shared:
    """`folder` is the same for all processes of a server; None keeps it all inside this process."""

    def __init__(self, folder: Path | None) -> None:
        self.thread_lock = threading.Lock()
        self.file = -1  # a descriptor; with -1 the memory is this process's own
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self.file = os.open(folder / "shared", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with self.locked_file():
            if folder is not None and os.fstat(self.file).st_size < SIZE:
                os.ftruncate(self.file, SIZE)
            self.map = mmap.mmap(self.file, SIZE)
            stopping, started = HEADER.unpack_from(self.map, 0)
            if not started:
                HEADER.pack_into(self.map, 0, stopping, time.time())

    @contextmanager
    def locked_file(self) -> Iterator[None]:
        """Nobody else, in this process or another, is between these two lines."""
        with self.thread_lock:
            if self.file >= 0:
                fcntl.flock(self.file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                if self.file >= 0:
                    fcntl.flock(self.file, fcntl.LOCK_UN)

    @property
    def started(self) -> float:
        """When the first process of this server opened the file, in seconds since 1970."""
        return HEADER.unpack_from(self.map, 0)[1]

    @property
    def stopping(self) -> bool:
        """Whether the server was told to stop; it still answers, but says that it is not ready."""
        return HEADER.unpack_from(self.map, 0)[0] != 0

    def stop(self) -> None:
        """Say in all processes that this server is stopping."""
        with self.locked_file():
            HEADER.pack_into(self.map, 0, 1, self.started)

    def find_slot(self, key: int) -> tuple[int, bool]:
        """Where the client's tokens are, and whether they are its own yet; the longest unused slot is given away."""
        places = [HEADER.size + (key + probe) % SLOTS * SLOT.size for probe in range(PROBES)]
        for place in places:
            if SLOT.unpack_from(self.map, place)[0] == key:
                return place, True
        return min(places, key=lambda place: SLOT.unpack_from(self.map, place)[2]), False

    def take(self, client: str, rate_per_s: float, burst: float, now: float | None = None) -> float:
        """Take one token of the client's bucket: 0 when there was one, else the seconds until there will be.

        `now` is a monotonic clock that all processes share, in seconds.
        """
        now = time.monotonic() if now is None else now
        key = int.from_bytes(hashlib.blake2b(client.encode(), digest_size=8).digest(), "little") or 1
        with self.locked_file():
            place, mine = self.find_slot(key)
            _, tokens, since = SLOT.unpack_from(self.map, place)
            tokens = min(burst, tokens + max(0.0, now - since) * rate_per_s) if mine else burst
            allowed = tokens >= 1
            SLOT.pack_into(self.map, place, key, tokens - 1 if allowed else tokens, now)
        return 0.0 if allowed else (1 - tokens) / rate_per_s

    def close(self) -> None:
        """Let go of the file."""
        self.map.close()
        if self.file >= 0:
            os.close(self.file)
