"""deploy/nginx.conf in front of the real server: Debian's nginx, on free ports, with nothing of the system touched."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.webapp.serving_helpers import Server, mean_model, picture_bytes, running_server, write_bundle

MAIN = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/main.error.log;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Proxy:
    """A running nginx: requests to it over TLS."""

    def __init__(self, folder: Path, plain: int, secure: int, server: Server) -> None:
        self.folder, self.plain, self.secure, self.server = folder, plain, secure, server
        self.context = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> http.client.HTTPResponse:
        """One request; the answer is read to its end, its body is in `.content`."""
        connection = http.client.HTTPSConnection("localhost", self.secure, timeout=30, context=self.context)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        answer.content = answer.read()
        connection.close()
        return answer

    def predict(self, body: bytes, **headers: str) -> http.client.HTTPResponse:
        """A picture's result."""
        return self.ask("POST", "/api/models/mean/predict", body, Content_Type="image/png", **headers)


def write_site(repo: Path, folder: Path, plain: int, secure: int, backend: int) -> None:
    """The shipped file with this test's ports and paths, and nothing else changed."""
    site = (repo / "deploy/nginx.conf").read_text()
    for shipped, here in {
        "server 127.0.0.1:8000;": f"server 127.0.0.1:{backend};",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{secure} ssl http2;",
        "/etc/ssl/inpage/": f"{folder}/",
        "/var/log/nginx/": f"{folder}/",
    }.items():
        assert shipped in site, f"deploy/nginx.conf no longer has {shipped!r}"
        site = site.replace(shipped, here)
    (folder / "site.conf").write_text(site)
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[Server]:
    """The real server, believing one proxy."""
    folder = tmp_path_factory.mktemp("backend")
    write_bundle(folder / "models/mean", mean_model())
    with running_server(folder, repo, proxies=1, drain_s=0, rate_per_s=1, burst=20) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(backend: Server, tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[Proxy]:
    """nginx in front of it."""
    folder = tmp_path_factory.mktemp("nginx")
    nginx = subprocess.run([repo / ".ci/find-nginx"], capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "privkey.pem",
         "-out", folder / "fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    plain, secure = free_port(), free_port()
    write_site(repo, folder, plain, secure, backend.port)
    command = [nginx, "-p", str(folder), "-e", f"{folder}/start.error.log", "-c", str(folder / "nginx.conf")]
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert tried.returncode == 0 and "[warn]" not in tried.stderr, tried.stderr
    process = subprocess.Popen(command)
    try:
        running = Proxy(folder, plain, secure, backend)
        until = time.monotonic() + 20
        while True:
            try:
                assert running.ask("GET", "/v2/health/live").status == 200
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < until, (folder / "main.error.log").read_text()
                time.sleep(0.05)
        yield running
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(timeout=20)


def test_plain_http_leads_to_https(proxy: Proxy):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.plain, timeout=10)
    connection.request("GET", "/scanner?x=1", headers={"Host": "inpage.example.org"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, "https://inpage.example.org/scanner?x=1")
    connection.close()


def test_pages_come_as_the_server_sent_them(proxy: Proxy):
    answer = proxy.ask("GET", "/scanner", Accept_Encoding="br, gzip")
    assert answer.status == 200 and answer.headers["Content-Encoding"] == "br" and answer.headers["ETag"]
    assert answer.headers.get_all("Cross-Origin-Opener-Policy") == ["same-origin"]
    assert answer.headers["Strict-Transport-Security"]
    again = proxy.ask("GET", "/scanner", Accept_Encoding="br, gzip", If_None_Match=answer.headers["ETag"])
    assert again.status == 304


def test_a_picture_of_some_megabytes_is_answered_and_never_on_a_disk(proxy: Proxy):
    picture = picture_bytes(1200, 900, "PNG")
    assert 3e6 < len(picture) < 16e6
    answer = proxy.predict(picture)
    assert answer.status == 200 and json.loads(answer.content)["outputs"][0]["name"] == "y"
    log = (proxy.folder / "inpage.error.log").read_text()
    assert "temporary file" not in log
    assert not any(path.is_file() for path in (proxy.folder / "body").rglob("*"))


def test_what_is_too_large_is_refused_before_it_is_sent(proxy: Proxy):
    with socket.create_connection(("127.0.0.1", proxy.secure)) as plain:
        secure = proxy.context.wrap_socket(plain, server_hostname="localhost")
        head = "POST /api/models/mean/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\n"
        secure.sendall(head.encode())
        assert secure.recv(64).startswith(b"HTTP/1.1 413 ")
        secure.close()


def test_one_id_runs_through_both_logs_and_the_answer(proxy: Proxy):
    given = proxy.predict(picture_bytes(), X_Request_ID="my-own-id")
    made = proxy.predict(picture_bytes())
    assert given.headers["X-Request-ID"] == "my-own-id"
    found = made.headers["X-Request-ID"]
    assert len(found) == 32
    assert {"my-own-id", found} <= {line.get("request") for line in proxy.server.lines()}
    until = time.monotonic() + 20
    while not all(name in (access := (proxy.folder / "inpage.log").read_text()) for name in ("my-own-id", found)):
        assert time.monotonic() < until, access  # nginx writes after it has answered
        time.sleep(0.05)
    assert all(line.startswith("127.0.0.0 [") for line in access.splitlines()), "the network, not the address"


def test_only_pages_of_this_very_address_may_run_models(proxy: Proxy):
    picture = picture_bytes()
    assert proxy.predict(picture, Origin=f"https://localhost:{proxy.secure}").status == 200
    assert proxy.predict(picture, Origin="https://localhost").status == 403


def test_a_client_cannot_hide_behind_an_address_of_its_own_making(proxy: Proxy):
    statuses = [proxy.predict(picture_bytes(), X_Forwarded_For=f"10.1.2.{i}").status for i in range(30)]
    assert 429 in statuses and set(statuses) <= {200, 429}


def test_figures_are_for_this_machine(proxy: Proxy, repo: Path):
    assert b"inpage_requests" in proxy.ask("GET", "/metrics").content
    assert "deny all;" in (repo / "deploy/nginx.conf").read_text()


def test_a_server_that_is_away_is_told_to_programs_in_their_words(proxy: Proxy, tmp_path: Path, repo: Path):
    folder, gone = tmp_path, free_port()
    plain, secure = free_port(), free_port()
    for name in ("privkey.pem", "fullchain.pem"):
        (folder / name).write_bytes((proxy.folder / name).read_bytes())
    write_site(repo, folder, plain, secure, gone)
    nginx = subprocess.run([repo / ".ci/find-nginx"], capture_output=True, text=True, check=True).stdout.strip()
    process = subprocess.Popen([nginx, "-p", str(folder), "-e", f"{folder}/e.log", "-c", str(folder / "nginx.conf")])
    try:
        lonely = Proxy(folder, plain, secure, proxy.server)
        until = time.monotonic() + 20
        while True:
            try:
                answer = lonely.predict(picture_bytes())
                break
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.05)
        assert answer.status == 503 and answer.headers["Retry-After"] == "5"
        assert json.loads(answer.content)["error"]["code"] == "away"
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(timeout=20)
