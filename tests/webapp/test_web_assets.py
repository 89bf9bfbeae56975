"""Static files: addresses by content, caching, compression, and what is not served."""

import gzip
from pathlib import Path

import brotli
import pytest
from flask.testing import FlaskClient

from webapp.assets import Assets, deployed

CSS = "pages/base.css"


def hashed(client: FlaskClient, name: str) -> str:
    return client.application.extensions["inpage_assets"].url(name)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small static folder."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.js").write_text("export const x = 1;")
    (tmp_path / "a" / "kernel.c").write_text("int x;")
    (tmp_path / "y.css").write_text("p { margin: 0 }")
    return tmp_path


def test_hashed_address_never_changes_and_plain_one_is_revalidated(client: FlaskClient):
    immutable, plain = client.get(hashed(client, CSS)), client.get(f"/static/{CSS}")
    assert immutable.status_code == plain.status_code == 200
    assert immutable.data == plain.data
    assert immutable.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert plain.headers["Cache-Control"] == "public, max-age=0, must-revalidate"


def test_hash_follows_content_not_time(tree: Path):
    before = Assets(tree).tree.version
    (tree / "a" / "x.js").touch()
    (tree / "a" / "kernel.c").write_text("int y;")
    assert Assets(tree).tree.version == before
    (tree / "a" / "x.js").write_text("export const x = 2;")
    assert Assets(tree).tree.version != before


def test_renaming_changes_the_hash(tree: Path):
    before = Assets(tree).tree.version
    (tree / "y.css").rename(tree / "z.css")
    assert Assets(tree).tree.version != before


def test_reload_notices_an_edit_and_its_absence_does_not(tree: Path):
    fixed, watching = Assets(tree), Assets(tree, reload=True)
    old, watched = fixed.url("y.css"), watching.url("y.css")
    (tree / "y.css").write_text("p { margin: 1px }")
    assert fixed.url("y.css") == old
    assert watching.url("y.css") != watched
    asset, _ = watching.find("y.css") or pytest.fail("y.css is gone")
    assert asset.plain == b"p { margin: 1px }"


def test_a_file_that_a_template_names_must_exist(tree: Path):
    assets = Assets(tree)
    assert assets.url("a/").endswith("/a/")
    for name in ("a/none.js", "b/", "a/kernel.c"):
        with pytest.raises(KeyError, match="does not exist or is not deployed"):
            assets.url(name)


def test_an_old_hash_is_gone_rather_than_mixed(client: FlaskClient):
    answer = client.get(f"/static/0123456789abcdef/{CSS}")
    assert answer.status_code == 404
    assert "reload" in answer.json["error"]["hint"]


def test_compression_is_negotiated(client: FlaskClient):
    plain = client.get(f"/static/{CSS}")
    assert "Content-Encoding" not in plain.headers
    with_brotli = client.get(f"/static/{CSS}", headers={"Accept-Encoding": "gzip, deflate, br"})
    with_gzip = client.get(f"/static/{CSS}", headers={"Accept-Encoding": "gzip"})
    assert with_brotli.headers["Content-Encoding"] == "br"
    assert with_gzip.headers["Content-Encoding"] == "gzip"
    assert brotli.decompress(with_brotli.data) == gzip.decompress(with_gzip.data) == plain.data
    assert len(with_brotli.data) < len(with_gzip.data) < len(plain.data) / 2
    assert all("Accept-Encoding" in answer.headers["Vary"] for answer in (plain, with_brotli, with_gzip))
    assert len({answer.headers["ETag"] for answer in (plain, with_brotli, with_gzip)}) == 3


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [("br;q=0, gzip", "gzip"), ("br;q=0.2, gzip;q=0.9", "gzip"), ("identity", None), ("br;q=0, gzip;q=0", None)],
)
def test_the_visitors_preference_counts(client: FlaskClient, accepted: str, expected: str | None):
    answer = client.get(f"/static/{CSS}", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == expected


@pytest.mark.parametrize("accepted", ["br", "gzip", "identity"])
def test_an_unchanged_file_is_not_sent_again(client: FlaskClient, accepted: str):
    first = client.get(f"/static/{CSS}", headers={"Accept-Encoding": accepted})
    headers = {"Accept-Encoding": accepted, "If-None-Match": first.headers["ETag"]}
    again = client.get(f"/static/{CSS}", headers=headers)
    assert (again.status_code, again.data) == (304, b"")
    other = client.get(f"/static/{CSS}", headers={**headers, "If-None-Match": '"something else"'})
    assert other.status_code == 200


def test_pages_are_compressed_and_revalidated(client: FlaskClient):
    first = client.get("/", headers={"Accept-Encoding": "br"})
    assert first.headers["Content-Encoding"] == "br" and first.headers["Cache-Control"] == "no-cache"
    assert b"Paddle InPage" in brotli.decompress(first.data)
    again = client.get("/", headers={"Accept-Encoding": "br", "If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("pages/home.js", "text/javascript; charset=utf-8"),
        ("pages/base.css", "text/css; charset=utf-8"),
        ("pages/icons/icon.svg", "image/svg+xml"),
        ("pages/icons/icon-192.png", "image/png"),
    ],
)
def test_types(client: FlaskClient, name: str, mime: str):
    assert client.get(f"/static/{name}").headers["Content-Type"] == mime


def test_webassembly_and_weights_have_their_types(tmp_path: Path, client: FlaskClient):
    (tmp_path / "k.wasm").write_bytes(b"\0asm\1\0\0\0")
    (tmp_path / "chunk_1.dat").write_bytes(b"1234")
    files = Assets(tmp_path).tree.files
    with client.application.test_request_context(headers={"Accept-Encoding": "br"}):
        wasm, weights = files["k.wasm"].respond("no-cache"), files["chunk_1.dat"].respond("no-cache")
    assert (wasm.content_type, wasm.headers["Content-Encoding"]) == ("application/wasm", "br")
    assert weights.content_type == "application/octet-stream" and "Content-Encoding" not in weights.headers


@pytest.mark.parametrize(
    "name",
    ["runtime/ops/conv/kernel.c", "wasm/simd.h", "wasm/build.py", "a/x.test.js", ".hidden.js", "__x__/a.js",
     ".git/a.json", "package.json", "notes.md", "x"],
)  # fmt: skip
def test_sources_and_tests_are_not_deployed(name: str):
    assert not deployed(Path(name))


def test_no_source_of_the_real_tree_is_served(client: FlaskClient, repo: Path):
    sources = [p for p in (repo / "static").rglob("*") if p.suffix in {".c", ".h", ".py", ".md"}]
    for path in sources:
        assert client.get(f"/static/{path.relative_to(repo / 'static').as_posix()}").status_code == 404
    assert client.get("/static/package.json").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["../pyproject.toml", "..%2fpyproject.toml", "%2e%2e/pyproject.toml", "pages/../../pyproject.toml", "/etc/hostname",
     "pages//base.css", "pages/base.css/", "pages", "", "pages%00/base.css", "..\\pyproject.toml", "pages/./base.css"],
)  # fmt: skip
def test_no_way_out_of_the_tree(client: FlaskClient, path: str):
    for prefix in ("/static/", hashed(client, "pages/")):
        answer = client.get(prefix + path)
        assert answer.status_code in (404, 308), (prefix + path, answer.status_code)
        assert b"[project]" not in answer.data


def test_only_reading_is_possible(client: FlaskClient):
    assert client.put(f"/static/{CSS}", data=b"x").status_code == 405
    head = client.head(f"/static/{CSS}")
    assert head.status_code == 200 and head.data == b"" and int(head.headers["Content-Length"]) > 0
