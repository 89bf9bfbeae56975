"""Real models: the oracle against Paddle's own results, before and after the passes."""

from pathlib import Path

import numpy as np
import pytest

from converter.graph import Graph
from converter.ops import evaluate
from converter.passes import relax
from converter.passes.pipelines import PIPELINES
from converter.read import read

pytestmark = pytest.mark.shared

# Folder → most operators after the passes; the limit catches a fusion that stopped working.
MODELS = {
    "cls_shufflenetv2_x0_25_legacy": 140, "cls_shufflenetv2_x0_25_pir": 140, "face_mtcnn_onet": 16,
    "face_mtcnn_pnet": 13, "g_doc_ori_x1_0": 42, "g_ppocrv4_mobile_rec": 110, "g_ppocrv5_mobile_det": 120,
    "gesture_rec_mobilenetv2": 62, "paddlejs_humanseg": 110, "paddlejs_tinyyolo": 20, "ppocr_cls_v2": 78,
    "ppocrv3_det_ch": 110, "ppocrv3_det_ch_pir": 110,
}
LIMIT = 1e-4
"""Largest error, as a part of the output's range."""


def error_of(graph: Graph, made: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> float:
    wanted = [key for key in reference if key.startswith("out:")]
    worst = 0.0
    for i, name in enumerate(graph.outputs):
        want = reference[f"out:{name}" if f"out:{name}" in reference else wanted[i]]
        assert made[name].shape == want.shape
        spread = max(float(want.max() - want.min()), 1e-9)
        worst = max(worst, float(np.abs(made[name].astype(np.float64) - want).max()) / spread)
    return worst


@pytest.mark.parametrize("name", MODELS)
def test_oracle_and_passes(shared_dir: Path, name: str):
    folder = shared_dir / "models" / name
    with np.load(folder / "ref.npz") as file:
        reference = dict(file)
    graph = relax.run(read(folder))
    given = [array for key, array in reference.items() if key.startswith("in:")]
    feeds = dict(zip(graph.inputs, given, strict=True))
    assert error_of(graph, evaluate(graph, feeds), reference) <= LIMIT
    for run, _ in PIPELINES["web"]:
        graph = run(graph)
        graph.check()
    assert error_of(graph, evaluate(graph, feeds), reference) <= LIMIT
    assert len(graph.nodes) <= MODELS[name]
    assert not any(node.type in ("batch_norm", "dropout", "assign") for node in graph.nodes)
