"""check.dat: what pages try a GPU's half precision on."""

import hashlib
import json

import numpy as np
import pytest
from programs import small_pir

from converter import convert
from converter.ops import evaluate
from converter.read import read
from converter.read.bundle import load_bundle
from converter.trial import pictures_for, samples
from converter.write import check_vector

SPEC = {"size": [64, 64], "scale": 1 / 255, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25]}


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setattr("converter.verify.web_problem", lambda: "Node is not installed")
    convert(small_pir().save(tmp_path / "net"), tmp_path / "out", preprocess=SPEC)
    return tmp_path / "out"


def test_the_file_holds_the_conversions_own_input_and_answer(bundle):
    graph, entry = load_bundle(bundle), json.loads((bundle / "model.json").read_text())["check"]
    data = (bundle / "check.dat").read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
    (given,), (kept,) = entry["inputs"], entry["outputs"]
    size = int(np.prod(given["shape"]))
    pixels = np.frombuffer(data, np.uint8, size).reshape(given["shape"][0], *given["shape"][2:], given["shape"][1])
    feeds = samples(graph)
    tensor = ((pixels * given["scale"] - np.array(given["mean"])) / given["std"]).astype(np.float32)
    assert np.array_equal(np.moveaxis(tensor, -1, 1), feeds[given["name"]]) and given["mean"] == SPEC["mean"]
    wanted = evaluate(graph, feeds)[kept["name"]]
    stored = np.frombuffer(data, "<f4", offset=size)
    assert np.allclose(stored, wanted.reshape(-1)[::kept["step"]], atol=1e-6 * kept["range"])
    assert kept["range"] == pytest.approx(float(np.ptp(wanted))) and kept["shape"] == list(wanted.shape)


def test_large_inputs_and_answers_that_are_no_numbers_go_without(bundle, tmp_path):
    graph = load_bundle(bundle)
    feeds, empty = samples(graph), tmp_path / "empty"
    empty.mkdir()
    large = {name: np.zeros(check_vector.MAX_BYTES, np.float32) for name in feeds}
    assert check_vector.write(empty, graph, large, {"y": np.ones(3, np.float32)}) is None
    assert check_vector.write(empty, graph, feeds, {"y": np.array([1, np.nan], np.float32)}) is None
    assert check_vector.write(empty, graph, {}, {}) is None
    assert not list(empty.iterdir())


def test_pictures_are_drawn_where_a_model_takes_them(tmp_path):
    graph = read(small_pir().save(tmp_path / "net"))
    name = graph.inputs[0]
    assert pictures_for(graph, name, (1, 5, 64, 64)) is None
    assert pictures_for(graph, name, (1, 3, 8, 8)) is None
    assert pictures_for(graph, name, (1, 3, 64)) is None
    two = pictures_for(graph, name, (2, 3, 32, 48))
    assert two is not None and two.tensor().shape == (2, 3, 32, 48) and not np.array_equal(two.pixels[0], two.pixels[1])
    flat = pictures_for(graph, name, (1, 32, 48, 1))
    assert flat is not None and flat.layout == "nhwc" and flat.tensor().shape == (1, 32, 48, 1)
