"""Failures: one JSON shape for programs, one page for people, nothing of the inside in either."""

import pytest
from flask.testing import FlaskClient


@pytest.mark.parametrize("path", ["/api/nothing", "/static/nothing.js", "/models/none/model.json", "/health/none"])
def test_programs_get_json(client: FlaskClient, path: str):
    answer = client.get(path)
    assert answer.status_code == 404 and answer.is_json
    assert set(answer.json) == {"error"}
    assert answer.json["error"]["code"] == "not_found" and answer.json["error"]["where"] == path
    assert answer.headers["Cache-Control"] == "no-store"


def test_people_get_a_page(client: FlaskClient):
    answer = client.get("/nothing-here")
    assert answer.status_code == 404 and answer.mimetype == "text/html"
    assert b"There is nothing at this address" in answer.data and b'href="/"' in answer.data


def test_the_address_is_not_echoed_unescaped(client: FlaskClient):
    assert b"<script>alert" not in client.get("/<script>alert(1)</script>").data


def test_wrong_method(client: FlaskClient):
    page, program = client.post("/"), client.delete("/api/models")
    assert page.status_code == program.status_code == 405
    assert "GET" in page.headers["Allow"] and "GET" in program.headers["Allow"]
    assert program.json["error"]["code"] == "method_not_allowed"
    assert page.mimetype == "text/html"


def test_a_large_body_is_refused_from_its_header(client: FlaskClient):
    answer = client.post("/api/models", environ_overrides={"CONTENT_LENGTH": str(10**12)})
    assert answer.status_code == 413 and answer.json["error"]["code"] == "too_large"
    assert client.post("/", data=b"x" * 70_000).status_code == 413


def test_a_bug_is_logged_and_not_shown(client_of, monkeypatch, caplog: pytest.LogCaptureFixture):
    client = client_of()

    def fail():
        raise RuntimeError("secret detail")

    monkeypatch.setattr(client.application.extensions["inpage_models"], "all", fail)
    page, program = client.get("/"), client.get("/api/models")
    assert page.status_code == program.status_code == 500
    assert b"secret detail" not in page.data + program.data
    assert program.json["error"]["code"] == "internal"
    assert "secret detail" in caplog.text and "GET /api/models failed" in caplog.text


def test_health(client: FlaskClient):
    answer = client.get("/health/live")
    assert answer.json == {"status": "live"} and answer.headers["Cache-Control"] == "no-store"
