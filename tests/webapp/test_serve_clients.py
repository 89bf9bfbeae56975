"""Other people's clients and servers: Triton's client against this server, and this server in front of another."""

import socket
import threading
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from serving_helpers import json_request, mean_model, noise, picture_bytes, write_bundle
from tritonclient.utils import InferenceServerException

from webapp import create_app
from webapp.engines import EngineError, Options, RunError, remote
from webapp.models import Models
from webapp.tensors import NAMES


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "models" / "mean" / "1", mean_model(1))
    write_bundle(tmp_path / "models" / "mean" / "2", mean_model(2))
    write_bundle(tmp_path / "models" / "pages", None)
    return tmp_path / "models"


@pytest.fixture
def address(models: Path, serving) -> str:
    with serving(create_app({"models": [str(models)], "rate_per_s": 0})) as url:
        yield url


@pytest.fixture
def client(address: str) -> triton.InferenceServerClient:
    made = triton.InferenceServerClient(address.removeprefix("http://"), concurrency=2)
    yield made
    made.close()


def tensor(array: np.ndarray, binary: bool = True, name: str = "image") -> triton.InferInput:
    made = triton.InferInput(name, array.shape, NAMES[array.dtype.name])
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def test_triton_health_and_metadata(client: triton.InferenceServerClient):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("mean") and client.is_model_ready("mean", "1")
    assert not client.is_model_ready("mean", "3")
    assert not client.is_model_ready("pages") and not client.is_model_ready("none")
    assert client.get_server_metadata()["name"] == "paddle-inpage"
    metadata = client.get_model_metadata("mean")
    assert metadata["versions"] == ["1", "2"] and metadata["inputs"][0]["datatype"] == "FP32"


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("wanted", [True, False, None])
def test_triton_infers(client: triton.InferenceServerClient, sent: bool, wanted: bool | None):
    image = noise(3)
    outputs = None if wanted is None else [triton.InferRequestedOutput("y", binary_data=wanted)]
    result = client.infer("mean", [tensor(image, sent)], outputs=outputs, request_id="id 7", timeout=5_000_000)
    np.testing.assert_allclose(result.as_numpy("y"), image.mean((2, 3)) * 2, rtol=1e-5)
    assert result.get_response()["id"] == "id 7" and result.get_response()["model_version"] == "2"
    first = client.infer("mean", [tensor(image, sent)], model_version="1").as_numpy("y")
    np.testing.assert_allclose(first, image.mean((2, 3)), rtol=1e-5)


def test_triton_infers_in_the_background(client: triton.InferenceServerClient):
    image = noise()
    asked = [client.async_infer("mean", [tensor(image)]) for _ in range(5)]
    for one in asked:
        np.testing.assert_allclose(one.get_result().as_numpy("y"), image.mean((2, 3)) * 2, rtol=1e-5)


def test_triton_understands_what_went_wrong(client: triton.InferenceServerClient):
    for name, wrong, words in (
        ("none", tensor(noise()), "There is no model 'none'"),
        ("pages", tensor(noise()), "no model.onnx"),
        ("mean", tensor(noise(), name="other"), "the model takes ['image']"),
        ("mean", tensor(noise().astype(np.float64)), "the model takes FP32"),
    ):
        with pytest.raises(InferenceServerException) as error:
            client.infer(name, [wrong])
        assert words in str(error.value)
    with pytest.raises(InferenceServerException, match="classification"):
        client.infer("mean", [tensor(noise())], outputs=[triton.InferRequestedOutput("y", class_count=2)])


# ---- this server in front of another ----


def bundle(models: Path):
    return Models([models]).versions("mean")[0]


def test_a_model_runs_on_another_server(models: Path, address: str, tmp_path: Path):
    front = write_bundle(tmp_path / "front" / "mean", None).parent
    app = create_app({"models": [str(front)], "engines": ["onnx", "remote"], "remote_url": address, "rate_per_s": 0})
    client = app.test_client()
    model = client.get("/v2/models/mean").json
    assert model["platform"] == "remote" and model["states"][0]["engine"] == "remote"
    assert model["states"][0]["enginesRefused"] == ["onnx: the bundle has no model.onnx"]
    image = noise(2)
    answer = client.post("/v2/models/mean/infer", json=json_request(image))
    np.testing.assert_allclose(np.reshape(answer.json["outputs"][0]["data"], (2, 3)), image.mean((2, 3)) * 2, rtol=1e-5)
    assert client.post("/api/models/mean/predict", data=picture_bytes()).status_code == 200


def test_connections_are_kept_and_closed(models: Path, address: str):
    engine = remote.load(bundle(models), Options(remote_url=address))
    for _ in range(3):
        engine.run({"image": noise()}, 5)
    assert len(engine.idle) <= 1
    engine.close()
    assert not engine.idle


def test_another_server_that_has_not_this_model(models: Path, address: str, tmp_path: Path):
    other = Models([write_bundle(tmp_path / "o" / "unknown", None).parent]).versions("unknown")[0]
    with pytest.raises(EngineError, match="answers 404") as error:
        remote.load(other, Options(remote_url=address))
    assert error.value.passing
    renamed = write_bundle(
        tmp_path / "r" / "mean", None, outputs=[{"name": "z", "shape": [1], "dtype": "float32"}]
    ).parent
    with pytest.raises(EngineError, match=r"has a model of this name with the outputs \['y'\]"):
        remote.load(Models([renamed]).versions("mean")[0], Options(remote_url=address))


def read_request(client: socket.socket) -> None:
    """All of it: a connection that is closed with something unread is reset."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += client.recv(65536)
    head, _, body = seen.partition(b"\r\n\r\n")
    left = int(head.lower().partition(b"content-length:")[2].split()[0]) - len(body)
    while left > 0:
        left -= len(client.recv(65536))


class Fake:
    """A server that answers every connection with the same bytes, or not at all."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer, self.kept = answer, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.answer is None:
                self.kept.append(client)
                continue
            with client:
                client.settimeout(5)
                read_request(client)
                client.sendall(self.answer)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)
        for client in self.kept:
            client.close()


def http(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n".encode() + body


FAULTS = {
    "silent": (None, 504, "did not answer within"),
    "not HTTP": (b"hello\r\n\r\n", 502, "cannot be reached"),
    "hangs up": (b"", 502, "cannot be reached"),
    "half an answer": (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", 502, "cannot be read"),
    "500": (http(b"{}", "500 Oops"), 502, "answered 500"),
    "400": (http(b"{}", "400 Bad"), 502, "answered 400"),
    "429": (http(b"{}", "429 Busy"), 429, "answered 429"),
    "503": (http(b"{}", "503 Busy"), 503, "answered 503"),
    "no JSON": (http(b"<html>"), 502, "cannot be read"),
    "too few bytes": (
        http(b'{"outputs":[{"name":"y","datatype":"FP32","shape":[3],"parameters":{"binary_data_size":12}}]}xx'),
        502, "cannot be read",
    ),
    "a list": (http(b"[]"), 502, "cannot be read"),
    "too much": (http(b" " * 3000), 502, "larger than 2000"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_another_server_with_a_fault(case: str):
    answer, status, words = FAULTS[case]
    fake = Fake(answer)
    try:
        engine = remote.RemoteEngine("mean", ["y"], Options(remote_url=fake.url, max_answer_bytes=2000))
        with pytest.raises(RunError, match=words) as error:
            engine.run({"image": noise()}, 0.3)
        assert error.value.status == status
        engine.close()
    finally:
        fake.close()


def test_another_server_that_is_away(models: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(EngineError, match="cannot be reached") as error:
        remote.load(bundle(models), Options(remote_url=url, remote_timeout_s=1))
    assert error.value.passing
