"""The document-corner generator, network and shipped bundle: labels fit the drawn pages, both networks agree."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "static" / "models" / "document_corners"


def generator():
    """The modules that draw; they need the training libraries, which `make test` does not install."""
    pytest.importorskip("torch", reason="training needs PyTorch")
    pytest.importorskip("cv2", reason="training needs OpenCV")
    from training.document_corners import bank, compose, scene

    return bank, compose, scene


@pytest.fixture(scope="module")
def studio():
    bank, compose, _ = generator()
    small = bank.Counts(pages=90, grounds=30, objects=20, fingers=8, palms=8, page_side=128, ground_side=128)
    return compose.Studio(bank.make_bank(small, seed=3), (192, 192), "cpu")


def flat_recipe(scene, **changes):
    """Documents only: nothing bends them, nothing covers them."""
    calm = {"negative": 0.0, "bent": 0.0, "fingers": 0.0, "held": 0.0, "held_card": 0.0, "on_top": 0.0, "thick": 0.0}
    return scene.Recipe(**(calm | {"outside": 0.0, "full": 0.0} | changes))


def polygon_mask(corners: np.ndarray, side: int) -> np.ndarray:
    """Pixels whose centres lie in a convex clockwise quadrilateral of normalised corners [4,2]."""
    at = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(at, at)
    inside = np.ones((side, side), bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, 0), strict=True):
        inside &= (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= 0
    return inside


def test_the_label_is_the_outline_of_the_drawn_page(studio):
    _, _, scene = generator()
    shot = studio.shoot(scene.Dice(5), flat_recipe(scene, kinds=("letter", "invoice", "report")), 12)
    for mask, corners in zip(shot.mask[:, 0].numpy() > 0.5, shot.corners.numpy(), strict=True):
        wanted = polygon_mask(corners, 192)
        assert (mask & wanted).sum() / (mask | wanted).sum() > 0.97


def test_labels_run_clockwise_from_the_top_left(studio):
    _, _, scene = generator()
    corners = studio.shoot(scene.Dice(6), flat_recipe(scene), 64).corners.numpy()
    x, y = corners[..., 0], corners[..., 1]
    area = (x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(1) / 2
    assert (area > 0.02).all()
    frame = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    turned = np.stack([((np.roll(corners, -k, 1) - frame) ** 2).sum((1, 2)) for k in range(4)])
    assert (turned.argmin(0) == 0).all()


def test_one_seed_draws_the_same_photos_and_another_does_not(studio):
    _, _, scene = generator()
    first, again, other = (studio.shoot(scene.Dice(seed), scene.Recipe(), 6) for seed in (9, 9, 10))
    assert bool((first.image == again.image).all()) and bool((first.corners == again.corners).all())
    assert not bool((first.corners == other.corners).all())


def test_a_bank_does_not_depend_on_the_number_of_processes():
    bank, _, _ = generator()
    counts = bank.Counts(
        pages=30, grounds=4, objects=3, fingers=2, palms=2, page_side=64, ground_side=64, object_side=48
    )
    alone, together = bank.make_bank(counts, seed=1), bank.make_bank(counts, seed=1, processes=2)
    assert np.array_equal(alone.pages, together.pages) and np.array_equal(alone.grounds, together.grounds)
    assert len(np.unique(alone.page_facts[:, 0])) > 12


def test_pictures_without_a_document_have_an_empty_mask(studio):
    _, _, scene = generator()
    shot = studio.shoot(scene.Dice(4), scene.Recipe(negative=1.0), 8)
    assert not shot.present.any() and float(shot.mask.max()) == 0


def test_mirroring_a_batch_keeps_the_names_of_the_corners():
    torch = pytest.importorskip("torch", reason="training needs PyTorch")
    generator()
    from training.document_corners.feed import Batch
    from training.document_corners.train import mirrored

    corners = torch.tensor([[[0.1, 0.2], [0.8, 0.1], [0.9, 0.7], [0.2, 0.9]]])
    photo, outline = torch.zeros((1, 3, 4, 4), dtype=torch.uint8), torch.zeros((1, 2, 4, 4), dtype=torch.uint8)
    photo[0, :, 0, 0] = 100
    flipped = mirrored(Batch(photo, corners, torch.tensor([True]), outline))
    wanted = torch.tensor([[[0.2, 0.1], [0.9, 0.2], [0.8, 0.9], [0.1, 0.7]]])
    assert torch.allclose(flipped.corners, wanted) and int(flipped.photo[0, 0, 0, 3]) > 80


def test_a_target_spot_decodes_to_its_corner():
    torch = pytest.importorskip("torch", reason="training needs PyTorch")
    generator()
    from training.document_corners.decode import decode
    from training.document_corners.losses import spots, to_cells

    corners = torch.tensor([[[0.113, 0.207], [0.81, -0.04], [1.03, 0.73], [0.02, 0.955]]])
    found, peaks = decode(spots(to_cells(corners)).numpy())
    assert np.abs(found - corners.numpy()).max() < 0.002 and peaks.min() > 0.7


def test_paddle_and_pytorch_compute_the_same():
    torch = pytest.importorskip("torch", reason="training needs PyTorch")
    pytest.importorskip("paddle", reason="the twin needs Paddle")
    from training.document_corners.network import SIDE, Corners
    from training.document_corners.twin import carried_over, worst_difference

    torch.manual_seed(0)
    model = Corners()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.3, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    images = np.random.default_rng(1).standard_normal((2, 3, SIDE, SIDE)).astype(np.float32)
    assert worst_difference(model, carried_over(model), images) < 1e-5


def test_the_shipped_bundle_is_small_and_says_how_to_use_it():
    files = [f for f in BUNDLE.iterdir() if f.suffix in (".json", ".dat") and f.name != "check.dat"]
    assert sum(f.stat().st_size for f in files) <= 1_000_000
    model = json.loads((BUNDLE / "model.json").read_text())
    assert model["check"]["bytes"] == (BUNDLE / "check.dat").stat().st_size  # only pages on a GPU fetch it
    assert model["precision"] == "float16" and [i["name"] for i in model["inputs"]] == ["image"]
    assert [o["name"] for o in model["outputs"]] == ["heatmaps", "presence"]
    spec = model["preprocess"]
    assert (spec["size"], spec["resize"], spec["interpolation"]) == ([256, 256], "stretch", "area")
    assert spec["channels"] == "rgb" and math.isclose(spec["scale"], 1 / 255)
    assert model["postprocess"] == {"margin": 16 / 256, "presence": 0.5}


def test_the_shipped_network_finds_a_white_sheet_and_nothing_in_grey():
    from converter import preprocess
    from converter.ops import evaluate
    from converter.read import read

    graph = read(BUNDLE)
    spec = json.loads((BUNDLE / "model.json").read_text())["preprocess"]
    corners = np.array([[0.25, 0.2], [0.75, 0.22], [0.8, 0.85], [0.2, 0.8]])
    sheet = np.full((320, 320, 4), (70, 60, 50, 255), np.uint8)
    sheet[polygon_mask(corners, 320)] = (245, 244, 240, 255)
    grey = np.full((320, 320, 4), (128, 128, 128, 255), np.uint8)
    outputs = [
        evaluate(graph, {"image": preprocess.apply(spec, picture)[None].reshape(1, 3, 256, 256)})
        for picture in (sheet, grey)
    ]
    heat, there = outputs[0]["heatmaps"][0], float(outputs[0]["presence"].squeeze())
    assert there > 0.9 and float(outputs[1]["presence"].squeeze()) < 0.5
    cells = heat.reshape(4, -1).argmax(1)
    rows, cols = np.divmod(cells, heat.shape[2])
    found = np.stack([(cols + 0.5) / heat.shape[2], (rows + 0.5) / heat.shape[1]], 1) * (1 + 2 * 0.0625) - 0.0625
    assert np.abs(found - corners).max() < 0.02
