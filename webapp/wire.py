"""Bodies from sockets: straight to their place, or thrown away; how long they waited there; who sends too slowly; and
how a listening socket is closed without a word to take back.
"""

import contextlib
import ctypes
import io
import socket
import struct
import threading
import time
from typing import Any

from gunicorn.http.body import LengthReader

from webapp.gate import Full

KEPT_BYTES = 1 << 20  # room for a body of this size is kept, so that it is not asked of the system each time
ALIGNED = 16
LINGER_S = 2.0
LAST_DATA = struct.Struct("@52xI")  # of Linux's tcp_info: milliseconds since something came
SEND_LIMIT = struct.Struct("@ll")  # a timeval
SO_ATTACH_FILTER = 26
# Of the packets that come to a listening socket, drop those that begin a connection: SYN without ACK (Linux's classic
# BPF, from the TCP header on: load byte 13; and 0x12; if it is 2 return 0, else everything).
INSTRUCTIONS = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 2), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
NO_NEW_ONES = b"".join(struct.pack("@HBBI", *instruction) for instruction in INSTRUCTIONS)

own = threading.local()
rooms: list[bytearray] = []  # that no thread uses now, the last one used last


class Budget:
    """How many bytes of large bodies may be in memory at the same time."""

    def __init__(self, most_bytes: int) -> None:
        self.left, self.lock = most_bytes, threading.Lock()

    def take(self, length: int) -> None:
        """For the request of the thread in hand. Raises Full."""
        with self.lock:
            if length > self.left:
                raise Full(1)
            self.left -= length
        own.taken = getattr(own, "taken", 0) + length

    def give_back(self) -> None:
        """What the thread in hand took; its request is answered."""
        if taken := getattr(own, "taken", 0):
            own.taken = 0
            with self.lock:
                self.left += taken


def room(length: int) -> memoryview:
    """Room for a body, of the thread in hand: good until its next request. Raises Full where there is none."""
    if length > KEPT_BYTES:
        if (budget := getattr(own, "budget", None)) is not None:
            budget.take(length)
        return memoryview(bytearray(length))
    kept: bytearray | None = getattr(own, "room", None)
    if kept is None and rooms:
        with contextlib.suppress(IndexError):  # another thread was quicker
            kept = rooms.pop()
    if kept is None or len(kept) < length:
        kept = bytearray(length)
    own.room = kept
    return memoryview(kept)[:length]


def leave_room() -> None:
    """The request of the thread in hand is answered: the next one, in whatever thread, has its room, still warm."""
    kept, own.room = getattr(own, "room", None), None
    if kept is not None:
        rooms.append(kept)


def room_for(length: int, header: int) -> memoryview:
    """Room for a body in which what follows the first `header` bytes is aligned for numbers. Raises Full."""
    shift = -header % ALIGNED
    return room(length + ALIGNED)[shift : shift + length]


def fill(client: socket.socket, view: memoryview, known: bytes | memoryview) -> int:
    """Bytes that are known and then those from the socket, without a copy between; less when the client goes."""
    got = len(known)
    view[:got] = known
    while got < len(view):
        count = client.recv_into(view[got:], len(view) - got, socket.MSG_WAITALL)
        if count == 0:
            break
        got += count
    return got


def read_whole(environ: dict[str, Any], length: int, header: int) -> memoryview | None:
    """A body of this length in such a room, of a request that gunicorn read; None where only the ordinary way works."""
    body, client = environ["wsgi.input"], environ["gunicorn.socket"]
    reader = body.reader
    if type(reader) is not LengthReader or reader.length != length or type(client) is not socket.socket:
        return None
    unreader = reader.unreader
    known = unreader.buf.getvalue()  # what came with the head
    unreader.buf = io.BytesIO()
    unreader.buf.write(known[length:])
    view = room_for(length, header)
    got = fill(client, view, known[:length])
    reader.length -= got
    return view[:got]


def throw_away(client: socket.socket, length: int) -> bool:
    """Let so many bytes come, and look at none of them. Whether they all came."""
    scratch = room(min(length, KEPT_BYTES))
    while length > 0:
        # With MSG_TRUNC Linux copies nothing.
        count = client.recv_into(scratch, min(length, len(scratch)), socket.MSG_TRUNC)
        if count == 0:
            return False
        length -= count
    return True


def let_go(client: socket.socket) -> None:
    """Close after an answer that may have come before the request was whole: at once, the kernel would take the answer
    back (RFC 9112, 9.6). What still comes is thrown away, for a while.
    """
    try:
        client.shutdown(socket.SHUT_WR)
        until = time.monotonic() + LINGER_S
        while (left := until - time.monotonic()) > 0:
            client.settimeout(left)
            if client.recv_into(room(KEPT_BYTES), KEPT_BYTES, socket.MSG_TRUNC) == 0:
                break
    except OSError:
        pass  # it is gone, or stays silent
    finally:
        client.close()


def waited_s(client: socket.socket) -> float:
    """How long what came last waits to be read, in seconds; 0 where the system does not say."""
    if not hasattr(socket, "TCP_INFO"):
        return 0.0
    try:
        (milliseconds,) = LAST_DATA.unpack(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LAST_DATA.size))
    except (OSError, struct.error):
        return 0.0
    return milliseconds / 1000


def refuse_new(listener: socket.socket) -> bool:
    """From now on nobody gets through to this socket; whether the system can do that.

    Who tries hears nothing, tries again a second later, and is refused then, when the socket is closed. Those who got
    through before can be accepted in peace: closing at once would reset them, though they were let in.
    """
    program = ctypes.create_string_buffer(NO_NEW_ONES, len(NO_NEW_ONES))
    filter_of = struct.pack("@HP", len(NO_NEW_ONES) // 8, ctypes.addressof(program))
    try:
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_of)
    except OSError:
        return False
    return True


def limit_sending(client: socket.socket, seconds: int) -> None:
    """Reading its answer: a client that takes nothing for so long is dropped."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, SEND_LIMIT.pack(seconds, 0))


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

    def put_off(self, seconds: float) -> None:
        """This process was stopped for so long: that is no client's fault."""
        with self.lock:
            self.until = {client: until + seconds for client, until in self.until.items()}

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
