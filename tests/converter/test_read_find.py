"""What a path is, is found out from its content."""

import json

import pytest
from programs import small_legacy, small_pir

from converter.errors import ConvertError
from converter.read import find, read


def test_newest_format_wins_in_a_folder_with_both(tmp_path):
    small_pir().save(tmp_path)
    small_legacy().save(tmp_path)
    assert find(tmp_path).kind == "pir"


def test_other_json_is_passed_over(tmp_path):
    (tmp_path / "meta.json").write_text("{}")
    (tmp_path / "broken.json").write_text("{")
    small_legacy().save(tmp_path, "det.pdmodel")
    found = find(tmp_path)
    assert found.kind == "program" and found.path.name == "det.pdmodel"
    assert read(tmp_path).meta["name"] == "det"


def test_a_file_of_any_name_is_known_by_content(tmp_path):
    small_pir().save(tmp_path)
    (tmp_path / "inference.json").rename(tmp_path / "net.model")
    (tmp_path / "inference.pdiparams").rename(tmp_path / "net.pdiparams")
    assert find(tmp_path / "net.model").kind == "pir"
    assert read(tmp_path / "net.model").outputs == ["out"]


def test_several_models_need_a_choice(tmp_path):
    for name in ("a.pdmodel", "b.pdmodel"):
        small_legacy().save(tmp_path, name)
    with pytest.raises(ConvertError, match="several models in this folder: a.pdmodel, b.pdmodel"):
        find(tmp_path)
    assert find(tmp_path / "b.pdmodel").path.name == "b.pdmodel"
    small_legacy().save(tmp_path, "inference.pdmodel")
    assert find(tmp_path).path.name == "inference.pdmodel"


@pytest.mark.parametrize("name, data, message", [
    ("nothing-here", None, "no such file or folder"),
    ("model.json", b"", "the file is empty"),
    ("model.json", b"[1, 2]", "this JSON is not a model"),
    ("model.json", b'{"ops": [', "this is not JSON"),
    ("inference.pdiparams", b"\0" * 99, "weights without their program"),
    ("model.pdmodel", b"no protobuf at all", "not a Paddle program"),
])  # fmt: skip
def test_what_is_no_model(tmp_path, name, data, message):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ConvertError, match=message):
        read(tmp_path / name)


def test_a_damaged_inference_json_is_not_passed_over(tmp_path):
    (tmp_path / "inference.json").write_text(json.dumps(small_pir().json())[:-20])
    with pytest.raises(ConvertError, match="this is not JSON"):
        find(tmp_path)


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(ConvertError, match="expected a Paddle 3 inference.json"):
        find(tmp_path)


@pytest.mark.parametrize("name, data, message, hint", [
    ("net.pdparams", b"\x80\x02}q\0.", "a state dict's weights, without the network", "paddle.jit.save"),
    ("weights", b"\x80\x04}\x94.", "a pickle", "paddle.jit.save"),
    ("net.onnx", b"\x08\x0a", "an ONNX model", "X2Paddle"),
    ("net.pth", b"PK\3\4", "PyTorch", "X2Paddle"),
    ("net.tflite", b"\x1c\0\0\0TFL3", "TensorFlow", "X2Paddle"),
    ("det_infer.tar", b"m" + b"\0" * 256 + b"ustar" + b"\0" * 250, "a tar archive", "unpack it"),
    ("net.pdmodel", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer", "git lfs pull"),
    ("inference.json", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer", "git lfs pull"),
    ("net.pdmodel", b"<!DOCTYPE html><html>404", "a web page", "download"),
    ("net.nb", b"\2\0\x10", "Paddle Lite", ".pdmodel"),
    ("model.json", b'{"modelTopology": {}}', "TensorFlow.js", "expected"),
])  # fmt: skip
def test_files_of_other_kinds_are_known(tmp_path, name, data, message, hint):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ConvertError, match=message) as caught:
        read(tmp_path / name)
    assert hint in caught.value.hint


@pytest.mark.parametrize("name, message, hint", [
    ("inference.pdiparams", "there are weights \\(inference.pdiparams\\), but no program", ".pdmodel"),
    ("final.pdparams", "final.pdparams: these are a state dict's weights", "paddle.jit.save"),
    ("model.onnx", "model.onnx: this is an ONNX model", "X2Paddle"),
    ("best/inference/inference.json", "below it", "best/inference"),
    ("notes.txt", "there is no model in this folder", "expected a Paddle 3"),
])  # fmt: skip
def test_a_folder_without_a_model_says_what_it_has_instead(tmp_path, name, message, hint):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"\x80\x02")
    with pytest.raises(ConvertError, match=message) as caught:
        find(tmp_path)
    assert hint in caught.value.hint


@pytest.mark.parametrize("save, kind", [(small_pir, "pir"), (small_legacy, "program")])
def test_a_path_without_its_suffix_is_enough(tmp_path, save, kind):
    """As paddle.jit.save and paddle.jit.load take it."""
    save().save(tmp_path)
    assert find(tmp_path / "inference").kind == kind
    assert read(tmp_path / "inference").outputs == read(tmp_path).outputs
