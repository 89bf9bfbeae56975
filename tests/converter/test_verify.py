"""Verification: errors are measured against the range, and a bundle that computes something else is caught."""

import json

import numpy as np
import pytest
from programs import small_legacy, small_pir

from converter import ConvertError, convert
from converter import verify as verifying
from converter.graph.text import parse
from converter.ops import complete, evaluate
from converter.trial import samples
from converter.verify import check_bundle, compare, difference, found_sets, verify
from converter.write import web


@pytest.fixture
def no_web(monkeypatch):
    """As on a machine without Node."""
    monkeypatch.setattr(verifying, "web_problem", lambda: "Node is not installed")


@pytest.mark.parametrize("actual, expected, error", [
    ([0.0, 1.0], [0.0, 1.0], 0.0),
    ([0.0, 11.0], [0.0, 10.0], 0.1),
    ([5.0, 5.1], [5.0, 5.0], 0.02),
    ([0.2], [0.1], 0.1),
    ([np.inf, 1.0, 3.0], [np.inf, 1.0, 3.0], 0.0),
    ([np.nan, 1.0], [0.0, 1.0], np.inf),
    ([0.0, 1.0], [np.nan, 1.0], np.inf),
    ([-np.inf, 1.0], [np.inf, 1.0], np.inf),
    ([1.0], [1.0, 2.0], np.inf),
    (None, [1.0], np.inf),
])  # fmt: skip
def test_difference(actual, expected, error):
    found, _ = difference(None if actual is None else np.array(actual), np.array(expected))
    assert found == pytest.approx(error)


def test_whole_numbers_count_differing_elements():
    found, note = difference(np.array([1, 2, 3, 5]), np.array([1, 2, 3, 4]))
    assert found == 0.25 and "share" in note
    checks = compare({"y": np.array([1, 2])}, {"y": np.array([1, 3])}, "web", 1e-3)
    assert not checks[0].passed


ROWS = np.float32([[1, 0.75, 0, 0, 640, 480], [1, 0.75, 10, 20, 300, 400], [2, 0.5, 10, 20, 300, 400]])
NEAR_TIE = ROWS + np.float32([[0, -1e-7, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])


@pytest.mark.parametrize("rows, error", [
    (ROWS, 0),
    (NEAR_TIE[[1, 0, 2]], 1e-7),  # two rows of nearly one score may swap
    (ROWS[[2, 0, 1]], 0),
    (ROWS[[0, 1, 1]], np.inf),  # the reference's set has no row twice
    (ROWS + np.float32([0, 0.25, 0, 0, 0, 0]), 0.25),  # of one, not of 640 pixels
    (ROWS + np.float32([0, 0, 6.4, 0, 0, 0]), 0.01),
    (ROWS + np.float32([1, 0, 0, 0, 0, 0]), np.inf),
    (ROWS[:2], np.inf),
    (np.where(ROWS == 480, np.float32(np.nan), ROWS), np.inf),
])  # fmt: skip
def test_what_a_detector_finds_is_a_set(rows, error):
    check = compare({"y": rows}, {"y": ROWS}, "web", 1e-3, {"y": "rows"})[0]
    assert check.error == pytest.approx(error, rel=1e-3, abs=2e-7)


def test_rows_of_other_operators_keep_their_places():
    assert not compare({"y": NEAR_TIE[[1, 0, 2]]}, {"y": ROWS}, "web", 1e-3)[0].passed


def test_positions_of_what_was_found_are_sorted_first():
    def error(found):
        return compare({"y": np.int32(found)}, {"y": np.int32([[4], [9]])}, "web", 1e-3, {"y": "positions"})[0].error

    assert error([[9], [4]]) == 0 and error([[9], [5]]) == 0.5 and error([[4]]) == np.inf


def test_a_bundle_says_which_outputs_are_sets(tmp_path):
    graph = parse("""b: float32[1,5,4] = input
        s: float32[1,2,5] = input
        r, p, c = multiclass_nms3(BBoxes=b, Scores=s, score_threshold=-2, nms_top_k=5, keep_top_k=9, background_label=2)
        other = relu(s)
        return r, p, c, other""")
    for node in graph.nodes:
        complete(node)
    web.write(graph, tmp_path)
    assert found_sets(tmp_path) == {"r": "rows", "p": "positions"}
    found = evaluate(graph, feeds := samples(graph))
    assert found["r"].shape[0] > 1
    swapped = {**found, "r": found["r"][::-1], "p": found["p"][::-1]}
    checks, _ = check_bundle(tmp_path, feeds, swapped, 1e-3, ("numpy",))
    assert all(check.passed for check in checks) and len(checks) == 4


def test_samples_are_seeded_and_share_symbols():
    graph = parse("a: float32[N,3,H,W] = input\nb: int64[N,7] = input\ny = relu(a)\nz = cast(b, out_dtype=\"int32\")\n"
                  "return y, z")  # fmt: skip
    first, second = samples(graph, {"b": (5, 7)}), samples(graph, {"a": (5, 3, 8, 9)})
    assert first["b"].shape == (5, 7) and second["a"].shape == (5, 3, 8, 9) and second["b"].shape == (5, 7)
    assert np.array_equal(samples(graph)["a"], samples(graph)["a"]) and samples(graph)["a"].shape == (1, 3, 320, 320)
    assert set(np.unique(first["b"])) <= {0, 1}


@pytest.mark.parametrize("shapes, message", [
    ({"z": (1,)}, r"unknown inputs \['z'\]"),
    ({"a": (1, 4, 8, 8)}, r"shape \[1, 4, 8, 8\] does not fit"),
    ({"a": (1, 3, 8)}, "does not fit"),
])  # fmt: skip
def test_sizes_that_do_not_fit(shapes, message):
    graph = parse("a: float32[N,3,H,W] = input\ny = relu(a)\nreturn y")
    with pytest.raises(ConvertError, match=message):
        samples(graph, shapes)


def test_without_node_the_oracle_checks_and_says_so(tmp_path, no_web):
    report = convert(small_pir().save(tmp_path / "m"), tmp_path / "b")
    assert [check.engine for check in report.checks] == ["numpy"] and report.worst.error < 1e-6
    assert report.notes == ["checked with numpy only: Node is not installed"]


def test_a_wrong_bundle_is_never_published(tmp_path, monkeypatch, no_web):
    """The writer goes wrong in one weight: conversion fails and leaves nothing."""
    honest = web.write

    def wrong(graph, folder, *options):
        value = graph.values["conv.w"]
        value.data = value.data + 1
        return honest(graph, folder, *options)

    monkeypatch.setattr(web, "write", wrong)
    with pytest.raises(ConvertError, match="does not compute what the model computes; nothing was written:\n  out: "):
        convert(small_pir().save(tmp_path / "m"), tmp_path / "b")
    assert [child.name for child in tmp_path.iterdir()] == ["m"]
    assert convert(tmp_path / "m", tmp_path / "b", verify=False).checks == []


def test_tolerance_is_the_callers(tmp_path, no_web):
    with pytest.raises(ConvertError, match="the limit is 1e-05"):
        convert(small_pir().save(tmp_path / "m"), tmp_path / "b", precision="float16", tolerance=1e-5)
    assert convert(tmp_path / "m", tmp_path / "b", precision="float16").worst.passed


def test_same_model_same_bytes(tmp_path, no_web):
    for name in ("a", "b"):
        convert(small_legacy().save(tmp_path / "m"), tmp_path / name)
    files = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("a", "b")]
    assert files[0] == files[1]


def test_verify_against_the_model_and_alone(tmp_path, no_web, monkeypatch):
    monkeypatch.setattr(verifying.with_paddle, "installed", lambda: False)
    model = small_pir().save(tmp_path / "m")
    convert(model, tmp_path / "b")
    checks, notes = verify(tmp_path / "b", model, input_shapes={"x": (2, 3, 9, 7)})
    assert all(check.passed for check in checks) and "compared with numpy: Paddle is not installed" in notes
    checks, notes = verify(tmp_path / "b", feeds={"x": np.ones((1, 3, 5, 5))})
    assert all(check.passed for check in checks) and "own numpy answer" in notes[0]
    other = small_pir()
    other.params["conv.w"] *= 2
    checks, _ = verify(tmp_path / "b", other.save(tmp_path / "other"))
    assert not any(check.passed for check in checks)


def test_a_declared_size_that_nothing_needs_becomes_open(tmp_path, no_web):
    convert(small_legacy().save(tmp_path / "m"), tmp_path / "b")
    data = json.loads((tmp_path / "b" / "model.json").read_text())
    assert data["inputs"][0]["shape"] == ["x.0", 3, "x.2", "x.3"]
    assert data["feedShape"] == {"fc": 3, "fh": 8, "fw": 8}
    assert data["outputs"][0]["shape"] == ["x.0", 4, "x.2", "x.3"]


def test_of_a_steep_output_in_int8_a_few_pixels_may_be_far_off():
    right = {"y": np.repeat([0.0, 1.0], [900, 100]).reshape(1, 1, 20, 50)}
    moved = {"y": right["y"].copy()}
    moved["y"][0, 0, 0, :5] = 1.0
    check, = compare(moved, right, "web", 0.3)
    assert check.passed and check.error == 1.0 and "of the deviation" in check.note
    assert not compare(moved, right, "web", 0.1)[0].passed
    assert not compare({"y": np.zeros_like(right["y"])}, right, "web", 0.3)[0].passed
    assert not compare({"y": np.full_like(right["y"], np.nan)}, right, "web", 0.3)[0].passed
