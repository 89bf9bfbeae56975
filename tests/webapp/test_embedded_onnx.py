"""The embedded model on the server: its model.onnx answers as the bundle itself, and no page downloads it."""

import hashlib
import json
from pathlib import Path

import numpy as np

from converter.ops import evaluate
from converter.read.bundle import load_bundle
from webapp import create_app

NAME = "document_corners"


def test_the_server_answers_for_the_embedded_model(repo: Path):
    client = create_app().test_client()
    x = np.random.default_rng(3).uniform(-1, 1, (2, 3, 224, 224)).astype(np.float32)
    asked = {"inputs": [{"name": "image", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}]}
    answer = client.post(f"/v2/models/{NAME}/infer", json=asked)
    assert answer.status_code == 200, answer.text
    expected = evaluate(load_bundle(repo / "static" / "models" / NAME), {"image": x})
    found = {entry["name"]: np.array(entry["data"], np.float32).reshape(entry["shape"])
             for entry in answer.json["outputs"]}  # fmt: skip
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert np.abs(found[name] - array).max() < 1e-5, name


def test_model_json_carries_the_hash_of_its_onnx(repo: Path):
    folder = repo / "static" / "models" / NAME
    entry, content = json.loads((folder / "model.json").read_text())["onnx"], (folder / "model.onnx").read_bytes()
    assert entry["sha256"] == hashlib.sha256(content).hexdigest() and entry["bytes"] == len(content)


def test_no_page_downloads_it():
    client = create_app().test_client()
    kept = [entry["name"] for entry in client.get("/assets.json").json["files"]]
    assert f"models/{NAME}/chunk_1.dat" in kept
    assert not [name for name in kept if name.endswith((".onnx", "/signature.json"))]
    assert client.get(f"/models/{NAME}/model.onnx").status_code == 404
    assert client.get(f"/static/models/{NAME}/model.onnx").status_code == 404
