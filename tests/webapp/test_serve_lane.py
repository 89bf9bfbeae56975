"""The short way of binary requests answers as the long way through Flask does, and leaves to it what is not plain."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.webapp.serving_helpers import binary_body, mean_model, noise, running_server, write_bundle
from tests.webapp.test_serve_process import INFER, ask, ready, until
from webapp import create_app
from webapp.errors import AnswerError
from webapp.lane import Lane
from webapp.plain import Plain
from webapp.tensors import read_binary_response

VARYING = {"date", "x-request-id", "connection", "server"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("lane")
    write_bundle(found / "models/mean", mean_model())
    return found


def test_both_ways_give_the_same_answer_headers_log_and_figures(folder: Path, repo: Path):
    short, headers = binary_body(noise(2), id="mine", parameters={"binary_data_output": True})
    json_too, its_headers = binary_body(noise(2), id="mine")
    long = {"Authorization": "Bearer nobody asks for it"}  # unusual, so it goes the long way
    with running_server(folder, repo, drain_s=0) as server:
        for body, given in ((short, headers), (json_too, its_headers)):
            one = ask(server.port, "POST", INFER, body, {**given, "X-Request-ID": "one"})
            two = ask(server.port, "POST", INFER, body, {**given, **long, "X-Request-ID": "two"})
            assert one[0] == two[0] == 200 and one[2] == two[2]
            assert {k.lower(): v for k, v in one[1].items() if k.lower() not in VARYING} == {
                k.lower(): v for k, v in two[1].items() if k.lower() not in VARYING
            }
            assert (one[1]["X-Request-ID"], two[1]["X-Request-ID"]) == ("one", "two")
        figures = ask(server.port, "GET", "/metrics")[2].decode()
    lines = [line for line in server.lines() if line.get("request") in ("one", "two")]
    assert len(lines) == 4
    assert {frozenset(line) for line in lines} == {frozenset(lines[0])}, "the lines of both ways hold the same"
    assert {frozenset(line["stagesMs"]) for line in lines} == {frozenset(lines[0]["stagesMs"])}
    assert 'inpage_requests_total{model="mean",route="v2.infer",status="200"} 4.0' in figures


def test_each_request_has_its_own_numbers(lane_server):
    for seed in (1, 2, 3):
        body, headers = binary_body(noise(seed=seed), parameters={"binary_data_output": True})
        _, found, content = ask(lane_server.port, "POST", INFER, body, headers)
        result = read_binary_response(content, found["Inference-Header-Content-Length"])["y"]
        np.testing.assert_allclose(result, noise(seed=seed).mean((2, 3)), rtol=1e-5)
    status, _, content = ask(lane_server.port, "POST", INFER, body + b"more", headers)
    assert status == 400 and b"4 bytes follow" in content


def test_each_of_many_clients_has_its_own_numbers_though_they_run_together(tmp_path: Path, repo: Path):
    write_bundle(tmp_path / "models/mean", mean_model(work=1))
    with running_server(tmp_path, repo, drain_s=0) as server, ThreadPoolExecutor(12) as clients:
        until(lambda: ready(server))

        def client(seed: int) -> float:
            body, headers = binary_body(noise(seed=seed), parameters={"binary_data_output": True})
            connection, worst = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30), 0.0
            for _ in range(12):
                connection.request("POST", INFER, body, headers)
                answer = connection.getresponse()
                found = read_binary_response(answer.read(), answer.headers["Inference-Header-Content-Length"])["y"]
                worst = max(worst, float(np.abs(found - noise(seed=seed).mean((2, 3))).max()))
            connection.close()
            return worst

        assert max(clients.map(client, range(12))) < 1e-5
        assert json.loads(ask(server.port, "GET", "/api/status")[2])["batches"]["mean"]["meanRows"] > 1


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda body, headers: (body[:-4], headers), 400),
        (lambda body, headers: (body, {"Inference-Header-Content-Length": "5"}), 400),
        (lambda body, headers: (body.replace(b"FP32", b"FP64"), headers), 400),
        (lambda body, headers: (body, {**headers, "timeout-ms": "soon"}), 400),
        (lambda body, headers: (body, {**headers, "Origin": "https://elsewhere.test"}), 403),
        (lambda body, headers: (body, {**headers, "Content-Encoding": "gzip"}), 415),
    ],
)
def test_what_goes_wrong_is_told_in_the_words_of_the_long_way(folder: Path, lane_server, spoil, status: int):
    body, headers = spoil(*binary_body(noise()))
    got, _, content = ask(lane_server.port, "POST", INFER, body, headers)
    mine = create_app({"models": [str(folder / "models")]}).test_client().post(INFER, data=body, headers=headers)
    assert (got, mine.status_code) == (status, status)
    assert json.loads(content) == mine.json


@pytest.fixture(scope="module")
def lane_server(folder: Path, repo: Path):
    with running_server(folder, repo, drain_s=0) as server:
        until(lambda: ready(server))
        yield server


def test_a_client_that_asks_too_often_is_told_so(folder: Path, repo: Path):
    body, headers = binary_body(noise())
    with running_server(folder, repo, rate_per_s=1, burst=3, drain_s=0) as server:
        statuses = [ask(server.port, "POST", INFER, body, headers)[0] for _ in range(6)]
    assert statuses[:3] == [200] * 3 and 429 in statuses[3:]


def test_a_refusal_is_the_same_in_both_ways(folder: Path, repo: Path):
    body, headers = binary_body(noise())
    long = {**headers, "Authorization": "Bearer nobody asks for it"}
    with running_server(folder, repo, rate_per_s=1, burst=1, drain_s=0) as server:
        ask(server.port, "POST", INFER, body, headers)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        found = []
        for given in (headers, long):
            connection.request("POST", INFER, body, given)
            answer = connection.getresponse()
            found.append((answer.status, answer.headers["Retry-After"], json.loads(answer.read())))
            sent = connection.sock
        assert connection.sock is sent is not None, "kept, though the body was not read"
        connection.close()
        figures = json.loads(ask(server.port, "GET", "/api/status")[2])
    assert found[0] == found[1] and found[0][:2] == (429, "1")
    assert figures["rejects"] == {"rate": 2} and figures["requests"] == {"200": 1, "429": 2}


PLAIN = Plain(INFER, "mean", 500, 100, None, "", ())


def test_only_plain_requests_take_the_short_way(folder: Path):
    app = create_app({"models": [str(folder / "models")]})
    assert not Lane(app).fits(PLAIN), "no model was looked at yet"
    app.extensions["inpage_serving"].scan()
    assert Lane(app).fits(PLAIN)
    assert not Lane(app).fits(replace(PLAIN, model="none")) and not Lane(app).fits(replace(PLAIN, length=17 << 20))
    for settings in ({"api_keys": ["k" * 20]}, {"origins": ["https://x.test"]}):
        strict = create_app({"models": [str(folder / "models")], **settings})
        strict.extensions["inpage_serving"].scan()
        assert not Lane(strict).fits(PLAIN)


def test_a_bug_is_logged_whole_and_told_in_one_sentence(folder: Path, caplog: pytest.LogCaptureFixture):
    app = create_app({"models": [str(folder / "models")]})
    app.extensions["inpage_serving"].scan()

    class Odd:
        first = memoryview(b"")

        def whole(self) -> memoryview:
            raise ZeroDivisionError("secret")

    status, _, content = Lane(app).answer(PLAIN, "10.0.0.1", time.monotonic(), Odd())
    assert status == 500 and json.loads(content)["code"] == "internal" and b"secret" not in content
    assert "ZeroDivisionError: secret" in caplog.text


def test_clients_behind_proxies_are_told_apart(folder: Path):
    app = create_app({"models": [str(folder / "models")], "proxies": 1, "rate_per_s": 1, "burst": 1})
    lane = Lane(app)
    one, two = replace(PLAIN, forwarded=("6.6.6.6", "10.0.0.1")), replace(PLAIN, forwarded=("10.0.0.2",))
    for plain in (one, two):
        lane.take_token(plain, "127.0.0.1")
    with pytest.raises(AnswerError) as error:
        lane.take_token(replace(one, forwarded=("7.7.7.7", "10.0.0.1")), "127.0.0.1")
    assert error.value.status == 429
    lane.take_token(PLAIN, "127.0.0.1")
