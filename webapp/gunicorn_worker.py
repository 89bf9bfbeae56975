"""gunicorn's threaded worker, with promises: a slow client costs no thread for long, what waits is on the clock,
stopping loses no request, and plain requests to run a model take the short way (see lane.py).
"""

import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from gunicorn.http.errors import (
    ExpectationFailed,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.util import http_date
from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker

from webapp.errors import WORDS, shape
from webapp.lane import Lane, head_lines, head_of
from webapp.pauses import Pauses
from webapp.plain import MOST_BYTES, Plain, read_head
from webapp.settings import read
from webapp.wire import (
    Budget,
    Pace,
    fill,
    leave_room,
    let_go,
    limit_sending,
    own,
    read_whole,
    refuse_new,
    room_for,
    throw_away,
    waited_s,
)

STAY_S = 0.05  # a thread waits so long for the next request of its connection while others are idle
SHOW_S = 0.25  # between two notes of what runs and waits
LAST_S = 0.3  # when stopping: for connections that are being opened
# What gunicorn could not read, where that is not simply a bad request.
UNREADABLE = ((LimitRequestLine, 414), (LimitRequestHeaders, 431), (UnsupportedTransferCoding, 501),
              (ExpectationFailed, 417))  # fmt: skip


class Incoming:
    """The body of a plain request, see lane.Body. `came`: how many bytes of it were read."""

    def __init__(self, worker: "Worker", client: socket.socket, plain: Plain, first: memoryview) -> None:
        self.worker, self.client, self.plain, self.first, self.came = worker, client, plain, first, 0

    def whole(self) -> memoryview:
        """All of it, to memory of this thread."""
        view = room_for(self.plain.length, self.plain.header)
        return view[: self.fill(view, self.first)]

    def into(self, header: int, numbers: memoryview) -> bool:
        """Its numbers, to where they belong."""
        return self.fill(numbers, self.first[header:]) == len(numbers)

    def fill(self, view: memoryview, known: memoryview) -> int:
        """What is known already and what comes; how much that is. Sending the answer will say so if the client went."""
        got = len(known)
        try:
            got = fill(self.client, view, known)
        except OSError as error:
            self.worker.log.debug("a client went away: %s", error)
        self.came = max(1, self.plain.length - len(view) + got)
        self.worker.pace.arrived(self.client)
        return got


class Worker(ThreadWorker):
    """One process of the server."""

    def init_process(self) -> None:
        """Runs in the new process, before the app is made."""
        values = read()
        self.client_timeout_s = values["client_timeout_s"]
        self.pace, self.budget = Pace(self.client_timeout_s), Budget(values["bodies_mb"] << 20)
        self.present, self.lock = 0, threading.Lock()  # threads that have a connection
        self.shown, self.pauses = 0.0, Pauses()
        self.date: tuple[int, str] = (0, "")
        super().init_process()

    def load_wsgi(self) -> None:
        """Give the app a way to say that a request's body has arrived, and have the short way beside it."""
        super().load_wsgi()
        self.flask = app = self.wsgi
        self.lane = Lane(self.flask)
        self.metrics, self.shared = app.extensions["inpage_metrics"], app.extensions["inpage_shared"]

        def with_pace(environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
            client = environ["gunicorn.socket"]
            has_body = environ.get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ
            if not has_body:
                self.pace.arrived(client)
            environ["inpage.began"] = own.began
            environ["inpage.arrived"] = partial(self.pace.arrived, client)
            environ["inpage.read"] = partial(read_whole, environ)
            environ["inpage.take"] = self.budget.take
            return app(environ, start_response)

        self.wsgi = with_pace

    # ---- a connection in a thread ----

    def enqueue_req(self, conn: TConn) -> None:
        """A connection has something to read: from now on it waits for a thread, which counts for its deadline."""
        conn.enqueued = time.monotonic()
        super().enqueue_req(conn)

    def handle(self, conn: TConn) -> Any:
        """In a thread: requests of a connection, as long as they come one after the other and no other one waits."""
        with self.lock:
            self.present += 1
        try:
            kept = self.handle_one(conn)
            while kept is True and self.stays(conn):
                kept = self.handle_one(conn)
        finally:
            with self.lock:
                self.present -= 1
        if kept is False and not self.cfg.is_ssl:
            # Here and not in the main loop, which would wait for one client while all others wait for it.
            let_go(conn.sock)
            conn.close = lambda graceful=False: None
        return kept

    def stays(self, conn: TConn) -> bool:
        """Wait a moment for the next request: going through the main loop costs more than many a request."""
        if not self.alive or conn.parser.unreader.buf.getvalue() or self.present > self.cfg.threads // 2:
            return False
        if not hasattr(conn, "poll"):
            conn.poll = select.poll()
            conn.poll.register(conn.sock, select.POLLIN | select.POLLRDHUP)
        if not conn.poll.poll(STAY_S * 1000):
            return False
        conn.enqueued = time.monotonic()
        return True

    def handle_one(self, conn: TConn) -> Any:
        """One request. True: the connection is kept; False: it is to be closed; else gunicorn's word for later."""
        new = not conn.initialized
        if new and not conn.wait_for_data(STAY_S):
            return _DEFER  # a browser opens connections ahead of time: the main loop watches them, and no thread
        now = time.monotonic()
        # What the kernel took before this process accepted it, or looked, has waited since it came.
        own.began = min(conn.enqueued if not new else now, now - waited_s(conn.sock))
        if new:
            limit_sending(conn.sock, self.client_timeout_s)
        own.budget = self.budget
        self.pace.begin(conn.sock)
        try:
            kept = self.on_the_lane(conn)
            return super().handle(conn) if kept is None else kept
        finally:
            self.pace.arrived(conn.sock)
            self.budget.give_back()
            leave_room()

    def on_the_lane(self, conn: TConn) -> bool | None:
        """Answer a plain request, and say whether the connection is kept; None: gunicorn is to read it."""
        try:
            conn.sock.setblocking(True)
            conn.init()
            if self.cfg.is_ssl or conn.is_http2 or conn.parser.unreader.buf.getvalue():
                return None
            first = conn.sock.recv(MOST_BYTES)
            if not first:
                return False
            found = read_head(first)
            if found is None or not self.lane.fits(found[0]):
                conn.parser.unreader.unread(first)
                return None
            return self.answer(conn, found[0], memoryview(first)[found[1] :])
        except OSError as error:
            self.log.debug("a client went away: %s", error)
            return False

    def answer(self, conn: TConn, plain: Plain, rest: memoryview) -> bool:
        """Run it, send the answer, and let come what was not read of a request that was refused before."""
        body = Incoming(self, conn.sock, plain, rest[: plain.length])
        address = conn.client[0] if isinstance(conn.client, tuple) else ""
        status, headers, content = self.lane.answer(plain, address, own.began, body)
        kept = self.alive and len(self.keepalived_conns) < self.max_keepalived
        kept = kept and body.came in (0, plain.length)
        conn.sock.sendall(head_of(status, self.general(kept) + headers) + content)
        if not body.came and kept:
            kept = throw_away(conn.sock, plain.length - len(body.first))
        if behind := rest[plain.length :]:
            conn.parser.unreader.unread(bytes(behind))
        return kept

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """What gunicorn could not read, in the one shape of all errors. Nothing of it is logged, nor who sent it."""
        known = next((status for kind, status in UNREADABLE if isinstance(exc, kind)), 400)
        status = known if isinstance(exc, ParseException | ssl.SSLError) else 500
        if status == 500:
            self.log.exception("a request could not be handled", exc_info=exc)
        else:
            self.log.info("a request could not be read: %s", type(exc).__name__)
        code, message, hint = WORDS[500 if status == 500 else 400]
        content = json.dumps(shape(code, message, "", hint, in_protocol=False)).encode()
        about = head_lines([("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
        try:
            client.sendall(head_of(status, self.general(False) + self.lane.headers + about) + content)
        except OSError as error:
            self.log.debug("a client went away: %s", error)

    def general(self, kept: bool) -> str:
        """The lines of a head that say nothing of the answer."""
        second = int(time.time())
        if second != self.date[0]:
            self.date = second, f"Server: gunicorn\r\nDate: {http_date(second)}\r\nConnection: "
        return self.date[1] + ("keep-alive\r\n" if kept else "close\r\n")

    # ---- the main loop ----

    def murder_pending(self) -> None:
        """In the main loop, at least once a second."""
        super().murder_pending()
        now = time.monotonic()
        if stopped := self.pauses.look(now):
            self.pace.put_off(stopped)
        self.pace.cut(now)
        if now >= self.shown + SHOW_S:
            self.shown = now
            self.metrics.show()

    def set_accept_enabled(self, enabled: bool) -> None:
        """When stopping: take the connections that are already waiting, then close, so that new ones are refused."""
        if enabled or self.alive:
            super().set_accept_enabled(enabled)
            return
        # The processes share these sockets: only when all of them stop may new connections be kept out.
        if self._accepting and self.shared.stopping and self.keep_new_ones_out():
            until = time.monotonic() + LAST_S
            while time.monotonic() < until:
                self.notify()
                self.wait_for_and_dispatch_events(timeout=LAST_S / 10)
        for listener in self.sockets:
            while self.take_waiting(listener):
                pass
        super().set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        self.sockets = []

    def keep_new_ones_out(self) -> bool:
        """Whether every socket can do that."""
        return all(refuse_new(listener.sock) for listener in self.sockets)

    def take_waiting(self, listener: Any) -> bool:
        """Accept one connection that is waiting, if there is one."""
        before = self.nr_conns
        self.accept(listener)
        return self.nr_conns > before
