"""How the head is taught to see through a detector's mistakes, on things small enough to check."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def torch():
    pytest.importorskip("cv2", reason="training needs OpenCV")
    return pytest.importorskip("torch", reason="training needs PyTorch")


def test_lookalikes_differ_by_number_and_repeat_by_seed():
    from training.faces.lookalikes import lookalikes

    first, sizes = lookalikes(4)
    again, _ = lookalikes(2)
    assert first.shape == (4, 3, 512, 512) and (sizes == 512).all()
    assert (first[:2] == again).all()
    assert all((first[i] != first[j]).mean() > 0.2 for i in range(4) for j in range(i))
    assert (first.reshape(4, -1).std(1) > 3).all()  # none is one colour


def test_a_mistake_is_cut_out_as_a_face_would_be(torch):
    from training.faces.negatives import Mistakes, mistake_crops

    picture = np.zeros((1, 3, 512, 512), np.uint8)
    picture[0, :, 100:140, 200:240] = 200  # the box's own square
    found = Mistakes(torch.tensor([0]), torch.tensor([[220.0, 120.0, 40.0, 40.0]]), torch.tensor([0.5]))
    crop = mistake_crops(found, picture)[0]
    inner, outer = slice(23, 105), slice(0, 20)  # two thirds of 128 pixels in the middle
    assert (crop[:, inner, inner] == 200).all() and (crop[:, outer] == 0).all()


def test_mistakes_of_other_pictures_are_refused(tmp_path):
    from training.faces.negatives import read

    none = {"rows": np.zeros(0, int), "boxes": np.zeros((0, 4)), "scores": np.zeros(0)}
    np.savez(tmp_path / "mistakes.npz", pictures=7, **none)
    assert len(read(tmp_path / "mistakes.npz", 7).rows) == 0
    with pytest.raises(ValueError, match="7 pictures without a face, here are 8"):
        read(tmp_path / "mistakes.npz", 8)


def test_only_the_branch_learns_and_it_learns_to_tell_apart(torch, monkeypatch):
    from training.faces import second_look
    from training.faces.networks import BRANCH, make

    monkeypatch.setattr(second_look, "ROUNDS", 60)
    torch.manual_seed(3)
    old = make("head").eval()
    known = {k: v for k, v in old.state_dict().items() if k.split(".")[1] not in BRANCH}
    network = second_look.resumed(make("head"), known)
    image = torch.rand(4, 3, 112, 112) - 0.5
    before = [x.clone() for x in network(image)]
    seen = second_look.look(network, image, torch.ones(4))
    assert torch.allclose(second_look.odds(network, seen), before[3][:, 0], atol=1e-5)  # a new branch says nothing
    wide, placed = torch.randn(600, 192), torch.randn(600, 784)
    seen = second_look.Seen(wide, placed, torch.zeros(600), (wide[:, 0] + placed[:, 0] > 0).float())
    second_look.fit(network, seen, seen)
    assert ((second_look.odds(network, seen) > 0) == (seen.real > 0)).float().mean() > 0.95
    after = network(image)
    assert all(torch.equal(a, b) for a, b in zip(before[:3], after[:3], strict=True))
    assert not torch.equal(before[3][:, 0], after[3][:, 0])
    with pytest.raises(ValueError, match="not a head's weights"):
        second_look.resumed(make("head"), {"layers.stem.0.weight": old.state_dict()["layers.stem.0.weight"]})


def test_the_judgement_weighs_the_better_opinion_more_and_says_what_a_limit_costs():
    from training.faces.judge import costs, fitted

    rng = np.random.default_rng(5)
    truth = (np.arange(2000) % 2).astype(float)
    sharp, dull = (truth - 0.5) * 4 + rng.normal(0, 1, 2000), (truth - 0.5) * 0.5 + rng.normal(0, 1, 2000)
    weights = fitted(np.stack([dull, sharp], 1), truth)
    assert weights[1] > 4 * weights[0] > 0 and abs(weights[2]) < 0.3
    with pytest.raises(ValueError, match="found 3 faces in 3 places"):
        fitted(np.zeros((3, 2)), np.ones(3))
    faces, others = np.array([[0, 3.0], [0, 0.5]]), np.array([[0, 2.0], [0, -2.0], [0, -3.0]])
    lines = costs(np.array([0.0, 1.0, 0.0]), faces, others, np.array([7, 7, 9]), 4)
    assert {least: rest for least, *rest in lines}[0.7] == [0.5, 0.75]
    assert all(a[1] >= b[1] and a[2] <= b[2] for a, b in zip(lines, lines[1:], strict=False))
