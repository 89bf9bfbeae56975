"""What the pages of who faces the screen, and their threads, may ask for: the policies say it, browsers keep to it."""

import re

import pytest


def connect_src(response) -> list[str]:
    return re.search(r"connect-src ([^;]*)", response.headers["Content-Security-Policy"])[1].split()


@pytest.mark.parametrize("path", ["/attention", "/static/pages/attention/eyes_worker.js"])
def test_page_and_thread_may_fetch_files_and_nothing_else(client, path: str):
    assert connect_src(client.get(path)) == ["localhost/static/", "localhost/service-worker.js"]


def test_a_helper_thread_may_ask_for_nothing(client):
    assert connect_src(client.get("/static/runtime/backends/wasm_helper.js")) == ["'none'"]


def test_the_page_on_the_server_may_ask_three_models_besides(client):
    allowed = connect_src(client.get("/attention/server"))
    assert allowed[:2] == connect_src(client.get("/attention"))
    assert len(allowed) == 8
    one_model = re.compile(r"localhost/(?:v2|api)/models/(?:face_detector|face_head|upper_body)/")
    assert all(one_model.fullmatch(path) for path in allowed[2:])
