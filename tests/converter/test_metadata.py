"""What lies beside a model: preprocess.json, the YAML of Paddle's tools, labels; and what the caller says over it."""

import json

import pytest

from converter.errors import ConvertError
from converter.graph.text import parse
from converter.metadata import describe
from converter.read.metadata import beside, number, read_labels

OCR = """
PreProcess:
  transform_ops:
  - DecodeImage: {channel_first: false, img_mode: BGR}
  - DetLabelEncode: null
  - DetResizeForTest: {limit_side_len: 960, limit_type: max}
  - NormalizeImage: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], order: hwc, scale: 1./255.}
  - ToCHWImage: null
  - KeepKeys: {keep_keys: [image]}
PostProcess: {name: DBPostProcess, thresh: 0.3}
"""
CLAS = """
PreProcess:
  transform_ops:
  - ResizeImage: {resize_short: 256}
  - CropImage: {size: 224}
  - NormalizeImage: {scale: 0.00392156862745098, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5], channel_num: 3}
  - ToCHWImage: null
PostProcess:
  Topk: {topk: 5, label_list: [cat, 7]}
"""
DETECTION = """
Preprocess:
- {type: Resize, target_size: [192, 320], keep_ratio: false, interp: 2}
- {type: NormalizeImage, is_scale: true, mean: [0.0, 0.0, 0.0], std: [1.0, 1.0, 1.0], norm_type: null}
- {type: Permute}
label_list: [person]
"""


def graph(shape="N,3,H,W"):
    found = parse(f"k: float32[2] = input\nx: float32[{shape}] = input\ny = relu(x)\nz = relu(k)\nreturn y, z")
    return found


def spec_of(tmp_path, yml, name="inference.yml", **options):
    (tmp_path / name).write_text(yml)
    net = graph()
    net.meta["folder"] = str(tmp_path)
    notes = describe(net, None, options, None, None)
    return net.meta, notes


def test_ocr_detection(tmp_path):
    meta, notes = spec_of(tmp_path, OCR)
    spec = meta["preprocess"]
    assert spec["channels"] == "bgr" and spec["layout"] == "nchw" and spec["input"] == "x"
    assert spec["resize"] == "limit" and spec["limit"] == {"side": 960, "type": "max", "multiple": 32}
    assert spec["scale"] == pytest.approx(1 / 255) and spec["std"] == [0.229, 0.224, 0.225]
    assert notes == [] and "labels" not in meta


def test_classification(tmp_path):
    meta, _ = spec_of(tmp_path, CLAS)
    spec = meta["preprocess"]
    assert (spec["resize"], spec["size"], spec["crop"]) == ("short", [256, 256], [224, 224])
    assert spec["channels"] == "rgb" and meta["labels"] == ["cat", "7"]


def test_detection(tmp_path):
    meta, notes = spec_of(tmp_path, DETECTION, "infer_cfg.yml")
    spec = meta["preprocess"]
    assert (spec["resize"], spec["size"], spec["scale"]) == ("stretch", [192, 320], 1 / 255)
    assert meta["labels"] == ["person"] and "cubic" in notes[0]


def test_an_unknown_step_leaves_preprocessing_out_with_a_note(tmp_path):
    meta, notes = spec_of(tmp_path, OCR.replace("DetResizeForTest", "RecResizeImg"))
    assert "preprocess" not in meta and "RecResizeImg is not known" in notes[0]


def test_json_wins_over_yaml_and_options_over_both(tmp_path):
    (tmp_path / "preprocess.json").write_text(json.dumps({"size": [32, 48], "mean": 0.5}))
    yml = OCR.replace("DetResizeForTest", "RecResizeImg")
    meta, notes = spec_of(tmp_path, yml, mean=[0.1, 0.2, 0.3], layout="nhwc")
    spec = meta["preprocess"]
    assert spec["size"] == [32, 48] and spec["mean"] == [0.1, 0.2, 0.3] and spec["layout"] == "nhwc"
    assert "limit" not in [key for key, value in spec.items() if value] and notes == []


def test_the_declared_size_is_the_default(tmp_path):
    net = graph("1,3,96,160")
    net.meta["folder"] = str(tmp_path)
    describe(net, "chosen", {"mean": 0}, {"margin": 0.07}, ["a"])
    assert net.meta["preprocess"]["size"] == [96, 160]
    assert net.meta["name"] == "chosen" and net.meta["postprocess"] == {"margin": 0.07} and net.meta["labels"] == ["a"]


def test_nothing_beside_and_nothing_said(tmp_path):
    net = parse("x: float32[1,3,8,9] = input\ny = relu(x)\nreturn y")
    net.meta["folder"] = str(tmp_path)
    assert describe(net, None, {}, None, None) == []
    assert "preprocess" not in net.meta and net.meta["feedShape"] == {"fc": 3, "fh": 8, "fw": 9}


def test_a_picture_needs_an_input(tmp_path):
    net = graph("4,4")
    net.meta["folder"] = str(tmp_path)
    with pytest.raises(ConvertError, match="no input takes a picture"):
        describe(net, None, {"mean": 0.5}, None, None)
    net = graph()
    net.meta["folder"] = str(tmp_path)
    with pytest.raises(ConvertError, match="input 'image' does not exist"):
        describe(net, None, {"input": "image"}, None, None)


@pytest.mark.parametrize("name, text, message", [
    ("preprocess.json", "{", "this is not JSON"),
    ("preprocess.json", "[]", "expected an object"),
    ("inference.yml", "a: [1", "this is not YAML"),
    ("inference.yml", CLAS.replace("0.00392156862745098", "tiny"), "'tiny' is not a number"),
])  # fmt: skip
def test_damaged_files(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConvertError, match=message):
        beside(tmp_path)


def test_labels(tmp_path):
    (tmp_path / "l.txt").write_bytes("\ufeffcat\r\ndög\n".encode())
    assert read_labels(tmp_path / "l.txt") == ["cat", "dög"]
    (tmp_path / "l.json").write_text('["a", "b"]')
    assert read_labels(tmp_path / "l.json") == ["a", "b"]
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConvertError, match="not UTF-8"):
        read_labels(tmp_path / "bad.txt")
    with pytest.raises(ConvertError, match="cannot read"):
        read_labels(tmp_path / "none.txt")


@pytest.mark.parametrize("text, value", [("1./255.", 1 / 255), ("1/4", 0.25), ("0.5", 0.5), (2, 2.0), ("1e-2", 0.01)])
def test_numbers(text, value):
    assert number(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "a", "1/0", "1//2", "__import__('os')"])
def test_not_numbers(text):
    with pytest.raises(ConvertError, match="is not a number"):
        number(text)
