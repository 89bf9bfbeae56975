"""Weights compressed aside: brotli takes a tenth off half-precision numbers, and a first visit waits for little else.

It takes a second for each chunk, so no visitor waits for it: whoever asks first gets the file as it is.
"""

import queue
import threading
import time
from collections.abc import Callable

import brotli

QUALITY = 5  # of brotli; more takes longer and gains nothing on weights
MOST_BYTES = 64 << 20  # compressed weights that a process keeps; what comes too late is sent as it is
IDLE_S = 3600.0  # what nobody asked for so long makes room
LEAST_GAIN = 0.03  # what shrinks less is sent as it is


class Squeezer:
    """Compressed bodies by SHA-256 of the content, made one by one in a thread that starts when there is work."""

    def __init__(self, most_bytes: int = MOST_BYTES, idle_s: float = IDLE_S) -> None:
        self.most_bytes, self.idle_s = most_bytes, idle_s
        self.kept: dict[str, bytes] = {}
        self.used: dict[str, float] = {}  # when each of them was asked for last
        self.asked: set[str] = set()  # made, being made, or not worth it
        self.work: queue.Queue[tuple[str, Callable[[], bytes]]] = queue.Queue()
        self.lock = threading.Lock()
        self.thread: threading.Thread | None = None

    def body(self, sha256: str, content: Callable[[], bytes]) -> bytes | None:
        """The compressed content, or None: then it is made for who asks later, where that pays."""
        with self.lock:
            if sha256 in self.kept:
                self.used[sha256] = time.monotonic()
                return self.kept[sha256]
            if sha256 not in self.asked:
                self.asked.add(sha256)
                self.work.put((sha256, content))
                if self.thread is None:
                    self.thread = threading.Thread(target=self.run, name="compress weights", daemon=True)
                    self.thread.start()
        return None

    def run(self) -> None:
        """The thread: until the process ends."""
        while True:
            sha256, content = self.work.get()
            try:
                self.squeeze(sha256, content())
            except OSError:  # a model was taken away meanwhile: nobody asks for it any more
                self.asked.discard(sha256)
            finally:
                self.work.task_done()

    def squeeze(self, sha256: str, plain: bytes) -> None:
        """Compresses one, and keeps it where it pays and there is room."""
        squeezed = brotli.compress(plain, quality=QUALITY)
        if len(squeezed) > (1 - LEAST_GAIN) * len(plain):
            return
        with self.lock:
            old = time.monotonic() - self.idle_s
            for idle in [name for name, used in self.used.items() if used < old]:
                del self.kept[idle], self.used[idle]
                self.asked.discard(idle)
            if sum(map(len, self.kept.values())) + len(squeezed) <= self.most_bytes:
                self.kept[sha256], self.used[sha256] = squeezed, time.monotonic()


squeezer = Squeezer()
