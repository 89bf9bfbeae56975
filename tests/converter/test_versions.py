"""Bundle versions: what a bundle says of itself, its signature, what differs between two."""

import json
import shutil

import numpy as np
import pytest
from programs import small_pir

from converter import convert, signature
from converter.__main__ import main
from converter.arguments import parse
from converter.errors import ConvertError


@pytest.fixture(autouse=True)
def no_web(monkeypatch):
    monkeypatch.setattr("converter.verify.web_problem", lambda: "Node is not installed")


@pytest.fixture
def bundle(tmp_path):
    convert(small_pir().save(tmp_path / "net"), tmp_path / "b", targets=("web", "onnx"), model_version="1.2.0")
    return tmp_path / "b"


def test_a_bundle_says_where_it_is_from(tmp_path):
    model = small_pir().save(tmp_path / "net")
    assert main(["convert", str(model), "-o", str(tmp_path / "b"), "--quiet", "--model-version=1.2.0-rc.1",
                 "--scale", "1/255", "--input-shape", "x=1,3,8,8"]) == 0  # fmt: skip
    data = json.loads((tmp_path / "b" / "model.json").read_text())
    assert data["version"] == "1.2.0-rc.1" and data["source"]["sha256"] and data["converter"]["version"]
    assert data["converter"]["command"] == \
        "python -m converter net --model-version=1.2.0-rc.1 --scale 1/255 --input-shape x=1,3,8,8"
    assert str(tmp_path) not in (tmp_path / "b" / "model.json").read_text()


@pytest.mark.parametrize("argv, said", [
    (["/a/net", "--output=/b/c"], "python -m converter net"),
    (["net", "-o/b/c", "--params", "/x/w.pdiparams"], "python -m converter net --params w.pdiparams"),
    (["../some net", "-o", "b", "--paddle2onnx", "/srv/py/bin/python"],
     "python -m converter 'some net' --paddle2onnx python"),
    (["net", "-o", "b", "--labels=/d/l.txt"], "python -m converter net --labels=l.txt")])  # fmt: skip
def test_the_command_names_no_places(argv, said):
    assert parse(argv).said == said


def test_paddle_two_programs_say_which_paddle(tmp_path):
    from programs import small_legacy

    convert(small_legacy().save(tmp_path / "net"), tmp_path / "b")
    assert json.loads((tmp_path / "b" / "model.json").read_text())["source"]["paddle"] == "2.4.0"


@pytest.mark.parametrize("text", ["1", "1.2", "v1.2.3", "01.2.3", "1.2.3-", "1.2.3 "])
def test_versions_are_semantic(text, capsys):
    assert main(["net", "-o", "b", "--model-version", text]) == 2
    assert "no semantic version" in capsys.readouterr().err


def test_the_signature_covers_every_file_and_is_the_same_again(tmp_path, bundle):
    first = signature.check(bundle)
    assert set(first["files"]) == {"model.json", "chunk_1.dat", "check.dat", "model.onnx"}
    convert(small_pir().save(tmp_path / "again" / "net"), tmp_path / "c", targets=("web", "onnx"),
            model_version="1.2.0")  # fmt: skip
    assert signature.check(tmp_path / "c")["digest"] == first["digest"]


@pytest.mark.parametrize("damage, said", [
    (lambda b: (b / "chunk_1.dat").write_bytes(b"x"), "chunk_1.dat has changed"),
    (lambda b: (b / "model.onnx").unlink(), "model.onnx is missing"),
    (lambda b: (b / "extra.txt").write_text("x"), "extra.txt is not signed"),
    (lambda b: (b / "report.html").write_text("x"), "report.html is not signed"),
    (lambda b: (b / "signature.json").unlink(), "there is no signature.json"),
    (lambda b: (b / "signature.json").write_text("[]"), "not a bundle's signature"),
    (lambda b: (b / "signature.json").write_text("{"), "cannot be read"),
    (lambda b: (b / "out").symlink_to("chunk_1.dat"), "neither a file nor a folder"),
    (lambda b: (b / "signature.json").write_text(
        (b / "signature.json").read_text().replace('"digest": "', '"digest": "0')),
     "digest is not that"),
])  # fmt: skip
def test_what_was_changed_is_named(bundle, damage, said):
    damage(bundle)
    with pytest.raises(ConvertError, match=said):
        signature.check(bundle)


def test_diff_of_the_same(tmp_path, bundle, capsys):
    shutil.copytree(bundle, tmp_path / "copy")
    assert main(["diff", str(bundle), str(tmp_path / "copy")]) == 0
    assert capsys.readouterr().out == "the bundles hold the same model\n"


def test_diff_says_what_differs(tmp_path, bundle, capsys):
    other = small_pir()
    other.params["conv.w"] = other.params["conv.w"] + np.float32(0.25)
    convert(other.save(tmp_path / "other"), tmp_path / "c", name="net", model_version="1.3.0", labels=["a"])
    assert main(["diff", str(bundle), str(tmp_path / "c")]) == 1
    said = capsys.readouterr().out
    for part in ("version: 1.2.0 → 1.3.0", 'labels: none → ["a"]', "file model.onnx: only in the first",
                 "weights changed: 1 of 1 (conv.w)", "answers: out differs by"):  # fmt: skip
        assert part in said
    assert "operators" not in said


def test_diff_of_other_operators_and_inputs(tmp_path, bundle):
    from programs import Pir

    from converter.difference import diff

    p = Pir()
    p.fetch(p.op("relu", [p.data("y", [-1, 2])], [-1, 2]))
    convert(p.save(tmp_path / "other"), tmp_path / "c")
    said = "\n".join(diff(bundle, tmp_path / "c"))
    assert "operators: conv2d 1 → 0, relu 0 → 1" in said and "answers: not compared, the inputs differ" in said
