"""Every real model goes to ONNX and computes there what Paddle computes, at open sizes."""

from pathlib import Path

import numpy as np
import pytest
from test_models_shared import reference

from converter import with_onnxruntime
from converter.convert import optimise
from converter.passes import prune, relax
from converter.read import read
from converter.verify import compare, sets_of
from converter.write import onnx

pytestmark = pytest.mark.shared

SHARED = Path(__file__).resolve().parents[3] / "shared" / "models"
NAMES = sorted(path.parent.name for path in SHARED.glob("*/meta.json"))
LIMIT = {"ocr_det_mobile_v1_fluid": 4e-4}
"""1 / (1 + exp(-50 x)): Paddle's own float32 answer is 1.6e-4 from the exact one, and so are others."""


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_it_matches_paddle(shared_dir, tmp_path, name):
    folder = shared_dir / "models" / name
    graph = optimise(relax.run(prune.run(read(folder))), "web")
    onnx.write(graph, tmp_path / "model.onnx")
    feeds, expected = reference(folder)
    session = with_onnxruntime.load(tmp_path / "model.onnx")
    found = with_onnxruntime.run(session, feeds)
    sets = sets_of(graph)
    for check in compare(found, dict(zip(found, expected.values(), strict=True)), "onnx", LIMIT.get(name, 1e-4), sets):
        assert check.passed, check
    for entry, value in zip(session.get_inputs(), graph.inputs, strict=True):
        fixed = [size for size in entry.shape if isinstance(size, int)]
        assert entry.name == value and fixed == [size for size in graph.values[value].shape if isinstance(size, int)]


def test_the_dialect_of_tensorrt_computes_the_same(shared_dir, tmp_path):
    graph = optimise(relax.run(prune.run(read(shared_dir / "models" / "g_ppocrv4_mobile_rec"))), "web")
    feeds = {"x": np.random.default_rng(0).uniform(-1, 1, (1, 3, 48, 160)).astype(np.float32)}
    found = {}
    for name, dialect in onnx.DIALECTS.items():
        onnx.write(graph, tmp_path / f"{name}.onnx", dialect)
        found[name] = with_onnxruntime.run(with_onnxruntime.load(tmp_path / f"{name}.onnx"), feeds)
    for output, array in found["onnx"].items():
        np.testing.assert_allclose(found["tensorrt"][output], array, atol=1e-5)
