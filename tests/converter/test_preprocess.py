"""Preprocessing: the vectors that the page computes too, and specs that make no sense are named by key."""

import json
from pathlib import Path

import numpy as np
import pytest

from converter.errors import ConvertError
from converter.preprocess import apply, complete

DATA = json.loads((Path(__file__).parents[1] / "cases" / "preprocess.json").read_text())


@pytest.mark.parametrize("case", DATA["cases"], ids=lambda case: case["name"])
def test_shared_vectors(case):
    picture = DATA["pictures"][case["picture"]]
    rgba = np.array(picture["data"], np.uint8).reshape(picture["height"], picture["width"], 4)
    out = apply(complete(case["spec"], "x"), rgba)
    expected = np.array(case["data"], np.float32).reshape(case["shape"])
    assert out.shape == expected.shape and out.dtype == np.float32
    assert np.abs(out - expected).max() <= 2e-5 * max(1.0, float(np.abs(expected).max()))


def test_defaults_and_one_number_for_all_channels():
    spec = complete({"mean": 0.5, "std": [0.25]}, "image")
    assert spec["input"] == "image" and spec["mean"] == [0.5] * 3 and spec["std"] == [0.25] * 3
    assert list(spec) == ["input", "size", "resize", "interpolation", "crop", "limit", "padValue", "channels",
                          "layout", "scale", "mean", "std"]  # fmt: skip
    out = apply(spec, np.full((2, 2, 4), 255, np.uint8))
    assert out.shape == (1, 3, 2, 2) and np.allclose(out, 2.0)


def test_alpha_is_ignored():
    spec = complete({"size": [2, 2]}, "x")
    picture = np.random.default_rng(0).integers(0, 256, (5, 4, 4)).astype(np.uint8)
    other = picture.copy()
    other[..., 3] = 0
    assert np.array_equal(apply(spec, picture), apply(spec, other))


@pytest.mark.parametrize("spec, message", [
    ({"resize": "squash"}, "resize is 'squash', not one of"),
    ({"resize": "fit"}, r"size is None, not \[height, width\]"),
    ({"size": [224]}, r"size is \[224\]"),
    ({"size": [224, 0]}, "size is"),
    ({"size": [224, 1e9]}, "size is"),
    ({"crop": "middle"}, "crop is"),
    ({"resize": "limit"}, "limit is None"),
    ({"resize": "limit", "limit": {"side": 960, "type": "both", "multiple": 32}}, "limit is"),
    ({"mean": [0.1, 0.2]}, "mean is"),
    ({"std": [0, 1, 1]}, "std is .* other than 0"),
    ({"channels": "gray", "mean": [1, 2, 3]}, "mean is"),
    ({"scale": float("nan")}, "scale is nan"),
    ({"scale": "1/255"}, "scale is '1/255'"),
    ({"colour": "rgb"}, r"unknown preprocessing keys \['colour'\]"),
])  # fmt: skip
def test_bad_specs(spec, message):
    with pytest.raises(ConvertError, match=message):
        complete(spec, "x")


def test_pictures_that_cannot_be_used():
    with pytest.raises(ConvertError, match="a picture is uint8"):
        apply(complete({}, "x"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ConvertError, match="smaller than the crop"):
        apply(complete({"crop": [9, 9]}, "x"), np.zeros((4, 4, 4), np.uint8))
