"""The zoo: its list, downloads from a server that serves, stalls, cuts, refuses and lies, archives that mean harm."""

import http.server
import io
import json
import re
import sys
import tarfile
import threading
import time
import zipfile

import pytest
from programs import small_legacy, small_pir

from converter import ConvertError, zoo
from converter.__main__ import main
from converter.download import Patience, fetch
from converter.read.bundle import load_bundle
from converter.signature import sha256_of
from converter.unpack import unpack

QUICK = Patience(timeout_s=0.5, attempts=3, wait_s=0.01)
PAYLOAD = bytes(range(256)) * 4096  # 1 MiB


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `files`; `tricks` is a list of what to do wrong with the next requests, then all goes well."""

    protocol_version = "HTTP/1.1"
    files, tricks, seen = {}, [], []

    def do_GET(self):
        data = self.files.get(self.path.rsplit("/", 1)[-1])
        trick = self.tricks.pop(0) if self.tricks else ""
        start = int(re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))[1])
        self.seen.append((start, trick))
        etag = '"two"' if trick == "changed" else '"one"'
        if data is None or trick.isdigit():
            self.send_error(int(trick or 404))
            return
        if trick == "no range" or self.headers.get("If-Range", etag) != etag:
            start = 0
        if start >= len(data):
            self.send_error(416)
            return
        body = data[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if trick != "no mark":
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body) + {"longer": 1000, "enormous": 10**13}.get(trick, 0)))
        self.end_headers()
        if trick == "other":
            body = body[::-1]
        if trick in ("cut", "stall", "changed later", "no mark"):
            body = body[: len(body) // 2]
        if trick == "trickle":
            for byte in body[:20]:
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)
            body = b""
        self.wfile.write(body)
        self.wfile.flush()
        if trick == "stall":
            time.sleep(1.2)
        self.close_connection = bool(trick)

    def log_message(self, *args):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that gives up on a stalling server leaves its connection: that is the test."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@pytest.fixture
def site():
    handler = type("Handler", (Server,), {"files": {"m.tar": PAYLOAD}, "tricks": [], "seen": []})
    server = Quiet(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    handler.url = f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    thread.join(5)
    server.server_close()


# downloads


def test_downloads_once(site, tmp_path):
    shown = []
    found = fetch(f"{site.url}/m.tar", tmp_path / "m.tar", None, lambda *at: shown.append(at), QUICK)
    assert (tmp_path / "m.tar").read_bytes() == PAYLOAD and found == sha256_of(tmp_path / "m.tar")
    assert shown[-1] == (len(PAYLOAD), len(PAYLOAD)) and shown == sorted(shown)
    assert fetch(f"{site.url}/m.tar", tmp_path / "m.tar", found, None, QUICK) == found
    assert len(site.seen) == 1 and not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("tricks, starts", [
    (["cut"], [0, len(PAYLOAD) // 2]),  # goes on where it stopped
    (["stall"], [0, len(PAYLOAD) // 2]),
    (["cut", "no range"], [0, len(PAYLOAD) // 2]),  # the server sends all again, from the start
    (["cut", "changed"], [0, len(PAYLOAD) // 2]),  # another version by now: If-Range makes the server start over
    (["no mark"], [0, 0]),  # without a mark nobody knows whether it is still the same file
    (["longer"], [0, len(PAYLOAD)]),  # lies about its length: 416, then all again
    (["503", "429"], [0, 0, 0]),
    (["cut", "cut", "cut", "cut", "cut"], None),  # each brought something: five failures are not five in a row
])  # fmt: skip
def test_survives(site, tmp_path, tricks, starts):
    site.tricks[:] = tricks
    fetch(f"{site.url}/m.tar", tmp_path / "m.tar", None, None, QUICK)
    assert (tmp_path / "m.tar").read_bytes() == PAYLOAD
    assert starts is None or [start for start, _ in site.seen][: len(starts)] == starts


def test_a_later_run_goes_on(site, tmp_path):
    site.tricks[:] = ["cut", "500", "500", "500"]
    with pytest.raises(ConvertError, match="failed 3 times in a row: HTTP 500.*\n.*run the command again"):
        fetch(f"{site.url}/m.tar", tmp_path / "m.tar", None, None, QUICK)
    fetch(f"{site.url}/m.tar", tmp_path / "m.tar", None, None, QUICK)
    assert (tmp_path / "m.tar").read_bytes() == PAYLOAD and site.seen[-1] == (len(PAYLOAD) // 2, "")


@pytest.mark.parametrize("tricks, message", [
    (["404"], "answers 404"),
    (["403"], "answers 403"),
    (["other"], "SHA-256 is .* is expected"),
    (["enormous"], "announces 10000001048576 bytes"),
    (["trickle"] * 3, "failed 3 times|broke|only"),
])  # fmt: skip
def test_refuses(site, tmp_path, tricks, message, monkeypatch):
    monkeypatch.setattr("converter.download._MAX_CONNECTIONS", 3)
    site.tricks[:] = tricks
    (tmp_path / "right").write_bytes(PAYLOAD)
    with pytest.raises(ConvertError, match=message):
        fetch(f"{site.url}/m.tar", tmp_path / "m.tar", sha256_of(tmp_path / "right"), None, QUICK)
    assert not (tmp_path / "m.tar").exists()


def test_nobody_there(tmp_path):
    with pytest.raises(ConvertError, match="failed 3 times in a row"):
        fetch("http://127.0.0.1:9/m.tar", tmp_path / "m.tar", None, None, QUICK)


@pytest.mark.parametrize("url", ["http://example.org/m.tar", "file:///etc/passwd", "ftp://127.0.0.1/m.tar"])
def test_only_https(tmp_path, url):
    with pytest.raises(ConvertError, match="only https"):
        fetch(url, tmp_path / "m.tar")


# archives


def tar(files, mode="w", **extra):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in extra.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize("name", ["../m", "/m", "a/../../m", "C:/m", "a\\..\\m", "/".join("abcdefghij")])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_paths_that_lead_out(tmp_path, name, kind):
    archive, out = tmp_path / "a", tmp_path / "out" / "in"
    out.mkdir(parents=True)
    if kind == "tar":
        archive.write_bytes(tar({"ok/m": b"1", name: b"2"}))
    else:
        with zipfile.ZipFile(archive, "w") as found:
            found.writestr(name, b"2")
    with pytest.raises(ConvertError, match="leads out of the archive"):
        unpack(archive, out)
    assert {file.name for file in tmp_path.rglob("*")} <= {"a", "out", "in", "ok", "m"}
    assert not (tmp_path / "m").exists() and not (tmp_path / "out" / "m").exists()


@pytest.mark.parametrize("type", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices(tmp_path, type):
    (tmp_path / "a").write_bytes(tar({"m": b""}, type=type, linkname="/etc/passwd"))
    (tmp_path / "out").mkdir()
    with pytest.raises(ConvertError, match="link or device"):
        unpack(tmp_path / "a", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_bombs(tmp_path, monkeypatch):
    monkeypatch.setattr("converter.unpack.MAX_BYTES", 1 << 20)
    monkeypatch.setattr("converter.unpack.MAX_FILES", 10)
    (tmp_path / "tar").write_bytes(tar({"m": bytes(2 << 20)}, "w:gz"))
    (tmp_path / "many").write_bytes(tar({f"m{i}": b"" for i in range(11)}))
    with zipfile.ZipFile(tmp_path / "zip", "w", zipfile.ZIP_DEFLATED) as found:
        found.writestr("m", bytes(2 << 20))
    for name in ("tar", "many", "zip"):
        (tmp_path / f"{name}.out").mkdir()
        with pytest.raises(ConvertError, match="more than any model needs"):
            unpack(tmp_path / name, tmp_path / f"{name}.out")


def test_damaged_archives(tmp_path):
    whole = tar({"m/inference.json": b"x" * 5000}, "w:gz")
    for number, data in enumerate((b"", b"not an archive", whole[:60], tar({"m": b"1", "m/n": b"2"}))):
        out = tmp_path / str(number)
        out.mkdir()
        (tmp_path / "a").write_bytes(data)
        with pytest.raises(ConvertError, match="the archive is damaged"):
            unpack(tmp_path / "a", out)


# the list and the command


def test_the_list_is_sound():
    found = zoo.entries()
    assert len({entry.name for entry in found}) == len(found) > 100
    for entry in found:
        assert entry.url.startswith("https://") and entry.file.endswith((".tar", ".zip")), entry
        assert entry.sha256 is None or re.fullmatch("[0-9a-f]{64}", entry.sha256)
    for part in ("PP-OCRv5_mobile_det", "PicoDet-S", "PP-HumanSeg", "UVDoc", "BlazeFace", "MobileNetV3_small_x1_0"):
        assert any(part in entry.name for entry in found)


def test_names(capsys):
    assert zoo.find("pp-ocrV5_MOBILE_det").name == "PP-OCRv5_mobile_det"
    with pytest.raises(ConvertError, match="did you mean.*PP-OCRv5_mobile_det"):
        zoo.find("PPOCRv5_mobile_det")
    assert main(["zoo"]) == 0
    listed = capsys.readouterr().out
    assert "text detection:\n  PP-OCRv5_mobile_det" in listed
    assert main(["zoo", "UVDoc"]) == 0
    assert "pinned at the first download" in capsys.readouterr().out
    assert main(["zoo", "-o", "x"]) == 1


@pytest.fixture
def stocked(site, tmp_path):
    """A mirror with one model of each archive kind."""
    pir, legacy = small_pir().save(tmp_path / "pir"), small_legacy().save(tmp_path / "legacy")
    packed = {f"BlazeFace_infer/{file.name}": file.read_bytes() for file in pir.iterdir()}
    site.files["BlazeFace_infer.tar"] = tar(packed)
    entry = zoo.find("PP-HumanSegV2-Lite_human_192x192")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in legacy.iterdir():
            archive.writestr(f"deep/model/{file.name}", file.read_bytes())
    site.files[entry.file] = stream.getvalue()
    return site


def command(site, tmp_path, name, *options):
    return main(["zoo", name, "-o", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--mirror", site.url,
                 "--quiet", "--no-verify", *options])


@pytest.mark.parametrize("name", ["BlazeFace", "PP-HumanSegV2-Lite_human_192x192"])
def test_downloads_and_converts(stocked, tmp_path, name):
    assert command(stocked, tmp_path, name) == 0
    assert load_bundle(tmp_path / "out").meta["name"] == name
    spec = json.loads((tmp_path / "out" / "model.json").read_text()).get("preprocess")
    assert (spec is not None and spec["mean"] == [0.5, 0.5, 0.5]) == name.startswith("PP-HumanSeg")
    assert command(stocked, tmp_path, name) == 0 and len(stocked.seen) == 1  # the second time from the cache


def test_a_server_that_sends_something_else_later(stocked, tmp_path, capsys):
    assert command(stocked, tmp_path, "BlazeFace") == 0
    archive = tmp_path / "cache" / "BlazeFace_infer.tar"
    archive.write_bytes(archive.read_bytes()[:-1] + b"!")  # the cache was damaged: downloaded again
    assert command(stocked, tmp_path, "BlazeFace") == 0 and len(stocked.seen) == 2
    archive.unlink()
    stocked.files["BlazeFace_infer.tar"] += b"more"
    assert command(stocked, tmp_path, "BlazeFace") == 1
    assert "is expected" in capsys.readouterr().err


def test_what_is_no_model_is_not_kept(site, tmp_path, capsys):
    site.files["UVDoc_infer.tar"] = tar({"UVDoc_infer/readme": b"moved"})
    assert command(site, tmp_path, "UVDoc") == 1
    assert "the archive holds no model" in capsys.readouterr().err
    assert not list((tmp_path / "cache").glob("*.tar")) and not (tmp_path / "out").exists()


def test_the_known_checksum_holds_for_mirrors_too(site, tmp_path, capsys):
    site.files["PP-OCRv5_mobile_det_infer.tar"] = tar({"m/inference.json": b"{}"})
    assert command(site, tmp_path, "PP-OCRv5_mobile_det") == 1
    assert "50446e5d01ac" in capsys.readouterr().err
