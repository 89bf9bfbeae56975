"""The protocol and the picture address, through the app: answers, limits, and every refusal in the right words."""

import io
import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image, ImageCms
from serving_helpers import SPEC, binary_body, json_request, mean_model, noise, picture_bytes, write_bundle

import picture
from webapp import create_app
from webapp.engines import Engine, RunError
from webapp.logs import JsonFormatter
from webapp.tensors import read_binary_response

INFER, PREDICT = "/v2/models/mean/infer", "/api/models/mean/predict"


@pytest.fixture
def app_of(tmp_path: Path) -> Callable[..., FlaskClient]:
    """A client of an app with one model `mean` (and others that the test wrote before)."""

    def make(**settings) -> FlaskClient:
        if not (tmp_path / "models" / "mean").exists():
            write_bundle(tmp_path / "models" / "mean", mean_model(2))
        return create_app({"models": [str(tmp_path / "models")], "rate_per_s": 0, **settings}).test_client()

    return make


@pytest.fixture
def app(app_of) -> FlaskClient:
    return app_of()


def error_of(answer) -> dict:
    """The error's fields, in either shape."""
    found = answer.json["error"]
    if isinstance(found, dict):
        return found
    assert found.startswith(answer.json["message"])
    return answer.json


# ---- the protocol ----


def test_server_and_health(app: FlaskClient):
    assert app.get("/v2").json["extensions"] == ["binary_tensor_data"]
    assert app.get("/v2/health/live").json == {"live": True}
    ready = app.get("/v2/health/ready")
    assert ready.json == {"ready": True} and ready.headers["Cache-Control"] == "no-store"


def test_model_metadata(app: FlaskClient):
    for path in ("/v2/models/mean", "/v2/models/mean/versions/1"):
        model = app.get(path).json
        assert model["name"] == "mean" and model["versions"] == ["1"] and model["platform"] == "onnxruntime_onnx"
        assert model["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 3, 32, 32]}]
        assert model["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}]
        assert model["ready"] is True and model["serving"] == "1" and model["states"][0]["engine"] == "onnx"
        assert len(model["states"][0]["onnxSha256"]) == 64
        assert app.get(path + "/ready").json == {"name": "mean", "ready": True}


def test_a_model_that_cannot_run_says_why(tmp_path: Path, app_of):
    write_bundle(tmp_path / "models" / "pages", None)
    client = app_of()
    model = client.get("/v2/models/pages")
    assert model.status_code == 200 and model.json["ready"] is False and model.json["serving"] is None
    assert "no model.onnx" in model.json["reason"]
    ready = client.get("/v2/models/pages/ready")
    assert ready.status_code == 503 and "no model.onnx" in ready.json["reason"]
    refused = client.post("/v2/models/pages/infer", json=json_request(noise()))
    assert refused.status_code == 503 and error_of(refused)["code"] == "not_ready"
    assert client.get("/v2/health/ready").status_code == 200
    assert client.get("/models/pages/model.json").status_code == 200


@pytest.mark.parametrize("path", [INFER, "/v2/models/mean/versions/1/infer"])
def test_infer_in_json_and_in_binary(app: FlaskClient, path: str):
    image = noise(2)
    want = image.mean((2, 3)) * 2
    plain = app.post(path, json=json_request(image, id="7"))
    assert plain.status_code == 200 and plain.mimetype == "application/json"
    assert (plain.json["id"], plain.json["model_name"], plain.json["model_version"]) == ("7", "mean", "1")
    np.testing.assert_allclose(np.reshape(plain.json["outputs"][0]["data"], (2, 3)), want, rtol=1e-5)
    body, headers = binary_body(image, parameters={"binary_data_output": True})
    binary = app.post(path, data=body, headers=headers)
    assert binary.status_code == 200 and binary.mimetype == "application/octet-stream"
    got = read_binary_response(binary.data, binary.headers["Inference-Header-Content-Length"])["y"]
    np.testing.assert_array_equal(got, np.array(plain.json["outputs"][0]["data"], np.float32).reshape(2, 3))


@pytest.mark.parametrize(
    "path",
    ["/v2/models/none", "/v2/models/mean/versions/2", "/v2/models/mean/versions/x", "/v2/models/..",
     "/v2/models/mean/versions/" + "9" * 50, "/v2/models/%2e%2e%2fetc"],
)  # fmt: skip
def test_what_is_not_there_is_404(app: FlaskClient, path: str):
    for answer in (app.get(path), app.get(path + "/ready"), app.post(path + "/infer", json={})):
        assert answer.status_code == 404 and isinstance(answer.json["error"], str)


def test_a_wrong_request_is_400_in_the_protocols_shape(app: FlaskClient):
    answer = app.post(INFER, json=json_request(noise()[:, :2]))
    assert answer.status_code == 400 and answer.json["code"] == "invalid_request"
    assert "the model takes ['image.0', 3, 32, 32]" in answer.json["error"]


def test_what_the_engine_refuses(app_of, monkeypatch):
    client = app_of()
    client.get(INFER.removesuffix("/infer"))
    loaded = client.application.extensions["inpage_serving"].pick("mean").loaded
    for status, code in ((422, "cannot_run"), (502, "engine_failed"), (503, "engine_failed"), (504, "too_late")):

        def fail(feeds, timeout_s, status=status):
            raise RunError("The engine would not", status)

        monkeypatch.setattr(loaded.engine, "ask", fail)
        answer = client.post(INFER, json=json_request(noise()))
        assert answer.status_code == status and error_of(answer)["code"] == code


# ---- pictures ----


def rgba(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.array(image.convert("RGBA"))


@pytest.mark.parametrize(
    ("form", "kind", "options"),
    [("PNG", "image/png", {}), ("JPEG", "image/jpeg", {"quality": 90}), ("WEBP", "image/webp", {"lossless": True}),
     ("JPEG", "application/octet-stream", {}), ("PNG", "", {})],
)  # fmt: skip
def test_a_picture_gives_what_its_tensor_gives(app: FlaskClient, form: str, kind: str, options: dict):
    content = picture_bytes(300, 200, form, **options)
    answer = app.post(PREDICT, data=content, content_type=kind)
    assert answer.status_code == 200 and answer.mimetype == "application/json"
    tensor = picture.apply(picture.complete({**SPEC, "input": None}, "image"), rgba(content))
    same = app.post(INFER, json=json_request(tensor))
    assert answer.json["outputs"] == same.json["outputs"] and answer.json["model_name"] == "mean"
    assert app.post(f"{PREDICT}?version=1", data=content, content_type=kind).json == answer.json
    binary = app.post(PREDICT, data=content, content_type=kind, headers={"Accept": "application/octet-stream"})
    found = read_binary_response(binary.data, binary.headers["Inference-Header-Content-Length"])["y"]
    np.testing.assert_array_equal(found.ravel(), np.array(answer.json["outputs"][0]["data"], np.float32))


def colours(app: FlaskClient, content: bytes) -> np.ndarray:
    """Mean of each channel, 0..255."""
    answer = app.post(PREDICT, data=content, content_type="image/png")
    assert answer.status_code == 200, answer.data
    return np.array(answer.json["outputs"][0]["data"]) / 2 * 255


def saved(image: Image.Image, form: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_every_kind_of_png(app: FlaskClient, mode: str):
    image = Image.new("RGB", (40, 40), (255, 255, 255)).convert(mode)
    np.testing.assert_allclose(colours(app, saved(image)), [255] * 3, atol=0.01)


def test_sixteen_bits_and_cmyk(app: FlaskClient):
    grey = Image.fromarray(np.full((40, 40), 0x80FF, np.uint16))
    np.testing.assert_allclose(colours(app, saved(grey)), [128] * 3, atol=0.01)
    np.testing.assert_allclose(colours(app, saved(Image.new("CMYK", (40, 40)), "JPEG")), [255] * 3, atol=1)


def test_what_cannot_be_seen_has_no_colour(app: FlaskClient):
    np.testing.assert_allclose(colours(app, saved(Image.new("RGBA", (40, 40), (255, 0, 0, 0)))), [0] * 3, atol=0.01)


def test_exif_turns_the_picture(tmp_path: Path, app_of):
    spec = {**SPEC, "resize": "short", "size": [32, 32], "crop": [32, 32]}
    write_bundle(tmp_path / "models" / "mean", mean_model(2), preprocess=spec)
    pixels = np.zeros((96, 32, 3), np.uint8)
    pixels[:32] = 255  # upright, the top third is white; turned, its middle square is black
    exif = Image.Exif()
    exif[0x0112] = 6
    client = app_of()
    seen = colours(client, saved(Image.fromarray(pixels), "JPEG", exif=exif, quality=95))
    np.testing.assert_allclose(seen, [0] * 3, atol=2)


def test_wide_colours_become_srgb(app: FlaskClient):
    image = Image.new("RGB", (40, 40), (120, 200, 30))
    plain = colours(app, saved(image))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_allclose(colours(app, saved(image, icc_profile=profile)), plain, atol=0.01)
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    np.testing.assert_allclose(colours(app, saved(image, icc_profile=b"no profile")), plain, atol=0.01)
    assert colours(app, saved(image, icc_profile=lab)).shape == (3,)


NO_PICTURES = {
    "nothing": b"",
    "text": b"hello",
    "a GIF": saved(Image.new("P", (8, 8)), "GIF"),
    "a BMP": saved(Image.new("RGB", (8, 8)), "BMP"),
    "half a PNG": picture_bytes()[:200],
    "half a JPEG header": picture_bytes(form="JPEG")[:40],
    "an SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a PNG's head": b"\x89PNG\r\n\x1a\n",
}


@pytest.mark.parametrize("case", NO_PICTURES)
def test_what_is_no_picture(app: FlaskClient, case: str):
    answer = app.post(PREDICT, data=NO_PICTURES[case], content_type="image/png")
    assert answer.status_code == 400 and error_of(answer)["code"] == "not_a_picture"


def test_enormous_pictures_are_refused_before_they_are_decoded(app_of):
    client = app_of(max_megapixels=1)
    bomb = saved(Image.new("1", (30_000, 30_000)), compress_level=9)  # 900 megapixels in some kilobytes
    assert len(bomb) < 200_000
    began = time.monotonic()
    answer = client.post(PREDICT, data=bomb, content_type="image/png")
    assert answer.status_code == 413 and "30000×30000" in error_of(answer)["message"]
    assert time.monotonic() - began < 2
    assert client.post(PREDICT, data=picture_bytes(1000, 1000)).status_code == 200
    long = client.post(PREDICT, data=saved(Image.new("RGB", (20_000, 1))), content_type="image/png")
    assert long.status_code == 413 and "16384 pixels" in error_of(long)["message"]


def test_a_tensor_that_would_be_enormous_is_refused(tmp_path: Path, app_of):
    spec = {**SPEC, "size": None, "resize": "limit", "limit": {"side": 4000, "type": "min", "multiple": 32}}
    write_bundle(tmp_path / "models" / "mean", mean_model(2), preprocess=spec)
    answer = app_of().post(PREDICT, data=saved(Image.new("RGB", (16_000, 2))), content_type="image/png")
    assert answer.status_code == 413 and "the model would take" in error_of(answer)["message"].lower()


@pytest.mark.parametrize(
    ("spec", "words"),
    [(None, "does not say how"), ({**SPEC, "resize": "odd"}, "cannot be used"), ({**SPEC, "input": "x"}, "besides"),
     ({**SPEC, "std": [0, 1, 1]}, "std"), ({"size": 3}, "size")],
)  # fmt: skip
def test_a_model_without_a_picture(tmp_path: Path, app_of, spec, words: str):
    write_bundle(tmp_path / "models" / "mean", mean_model(2), preprocess=spec)
    client = app_of()
    answer = client.post(PREDICT, data=picture_bytes(), content_type="image/png")
    assert answer.status_code == 422 and words in error_of(answer)["message"]
    assert client.post(INFER, json=json_request(noise())).status_code == 200


def test_other_bodies_are_415(app: FlaskClient):
    assert app.post(PREDICT, data={"file": (io.BytesIO(picture_bytes()), "a.png")}).status_code == 415
    packed = app.post(INFER, data=b"x", headers={"Content-Encoding": "gzip"})
    assert packed.status_code == 415 and error_of(packed)["code"] == "compressed"


# ---- limits and times ----


def test_the_body_has_a_limit_of_its_own(app_of):
    client = app_of(max_infer_kb=100)
    assert client.post(PREDICT, data=bytes(99_000)).status_code == 400
    assert client.post(PREDICT, data=bytes(103_000)).status_code == 413
    endless = {"wsgi.input_terminated": True}
    answer = client.post(PREDICT, input_stream=io.BytesIO(bytes(103_000)), environ_overrides=endless)
    assert answer.status_code == 413 and error_of(answer)["code"] == "too_large"
    assert client.post("/api/models", data=bytes(70_000)).status_code == 413


def test_a_tensor_has_a_longest_side(app_of):
    answer = app_of(max_dimension=31).post(INFER, json=json_request(noise()))
    assert answer.status_code == 400 and "above 31" in answer.json["error"]


class Slow(Engine):
    """Runs when it may."""

    platform = "slow"

    def __init__(self) -> None:
        self.go, self.ran = threading.Event(), 0

    def run(self, feeds, timeout_s):
        self.go.wait(10)
        self.ran += 1
        return {"y": np.zeros((1, 3), np.float32)}

    def close(self) -> None:
        self.go.set()


def slow_app(app_of, **settings) -> tuple[FlaskClient, Slow]:
    client = app_of(**settings)
    client.get("/v2/models/mean")
    engine = Slow()
    client.application.extensions["inpage_serving"].pick("mean").loaded.engine = engine
    return client, engine


def ask_in_threads(client: FlaskClient, count: int, **options) -> tuple[list[threading.Thread], list]:
    answers: list = []
    body, headers = binary_body(noise())

    def ask() -> None:
        own = client.application.test_client()
        answers.append(own.post(INFER, data=body, headers={**headers, **options}))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, answers


def until(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


def test_above_the_queue_429_with_retry_after(app_of):
    client, engine = slow_app(app_of, runs=1, queue=2)
    gate = client.application.extensions["inpage_gate"]
    threads, answers = ask_in_threads(client, 3)
    until(lambda: gate.running + len(gate.waiting) == 3)
    body, headers = binary_body(noise())
    full = client.post(INFER, data=body, headers=headers)
    assert full.status_code == 429 and int(full.headers["Retry-After"]) >= 1 and full.json["code"] == "busy"
    assert b"inpage_queue_depth 2.0" in client.get("/metrics").data
    engine.go.set()
    for thread in threads:
        thread.join(10)
    assert [answer.status_code for answer in answers] == [200] * 3
    status = client.get("/api/status").json
    assert status["rejects"] == {"busy": 1} and status["waiting"] == status["running"] == 0
    assert status["requests"] == {"200": 3, "429": 1}


@pytest.mark.parametrize("how", ["header", "parameter", "setting"])
def test_a_request_whose_time_ran_out_does_not_run(app_of, how: str):
    client, engine = slow_app(app_of, runs=1, queue=9, deadline_ms=150 if how == "setting" else 60_000)
    gate = client.application.extensions["inpage_gate"]
    threads, answers = ask_in_threads(client, 1)
    until(lambda: gate.running == 1)
    more = {"parameters": {"timeout": 1000}} if how == "parameter" else {}
    body, headers = binary_body(noise(), **more)
    if how == "parameter":
        threading.Timer(0.1, engine.go.set).start()  # it is read when the turn comes: by then it is too late
    began = time.monotonic()
    late = client.post(INFER, data=body, headers={**headers, **({"timeout-ms": "50"} if how == "header" else {})})
    assert late.status_code == 504 and late.json["code"] == "too_late" and time.monotonic() - began < 5
    engine.go.set()
    threads[0].join(10)
    assert engine.ran == 1 and answers[0].status_code == 200
    assert client.get("/api/status").json["rejects"] == {"too_late": 1}


@pytest.mark.parametrize("text", ["0", "-5", "soon", "1.5", "", "9" * 30, "²"])
def test_an_odd_time_is_refused(app: FlaskClient, text: str):
    answer = app.post(INFER, json=json_request(noise()), headers={"timeout-ms": text.encode().decode("latin-1")})
    assert answer.status_code == 400 and "timeout-ms" in answer.json["error"]


def test_a_client_that_asks_too_often(app_of):
    client = app_of(rate_per_s=1, burst=3)
    body, headers = binary_body(noise())
    codes = [client.post(INFER, data=body, headers=headers).status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]
    refused = client.post(PREDICT, data=picture_bytes())
    assert refused.status_code == 429 and refused.headers["Retry-After"] == "1"
    other = client.post(INFER, data=body, headers=headers, environ_overrides={"REMOTE_ADDR": "192.0.2.7"})
    assert other.status_code == 200
    assert client.get("/v2/models/mean").status_code == 200


def test_one_ipv6_network_is_one_client(app_of):
    client = app_of(rate_per_s=1, burst=1)
    codes = [
        client.post(PREDICT, data=picture_bytes(), environ_overrides={"REMOTE_ADDR": address}).status_code
        for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
    ]
    assert codes == [200, 429, 200]


def test_the_client_behind_a_proxy_is_the_one_it_names(app_of):
    client = app_of(rate_per_s=1, burst=1, proxies=1)
    codes = [
        client.post(PREDICT, data=picture_bytes(), headers={"X-Forwarded-For": given}).status_code
        for given in ("203.0.113.1", "203.0.113.2", "203.0.113.9, 203.0.113.1")
    ]
    assert codes == [200, 200, 429]
    alone = app_of(rate_per_s=1, burst=1)
    codes = [
        alone.post(PREDICT, data=picture_bytes(), headers={"X-Forwarded-For": given}).status_code
        for given in ("203.0.113.1", "203.0.113.2")
    ]
    assert codes == [200, 429]


# ---- what is seen ----


def test_request_ids_come_back_and_odd_ones_are_replaced(app: FlaskClient):
    assert app.get("/v2", headers={"X-Request-ID": "abc-1.2_3"}).headers["X-Request-ID"] == "abc-1.2_3"
    assert app.get("/", headers={"X-Request-ID": "x" * 65}).headers["X-Request-ID"] != "x" * 65
    one, two = (app.get("/nowhere").headers["X-Request-ID"] for _ in range(2))
    assert one != two and len(one) == 32


def test_the_log_has_the_id_and_the_stages_and_nothing_of_the_picture(app: FlaskClient, caplog):
    content = picture_bytes(20, 20)
    with caplog.at_level(logging.INFO):
        app.post(f"{PREDICT}?version=1&secret=hidden", data=content, headers={"X-Request-ID": "seen"})
        app.get("/static/pages/base.css")
    lines = [record for record in caplog.records if record.name == "webapp.requests"]
    assert len(lines) == 1
    with app.application.test_request_context(headers={"X-Request-ID": "seen"}):
        app.application.preprocess_request()
        line = json.loads(JsonFormatter().format(lines[0]))
    assert line["request"] == "seen" and line["status"] == 200 and line["bytes"] == len(content)
    assert set(line["stagesMs"]) == {"queue", "decode", "preprocess", "infer", "encode", "total"}
    assert line["path"] == PREDICT and "hidden" not in caplog.text and line["model"] == "mean"


def test_a_crash_in_the_log_is_one_line_of_json():
    try:
        raise RuntimeError("a\nb")
    except RuntimeError as error:
        record = logging.LogRecord("x", 40, "f", 1, "bad\n%s", ("thing",), (type(error), error, error.__traceback__))
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "bad\nthing" and "RuntimeError" in json.loads(line)["exception"]


def test_metrics(app: FlaskClient):
    app.post(INFER, json=json_request(noise()))
    app.post(INFER, json={})
    app.post("/v2/models/made-up/infer", json={})
    answer = app.get("/metrics")
    text = answer.data.decode()
    assert answer.mimetype == "text/plain"
    assert 'inpage_requests_total{model="mean",route="v2.infer",status="200"} 1.0' in text
    assert 'inpage_requests_total{model="mean",route="v2.infer",status="400"} 1.0' in text
    assert 'inpage_requests_total{model="",route="v2.infer",status="404"} 1.0' in text and "made-up" not in text
    for stage in ("queue", "decode", "infer", "encode", "total"):
        assert f'inpage_stage_seconds_count{{model="mean",stage="{stage}"}}' in text
    assert 'inpage_engine{engine="onnx",model="mean",version="1"} 1.0' in text and "inpage_processes 1.0" in text


def test_status_for_the_page(app: FlaskClient):
    app.post(INFER, json=json_request(noise()))
    status = app.get("/api/status").json
    (model,) = [model for model in status["models"] if model["name"] == "mean"]
    assert model["serving"] == "1" and model["versions"][0]["ready"] is True
    assert status["requests"] == {"200": 1} and status["processes"] == 1 and status["stopping"] is False
    assert status["stages"]["infer"]["count"] == 1 and status["stages"]["infer"]["p95Ms"] > 0
    assert app.get("/status").status_code == 200


def test_stopping_is_not_ready_but_still_answers(app: FlaskClient):
    app.application.extensions["inpage_shared"].stop()
    ready = app.get("/v2/health/ready")
    assert ready.status_code == 503 and ready.json["reason"] == "the server is stopping"
    assert app.get("/v2/health/live").status_code == 200
    assert app.post(INFER, json=json_request(noise())).status_code == 200
