"""What waits for one of the server's threads is on the clock too: its deadline is the client's, not the thread's."""

import socket
import time
from pathlib import Path

from tests.webapp.serving_helpers import binary_body, mean_model, noise, running_server, write_bundle
from tests.webapp.test_serve_process import INFER, ask

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
