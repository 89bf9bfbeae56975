"""The calibration folder: pictures and arrays that serve, and one clear sentence for each that does not."""

import json

import numpy as np
import pytest
from PIL import Image

from converter import with_onnxruntime
from converter.__main__ import main
from converter.calibration import Inputs
from converter.convert import convert
from converter.errors import ConvertError
from converter.read.bundle import load_bundle
from converter.run import run
from converter.write import web
from tests.converter.test_quantise import net

SPEC = {"size": [12, 10], "mean": 0.5, "std": 0.25}


@pytest.fixture
def model(tmp_path):
    """A bundle that says how pictures become its input."""
    folder, graph = tmp_path / "model", net()
    folder.mkdir()
    graph.meta = {"name": "net", "source": {"format": "text"}}
    web.write(graph, folder)
    convert(folder, tmp_path / "with_spec", preprocess=dict(SPEC), verify=False)
    return tmp_path / "with_spec"


def pictures(folder, count, size=(31, 17)):
    rng = np.random.default_rng(7)
    folder.mkdir()
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return folder


def arrays(folder, count, shape=(1, 3, 12, 10), **extra):
    folder.mkdir()
    for i in range(count):
        np.savez(folder / f"{i}.npz", x=np.random.default_rng(i).standard_normal(shape).astype(np.float32), **extra)
    return folder


def test_from_the_command_line_to_a_bundle_that_runs(model, tmp_path, capsys):
    out, folder = tmp_path / "out", pictures(tmp_path / "pictures", 12)
    said = ["--precision", "int8", "--calibrate", str(folder), "--error-budget", "0.05"]
    assert main([str(model), "-o", str(out), *said]) == 0
    assert "calibrated on 12 inputs" in capsys.readouterr().out
    assert json.loads((out / "model.json").read_text())["precision"] == "int8"
    assert "conv2d_int8" in {node.type for node in load_bundle(out).nodes}
    feeds = {"x": np.random.default_rng(3).standard_normal((1, 3, 12, 10)).astype(np.float32)}
    exact, found = (run(folder, feeds, "numpy")["y"] for folder in (model, out))
    assert 0 < np.abs(exact - found).max() < 0.1 * np.ptp(exact)


def test_arrays_serve_as_well(model, tmp_path):
    report = convert(model, tmp_path / "out", precision="int8", calibrate=arrays(tmp_path / "arrays", 9))
    assert report.quantisation["inputs"] == 9 and len(report.quantisation["layers"]) == 7
    json.dumps(report.quantisation)


def refused(model, tmp_path, folder):
    with pytest.raises(ConvertError) as caught:
        convert(model, tmp_path / "out", precision="int8", calibrate=folder)
    assert not (tmp_path / "out").exists()
    assert "\n" not in caught.value.what and caught.value.where
    return str(caught.value)


def test_an_empty_folder(model, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "neither pictures nor .npz" in refused(model, tmp_path, tmp_path / "empty")


def test_no_folder(model, tmp_path):
    assert "no such folder" in refused(model, tmp_path, tmp_path / "nowhere")


def test_one_picture(model, tmp_path):
    assert "holds one input;" in refused(model, tmp_path, pictures(tmp_path / "one", 1))


def test_the_wrong_size(model, tmp_path):
    message = refused(model, tmp_path, arrays(tmp_path / "wrong", 9, (1, 4, 12, 10)))
    assert "dimension 1 of the input is 4" in message and "0.npz" in message


def test_a_missing_input(model, tmp_path):
    message = refused(model, tmp_path, arrays(tmp_path / "wrong", 9, z=np.zeros(3)))
    assert "unknown inputs ['z']" in message


def test_nan(model, tmp_path):
    folder = arrays(tmp_path / "nan", 9)
    np.savez(folder / "4.npz", x=np.full((1, 3, 12, 10), np.nan, np.float32))
    message = refused(model, tmp_path, folder)
    assert "holds NaN or infinity in x" in message and "4.npz" in message


def test_a_file_in_the_place_of_a_folder(model, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    assert "this is a file, not a folder" in refused(model, tmp_path, tmp_path / "a.png")


def test_a_half_of_an_archive_and_an_empty_array(model, tmp_path):
    folder = arrays(tmp_path / "cut", 9)
    whole = (folder / "5.npz").read_bytes()
    (folder / "5.npz").write_bytes(whole[:len(whole) // 2])
    assert "5.npz: is not an .npz of arrays" in refused(model, tmp_path, folder)
    np.savez(folder / "5.npz", x=np.zeros((0, 3, 12, 10), np.float32))
    assert "5.npz: is empty" in refused(model, tmp_path, folder)


def test_inputs_that_are_all_the_same(model, tmp_path):
    folder = arrays(tmp_path / "same", 0)
    for i in range(9):
        np.savez(folder / f"{i}.npz", x=np.zeros((1, 3, 12, 10), np.float32))
    with pytest.raises(ConvertError, match="all calibration inputs are the same, 0 everywhere"):
        convert(model, tmp_path / "out", precision="int8", calibrate=folder)


def test_what_lies_beside_is_left_out(model, tmp_path):
    folder = arrays(tmp_path / "mixed", 9)
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    (folder / "notes.txt").write_text("typical inputs")
    (folder / "._3.npz").write_text("what another system leaves")
    inputs = Inputs(folder, load_bundle(model))
    assert len(inputs) == 9 and "1 pictures beside the .npz files were left out" in inputs.notes


@pytest.mark.parametrize("name", ["3.png", "3.npz"])
def test_a_file_that_is_not_what_it_is_called(model, tmp_path, name):
    folder = (pictures if name.endswith("png") else arrays)(tmp_path / "bad", 9)
    (folder / name).write_bytes(b"nothing of the kind")
    assert f"calibration input {name}" in refused(model, tmp_path, folder)


def test_pictures_for_a_model_that_takes_none(model, tmp_path):
    graph = load_bundle(model)
    graph.meta.pop("preprocess")
    with pytest.raises(ConvertError, match="does not say how pictures become inputs"):
        Inputs(pictures(tmp_path / "pictures", 9), graph)


@pytest.mark.parametrize(("said", "message"), [
    (["--precision", "int8"], "needs typical inputs"),
    (["--precision", "float16", "--calibrate", "x"], "are for --precision int8"),
    (["--error-budget", "0.1"], "are for --precision int8"),
])
def test_options_that_do_not_go_together(model, tmp_path, capsys, said, message):
    assert main([str(model), "-o", str(tmp_path / "out"), "--quiet", *said]) == 1
    assert message in capsys.readouterr().err


def test_more_than_enough_is_thinned(model, tmp_path, monkeypatch):
    monkeypatch.setattr("converter.calibration.MOST", 4)
    inputs = Inputs(arrays(tmp_path / "arrays", 9), load_bundle(model))
    assert [path.name for path in inputs.files] == ["0.npz", "3.npz", "6.npz"]
    assert inputs[1]["x"].shape == (1, 3, 12, 10)


def test_other_engines_get_the_same_choices_as_pairs(model, tmp_path):
    folder = arrays(tmp_path / "arrays", 9)
    convert(model, tmp_path / "out", precision="int8", calibrate=folder, targets=("web", "onnx"))
    data = (tmp_path / "out" / "model.onnx").read_bytes()
    assert b"QuantizeLinear" in data and b"DequantizeLinear" in data
    feeds = {"x": np.random.default_rng(3).standard_normal((1, 3, 12, 10)).astype(np.float32)}
    exact = run(model, feeds, "numpy")["y"]
    found = with_onnxruntime.run(with_onnxruntime.load(tmp_path / "out" / "model.onnx"), feeds)["y"]
    assert 0 < np.abs(exact - found).max() < 0.15 * np.ptp(exact)
