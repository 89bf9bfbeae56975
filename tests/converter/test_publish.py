"""push and pull: versions appear whole, in order, once, and the log tells who put them there."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from programs import small_pir

from converter import convert, publish, signature
from converter.__main__ import main
from converter.errors import ConvertError
from webapp.models import Models


@pytest.fixture(autouse=True)
def no_web(monkeypatch):
    monkeypatch.setattr("converter.verify.web_problem", lambda: "Node is not installed")


def bundle(folder, factor=1.0, version="0.0.0", name="net"):
    p = small_pir()
    p.params["conv.w"] = p.params["conv.w"] * factor
    convert(p.save(folder / "model"), folder / "b", name=name, model_version=version, verify=False)
    return folder / "b"


def test_versions_lie_side_by_side_as_the_server_reads_them(tmp_path, capsys):
    root = tmp_path / "models"
    for number, factor in enumerate((1, 2), 1):
        assert main(["push", str(bundle(tmp_path / str(number), factor)), str(root)]) == 0
        assert capsys.readouterr().out == f"{root / 'net' / str(number)}: version {number}\n"
    found = Models([root]).versions("net")
    assert [(entry.number, entry.problem) for entry in found] == [(2, ""), (1, "")]
    assert sorted(path.name for path in (root / "net").iterdir()) == ["1", "2", "audit.jsonl"]
    assert signature.check(root / "net" / "2") == signature.check(tmp_path / "2" / "b")


def test_the_newest_version_is_not_pushed_twice(tmp_path, capsys):
    source, root = bundle(tmp_path), (tmp_path / "models").as_uri()
    assert [publish.push(source, root).new for _ in range(2)] == [True, False]
    assert main(["push", str(source), root]) == 0
    assert capsys.readouterr().out.endswith("net/1: version 1, there already\n")
    assert len(publish.audit(tmp_path / "models" / "net")) == 1


def test_a_bundle_without_a_number_is_version_one(tmp_path):
    root = tmp_path / "models"
    convert(small_pir().save(tmp_path / "m"), root / "net", name="net", verify=False)
    assert publish.push(bundle(tmp_path, 2), str(root)).number == 2
    assert [entry.number for entry in Models([root]).versions("net")] == [2, 1]


def test_a_semantic_version_stands_for_one_content(tmp_path):
    root = str(tmp_path / "models")
    publish.push(bundle(tmp_path / "a", 1, "1.0.0"), root)
    with pytest.raises(ConvertError, match=r"version 1\.0\.0 is there already as number 1, with other content"):
        publish.push(bundle(tmp_path / "b", 2, "1.0.0"), root)
    assert publish.push(tmp_path / "b" / "b", root, force=True).number == 2


def test_what_is_not_what_was_signed_is_not_pushed(tmp_path):
    source = bundle(tmp_path)
    (source / "model.json").write_text((source / "model.json").read_text() + " ")
    with pytest.raises(ConvertError, match="model.json has changed"):
        publish.push(source, str(tmp_path / "models"))
    assert not (tmp_path / "models").exists()


def test_a_push_that_fails_leaves_nothing(tmp_path, monkeypatch):
    source = bundle(tmp_path)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish.shutil, "copyfileobj", full)
    with pytest.raises(ConvertError, match="cannot write there: No space left on device"):
        publish.push(source, str(tmp_path / "models"))
    assert list((tmp_path / "models" / "net").iterdir()) == []


def test_pushes_at_once_take_numbers_of_their_own(tmp_path):
    sources, root, errors = [bundle(tmp_path / str(k), 1 + k) for k in range(6)], str(tmp_path / "models"), []

    def go(source):
        try:
            publish.push(source, root)
        except ConvertError as error:
            errors.append(error)

    threads = [threading.Thread(target=go, args=(source,)) for source in sources]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    entries = publish.audit(tmp_path / "models" / "net")
    assert not errors and sorted(entry["number"] for entry in entries) == [1, 2, 3, 4, 5, 6]
    assert len({signature.check(tmp_path / "models" / "net" / str(n))["digest"] for n in range(1, 7)}) == 6


def test_a_changed_log_shows(tmp_path):
    root = tmp_path / "models"
    for factor in (1, 2):
        publish.push(bundle(tmp_path / str(factor), factor), str(root))
    log = root / "net" / publish.AUDIT
    entry = json.loads(log.read_text().splitlines()[0])
    assert entry["action"] == "push" and entry["number"] == 1 and entry["user"] and entry["digest"]
    log.write_text(log.read_text().replace('"number": 1', '"number": 9'))
    with pytest.raises(ConvertError, match="line 2 does not follow"):
        publish.audit(root / "net")


@pytest.mark.parametrize("target, said", [("ftp://host/models", "cannot push to ftp: addresses"),
                                          ("http://127.0.0.1:9/models", "the store cannot be reached")])  # fmt: skip
def test_places_that_do_not_work(tmp_path, capsys, target, said):
    assert main(["push", str(bundle(tmp_path)), target]) == 1
    assert said in capsys.readouterr().err


# ---- a store behind http ----

class Store(BaseHTTPRequestHandler):
    """Keeps what is PUT, as a WebDAV folder does."""

    kept: dict[str, bytes] = {}
    order: list[str] = []
    read_only = False
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.read_only or self.headers.get("Authorization") != "Bearer secret":
            self.reply(501 if self.read_only else 401)
            return
        self.kept[self.path] = content
        self.order.append(self.path)
        self.reply(201)

    def do_GET(self):
        found = self.kept.get(self.path)
        self.reply(404 if found is None else 200, found or b"")

    def reply(self, status, content=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        """Quiet."""


@pytest.fixture
def store(monkeypatch):
    handler = type("Handler", (Store,), {"kept": {}, "order": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("INPAGE_STORE_TOKEN", "secret")
    handler.url = f"http://127.0.0.1:{server.server_port}/models"
    try:
        yield handler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_devices_follow_latest_json(tmp_path, store, capsys):
    for factor in (1, 2):
        publish.push(bundle(tmp_path / str(factor), factor, f"1.{factor}.0"), store.url)
    assert [path.split("/")[-1].split("-")[0] for path in store.order] == ["1", "latest.json", "2", "latest.json"]
    assert not publish.push(tmp_path / "2" / "b", store.url).new
    device = tmp_path / "device"
    assert main(["pull", f"{store.url}/net", str(device)]) == 0
    assert capsys.readouterr().out == f"{device / 'net' / '1'}: version 1\n"
    assert signature.check(device / "net" / "1") == signature.check(tmp_path / "2" / "b")
    assert publish.audit(device / "net")[0]["action"] == "pull"
    assert not publish.pull(f"{store.url}/net", device).new


def test_a_store_that_breaks_off_keeps_the_old_version(tmp_path, store):
    publish.push(bundle(tmp_path / "1", 1), store.url)
    before = store.kept["/models/net/latest.json"]
    store.read_only = True
    with pytest.raises(ConvertError, match=r"(?s)answers 501.*it takes no PUT"):
        publish.push(bundle(tmp_path / "2", 2), store.url)
    assert store.kept["/models/net/latest.json"] == before


def test_without_the_token_the_store_refuses(tmp_path, store, monkeypatch):
    monkeypatch.delenv("INPAGE_STORE_TOKEN")
    with pytest.raises(ConvertError, match="the store answers 401"):
        publish.push(bundle(tmp_path), store.url)


@pytest.mark.parametrize("change, said", [
    ({"file": "../x.tar"}, "only an archive beside it"), ({"number": "1"}, "does not name a version"),
    ({"digest": "0" * 64}, "not the one that latest.json names"), ({"file": "none.tar"}, "answers 404")])  # fmt: skip
def test_a_device_takes_nothing_else(tmp_path, store, change, said):
    publish.push(bundle(tmp_path), store.url)
    entry = json.loads(store.kept["/models/net/latest.json"])
    store.kept["/models/net/latest.json"] = json.dumps(entry | change).encode()
    with pytest.raises(ConvertError, match=said):
        publish.pull(f"{store.url}/net", tmp_path / "device")
    assert not (tmp_path / "device").exists()
