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
