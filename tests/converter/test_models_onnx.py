"""Every real model goes to ONNX and computes there what Paddle computes, at open sizes."""

from pathlib import Path

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
REFUSED = {("face_mtcnn_pnet", "tensorrt"): r"squeeze2 \(.*: whether squeeze drops axis 3 shows only at run time"}
LIMIT = {"ocr_det_mobile_v1_fluid": 4e-4}
"""1 / (1 + exp(-50 x)): Paddle's own float32 answer is 1.6e-4 from the exact one, and so are others."""


@pytest.mark.parametrize("dialect", onnx.DIALECTS)
@pytest.mark.parametrize("name", NAMES or ["none"])
def test_it_matches_paddle(shared_dir, tmp_path, name, dialect):
    folder = shared_dir / "models" / name
    graph = optimise(relax.run(prune.run(read(folder))), "web")
    if (name, dialect) in REFUSED:
        with pytest.raises(onnx.Cannot, match=REFUSED[name, dialect]):
            onnx.write(graph, tmp_path / "model.onnx", onnx.DIALECTS[dialect])
        return
    onnx.write(graph, tmp_path / "model.onnx", onnx.DIALECTS[dialect])
    feeds, expected = reference(folder)
    session = with_onnxruntime.load(tmp_path / "model.onnx")
    found = with_onnxruntime.run(session, feeds)
    sets = sets_of(graph)
    for check in compare(found, dict(zip(found, expected.values(), strict=True)), "onnx", LIMIT.get(name, 1e-4), sets):
        assert check.passed, check
    for entry, value in zip(session.get_inputs(), graph.inputs, strict=True):
        fixed = [size for size in entry.shape if isinstance(size, int)]
        assert entry.name == value and fixed == [size for size in graph.values[value].shape if isinstance(size, int)]
