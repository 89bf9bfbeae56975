"""The target tensorrt: the engine where there is a GPU (a stand-in for the library), the ONNX left ready elsewhere."""

import json

import numpy as np
import pytest
from programs import small_pir

from converter import convert, signature
from converter.__main__ import main
from converter.errors import ConvertError
from converter.ops import evaluate
from converter.read.bundle import load_bundle
from converter.run import timed
from converter.targets import Options
from converter.tensorrt_target import Options as Engine

X = np.random.default_rng(0).standard_normal((3, 3, 64, 64)).astype(np.float32)


@pytest.fixture(autouse=True)
def no_web(monkeypatch):
    monkeypatch.setattr("converter.verify.web_problem", lambda: "Node is not installed")
    monkeypatch.setattr("converter.targets.web_problem", lambda: "Node is not installed")


def model(tmp_path):
    return small_pir().save(tmp_path / "net")


def test_without_tensorrt_the_onnx_is_left_ready(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "")
    report = convert(model(tmp_path), tmp_path / "b", targets=("web", "tensorrt"))
    assert len(report.refused) == 1 and "TensorRT cannot be imported" in report.refused[0]
    assert "model.onnx is ready for a machine with a GPU" in report.refused[0]
    assert json.loads((tmp_path / "b" / "model.json").read_text())["onnx"]["opset"] == 13
    assert not (tmp_path / "b" / "tensorrt").exists()
    with pytest.raises(ConvertError, match="the bundle has no TensorRT engine"):
        timed(tmp_path / "b", {"x": X}, "tensorrt")


def test_without_a_gpu_too(tmp_path, gpu):
    gpu("FAKE_GPUS", "0")
    report = convert(model(tmp_path), tmp_path / "b", targets=("web", "tensorrt"))
    assert len(report.refused) == 1 and "model.onnx is ready" in report.refused[0]
    assert not (tmp_path / "b" / "tensorrt").exists()


@pytest.mark.parametrize("precision, said", [("float32", "fp32"), ("float16", "fp16")])
def test_with_a_gpu_the_engine_is_built_checked_and_run(tmp_path, gpu, precision, said):
    shape = "x=1x3x64x64,2x3x64x64,4x3x64x64"
    report = convert(model(tmp_path), tmp_path / "b", targets=("web", "tensorrt"), precision=precision,
                     input_shapes={"x": (1, 3, 64, 64)},
                     options=Options(tensorrt=Engine((shape,)), report=True))  # fmt: skip
    assert report.refused == []
    about = json.loads((tmp_path / "b" / "tensorrt" / "engine.json").read_text())
    assert about["precision"] == said and about["machine"]["gpu"] and about["errors"]["out"]["largest"] < 1e-2
    outputs, times = timed(tmp_path / "b", {"x": X}, "tensorrt", 2)
    expected = evaluate(load_bundle(tmp_path / "b"), {"x": X})["out"]
    assert len(times) == 2 and np.abs(outputs["out"] - expected).max() < 0.05 * np.ptp(expected)
    made = json.loads((tmp_path / "b" / "report.json").read_text())
    assert made["speed"]["tensorrt"]["runs"] > 1 and made["tensorrt"]["precision"] == said
    assert set(signature.check(tmp_path / "b")["beside"]) == {
        "report.html", "report.json", "tensorrt/engine", "tensorrt/engine.json"}  # fmt: skip


def test_a_build_that_takes_too_long_is_stopped(tmp_path, gpu):
    gpu("FAKE_TRT_BUILD_S", "30")
    with pytest.raises(ConvertError, match="did not finish in 3 s"):
        convert(model(tmp_path), tmp_path / "b", targets=("web", "tensorrt"),
                options=Options(tensorrt=Engine(seconds=3)))  # fmt: skip
    assert not (tmp_path / "b").exists()


def test_keep_going_leaves_the_engine_out(tmp_path, gpu):
    shape = "x=1x5x64x64"
    with pytest.raises(ConvertError, match="TensorRT: the model cannot be run on x=1x5x64x64"):
        convert(model(tmp_path), tmp_path / "b", targets=("web", "tensorrt"),
                options=Options(tensorrt=Engine((shape,))))  # fmt: skip
    report = convert(model(tmp_path), tmp_path / "b", targets=("web", "tensorrt"),
                     options=Options(tensorrt=Engine((shape,)), keep_going=True))  # fmt: skip
    assert len(report.refused) == 1 and report.refused[0].startswith("tensorrt: TensorRT: the model cannot be run")
    assert (tmp_path / "b" / "model.onnx").is_file()


def test_a_damaged_engine_is_not_run(tmp_path, gpu):
    convert(model(tmp_path), tmp_path / "b", targets=("web", "tensorrt"))
    engine = tmp_path / "b" / "tensorrt" / "engine"
    engine.write_bytes(engine.read_bytes()[:-1])
    with pytest.raises(ConvertError, match="is damaged"):
        timed(tmp_path / "b", {"x": X}, "tensorrt")


@pytest.mark.parametrize("shape", ["x=4x3x8x8,2x3x8x8,1x3x8x8", "x=axb"])
def test_shapes_that_make_no_sense(tmp_path, shape):
    with pytest.raises(ConvertError, match="--tensorrt-shape: "):
        convert(model(tmp_path), tmp_path / "b", targets=("web", "tensorrt"),
                options=Options(tensorrt=Engine((shape,))))  # fmt: skip


def test_shapes_of_unknown_inputs(tmp_path, capsys):
    assert main([str(model(tmp_path)), "-o", str(tmp_path / "b"), "--targets", "tensorrt", "--quiet",
                 "--tensorrt-shape", "y=1x3x8x8"]) == 1  # fmt: skip
    assert "--tensorrt-shape names unknown inputs ['y']" in capsys.readouterr().err
