"""Preprocessing inside the graph computes what the bundle's spec would have computed outside."""

import numpy as np
import pytest

from converter import preprocess as pictures
from converter.__main__ import main
from converter.convert import convert
from converter.errors import ConvertError
from converter.graph import Graph
from converter.graph.text import parse
from converter.ops import complete, evaluate
from converter.ops.infer import infer
from converter.passes import bake_preprocess
from converter.read.bundle import load_bundle
from converter.run import run
from converter.write import web

SHAPES = {
    ("nchw", "rgb"): "N,3,H,W",
    ("nchw", "bgr"): "N,3,H,W",
    ("nchw", "gray"): "N,1,H,W",
    ("nhwc", "rgb"): "N,H,W,3",
}


def net(shape: str) -> Graph:
    graph = parse(
        f"x: float32[{shape}] = input\ny: float32[{shape}] = relu(X=x)\nz: float32[{shape}] = "
        "elementwise_add(X=y, Y=x)\nreturn z\n"
    )
    for node in graph.nodes:
        complete(node)
    return graph


@pytest.mark.parametrize("layout", SHAPES, ids="-".join)
@pytest.mark.parametrize("change", [{}, {"size": None}, {"interpolation": "nearest"}], ids=str)
def test_baked_is_what_the_spec_says(layout, change):
    spec = pictures.complete(
        {"size": [7, 9], "mean": 0.4, "std": 0.3, "layout": layout[0], "channels": layout[1], **change}, "x"
    )
    spec["size"] = None if "size" in change else spec["size"]
    rgb = np.random.default_rng(3).integers(0, 256, (12, 5, 3), np.uint8)
    prepared = pictures.apply(spec, np.dstack([rgb, np.full((12, 5), 255, np.uint8)]))
    expected = evaluate(net(SHAPES[layout]), {"x": prepared})["z"]
    baked = bake_preprocess.run(net(SHAPES[layout]), spec)
    baked.check()
    infer(baked)
    assert baked.inputs == ["picture"] and baked.values["picture"].dtype == "uint8"
    found = evaluate(baked, {"picture": rgb[None]})["z"]
    assert found.shape == expected.shape and np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize(
    "change", [{"resize": "fit"}, {"resize": "short", "crop": [4, 4]}, {"interpolation": "area"}], ids=str
)
def test_what_cannot_be_baked_is_refused(change):
    spec = pictures.complete({"size": [7, 9], **change}, "x")
    with pytest.raises(ConvertError, match="cannot be baked"):
        bake_preprocess.run(net("N,3,H,W"), spec)


def test_from_the_command_line_to_the_runtime(tmp_path, capsys):
    (tmp_path / "model").mkdir()
    graph = net("N,3,H,W")
    graph.meta = {"name": "net", "source": {"format": "text"}}
    web.write(graph, tmp_path / "model")
    said = [str(tmp_path / "model"), "-o", str(tmp_path / "out"), "--quiet", "--preprocess", "bake"]
    assert main(said) == 1
    assert "nothing says how pictures become inputs" in capsys.readouterr().err
    assert main([*said, "--size", "6x8", "--mean", "0.5", "--std", "0.25"]) == 0
    made = load_bundle(tmp_path / "out")
    assert made.inputs == ["picture"] and "preprocess" not in made.meta
    rgb = np.random.default_rng(1).integers(0, 256, (1, 15, 11, 3), np.uint8)
    prepared = pictures.apply(
        pictures.complete({"size": [6, 8], "mean": 0.5, "std": 0.25}, "x"),
        np.dstack([rgb[0], np.zeros((15, 11), np.uint8)]),
    )
    expected = evaluate(net("N,3,H,W"), {"x": prepared})["z"]
    assert np.abs(run(tmp_path / "out", {"picture": rgb})["z"] - expected).max() < 1e-5


def test_a_baked_model_is_calibrated_on_pictures(tmp_path):
    from tests.converter.test_calibration import pictures as drawn
    from tests.converter.test_quantise import net as real

    (tmp_path / "model").mkdir()
    graph = real()
    graph.meta = {"name": "net", "source": {"format": "text"}}
    web.write(graph, tmp_path / "model")
    convert(
        tmp_path / "model",
        tmp_path / "out",
        preprocess={"size": [12, 10], "mean": 0.5, "std": 0.25},
        bake=True,
        precision="int8",
        calibrate=drawn(tmp_path / "pictures", 9),
    )
    assert load_bundle(tmp_path / "out").inputs == ["picture"]
