"""Who may: other sites only when listed, keys where set, headers everywhere."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from serving_helpers import json_request, mean_model, noise, picture_bytes, write_bundle

from webapp import create_app
from webapp.settings import SettingError, read

INFER, PREDICT = "/v2/models/mean/infer", "/api/models/mean/predict"
FRIEND, STRANGER = "https://friend.example", "https://stranger.example"
KEY = "a-key-of-sufficient-length"


@pytest.fixture
def app_of(tmp_path: Path) -> Callable[..., FlaskClient]:
    def make(**settings) -> FlaskClient:
        write_bundle(tmp_path / "models" / "mean", mean_model(2))
        return create_app({"models": [str(tmp_path / "models")], "rate_per_s": 0, **settings}).test_client()

    return make


def embeddable(client: FlaskClient) -> list[str]:
    """Addresses that another site needs to run a model in its own page."""
    version = client.get("/assets.json").json["files"][0]["url"].split("/")[2]
    return ["/static/runtime/index.js", f"/static/{version}/runtime/index.js", "/static/media/image.js",
            f"/static/{version}/media/image.js", "/models/mean/model.json", "/models/mean/chunk_1.dat"]  # fmt: skip


def test_by_default_only_this_site(app_of):
    client = app_of()
    for path in [*embeddable(client), "/v2", "/api/models"]:
        headers = client.get(path).headers
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers
    for path in (INFER, PREDICT):
        for origin in (STRANGER, "null", "http://localhost.evil.example"):
            refused = client.post(path, data=b"x", headers={"Origin": origin})
            assert refused.status_code == 403
        ask = {"Origin": STRANGER, "Access-Control-Request-Method": "POST"}
        assert "Access-Control-Allow-Origin" not in client.options(path, headers=ask).headers
    assert client.get("/v2/models/mean", headers={"Origin": STRANGER}).status_code == 403
    assert client.post(INFER, json=json_request(noise()), headers={"Origin": "http://localhost"}).status_code == 200
    assert client.post(PREDICT, data=picture_bytes(), headers={"Origin": "http://localhost"}).status_code == 200


def test_listed_sites_may_load_and_run(app_of):
    client = app_of(origins=[FRIEND])
    for path in [*embeddable(client), "/v2/models/mean", "/api/models"]:
        headers = client.get(path, headers={"Origin": FRIEND}).headers
        assert headers["Access-Control-Allow-Origin"] == FRIEND, path
        assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert "Origin" in headers["Vary"]
        stranger = client.get(path, headers={"Origin": STRANGER}).headers
        assert "Access-Control-Allow-Origin" not in stranger and "Origin" in stranger["Vary"]
    answer = client.post(INFER, json=json_request(noise()), headers={"Origin": FRIEND})
    assert answer.status_code == 200 and "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
    assert client.post(INFER, json=json_request(noise()), headers={"Origin": STRANGER}).status_code == 403
    for path in ("/", "/scanner", "/static/pages/home.js", "/service-worker.js"):
        headers = client.get(path, headers={"Origin": FRIEND}).headers
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and "Access-Control-Allow-Origin" not in headers


def test_a_browser_asks_first(app_of):
    client = app_of(origins=[FRIEND])
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    answer = client.options(INFER, headers={"Origin": FRIEND, **ask})
    assert answer.status_code == 204 and answer.headers["Access-Control-Allow-Origin"] == FRIEND
    assert "X-API-Key" in answer.headers["Access-Control-Allow-Headers"]
    assert client.options(INFER, headers={"Origin": STRANGER, **ask}).headers.get("Access-Control-Allow-Origin") is None


def test_any_site_where_the_list_is_a_star(app_of):
    client = app_of(origins=["*"])
    for path in [*embeddable(client), "/v2"]:
        headers = client.get(path, headers={"Origin": STRANGER}).headers
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert client.post(INFER, json=json_request(noise()), headers={"Origin": STRANGER}).status_code == 200


PROTECTED = ["/v2/models/mean", "/v2/models/mean/ready", "/v2/models/mean/versions/1", "/api/status", "/metrics"]


def test_keys(app_of):
    client = app_of(api_keys=["another-key-of-some-length", KEY])
    for path in PROTECTED:
        refused = client.get(path)
        assert refused.status_code == 401 and refused.headers["WWW-Authenticate"] == "Bearer"
        assert client.get(path, headers={"X-API-Key": KEY}).status_code == 200
        assert client.get(path, headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
        assert client.get(path, headers={"Authorization": f"bearer {KEY}"}).status_code == 200
        for wrong in (KEY[:-1], KEY + "x", "", "é"):
            assert client.get(path, headers={"X-API-Key": wrong.encode().decode("latin-1")}).status_code == 401
    for path in (INFER, PREDICT):
        assert client.post(path, data=picture_bytes()).status_code == 401
    assert client.post(PREDICT, data=picture_bytes(), headers={"X-API-Key": KEY}).status_code == 200
    for path in ("/", "/status", "/v2", "/v2/health/live", "/v2/health/ready", "/api/models", "/openapi.json"):
        assert client.get(path).status_code == 200


def test_a_key_is_counted_wherever_it_comes_from(app_of):
    client = app_of(api_keys=[KEY, KEY + "2"], rate_per_s=1, burst=1)
    codes = [
        client.post(PREDICT, data=picture_bytes(), headers={"X-API-Key": key},
                    environ_overrides={"REMOTE_ADDR": address}).status_code
        for key, address in ((KEY, "192.0.2.1"), (KEY, "192.0.2.2"), (KEY + "2", "192.0.2.1"))
    ]  # fmt: skip
    assert codes == [200, 429, 200]


def test_keys_and_other_secrets_are_not_in_the_log(app_of, caplog: pytest.LogCaptureFixture):
    client = app_of(api_keys=[KEY])
    with caplog.at_level("DEBUG"):
        client.post(PREDICT, data=picture_bytes(), headers={"X-API-Key": KEY})
        client.post(PREDICT, data=picture_bytes(), headers={"Authorization": f"Bearer {KEY}x"})
    assert caplog.records and KEY not in caplog.text


@pytest.mark.parametrize("path", ["/v2", INFER, "/v2/models/none", "/metrics", "/openapi.json", "/status"])
def test_every_answer_has_the_headers(app_of, path: str):
    for answer in (app_of().get(path), app_of().post(path, data=b"x"), app_of().options(path)):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert len(answer.headers["X-Request-ID"]) == 32


@pytest.mark.parametrize(
    ("variable", "text", "accepts"),
    [
        ("INPAGE_API_KEYS", "short", "16 to 200"),
        ("INPAGE_ORIGINS", "friend.example", "origins such as"),
        ("INPAGE_ORIGINS", "https://a.example/path", "origins such as"),
        ("INPAGE_ORIGINS", "*,https://a.example", "origins such as"),
        ("INPAGE_ENGINES", "onnx,tensorflow", "some of tensorrt, onnx, paddle, remote"),
        ("INPAGE_ENGINES", "onnx,onnx", "some of tensorrt, onnx, paddle, remote"),
        ("INPAGE_REMOTE_URL", "10.0.0.5", "an address such as"),
        ("INPAGE_REMOTE_URL", "http://u:p@host", "an address such as"),
        ("INPAGE_LOG_FORMAT", "xml", "one of json, text"),
    ],
)
def test_settings_that_cannot_be_used(variable: str, text: str, accepts: str):
    with pytest.raises(SettingError, match=variable) as error:
        read(environ={variable: text})
    assert accepts in str(error.value)


def test_settings_that_do_not_fit_together():
    with pytest.raises(SettingError, match="INPAGE_THREADS=8 leaves no thread"):
        read(environ={"INPAGE_THREADS": "8"})
    assert read(environ={"INPAGE_THREADS": "8", "INPAGE_QUEUE": "3"})["threads"] == 8
    with pytest.raises(SettingError, match="set INPAGE_REMOTE_URL"):
        read(environ={"INPAGE_ENGINES": "onnx,remote"})
    values = read(environ={"INPAGE_ORIGINS": " https://a.example/ , https://b.example", "INPAGE_API_KEYS": KEY})
    assert values["origins"] == ["https://a.example", "https://b.example"] and values["api_keys"] == [KEY]
