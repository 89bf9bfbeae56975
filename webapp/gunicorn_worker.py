"""gunicorn's threaded worker, and two promises: a slow client costs no thread for long, stopping loses no request.

A client that goes on after /v2/health/ready said no can still meet the closing of the socket itself: what the kernel
has not handed over by then is reset.
"""

import io
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from gunicorn.http.body import LengthReader
from gunicorn.workers.gthread import TConn, ThreadWorker

from webapp.lane import in_front_of
from webapp.settings import read

KEPT_BYTES = 1 << 20  # a thread keeps room for a body of this size, so that it is not asked of the system each time
ALIGNED = 16

own = threading.local()


def room(length: int) -> memoryview:
    """Room for a body, of the thread in hand: good until its next request."""
    if length > KEPT_BYTES:
        return memoryview(bytearray(length))
    kept: bytearray | None = getattr(own, "room", None)
    if kept is None or len(kept) < length:
        kept = own.room = bytearray(length)
    return memoryview(kept)[:length]


def read_whole(environ: dict[str, Any], length: int, header: int) -> memoryview | None:
    """A body whose length is known, from the socket to its place without a copy between; shorter when the client goes.

    What follows the first `header` bytes is aligned for numbers. None where only the ordinary way works.
    """
    body, client = environ["wsgi.input"], environ["gunicorn.socket"]
    reader = body.reader
    if type(reader) is not LengthReader or reader.length != length or type(client) is not socket.socket:
        return None
    shift = -header % ALIGNED
    view = room(length + ALIGNED)[shift : shift + length]
    unreader = reader.unreader
    first = unreader.buf.getvalue()  # what came with the head
    got = min(len(first), length)
    view[:got] = first[:got]
    unreader.buf = io.BytesIO()
    unreader.buf.write(first[got:])
    while got < length:
        count = client.recv_into(view[got:], length - got, socket.MSG_WAITALL)
        if count == 0:
            break
        got += count
    reader.length -= got
    return view[:got]


class Pace:
    """Clients that are sending a request, and until when they may."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.lock = threading.Lock()
        self.until: dict[socket.socket, float] = {}

    def begin(self, client: socket.socket) -> None:
        """Its time starts."""
        with self.lock:
            self.until[client] = time.monotonic() + self.limit_s

    def arrived(self, client: socket.socket) -> None:
        """Its request is here, or it is gone."""
        with self.lock:
            self.until.pop(client, None)

    def cut(self, now: float) -> None:
        """Tell the threads that read from clients whose time is up that nothing more will come."""
        with self.lock:
            late = [client for client, until in self.until.items() if now >= until]
            for client in late:
                del self.until[client]
        for client in late:
            try:
                client.shutdown(socket.SHUT_RD)
            except OSError:
                continue  # it went away by itself


class Worker(ThreadWorker):
    """One process of the server."""

    def init_process(self) -> None:
        """Runs in the new process, before the app is made."""
        self.client_timeout_s = read()["client_timeout_s"]
        self.pace = Pace(self.client_timeout_s)
        super().init_process()

    def load_wsgi(self) -> None:
        """Give the app a way to say that a request's body has arrived."""
        super().load_wsgi()
        self.flask = self.wsgi
        app = in_front_of(self.flask)

        def with_pace(environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
            client = environ["gunicorn.socket"]
            has_body = environ.get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ
            if not has_body:
                self.pace.arrived(client)
            environ["inpage.began"] = time.monotonic() - own.waited_s
            environ["inpage.arrived"] = partial(self.pace.arrived, client)
            environ["inpage.read"] = partial(read_whole, environ)
            return app(environ, start_response)

        self.wsgi = with_pace

    def enqueue_req(self, conn: TConn) -> None:
        """A connection has something to read: from now on it waits for a thread, which counts for its deadline."""
        conn.enqueued = time.monotonic()
        super().enqueue_req(conn)

    def handle(self, conn: TConn) -> Any:
        """In a thread: one request of a connection."""
        own.waited_s = time.monotonic() - conn.enqueued
        # Reading its answer: a client that takes nothing for so long is dropped.
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", self.client_timeout_s, 0))
        self.pace.begin(conn.sock)
        try:
            return super().handle(conn)
        finally:
            self.pace.arrived(conn.sock)

    def murder_pending(self) -> None:
        """In the main loop, about once a second."""
        super().murder_pending()
        self.pace.cut(time.monotonic())

    def set_accept_enabled(self, enabled: bool) -> None:
        """When stopping: take the connections that are already waiting, then close, so that new ones are refused."""
        if enabled or self.alive:
            super().set_accept_enabled(enabled)
            return
        for listener in self.sockets:
            while self.take_waiting(listener):
                pass
        super().set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        self.sockets = []

    def take_waiting(self, listener: Any) -> bool:
        """Accept one connection that is waiting, if there is one."""
        before = self.nr_conns
        self.accept(listener)
        return self.nr_conns > before
