"""What every response carries, and what the pages may therefore not contain."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

PATHS = [
    "/",
    "/offline",
    "/nowhere",
    "/api/models",
    "/static/pages/base.css",
    "/static/nothing.js",
    "/service-worker.js",
]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_isolates_the_page(client: FlaskClient, path: str):
    headers = client.get(path).headers
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "camera=(self)" in headers["Permissions-Policy"]


def test_policy_allows_only_this_host(client: FlaskClient):
    policy = dict(part.split(" ", 1) for part in client.get("/").headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert policy["style-src"] == "'self'"
    assert policy["connect-src"] == policy["worker-src"] == policy["manifest-src"] == "'self'"
    assert policy["img-src"] == "'self' blob: data:"
    assert policy["media-src"] == "'self' blob:"
    assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert "unsafe-inline" not in str(policy)


def test_templates_have_nothing_inline(repo: Path):
    for path in (repo / "templates").glob("*.html"):
        text = path.read_text()
        assert "<style" not in text, path.name
        assert not re.search(r"\sstyle\s*=", text), path.name
        assert not re.search(r"\son[a-z]+\s*=\s*[\"']", text), path.name
        for attributes in re.findall(r"<script\b([^>]*)>", text):
            assert 'type="module"' in attributes and "src=" in attributes, path.name


def test_crash_answers_with_the_headers_too(client_of, monkeypatch):
    client = client_of()
    monkeypatch.setattr(client.application.extensions["inpage_models"], "all", lambda: 1 / 0)
    answer = client.get("/")
    assert answer.status_code == 500
    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
