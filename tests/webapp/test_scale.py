"""The server on Ray Serve. What needs no Ray is tested always, two replicas on loopback where Ray is installed."""

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.webapp.serving_helpers import binary_body, json_request, mean_model, noise, picture_bytes, write_bundle
from webapp import create_app, settings
from webapp.scale import Scale, answer_of, environ_of

START_S = 300
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install .[scale]"
)


# ---- without Ray ----


def test_a_command_lines_words_become_numbers():
    scale = Scale.of({"min_replicas": "2", "max_replicas": "8", "cpus": "0.5", "gpus": 1})
    assert (scale.min_replicas, scale.max_replicas, scale.cpus, scale.gpus) == (2, 8, 0.5, 1)


@pytest.mark.parametrize("wrong", [{"min_replicas": "x"}, {"replicas": 2}, {"min_replicas": 5}, {"target": "0"}])
def test_words_that_make_no_sense_are_refused(wrong: dict):
    with pytest.raises(settings.SettingError):
        Scale.of(wrong)


def scope(method: str, path: str, headers: dict[str, str] | None = None) -> dict:
    """An ASGI request."""
    path, _, query = path.partition("?")
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return {"type": "http", "method": method, "path": unquote(path), "query_string": query.encode(), "headers": raw,
            "scheme": "http", "server": ("127.0.0.1", 8000), "client": ("10.0.0.9", 5555)}  # fmt: skip


def test_the_app_answers_asgi_requests_as_its_own(tmp_path: Path):
    write_bundle(tmp_path / "models/mean", mean_model())
    app = create_app({"models": [str(tmp_path / "models")]})
    body, headers = binary_body(noise())
    for method, path, sent, given in (
        ("GET", "/", b"", {}), ("GET", "/v2/models/mean", b"", {}), ("GET", "/none?x=1", b"", {}),
        ("GET", "/models/gr%C3%BCn/", b"", {}),
        ("POST", "/v2/models/mean/infer", body, headers | {"Content-Type": "application/octet-stream"}),
        ("POST", "/api/models/mean/predict", picture_bytes(), {"Content-Type": "image/png"}),
    ):  # fmt: skip
        mine = app.test_client().open(path, method=method, data=sent, headers=given)
        environ = environ_of(scope(method, path, given | {"Content-Length": str(len(sent))}), sent)
        status, raw, content = answer_of(app, environ)
        assert (status, content) == (mine.status_code, mine.data), path
        assert dict(raw)[b"content-type"].decode() == mine.headers["Content-Type"]
    assert environ_of(scope("GET", "/"), b"")["REMOTE_ADDR"] == "10.0.0.9"


# ---- with Ray ----


class Cluster:
    """`python -m webapp.scale` in a process of its own."""

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        self.process, self.port = process, port

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None) -> tuple[int, bytes]:
        """Status and body; 0 when the connection broke."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as got:
                return got.status, got.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError:
            return 0, b""

    def replicas(self) -> list[int]:
        """Process ids of the replicas that this cluster, and no other, started."""
        listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
        parents, names = {}, {}
        for line in listed.splitlines():
            pid, parent, *name = line.split(None, 2)
            parents[int(pid)], names[int(pid)] = int(parent), "".join(name)

        def mine(pid: int) -> bool:
            while pid in parents and pid > 1:
                if pid == self.process.pid:
                    return True
                pid = parents[pid]
            return False

        return [pid for pid, name in names.items() if name.startswith("ray::ServeReplica") and mine(pid)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[Cluster]:
    """Two replicas."""
    folder = tmp_path_factory.mktemp("scale")
    write_bundle(folder / "models/mean", mean_model(work=3))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "log"
    environment = {
        **os.environ, "PYTHONPATH": str(repo), "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "default",
        "INPAGE_PORT": str(port), "INPAGE_MODELS": str(folder / "models"), "INPAGE_RATE_PER_S": "0",
        "INPAGE_DEADLINE_MS": "30000",
    }  # fmt: skip
    arguments = ["--min-replicas", "2", "--max-replicas", "2", "--cpus", "0.5"]
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "-m", "webapp.scale", *arguments], cwd=folder, env=environment,
                                   stdout=out, stderr=subprocess.STDOUT)  # fmt: skip
    try:
        until = time.monotonic() + START_S
        while "Paddle InPage is at" not in log.read_text():
            assert process.poll() is None and time.monotonic() < until, log.read_text()[-4000:]
            time.sleep(0.5)
        yield Cluster(process, port)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=90)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


@needs_ray
def test_replicas_have_the_same_routes_and_answers(cluster: Cluster, tmp_path: Path):
    write_bundle(tmp_path / "models/mean", mean_model(work=3))
    client = create_app({"models": [str(tmp_path / "models")]}).test_client()
    picture, (body, headers) = picture_bytes(), binary_body(noise())
    for path in ("/", "/scanner", "/openapi.json", "/api/models", "/v2", "/v2/health/ready", "/nothing/here"):
        status, content = cluster.ask("GET", path)
        mine = client.get(path)
        assert status == mine.status_code and len(content) > 0
        if path != "/api/models":
            assert content == mine.data, path
    for path, sent, given in (
        ("/api/models/mean/predict", picture, {"Content-Type": "image/png"}),
        ("/v2/models/mean/infer", body, headers),
        ("/v2/models/mean/infer", json.dumps(json_request(noise())).encode(), {"Content-Type": "application/json"}),
        ("/v2/models/mean/infer", b"{", {"Content-Type": "application/json"}),
        ("/v2/models/none/infer", b"{}", {"Content-Type": "application/json"}),
    ):  # fmt: skip
        status, content = cluster.ask("POST", path, sent, given)
        mine = client.post(path, data=sent, headers=given)
        assert (status, content) == (mine.status_code, mine.data), path
    with socket.create_connection(("127.0.0.1", cluster.port), timeout=60) as plain:
        head = "POST /v2/models/mean/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\n"
        plain.sendall(head.encode())
        assert plain.recv(64).startswith(b"HTTP/1.1 413 ")


@needs_ray
def test_a_replica_killed_under_load_takes_only_what_it_was_running(cluster: Cluster):
    before = cluster.replicas()
    assert len(before) == 2
    threads_count, seconds = 16, 20
    statuses: Counter[int] = Counter()
    picture = picture_bytes()
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            statuses[cluster.ask("POST", "/api/models/mean/predict", picture, {"Content-Type": "image/png"})[0]] += 1

    threads = [threading.Thread(target=ask) for _ in range(threads_count)]
    for one in threads:
        one.start()
    time.sleep(seconds / 4)
    os.kill(before[0], signal.SIGKILL)
    time.sleep(3 * seconds / 4)
    ended.set()
    for one in threads:
        one.join()
    lost = sum(count for status, count in statuses.items() if status != 200)
    print(f"\none of two replicas killed: {statuses[200]} answered, {lost} lost of {threads_count} in flight")
    assert statuses[200] > 100
    assert lost <= threads_count, statuses
    until = time.monotonic() + 120
    while len(cluster.replicas()) < 2 or before[0] in cluster.replicas():
        assert time.monotonic() < until, "the replica was not replaced"
        time.sleep(1)
    assert mean_batch(cluster) > 1.2


def mean_batch(cluster: Cluster) -> float:
    """Requests that ran together, on average, in the replica that has seen most of them."""
    most = (0.0, 0.0)
    for _ in range(8):  # each question goes to either replica
        text = cluster.ask("GET", "/metrics")[1].decode()
        found = dict(re.findall(r'^inpage_batch_rows_(sum|count)\{model="mean"\} ([\d.e+]+)$', text, re.M))
        if found:
            most = max(most, (float(found["count"]), float(found["sum"])))
    print(f"requests that ran together, on average: {most[1] / max(1, most[0]):.2f}")
    return most[1] / max(1, most[0])
