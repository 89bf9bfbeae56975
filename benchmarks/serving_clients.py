"""Many clients in one thread that cost as little as clients can, so that what is measured is the server.

Each keeps its connection and sends the same request, made beforehand: the kernel takes it from a file in memory
(`sendfile`), so that no byte of it is touched here. An answer is read as far as its length says, and counted.
"""

import os
import re
import select
import socket
import time
from collections import Counter, deque
from dataclasses import dataclass, field

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.I)
CLOSES = re.compile(rb"\r\nconnection: close\r\n", re.I)
BOTH = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET | select.EPOLLRDHUP
PATIENCE_S = 60  # for the last answers
BROKEN = 0  # counted as the status of a request that got no answer


@dataclass
class Seen:
    """What came back: how often each status, and how long each accepted one took, in seconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    accepted_s: list[float] = field(default_factory=list)
    took_s: float = 0.0
    cpu_s: float = 0.0  # of this thread


class Client:
    """One connection. `left` bytes of its request are still to be sent; -1: it asks nothing now."""

    def __init__(self, crowd: "Crowd") -> None:
        self.crowd, self.socket, self.left, self.tried = crowd, None, -1, 0
        self.began = 0.0
        self.answer = bytearray()

    def ask(self) -> None:
        """Send the request again."""
        self.began, self.tried = time.perf_counter(), 0
        self.begin()

    def begin(self) -> None:
        """From its first byte on."""
        self.left = self.crowd.bytes
        self.answer.clear()
        if self.socket is None:
            self.connect()
        self.go_on()

    def connect(self) -> None:
        """A connection that epoll watches from now on, always for both directions."""
        self.tried += 1  # of new connections one has to do
        self.socket = socket.create_connection(("127.0.0.1", self.crowd.port), timeout=60)
        # Room for a whole request: the kernel takes it at once, and there is no coming back for the rest.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * self.crowd.bytes)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.crowd.clients[self.socket.fileno()] = self
        self.crowd.epoll.register(self.socket, BOTH)

    def close(self) -> None:
        """Let go of it."""
        if self.socket is not None:
            del self.crowd.clients[self.socket.fileno()]
            self.socket.close()
            self.socket = None

    def go_on(self) -> None:
        """Send and read what goes now."""
        try:
            self.send()
            self.read()
        except OSError:
            self.broke()

    def send(self) -> None:
        """As much as the kernel takes."""
        while self.left > 0:
            try:
                self.left -= os.sendfile(self.socket.fileno(), self.crowd.file, self.crowd.bytes - self.left, self.left)
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                self.left = 0  # an answer may have come before the end

    def read(self) -> None:
        """What has come. An answer before the request is sent whole is kept until it is."""
        while True:
            try:
                count = self.socket.recv_into(self.crowd.buffer)
            except BlockingIOError:
                break
            if count == 0:
                raise ConnectionError("closed")
            self.answer += self.crowd.view[:count]
            if count < len(self.crowd.buffer):
                break
        if self.answer and self.left >= 0:
            self.look()

    def look(self) -> None:
        """Whether the answer is whole."""
        head = self.answer.find(b"\r\n\r\n") + 4
        if head < 4:
            return
        found = LENGTH.search(self.answer, 0, head)
        if found is None or len(self.answer) < head + int(found.group(1)):
            return
        closes = CLOSES.search(self.answer, 0, head) is not None
        if self.left > 0 and not closes:
            return
        status = int(self.answer[9:12])
        if closes:
            self.close()
        self.done(status)

    def broke(self) -> None:
        """Closed: while it asked nothing, or on a kept connection before any answer (then once more), or for good."""
        again = self.left >= 0 and not self.answer and not self.tried
        self.close()
        if again:
            self.begin()
        elif self.left >= 0:
            self.done(BROKEN)

    def done(self, status: int) -> None:
        """Count it."""
        seen, self.left = self.crowd.seen, -1
        seen.statuses[status] += 1
        if status == 200:
            seen.accepted_s.append(time.perf_counter() - self.began)
        self.crowd.idle.append(self)


class Crowd:
    """So many clients of a server on this machine, all with the same request (head and body, whole)."""

    def __init__(self, port: int, request: bytes, count: int) -> None:
        self.port, self.bytes = port, len(request)
        self.file = os.memfd_create("request")
        os.write(self.file, request)
        self.epoll = select.epoll()
        self.clients: dict[int, Client] = {}
        self.buffer = bytearray(65536)
        self.view = memoryview(self.buffer)
        self.seen = Seen()
        self.idle = deque(Client(self) for _ in range(count))
        self.count = count

    def run(self, seconds: float, rate: float = 0.0) -> Seen:
        """Ask for so long, then wait for the last answers. `rate`: at most so many a second; 0: as fast as it answers.

        An idle connection asks as soon as it may: what comes back slower than `rate` is asked for as often as there are
        connections.
        """
        self.seen = Seen()
        began, cpu = time.perf_counter(), time.thread_time()
        until, sent = began + seconds, 0
        while (now := time.perf_counter()) < until:
            while self.idle and (not rate or sent < (now - began) * rate):
                sent += 1
                self.idle.popleft().ask()
            self.wait(min(0.005 if rate else 0.1, until - now))
        while len(self.idle) < self.count and time.perf_counter() < until + PATIENCE_S:
            self.wait(0.1)
        for client in [one for one in self.clients.values() if one.left >= 0]:
            client.close()
            client.done(BROKEN)
        self.seen.took_s, self.seen.cpu_s = time.perf_counter() - began, time.thread_time() - cpu
        return self.seen

    def wait(self, seconds: float) -> None:
        """Let the clients go on with what the kernel has for them."""
        for number, _ in self.epoll.poll(max(0.0, seconds)):
            if (client := self.clients.get(number)) is not None:
                client.go_on()

    def close(self) -> None:
        """Close all connections."""
        for client in list(self.clients.values()):
            client.close()
        self.epoll.close()
        os.close(self.file)
