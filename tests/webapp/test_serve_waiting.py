"""What waits for a thread or for the models is on the clock too; and what is refused does not fill the log."""

import logging
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.webapp.serving_helpers import binary_body, mean_model, noise, running_server, write_bundle
from tests.webapp.test_serve_process import INFER, ask
from webapp import create_app, logs
from webapp.logs import Sparing

THREADS = 8


def test_a_request_that_waited_for_a_thread_for_too_long_is_not_run(tmp_path: Path, repo: Path):
    write_bundle(tmp_path / "models/mean", mean_model())
    body, headers = binary_body(noise())
    with running_server(
        tmp_path, repo, threads=THREADS, runs=1, queue=2, client_timeout_s=2, drain_s=0
    ) as server:
        assert ask(server.port, "POST", INFER, body, headers)[0] == 200
        slow = []
        for _ in range(THREADS):  # each takes a thread, until its time to send is up
            client = socket.create_connection(("127.0.0.1", server.port))
            client.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n".encode())
            slow.append(client)
        time.sleep(0.3)
        began = time.monotonic()
        status = ask(server.port, "POST", INFER, body, {**headers, "timeout-ms": "300"})[0]
        waited_s = time.monotonic() - began
        for client in slow:
            client.close()
        assert waited_s > 0.5, "the threads were not taken"
        assert status == 504
        assert ask(server.port, "POST", INFER, body, {**headers, "timeout-ms": "5000"})[0] == 200


def test_a_flood_of_refusals_does_not_fill_the_log():
    sparing = Sparing(3)
    assert [sparing.left_out_before(7.0 + k / 10) for k in range(6)] == [0, 0, 0, None, None, None]
    assert [sparing.left_out_before(8.0 + k / 10) for k in range(4)] == [3, 0, 0, None]
    assert sparing.left_out_before(60.0) == 1


def test_only_refusals_of_a_busy_server_are_left_out(tmp_path: Path, caplog, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logs, "refusals", Sparing(0))
    write_bundle(tmp_path / "models" / "mean", mean_model())
    client = create_app({"models": [str(tmp_path / "models")], "rate_per_s": 1, "burst": 1}).test_client()
    body, headers = binary_body(noise())
    with caplog.at_level(logging.INFO, "webapp.requests"):
        codes = [client.post(INFER, data=body, headers=headers).status_code for _ in range(3)]
    assert codes == [200, 429, 429]
    assert [record.status for record in caplog.records] == [200]


def test_while_the_models_are_being_loaded_nobody_waits_for_ever(tmp_path: Path):
    write_bundle(tmp_path / "models" / "mean", mean_model())
    app = create_app({"models": [str(tmp_path / "models")], "deadline_ms": 50})
    client, serving = app.test_client(), app.extensions["inpage_serving"]
    serving.thread = threading.current_thread()  # it is looking
    body, headers = binary_body(noise())
    for answer in (client.post(INFER, data=body, headers=headers), client.get("/v2/models/mean")):
        assert (answer.status_code, answer.headers["Retry-After"], answer.json["code"]) == (503, "1", "not_ready")
    assert client.get("/v2/health/ready").status_code == 503 and client.get("/v2/health/live").status_code == 200
    waiting = [serving.patient.acquire(blocking=False) for _ in range(100)]
    app.config["INPAGE"]["deadline_ms"] = 60_000
    assert waiting.count(True) == 16 and client.get("/v2/models/mean").status_code == 503, "too many wait already"
    serving.scan()
    assert client.post(INFER, data=body, headers=headers).status_code == 200
