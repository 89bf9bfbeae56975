"""A server's models with a fake GPU: looked at, built for, asked."""

import time
from pathlib import Path

import numpy as np
import pytest

from tests.webapp.serving_helpers import noise
from webapp.engines import Options, builds
from webapp.models import Models
from webapp.serving import Serving


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def options(tmp_path: Path):
    """Options with a cache of this test's own."""
    yield lambda **more: Options(trt_cache=str(tmp_path / "engines"), **more)
    for build in list(builds.builds.values()):
        build.cancel()
        build.thread.join(20)
    builds.builds.clear()


def serving_of(models_dir: Path, options: Options, order=("tensorrt", "onnx")) -> Serving:
    serving = Serving(Models([models_dir]), list(order), options)
    serving.scan()
    return serving


def until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def looked(serving: Serving, condition) -> None:
    """Look at the disk until something is so."""

    def now() -> bool:
        serving.scan()
        return condition()

    until(now)


def engine_name(serving: Serving) -> str:
    return serving.pick("mean").loaded.engine_name


def answer(serving: Serving, rows: int = 1) -> tuple[float, str]:
    """The factor that the model multiplies with, and the engine."""
    image = noise(rows)
    with serving.use("mean") as loaded:
        found = loaded.engine.run({"image": image}, 20)["y"]
        assert found.shape == (rows, 3)
        return round(float(np.mean(found) / image.mean()), 2), loaded.engine_name


def built(serving: Serving) -> Serving:
    looked(serving, lambda: engine_name(serving) == "tensorrt")
    return serving


def reasons(serving: Serving) -> str:
    return "; ".join(serving.pick("mean").loaded.refused)
