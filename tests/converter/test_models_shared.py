"""Real models: all are read; those of the first operators convert and match Paddle's own answers."""

import json

import numpy as np
import pytest

from converter import convert
from converter.ops import evaluate
from converter.read import read
from converter.run import run

pytestmark = pytest.mark.shared

FIRST = ("ppocrv3_det_ch", "ppocrv3_det_ch_pir", "gesture_rec_mobilenetv2", "cls_shufflenetv2_x0_25_legacy",
         "cls_shufflenetv2_x0_25_pir", "ppocr_cls_v2", "paddlejs_humanseg")  # fmt: skip
ALSO = ("face_mtcnn_onet", "face_mtcnn_pnet", "g_doc_ori_x1_0", "g_ppocrv4_mobile_rec", "g_ppocrv5_mobile_det",
        "paddlejs_tinyyolo")  # fmt: skip
TOLERANCE = 1e-4


def reference(folder):
    """(inputs, outputs) of ref.npz; models that were re-saved as PIR have their original's."""
    if not (folder / "ref.npz").is_file():
        folder = folder.with_name(folder.name.removesuffix("_pir"))
    with np.load(folder / "ref.npz") as arrays:
        parts = {key: arrays[key] for key in arrays.files}
    return tuple({key[len(prefix):]: array for key, array in parts.items() if key.startswith(prefix)}
                 for prefix in ("in:", "out:"))


def assert_matches(found, expected):
    assert set(expected) == set(found)
    for name, array in expected.items():
        assert found[name].shape == array.shape, name
        assert np.abs(found[name] - array).max() <= TOLERANCE * np.ptp(array), name


def test_every_model_is_read(shared_dir):
    """Parameters and histogram of operators as the authors' files have them, supported or not."""
    folders = sorted(path.parent for path in (shared_dir / "models").glob("*/meta.json"))
    assert len(folders) >= 18
    for folder in folders:
        graph = read(folder, strict=False)
        meta = json.loads((folder / "meta.json").read_text())
        weights = sum(value.data.size for value in graph.values.values() if value.data is not None)
        assert weights >= 0.9 * meta["param_count"], folder.name
        assert graph.inputs and graph.outputs, folder.name
        if "inputs" in meta:
            assert graph.inputs == [entry["name"] for entry in meta["inputs"]], folder.name
        assert [entry["name"] for entry in meta["outputs"]] == graph.outputs, folder.name


@pytest.mark.parametrize("name", FIRST + ALSO)
def test_as_read_it_computes_what_paddle_computes(shared_dir, name):
    folder = shared_dir / "models" / name
    graph = read(folder)
    feeds, expected = reference(folder)
    for value in graph.inputs:  # Paddle does not hold a feed to the declared size
        graph.values[value].shape = tuple(f"{value}.{axis}" for axis in range(feeds[value].ndim))
    assert_matches(evaluate(graph, feeds), expected)


@pytest.mark.parametrize("name", FIRST)
def test_converted_it_computes_what_paddle_computes(shared_dir, tmp_path, name):
    folder = shared_dir / "models" / name
    report = convert(folder, tmp_path / "b")
    assert sum(report.after.values()) < sum(report.before.values())
    assert "batch_norm" not in report.after
    feeds, expected = reference(folder)
    assert_matches(run(tmp_path / "b", feeds), expected)


def test_legacy_and_pir_give_the_same_weights(shared_dir, tmp_path):
    chunks = []
    for name in ("ppocrv3_det_ch", "ppocrv3_det_ch_pir"):
        convert(shared_dir / "models" / name, tmp_path / name, verify=False)
        chunks.append(sorted((tmp_path / name / "chunk_1.dat").read_bytes()))
    assert chunks[0] == chunks[1]
