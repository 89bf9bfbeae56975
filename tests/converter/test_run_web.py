"""The real runtime under Node: its answers come back by name, its errors as ours."""

import json
import shutil

import numpy as np
import pytest
from programs import small_legacy

from converter import ConvertError, convert
from converter import run as run_module
from converter.read.bundle import load_bundle
from converter.run import run as run_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    return convert(small_legacy().save(folder / "m"), folder / "b").out


def test_conversion_was_checked_in_the_runtime(tmp_path):
    report = convert(small_legacy().save(tmp_path / "m"), tmp_path / "b")
    assert [check.engine for check in report.checks] == ["web"] and report.worst.error < 1e-5


def test_web_and_numpy_agree(bundle):
    x = np.random.default_rng(3).standard_normal((2, 3, 7, 6)).astype(np.float32)
    web, oracle = (run_bundle(bundle, {"x": x}, engine)["y"] for engine in ("web", "numpy"))
    assert web.shape == (2, 4, 7, 6) and web.dtype == np.float32
    assert np.abs(web - oracle).max() < 1e-5


def test_the_runtimes_own_error_is_passed_on(bundle, tmp_path):
    """An operator that only the runtime lacks: the bundle reads, the runtime refuses and says which."""
    shutil.copytree(bundle, tmp_path / "b")
    data = json.loads((tmp_path / "b" / "model.json").read_text())
    next(op for op in data["ops"] if op["type"] == "conv2d")["type"] = "warp_drive"
    (tmp_path / "b" / "model.json").write_text(json.dumps(data))
    assert load_bundle(tmp_path / "b")
    with pytest.raises(ConvertError, match=r"the runtime says \[unsupported\].*warp_drive"):
        run_bundle(tmp_path / "b", {"x": np.ones((1, 3, 8, 8), np.float32)})


def test_without_kernels_the_web_engine_says_so(bundle, monkeypatch):
    monkeypatch.setattr(run_module.shutil, "which", lambda name: None)
    with pytest.raises(ConvertError, match="the web engine cannot run: Node is not installed"):
        run_bundle(bundle, {"x": np.ones((1, 3, 8, 8), np.float32)})
