"""Integers where they do no harm, half precision where flags are gone: computed by ONNX Runtime, never by a GPU."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from tests.trt import kit
from trt import Recipe, Shapes, TrtError, quantise
from trt.__main__ import main
from trt.adapt import adapted
from trt.calibrate import samples
from trt.check import compare
from trt.reference import by_onnxruntime

SIZES = {"image": Shapes((1, 3, 8, 8), (4, 3, 8, 8), (8, 3, 8, 8))}


def rows(count: int, seed: int = 5) -> list[dict]:
    return [{"image": image[None]} for image in kit.images(count, seed=seed)]


def kinds(content: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(content).graph.node]


def test_as_many_convolutions_as_the_tolerance_allows():
    model, trial = kit.small_model(), {"image": kit.images(6, seed=9)}
    exact = by_onnxruntime(model, trial)
    found = {}
    for tolerance in (1e-4, 2e-3, 5e-2):
        try:
            made, plan = quantise.plan(model, rows(12), trial, tolerance)
        except TrtError as error:
            assert error.kind == "out_of_tolerance"
            found[tolerance] = 0
            continue
        errors = compare(by_onnxruntime(made, trial), exact)
        assert errors["y"].largest <= tolerance and plan.errors["y"].largest == errors["y"].largest
        assert errors["y"].largest > 0, "integers are not exact"
        assert kinds(made).count("QuantizeLinear") == kinds(made).count("DequantizeLinear") == 2 * len(plan.chosen)
        found[tolerance] = len(plan.chosen)
    assert found[1e-4] == 0 and found[5e-2] == 2, found


def test_weights_are_scaled_by_channel_and_activations_by_tensor():
    model = quantise.Model(kit.small_model())
    model.calibrate(rows(4))
    graph = onnx.load_from_string(model.with_integers(["a"])).graph
    sizes = {entry.name: tuple(entry.dims) for entry in graph.initializer}
    assert sizes["image/scale"] == () and sizes["w0/scale"] == (8,) and "b/scale" not in sizes
    axes = {node.output[0]: [a.i for a in node.attribute if a.name == "axis"] for node in graph.node}
    assert axes["w0/q"] == axes["w0/dq"] == [0] and axes["image/q"] == []
    onnx.checker.check_model(onnx.load_from_string(model.with_integers(["a", "c"])))


def clipped(high: float) -> bytes:
    """The small model with Clip(0, high) for Relu."""
    model = onnx.load_from_string(kit.small_model())
    clip = next(node for node in model.graph.node if node.op_type == "Relu")
    clip.op_type = "Clip"
    clip.input.extend(["low", "high"])
    for name, bound in (("low", 0.0), ("high", high)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(bound, np.float32), name))
    return model.SerializeToString()


@pytest.mark.parametrize(("high", "chosen", "left"), [(3.0, "c", "Relu"), (3.0, "a", "Clip"), (0.05, "c", "Relu")])
def test_a_clip_that_rounding_does_as_well_becomes_relu(high: float, chosen: str, left: str):
    """TensorRT 8.5 computes Clip in an int8 convolution wrongly."""
    content, trial = clipped(high), {"image": kit.images(6, seed=9)}
    model = quantise.Model(content)
    model.calibrate(rows(8))
    made = model.with_integers([chosen])
    assert kinds(made).count(left) == 1 and kinds(made).count("Clip") == (left == "Clip")
    errors = compare(by_onnxruntime(made, trial), by_onnxruntime(content, trial))
    assert 0 < errors["y"].largest < 0.05, "the bound still holds"


def test_outliers_are_cut_where_that_costs_less():
    counts = np.zeros(quantise.BINS)
    counts[: quantise.BINS // 8] = 1000.0
    assert quantise.threshold(counts, 8.0) == pytest.approx(1.0, rel=0.15)
    counts[-1] = 1e6
    assert quantise.threshold(counts, 8.0) == pytest.approx(8.0, rel=0.02), "many are no outliers"


@pytest.mark.parametrize("content", [b"", b"no model", kit.small_model(opset=11)])
def test_what_cannot_take_integers(content: bytes):
    with pytest.raises(TrtError) as error:
        quantise.Model(content)
    assert error.value.kind == "invalid"


def test_half_precision_keeps_inputs_and_outputs():
    feeds = {"image": kit.images(3)}
    small, exact = by_onnxruntime(quantise.halved(kit.small_model()), feeds), by_onnxruntime(kit.small_model(), feeds)
    assert small["y"].dtype == np.float32
    assert 0 < compare(small, exact)["y"].largest < 5e-3


VERSIONS = {"8.5.3.1": "same", "8.6.1": "same", "10.9.0": "same", "11.0.0": "changed"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_version_gets_a_model_and_flags_that_it_knows(gpu, tmp_path: Path, version: str, precision: str):
    gpu("FAKE_TRT_VERSION", version)
    model, folder = tmp_path / "model.onnx", tmp_path / "data"
    model.write_bytes(kit.small_model())
    folder.mkdir()
    np.savez(folder / "rows.npz", image=kit.images(30))
    arguments = ["build", str(model), "-o", str(tmp_path / "e.engine"), "--precision", precision, "--shape",
                 "image=1x3x8x8,4x3x8x8,8x3x8x8", "--calibrate", str(folder), "--tolerance", "0.05"]  # fmt: skip
    assert main(arguments) == 0
    plan = (tmp_path / "e.engine").read_bytes()[32:]
    head, _, built = plan.partition(b"\n")
    changed = built != model.read_bytes()
    assert changed == (VERSIONS[version] == "changed" and precision != "fp32")
    assert (b'"FP16"' in head) == (VERSIONS[version] == "same" and precision != "fp32")
    if changed:
        assert ("QuantizeLinear" in kinds(built)) == (precision == "int8")
        assert ("Cast" in kinds(built)) == (precision == "fp16")


def test_int8_on_a_new_version_needs_samples(gpu):
    gpu("FAKE_TRT_VERSION", "11.0.0")
    recipe = Recipe("int8", SIZES)
    with pytest.raises(TrtError, match="needs pictures to calibrate with"):
        adapted(kit.small_model(), recipe, None, 0.05)
    with pytest.raises(TrtError, match="2 samples are too few"):
        adapted(kit.small_model(), recipe, lambda: iter(rows(2)), 0.05)
    ready = adapted(kit.small_model(), recipe, lambda: iter(rows(30)), 0.05)
    assert adapted(ready, recipe, None, 0.05) == ready, "Q/DQ nodes that are there are taken as they are"


def test_samples_come_from_pictures_and_arrays(tmp_path: Path):
    spec = {"input": "image", "size": [8, 8], "resize": "stretch", "interpolation": "area", "crop": None, "limit": None,
            "padValue": 0, "channels": "rgb", "layout": "nchw", "scale": 1 / 255, "mean": [0.0] * 3,
            "std": [1.0] * 3}  # fmt: skip
    Image.new("RGB", (20, 10), (255, 0, 51)).save(tmp_path / "b.png")
    np.savez(tmp_path / "a.npz", **{"in:image": kit.images(2), "out:y": np.zeros(2)})
    (tmp_path / "notes.txt").write_text("not a sample")
    found = list(samples(tmp_path, spec))
    assert [row["image"].shape for row in found] == [(1, 3, 8, 8)] * 3
    np.testing.assert_allclose(found[2]["image"][0, :, 4, 4], [1, 0, 0.2], atol=1e-6)
    with pytest.raises(TrtError, match=r"b\.png is a picture; name the model\.json"):
        list(samples(tmp_path))
    (tmp_path / "c.png").write_bytes(b"damaged")
    with pytest.raises(TrtError, match=r"c\.png cannot be read"):
        list(samples(tmp_path, spec))
    (tmp_path / "a.npz").write_bytes(os.urandom(50))
    with pytest.raises(TrtError, match=r"a\.npz cannot be read"):
        list(samples(tmp_path, spec))


def test_the_command_writes_a_model(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "model.onnx").write_bytes(kit.small_model())
    np.savez(tmp_path / "rows.npz", image=kit.images(30))
    command = ["quantise", str(tmp_path / "model.onnx"), "-o", str(tmp_path / "int8.onnx"), "--calibrate",
               str(tmp_path / "rows.npz"), "--samples", "12", "--trial", "6"]  # fmt: skip
    assert main([*command, "--tolerance", "0.05"]) == 0
    assert '"inIntegers": 2, "convolutions": 2' in capsys.readouterr().out
    assert "QuantizeLinear" in kinds((tmp_path / "int8.onnx").read_bytes())
    assert main([*command, "--tolerance", "1e-9"]) == 1
    assert '"out_of_tolerance"' in capsys.readouterr().out
