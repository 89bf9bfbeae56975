"""The face networks' training and shipped bundles: labels follow the pictures, both networks agree, figures add up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "static" / "models"


@pytest.fixture(scope="module")
def torch():
    pytest.importorskip("cv2", reason="training needs OpenCV")
    return pytest.importorskip("torch", reason="training needs PyTorch")


def drawn_scenes(count: int = 4):
    """Grey pictures with one bright ellipse each, which is the face; its points are bright spots' places."""
    import cv2

    from training.faces.sources import SIDE, Scenes

    pictures = np.full((count, 3, SIDE, SIDE), 60, np.uint8)
    boxes, points = np.zeros((count, 2, 4), np.float32), np.zeros((count, 2, 5, 2), np.float32)
    for i in range(count):
        x, y, w, h = 120 + 20 * i, 150, 90, 120
        plane = np.full((SIDE, SIDE), 60, np.uint8)
        cv2.ellipse(plane, (x + w // 2, y + h // 2), (w // 2, h // 2), 0, 0, 360, 220, -1)
        pictures[i] = plane
        boxes[i, 0] = x, y, w, h
        share = [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]
        points[i, 0] = np.array([x, y]) + np.array(share) * [w, h]
    sizes = np.full((count, 2), SIDE, np.float32)
    return Scenes(pictures, sizes, boxes, points, np.zeros((count, 1, 4), np.float32), ["selfie"] * count)


def test_boxes_of_a_mosaic_lie_on_its_faces(torch, monkeypatch):
    from training.faces import light, mosaic

    monkeypatch.setattr(light, "camera", lambda image: image)
    monkeypatch.setattr(mosaic.Mosaics, "cover", lambda self, canvas, targets, size: canvas)
    torch.manual_seed(3)
    scenes = mosaic.Mosaics(mosaic.library(drawn_scenes(), [], "cpu"))
    image, targets = scenes.batch(8, (256, 320))
    assert targets.real.any(1).sum() >= 6
    for i, j in targets.real.nonzero().tolist():
        x, y, w, h = targets.boxes[i, j].tolist()
        if min(w, h) < 24 or x < 2 or y < 2 or x > 317 or y > 253:
            continue
        assert image[i, 0, int(y), int(x)] > 0.7, "the middle of a face is bright"
        eyes, mouth = targets.points[i, j, :2], targets.points[i, j, 3:]
        assert float((eyes[1] - eyes[0]) @ (mouth[1] - mouth[0])) > 0, "left and right stay what they are"


def test_pieces_without_a_face_stay_clear_of_all(torch):
    from training.faces.evaluate import faceless_piece

    boxes, rng = np.array([[300.0, 200, 60, 80], [10, 10, 40, 40]]), np.random.default_rng(1)
    found = [piece for _ in range(40) if (piece := faceless_piece(boxes, 640, 480, rng))]
    assert len(found) > 20
    for rows, columns in found:
        assert 0 <= rows.start < rows.stop <= 480 and 0 <= columns.start < columns.stop <= 640
        for x, y, w, h in boxes:
            assert columns.stop <= x or columns.start >= x + w or rows.stop <= y or rows.start >= y + h
    assert faceless_piece(np.array([[200.0, 150, 240, 180]]), 640, 480, rng) is None


def test_a_picture_without_faces_has_them_painted_over(torch):
    from training.faces.sources import without_faces

    scenes = drawn_scenes(2)
    painted = without_faces(scenes)
    assert painted.shape == scenes.pictures.shape
    assert painted.max() < 90 and scenes.pictures.max() == 220


def test_targets_come_back_from_the_cells_that_say_them(torch):
    from training.faces import cells
    from training.faces.mosaic import Targets

    size = (96, 128)
    truth = torch.tensor([[[40.0, 30.0, 20.0, 26.0], [100.0, 70.0, 40.0, 44.0]]])
    five = truth[:, :, None, :2] + torch.tensor([[-4.0, -3], [4, -3], [0, 1], [-3, 6], [3, 6]])
    targets = Targets(truth, five, torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 1, 4))
    centres, strides = cells.places(size, torch.device("cpu"))
    maps = torch.zeros(1, len(strides), 15)
    maps[..., 3:5] = 1.0
    maps[..., 0] = -8
    logits, boxes, _ = cells.decoded(maps, centres, strides)
    owner, wanted = cells.assigned(logits, boxes, centres, strides, targets)
    assert set(owner.unique().tolist()) == {-1, 0, 1}
    for face in (0, 1):
        for cell in (owner[0] == face).nonzero()[:, 0].tolist():
            s = strides[cell]
            maps[0, cell, 0] = 4
            maps[0, cell, 1:3] = (truth[0, face, :2] - centres[cell]) / s
            maps[0, cell, 3:5] = (truth[0, face, 2:] / s).log()
            maps[0, cell, 5:] = ((five[0, face] - centres[cell]) / s).reshape(-1)
    at, parts = 0, []
    for stride in cells.STRIDES:
        h, w = size[0] // stride, size[1] // stride
        parts.append(maps[:, at : at + h * w].transpose(1, 2).reshape(1, 15, h, w))
        at += h * w
    score, found, points = cells.found(tuple(parts), size)[0]
    assert len(score) == 2
    order = found[:, 0].argsort()
    assert torch.allclose(found[order], truth[0], atol=1e-3) and torch.allclose(points[order], five[0], atol=1e-3)
    loss = cells.losses(tuple(parts), size, targets)
    assert float(loss["box"]) < 1e-4 and float(loss["points"]) < 1e-6


def test_a_region_to_ignore_costs_nothing(torch):
    from training.faces import cells
    from training.faces.mosaic import Targets

    maps = tuple(torch.full((1, 15, 64 // s, 64 // s), 2.0) for s in cells.STRIDES)
    none = torch.zeros(1, 1, dtype=torch.bool), torch.zeros(1, 1, 4), torch.zeros(1, 1, 5, 2)
    whole = Targets(none[1], none[2], none[0], torch.tensor([[[32.0, 32.0, 70.0, 70.0]]]))
    clear = Targets(none[1], none[2], none[0], torch.zeros(1, 1, 4))
    assert float(cells.losses(maps, (64, 64), whole)["score"]) == 0
    assert float(cells.losses(maps, (64, 64), clear)["score"]) > 1


def test_angles_survive_the_matrix_and_a_turned_picture_adds_to_roll(torch):
    from training.faces.tasks import angles, matrix_of, rotation

    pose = torch.tensor([[30.0, -20.0, 15.0], [-60.0, 10.0, -40.0]])
    matrix = matrix_of(pose)
    assert torch.allclose(angles(matrix), pose, atol=1e-3)
    six = torch.cat([2 * matrix[:, :, 0], matrix[:, :, 1] + 0.3 * matrix[:, :, 0]], 1)
    assert torch.allclose(rotation(six), matrix, atol=1e-5)
    turned = matrix_of(torch.tensor([[0.0, 0.0, 25.0]])) @ matrix
    assert torch.allclose(angles(turned), pose + torch.tensor([0, 0, 25.0]), atol=1e-3)


def test_drawing_a_lid_down_moves_the_eye_and_nothing_else(torch):
    from training.faces.crops import closed_points, lids, pixels

    eye = torch.tensor([[[40.0, 60], [45, 56], [51, 56], [56, 60], [51, 63], [45, 63]]])
    at = pixels(128, torch.device("cpu"))
    moved = lids(at, eye, torch.ones(1))
    gap = (moved - at).norm(dim=2).reshape(128, 128)
    assert float(gap[59:62, 46:50].max()) > 3, "the opening shows what was above it"
    assert float(gap[:47].max()) == 0 and float(gap[75:].max()) == 0 and float(gap[:, :39].max()) == 0
    assert float((lids(at, eye, torch.zeros(1)) - at).abs().max()) < 1e-4
    all68 = torch.zeros(1, 68, 2)
    all68[:, 36:42] = eye
    after = closed_points(all68, (36, 37, 38, 39, 40, 41), torch.ones(1))
    assert torch.allclose(after[0, 37], after[0, 41], atol=1e-4) and torch.equal(after[0, 36], eye[0, 0])


def test_mirrored_names_go_back_and_forth():
    pytest.importorskip("cv2", reason="training needs OpenCV")
    from training.faces.sources import MIRROR_68, MIRROR_FIVE, MIRROR_JOINTS

    for order in (MIRROR_68, MIRROR_FIVE, MIRROR_JOINTS):
        assert [order[order[k]] for k in range(len(order))] == list(range(len(order)))
    assert MIRROR_68[36] == 45 and MIRROR_68[48] == 54 and MIRROR_68[30] == 30


def test_precision_counts_neither_ignored_regions_nor_a_face_twice():
    from training.faces.measure import Answer, average_precision, matched, recall_at_precision

    truth = np.array([[10.0, 10, 40, 40], [100, 10, 40, 40]])
    boxes = np.array([[11.0, 10, 40, 40], [12, 11, 40, 40], [200, 200, 30, 30], [100, 12, 40, 40]])
    scores, points = np.array([0.9, 0.8, 0.7, 0.6]), np.zeros((4, 5, 2))
    five, ignore = np.zeros((2, 5, 2)), np.array([[190.0, 190, 60, 60]])
    with_zone = matched([Answer(scores, boxes, points, truth, five, ignore)])
    assert with_zone.right.tolist() == [True, False, False, True]
    assert with_zone.counted.tolist() == [True, True, False, True]
    assert average_precision(with_zone) == pytest.approx(0.5 + 0.5 * 2 / 3)
    without = matched([Answer(scores, boxes, points, truth, five, np.zeros((0, 4)))])
    assert average_precision(without) == pytest.approx(0.5 + 0.5 * 2 / 4)
    assert recall_at_precision(with_zone, 32, 0.9) == (0.5, 0.9)


@pytest.mark.parametrize("name", ["detector", "head", "upper"])
def test_paddle_and_pytorch_compute_the_same(torch, name):
    pytest.importorskip("paddle", reason="the twin needs Paddle")
    from training.faces.networks import HEAD_SIDE, UPPER_SIDE, make
    from training.faces.twin import carried_over, worst_difference

    torch.manual_seed(0)
    network = make(name)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.3, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    size = {"detector": (96, 160), "head": (HEAD_SIDE,) * 2, "upper": (UPPER_SIDE,) * 2}[name]
    images = np.random.default_rng(1).standard_normal((2, 3, *size)).astype(np.float32)
    assert worst_difference(network, carried_over(network), images) < 1e-5


@pytest.mark.parametrize(
    ("bundle", "outputs", "keys"),
    [
        (
            "face_detector",
            ["stride4", "stride8", "stride16", "stride32"],
            {"strides", "sides", "score", "alone", "overlap"},
        ),
        ("face_head", ["pose", "points", "eyes", "trust"], {"crop", "face", "judge"}),
        ("upper_body", ["joints"], {"crop", "below", "sure", "joints"}),
    ],
)
def test_a_shipped_bundle_is_small_and_says_how_to_use_it(bundle, outputs, keys):
    folder = MODELS / bundle
    files = [f for f in folder.iterdir() if f.suffix in (".json", ".dat")]
    assert sum(f.stat().st_size for f in files) <= 1_000_000
    model = json.loads((folder / "model.json").read_text())
    assert model["precision"] == "float16" and [i["name"] for i in model["inputs"]] == ["image"]
    assert [o["name"] for o in model["outputs"]] == outputs
    assert model["preprocess"]["mean"] == [0.5] * 3 and model["preprocess"]["std"] == [0.5] * 3
    assert set(model["postprocess"]) == keys
