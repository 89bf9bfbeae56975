"""Small bundles made on the spot, and apps that serve them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.trt.conftest import cudart, gpu  # noqa: F401  (fixtures)
from tests.webapp.tensorrt_helpers import models_dir, options  # noqa: F401  (fixtures)
from webapp import create_app

CHUNK = bytes(range(256)) * 4


def bundle_json(chunks: dict[str, bytes], **changes: Any) -> dict[str, Any]:
    """A small valid model.json: one relu, and the given chunks."""
    return {
        "format": "paddle-inpage",
        "formatVersion": 1,
        "name": "small",
        "vars": {},
        "ops": [{"type": "feed"}, {"type": "relu"}, {"type": "fetch"}],
        "inputs": [{"name": "x", "shape": ["x.0", 3, 8, 8], "dtype": "float32"}],
        "outputs": [{"name": "y", "shape": ["x.0", 3, 8, 8], "dtype": "float32"}],
        "chunks": [
            {"file": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in chunks.items()
        ],
        "labels": ["cat", "dog"],
        "precision": "float32",
        **changes,
    }


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Write a bundle under `tmp_path / "models"`: `make_bundle(name, **changes to model.json) -> its folder`."""

    def make(name: str, **changes: Any) -> Path:
        folder = tmp_path / "models" / name
        folder.mkdir(parents=True)
        chunks = {"chunk_1.dat": CHUNK, "chunk_2.dat": CHUNK[:100]}
        for file, data in chunks.items():
            (folder / file).write_bytes(data)
        (folder / "model.json").write_text(json.dumps(bundle_json(chunks, **changes)))
        return folder

    return make


@pytest.fixture(scope="session")
def client() -> FlaskClient:
    """A client of the app as it ships."""
    return create_app().test_client()


@pytest.fixture
def client_of(tmp_path: Path) -> Callable[[], FlaskClient]:
    """A client of an app that also serves the bundles of `make_bundle`."""
    return lambda: create_app({"models": [str(tmp_path / "models")]}).test_client()
