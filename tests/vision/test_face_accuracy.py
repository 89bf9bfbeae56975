"""The shipped face bundles on a part of the pack's test split, through the page's own detector."""

import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def evaluate():
    pytest.importorskip("cv2", reason="reading the pack needs OpenCV")
    from training.faces import evaluate

    return evaluate


@pytest.fixture(scope="module")
def faces(shared_dir: Path) -> Path:
    return shared_dir / "faces"


@pytest.fixture(scope="module")
def part(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every fifth record of the test split, pictures and all."""
    out = tmp_path_factory.mktemp("part")
    for name in ("detect", "crops", "upper"):
        rows = [r for r in json.loads((faces / f"{name}.json").read_text()) if r["split"] == "test"][::5]
        (out / f"{name}.json").write_text(json.dumps(rows))
        (out / name).symlink_to(faces / name)
    return out


def test_faces_heads_and_shoulders_are_where_the_labels_say(evaluate, part: Path):
    page = evaluate.Page(None)
    try:
        found = evaluate.detector_rows(page, part, ["test"], 640, 0.55)
        clean = evaluate.clean_share(page, evaluate.painted_over(part, ["test"]), 640, 0.55)
        heads = evaluate.head_rows(page, part, ["test"])
        bodies = evaluate.upper_rows(page, part, ["test"])
    finally:
        page.close()
    assert found["faces"] > 40 and found["AP50"] >= 0.8
    assert found["recall of faces of 32 px and more at precision 0.9"] >= 0.9
    assert found["precision at 0.55"] >= 0.9 and found["recall at 0.55"] >= 0.8 and clean >= 0.9
    assert heads["pose MAE, |yaw| < 45"] <= 4 and heads["five points / face size"] <= 0.05
    assert np.mean([v for k, v in bodies.items() if "within" in k]) > 0.9
