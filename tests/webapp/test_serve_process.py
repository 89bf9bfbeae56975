"""The server as it runs: processes killed, told to stop, reloading under load, and a thousand malformed requests."""

import http.client
import json
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from serving_helpers import (
    Server,
    binary_body,
    json_request,
    mean_model,
    noise,
    picture_bytes,
    running_server,
    write_bundle,
)

from webapp.shared import Shared
from webapp.tensors import read_binary_response

INFER = "/v2/models/mean/infer"
BODY, HEADERS = binary_body(noise(), parameters={"binary_data_output": True})
REFUSED, LOST = "refused", "lost"


def ask(port: int, method: str, path: str, body: bytes = b"", headers: dict | None = None, timeout_s: float = 30):
    """(status, headers, body) over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def get_json(port: int, path: str):
    return json.loads(ask(port, "GET", path)[2])


class Load:
    """A few clients that ask again and again, each over a connection that is kept (or, half of them, a new one)."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.port, self.ended, self.seen, self.lock = port, threading.Event(), Counter(), threading.Lock()
        self.values: set[float] = set()
        self.threads = [threading.Thread(target=self.client, args=(k % 2 == 0,)) for k in range(clients)]
        for thread in self.threads:
            thread.start()

    def client(self, keep: bool) -> None:
        connection = None
        while not self.ended.is_set():
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                connection.connect() if connection.sock is None else None
            except ConnectionRefusedError:
                self.note(REFUSED)
                connection.close()
                connection = None
                time.sleep(0.02)
                continue
            try:
                connection.request("POST", INFER, BODY, HEADERS)
                answer = connection.getresponse()
                content = answer.read()
                self.note(str(answer.status))
                if answer.status == 200:
                    found = read_binary_response(content, answer.headers["Inference-Header-Content-Length"])["y"]
                    with self.lock:
                        self.values.add(round(float(found.mean() / noise().mean()), 2))
            except (OSError, http.client.HTTPException) as error:
                self.note(f"{LOST}: {type(error).__name__}")
                connection.close()
                connection = None
            if not keep and connection is not None:
                connection.close()
        if connection is not None:
            connection.close()

    def note(self, what: str) -> None:
        with self.lock:
            self.seen[what] += 1

    def stop(self) -> Counter:
        self.ended.set()
        for thread in self.threads:
            thread.join(40)
        return self.seen

    def answered(self) -> int:
        with self.lock:
            return self.seen["200"]

    def wait(self, more: int) -> None:
        """Until so many more were answered."""
        target = self.answered() + more
        until(lambda: self.answered() >= target)


def until(condition, seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def boots(server: Server) -> int:
    """How many processes have been started."""
    return sum(line["message"].startswith("Booting worker") for line in server.lines())


def ready(server: Server) -> bool:
    return ask(server.port, "GET", "/v2/health/ready")[0] == 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "models" / "mean" / "1", mean_model(1))
    return tmp_path


def lost(seen: Counter) -> int:
    return sum(count for what, count in seen.items() if what.startswith(LOST))


def test_stopping_under_load_loses_nothing(folder: Path, repo: Path):
    """The clients are sent elsewhere once the server says that it is not ready, as a balancer does."""
    with running_server(folder, repo, workers=2, drain_s=3) as server:
        until(lambda: ready(server))
        load = Load(server.port)
        load.wait(60)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not ready(server), 2)
        load.wait(20)  # not ready, and still answering
        seen = load.stop()
        server.process.wait(timeout=30)
        assert server.process.returncode == 0
    assert set(seen) == {"200"} and seen["200"] > 80, seen
    assert any(line["message"] == "Shutting down: Master" for line in server.lines())


def test_who_goes_on_while_it_stops_is_answered_or_refused(folder: Path, repo: Path):
    """Nobody is let in and then reset: not even on the last connections, while the socket is being closed."""
    with running_server(folder, repo, workers=2, drain_s=0) as server:
        until(lambda: ready(server))
        load = Load(server.port, 6)
        load.wait(40)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(timeout=30)
        seen = load.stop()
    assert set(seen) == {"200", REFUSED} and server.process.returncode == 0, seen


def test_a_process_that_is_killed_is_replaced(folder: Path, repo: Path):
    with running_server(folder, repo, workers=2, drain_s=0) as server:
        until(lambda: ready(server))
        clients = 4
        load = Load(server.port, clients)
        load.wait(40)
        victim = next(line["process"] for line in server.lines() if line["message"].startswith("model ready"))
        os.kill(victim, signal.SIGKILL)
        load.wait(60)
        # The dead process counts until the arbiter has seen that it is gone.
        until(lambda: boots(server) == 3 and get_json(server.port, "/api/status")["processes"] == 2)
        seen = load.stop()
        status = get_json(server.port, "/api/status")
        assert lost(seen) <= clients and set(seen) - {"200"} <= {w for w in seen if w.startswith(LOST)}, seen
        # What the dead process had counted is not lost; what it showed as its present state is.
        assert seen["200"] <= status["requests"]["200"] <= seen["200"] + lost(seen)
        assert status["running"] <= 1 and status["waiting"] == 0
        assert boots(server) == 3


def test_versions_change_under_load_without_a_lost_request(folder: Path, repo: Path):
    models = folder / "models" / "mean"
    with running_server(folder, repo, workers=2, scan_s=1, drain_s=0) as server:
        until(lambda: ready(server))
        load = Load(server.port, 3)
        load.wait(20)
        write_bundle(models / "2", mean_model(2))
        until(lambda: get_json(server.port, "/v2/models/mean")["serving"] == "2")
        write_bundle(models / "3", b"broken on the way")
        model: dict = {"versions": []}

        def third_is_known() -> bool:
            model.update(get_json(server.port, "/v2/models/mean"))
            return "3" in model["versions"]

        until(third_is_known)   # in one answer: each of the two processes looks for itself
        assert model["serving"] == "2" and "cannot load" in model["states"][2]["reason"]
        load.wait(20)
        seen = load.stop()
        assert set(seen) == {"200"} and load.values == {1.0, 2.0}, (seen, load.values)
        (models / "2").rename(folder / "away")
        until(lambda: get_json(server.port, "/v2/models/mean")["serving"] == "1")


def test_figures_and_tokens_are_those_of_all_processes(tmp_path: Path, repo: Path):
    write_bundle(tmp_path / "models" / "mean", mean_model(1, work=2))  # while one runs, the other accepts
    with running_server(tmp_path, repo, workers=2, rate_per_s=1, burst=30, drain_s=0) as server:
        until(lambda: ready(server) and get_json(server.port, "/api/status")["processes"] == 2)
        began, sent, used, codes = time.monotonic(), 0, set(), Counter()
        with ThreadPoolExecutor(8) as several:
            while len(used) < 2:  # by chance one process may answer all
                assert time.monotonic() < began + 40, "one process answered all"
                codes.update(several.map(lambda _: ask(server.port, "POST", INFER, BODY, HEADERS)[0], range(60)))
                sent += 60
                used = {line["process"] for line in server.lines() if line["message"] == "request"}
        assert 30 <= codes[200] <= 50 + time.monotonic() - began and codes[200] + codes[429] == sent
        # A request is counted when its answer has been sent: the last ones may be a moment late.
        until(lambda: sum(get_json(server.port, "/api/status")["requests"].values()) == sent)
        for _ in range(4):
            status = get_json(server.port, "/api/status")
            assert status["requests"] == {"200": codes[200], "429": codes[429]} and status["processes"] == 2
            assert status["rejects"] == {"rate": codes[429]}
        text = ask(server.port, "GET", "/metrics")[2].decode()
        assert 'inpage_engine{engine="onnx",model="mean",version="1"} 2.0' in text
        assert f'inpage_stage_seconds_count{{model="mean",stage="infer"}} {codes[200]:.1f}' in text


def test_more_than_it_can_do_is_answered_all_the_same(tmp_path: Path, repo: Path):
    write_bundle(tmp_path / "models" / "mean", mean_model(1, work=2))
    with running_server(tmp_path, repo, runs=1, queue=2, threads=8, deadline_ms=2000, drain_s=0) as server:
        until(lambda: ready(server))
        load = Load(server.port, 12)
        load.wait(10)
        seen = load.stop()
        assert set(seen) <= {"200", "429", "504"} and seen["429"] > 0, seen
        assert ready(server)


def test_slow_clients_are_let_go(folder: Path, repo: Path):
    with running_server(folder, repo, client_timeout_s=1, threads=6, runs=1, queue=1, drain_s=0) as server:
        until(lambda: ready(server))
        slow = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(8)]
        for k, client in enumerate(slow):
            if k % 2:
                client.sendall(b"POST " + INFER.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Le")
            else:
                client.sendall(b"POST " + INFER.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        began = time.monotonic()
        assert ask(server.port, "POST", INFER, BODY, HEADERS)[0] == 200
        assert time.monotonic() - began < 12
        answers = [client.recv(4096) for client in slow]
        for client in slow:
            client.close()
        assert all(b" 408 " in answer for answer in answers[::2]), answers
        assert all(b" 200 " not in answer for answer in answers[1::2])


def test_large_bodies_share_a_budget(folder: Path, repo: Path):
    large = 9 << 20
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {large}\r\nInference-Header-Content-Length: 9\r\n\r\n"
    with running_server(folder, repo, bodies_mb=16, drain_s=0) as server:
        until(lambda: ready(server))

        def second() -> int:
            return ask(server.port, "POST", INFER, bytes(large), {"Inference-Header-Content-Length": "9"})[0]

        def refused_beside_another() -> bool:
            """Not always: which of the two the server's threads look at first is not the order in which they came."""
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as first:
                first.sendall(head.encode() + bytes(1000))
                if second() != 429:
                    return False
                assert ask(server.port, "POST", INFER, BODY, HEADERS)[0] == 200, "small ones go on"
                return True

        until(refused_beside_another)
        until(lambda: second() == 400)


def test_what_cannot_be_read_is_told_as_all_errors_are_and_not_logged(folder: Path, repo: Path):
    with running_server(folder, repo, drain_s=0) as server:
        until(lambda: ready(server))
        for content, status in ((b"GET / HTTP/1.1\r\nAuthorization\xe9: secret\r\n\r\n", b"400 Bad Request"),
                                (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b"414 ")):  # fmt: skip
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
                raw.sendall(content)
                answer = b"".join(iter(lambda raw=raw: raw.recv(4096), b""))
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 " + status) and b"X-Content-Type-Options: nosniff" in head
            assert json.loads(body)["error"]["code"] == "bad_request" and b"secret" not in body
        said = [line["message"] for line in server.lines() if "could not be read" in line["message"]]
        assert len(said) == 2 and "127.0.0.1" not in str(said) and "secret" not in server.log.read_text()


def test_what_an_earlier_run_left_does_not_count(folder: Path, repo: Path):
    left = Shared(folder / "state")
    left.stop()
    left.close()
    (folder / "state" / "counter_1.db").write_bytes(b"damaged")
    with running_server(folder, repo, state_dir=folder / "state", drain_s=30) as server:
        until(lambda: ready(server))
        assert get_json(server.port, "/api/status")["requests"] == {}
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not ready(server), 5)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)  # the second one is in a hurry
        server.process.wait(timeout=20)
        assert server.process.returncode == 0 and time.monotonic() - began < 15
    assert (folder / "state").is_dir()


def mutate(dice: random.Random, content: bytes) -> bytes:
    """Bytes changed, cut, doubled, put in."""
    found = bytearray(content)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(found) + 1) if found else 0
        kind = dice.randrange(5)
        if kind == 0 and found:
            found[at % len(found)] = dice.randrange(256)
        elif kind == 1:
            del found[at:]
        elif kind == 2:
            found[at:at] = dice.choice([b"\0", b"{", b"[[[[", b"1e999", b"NaN", b"\xff\xfe", b"-1", b'"', b"9" * 40])
        elif kind == 3:
            del found[at : at + dice.randint(1, 40)]
        else:
            found[at:at] = found[at : at + dice.randint(1, 40)]
    return bytes(found)


PATHS = [INFER, "/v2/models/mean/versions/1/infer", "/api/models/mean/predict", "/v2/models/x/infer",
         "/v2/models/mean/versions/-1/infer", "/api/models/%00/predict", INFER + "?" + "a" * 3000]  # fmt: skip
NOT_HTTP = [b"GARBAGE\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"\0" * 100, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n"]


def malformed(dice: random.Random) -> tuple[str, bytes, dict[str, str]]:
    """An address, a body and headers with something wrong in at least one of them."""
    path = dice.choice(PATHS)
    kind = dice.randrange(5)
    headers: dict[str, str] = {}
    if kind == 0:
        body = mutate(dice, json.dumps(json_request(noise()[:, :, :2, :2])).encode())
    elif kind == 1:
        body, headers = mutate(dice, BODY), dict(HEADERS)
    elif kind == 2:
        body = mutate(dice, picture_bytes(20, 20, dice.choice(["PNG", "JPEG", "WEBP"])))
    elif kind == 3:
        length = dice.choice(["-1", "1e9", "99999999999999999999", "x", "", "0"])
        body, headers = BODY, {"Inference-Header-Content-Length": length}
    else:
        body = dice.randbytes(dice.randrange(400))
    if dice.random() < 0.2:
        headers["timeout-ms"] = dice.choice(["0", "-1", "x", "1", "999999999", "1" * 50])
    if dice.random() < 0.1:
        headers["Content-Encoding"] = dice.choice(["gzip", "br", "odd"])
    if dice.random() < 0.1:
        headers["Origin"] = dice.choice(["null", "http://evil.example", "x" * 200])
    return path, body, headers


def test_a_thousand_malformed_requests(folder: Path, repo: Path):
    with running_server(folder, repo, drain_s=0, client_timeout_s=2) as server:
        until(lambda: ready(server))
        dice, seen, began = random.Random(20261121), Counter(), time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        for _ in range(1000):
            path, body, headers = malformed(dice)
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            seen[answer.status] += 1
            assert answer.status in (200, 400, 403, 404, 413, 415, 504), (answer.status, path, body[:200], content)
            if answer.status != 200:
                assert json.loads(content)["error"], content
        connection.close()
        assert time.monotonic() - began < 30
        assert len(seen) >= 5 and seen[400] > 300, seen
        for part in NOT_HTTP:
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
                raw.sendall(part)
                assert raw.recv(100)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 505", b"HTTP/1.1 414")
        status, headers, content = ask(server.port, "POST", INFER, BODY, HEADERS)
        found = read_binary_response(content, headers["Inference-Header-Content-Length"])["y"]
        np.testing.assert_allclose(found, noise().mean((2, 3)), rtol=1e-5)
        assert not [line for line in server.lines() if line["level"] == "error"]
