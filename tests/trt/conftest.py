"""A machine with a (fake) GPU."""

import sys
from pathlib import Path

import pytest

from tests.trt import kit


@pytest.fixture(scope="session")
def cudart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fake libcudart."""
    return kit.compile_cudart(tmp_path_factory.mktemp("cudart"))


@pytest.fixture
def gpu(cudart: Path, monkeypatch: pytest.MonkeyPatch):
    """`tensorrt` and a GPU for this test; returns monkeypatch.setenv for the fake's knobs."""
    for name in kit.KNOBS:
        monkeypatch.delenv(name, raising=False)
    for name, value in kit.environment(cudart).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(kit.FAKE))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    yield monkeypatch.setenv
    sys.modules.pop("tensorrt", None)
