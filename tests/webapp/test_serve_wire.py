"""What the server does with sockets: bodies in their place or thrown away, who is let go, how long something waited."""

import socket
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from webapp import pauses, wire
from webapp.gate import Full


@pytest.fixture
def pair():
    """Two ends of a TCP connection: the server's and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), timeout=20)
        server, _ = listener.accept()
    yield server, client
    server.close()
    client.close()


def send_soon(client: socket.socket, content: bytes) -> threading.Thread:
    thread = threading.Thread(target=client.sendall, args=(content,))
    thread.start()
    return thread


@pytest.mark.parametrize("length", [5, 3000, 3 << 20])
def test_a_body_comes_to_an_aligned_place(pair, length: int):
    server, client = pair
    content = bytes(k % 251 for k in range(length))
    thread = send_soon(client, content[2:] + b"behind")
    view = wire.room_for(length, 3)
    assert wire.fill(server, view, content[:2]) == length and bytes(view) == content
    assert (np.frombuffer(view, np.uint8).ctypes.data + 3) % wire.ALIGNED == 0
    thread.join(10)
    assert server.recv(100) == b"behind"


def test_a_client_that_goes_leaves_a_shorter_body(pair):
    server, client = pair
    client.sendall(b"abc")
    client.close()
    view = wire.room_for(10, 0)
    assert wire.fill(server, view, b"") == 3 and bytes(view[:3]) == b"abc"


def test_what_is_thrown_away_is_gone_and_what_follows_is_there(pair):
    server, client = pair
    thread = send_soon(client, b"x" * (5 << 20) + b"next")
    assert wire.throw_away(server, 5 << 20)
    assert server.recv(100) == b"next"
    thread.join(10)
    client.close()
    assert not wire.throw_away(server, 1)


def test_an_answer_before_the_end_of_a_request_arrives_all_the_same(pair):
    server, client = pair
    thread = send_soon(client, b"x" * (8 << 20))  # more than the kernel holds: it is still being sent
    assert server.recv(1) == b"x"
    server.sendall(b"no")
    closing = threading.Thread(target=wire.let_go, args=(server,))
    closing.start()
    thread.join(20)
    assert not thread.is_alive() and client.recv(100) == b"no" and client.recv(100) == b""
    client.close()
    closing.join(10)
    assert server.fileno() == -1


def test_who_stays_silent_is_closed_all_the_same(pair, monkeypatch: pytest.MonkeyPatch):
    server, client = pair
    monkeypatch.setattr(wire, "LINGER_S", 0.1)
    wire.let_go(server)
    assert server.fileno() == -1 and client.recv(1) == b""


def test_how_long_something_waited_is_known(pair):
    server, client = pair
    client.sendall(b"x")
    time.sleep(0.3)
    assert 0.2 < wire.waited_s(server) < 20
    client.sendall(b"x")
    deadline = time.monotonic() + 20
    while wire.waited_s(server) > 0.2:
        assert time.monotonic() < deadline
    server.close()
    assert wire.waited_s(server) == 0.0


def test_a_client_that_is_too_slow_hears_no_more(pair):
    server, client = pair
    pace = wire.Pace(5.0)
    pace.begin(server)
    pace.cut(time.monotonic())
    assert server in pace.until
    pace.cut(time.monotonic() + 6)
    assert not pace.until and server.recv(1) == b""
    pace.begin(server)
    pace.arrived(server)
    pace.cut(time.monotonic() + 60)
    client.sendall(b"y")


def test_a_client_has_its_time_again_when_the_server_was_stopped(pair):
    server, client = pair
    pace = wire.Pace(5.0)
    pace.begin(server)
    pace.put_off(60)
    pace.cut(time.monotonic() + 60)
    client.sendall(b"y")
    assert server in pace.until and server.recv(1) == b"y"


def test_processes_that_were_stopped_with_their_parent_are_not_replaced(monkeypatch):
    clock, replaced = [1000.0], []
    monkeypatch.setattr(pauses.time, "monotonic", lambda: clock[0])
    server = SimpleNamespace(timeout=30, murder_workers=lambda: replaced.append(clock[0]))
    pauses.forgive(server)
    for seconds in (1, 4.9, 40, 1, 28, 1, 1):  # asleep for 40, then for 28
        clock[0] += seconds
        server.murder_workers()
    for _ in range(31):
        clock[0] += 1
        server.murder_workers()
    assert replaced == [1001.0, 1005.9, *(clock[0] - k for k in (3, 2, 1, 0))], "30 s after a pause it looks again"


def test_a_socket_that_is_about_to_close_lets_nobody_in_and_resets_nobody():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        before = socket.create_connection(address, timeout=10)
        before.sendall(b"hello")
        assert wire.refuse_new(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.2)
        server, _ = listener.accept()
        assert server.recv(10) == b"hello"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=10)
    server.sendall(b"still there")
    assert before.recv(20) == b"still there"
    server.close()
    before.close()


def test_large_bodies_have_a_budget():
    budget = wire.Budget(5 << 20)

    def in_a_thread(work) -> list:
        found: list = []

        def go() -> None:
            wire.own.budget = budget
            try:
                found.append(len(work()))
            except Full as error:
                found.append(error.retry_s)

        thread = threading.Thread(target=go)
        thread.start()
        thread.join(10)
        return found

    assert in_a_thread(lambda: wire.room(3 << 20)) == [3 << 20]
    assert in_a_thread(lambda: wire.room(3 << 20)) == [1], "the first one was not given back"
    assert in_a_thread(lambda: wire.room(1000)) == [1000], "small ones are for nothing"

    def and_back() -> memoryview:
        found = wire.room(2 << 20)
        budget.give_back()
        return found

    assert in_a_thread(and_back) == in_a_thread(and_back) == [2 << 20] and budget.left == 2 << 20


def test_room_goes_from_one_request_to_the_next(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wire, "rooms", [])
    monkeypatch.setattr(wire, "own", threading.local())
    first = wire.room(1000)
    assert wire.room(500).obj is first.obj, "while the request goes on it is the same"
    wire.leave_room()
    wire.leave_room()
    assert len(wire.rooms) == 1
    found: list[memoryview] = []
    thread = threading.Thread(target=lambda: found.append(wire.room(800)))
    thread.start()
    thread.join(10)
    assert found[0].obj is first.obj and not wire.rooms
    assert wire.room(800).obj is not first.obj, "that one is in use"
