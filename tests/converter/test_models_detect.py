"""Real detectors: converted, they find in the page's runtime what Paddle finds."""

import numpy as np
import pytest

from converter import convert
from converter.run import run

pytestmark = pytest.mark.shared

TOLERANCE = 1e-4
SURE = 0.5
"""Rows below this score are near-ties, whose order no computation can keep."""


def sure_rows(rows: np.ndarray) -> np.ndarray:
    return rows[rows[:, 1] > SURE]


@pytest.mark.parametrize(("name", "operators"), [
    ("face_blazeface_fluid", {"prior_box", "box_coder", "multiclass_nms"}),
    ("g_picodet_s_192_pedestrian", {"multiclass_nms3"}),
])
def test_rows_are_paddles(shared_dir, tmp_path, name, operators):
    folder = shared_dir / "models" / name
    report = convert(folder, tmp_path / "b")
    assert operators <= set(report.after)
    with np.load(folder / "ref.npz") as arrays:
        feeds = {key[3:]: arrays[key] for key in arrays.files if key.startswith("in:")}
        expected = {key[4:]: arrays[key] for key in arrays.files if key.startswith("out:")}
    found = run(tmp_path / "b", feeds)
    assert set(found) == set(expected)
    for key, want in expected.items():
        assert found[key].shape == want.shape
        if want.ndim == 1:
            assert np.array_equal(found[key], want)
            continue
        limit = TOLERANCE * np.ptp(want)
        assert np.abs(np.sort(found[key][:, 1]) - np.sort(want[:, 1])).max() <= limit
        ours, theirs = sure_rows(found[key]), sure_rows(want)
        assert len(ours) == len(theirs)
        for row in theirs:
            assert np.abs(ours - row).max(axis=1).min() <= limit
