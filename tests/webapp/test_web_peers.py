"""Other runtimes for the lab: there where the operator has them, and nothing else of that folder."""

from pathlib import Path

import pytest

from tests.webapp.serving_helpers import mean_model, write_bundle
from webapp import create_app
from webapp.settings import SettingError


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "node_modules" / "onnxruntime-web" / "dist"
    folder.mkdir(parents=True)
    (folder / "ort.wasm.min.mjs").write_text("export {};")
    (folder / "ort-wasm.wasm").write_bytes(b"\0asm")
    (folder / "ort.js.map").write_text("{}")
    (folder / "package.json").write_text("{}")
    return tmp_path / "node_modules"


def test_files_of_the_runtime(packages: Path):
    client = create_app({"peers": str(packages)}).test_client()
    assert 'data-peers="/lab/peers/"' in client.get("/lab").text
    module = client.get("/lab/peers/onnxruntime-web/ort.wasm.min.mjs", buffered=True)
    assert (module.status_code, module.mimetype, module.text) == (200, "text/javascript", "export {};")
    assert client.get("/lab/peers/onnxruntime-web/ort-wasm.wasm", buffered=True).mimetype == "application/wasm"
    for name in ("package.json", "ort.js.map", "ort.none.mjs", "..%2fpackage.json", "ort%2f..%2fort-wasm.wasm"):
        assert client.get(f"/lab/peers/onnxruntime-web/{name}").status_code == 404


def test_models_as_onnx(packages: Path, tmp_path: Path):
    folder = write_bundle(tmp_path / "models" / "mean", mean_model(2))
    client = create_app({"peers": str(packages), "models": [str(tmp_path / "models")]}).test_client()
    assert client.get("/lab/peers/models/mean.onnx", buffered=True).data == (folder / "model.onnx").read_bytes()
    answer = client.get("/lab/peers/models/other.onnx")
    assert answer.status_code == 404
    assert "no such model with a sound model.onnx" in answer.text


def test_nothing_is_there_without_the_setting():
    client = create_app({}).test_client()
    assert "data-peers" not in client.get("/lab").text
    assert client.get("/lab/peers/models/document_corners.onnx").status_code == 404


def test_a_folder_without_the_runtime_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INPAGE_PEERS", str(tmp_path))
    with pytest.raises(SettingError, match="npm install onnxruntime-web"):
        create_app()
