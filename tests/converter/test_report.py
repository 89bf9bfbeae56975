"""report.html and report.json: what they say, that they need nothing else; and run with its answers and times."""

import json
import re

import numpy as np
import pytest
from lite_kit import fake_tools
from PIL import Image
from programs import small_pir

from converter import convert, paddle_lite
from converter.__main__ import main
from converter.answer import describe, times_text
from converter.report import Facts, write
from converter.report_page import page
from converter.targets import Options
from converter.verify import Check


@pytest.fixture(autouse=True)
def no_web(monkeypatch):
    for module in ("verify", "targets"):
        monkeypatch.setattr(f"converter.{module}.web_problem", lambda: "Node is not installed")


@pytest.fixture
def model(tmp_path):
    return small_pir().save(tmp_path / "net")


def test_a_conversion_leaves_its_report(tmp_path, model):
    opt = str(fake_tools(tmp_path / "tools"))
    assert main([str(model), "-o", str(tmp_path / "b"), "--targets", "web,onnx,lite", "--quiet", "--model-version",
                 "1.0.0", "--paddle-lite-opt", opt]) == 0  # fmt: skip
    report = json.loads((tmp_path / "b" / "report.json").read_text())
    assert [target["target"] for target in report["targets"]] == ["web", "onnx", "lite arm", "lite x86"]
    assert all(target["bytes"] > 0 for target in report["targets"]) and report["float32Bytes"] == 432
    assert {check["engine"] for check in report["checks"]} == {"numpy", "onnx", f"lite {paddle_lite.here()}"}
    assert set(report["speed"]) == {"onnx", "lite"} and report["speed"]["onnx"]["runs"] == 8
    assert report["operators"] == {"before": {"conv2d": 1, "leaky_relu": 1}, "after": {"conv2d": 1}}
    html = (tmp_path / "b" / "report.html").read_text()
    assert "<h1>net 1.0.0</h1>" in html and "Speed on this machine" in html and "Quantisation" not in html


def test_no_report_on_request(tmp_path, model):
    assert main([str(model), "-o", str(tmp_path / "b"), "--quiet", "--no-report"]) == 0
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [
        "check.dat", "chunk_1.dat", "model.json", "signature.json"]  # fmt: skip


LAYERS = [{"name": "conv<1>", "kind": "conv2d", "precision": "int8", "reason": "within the budget", "weights": 9,
           "error": 0.002, "effect": 0.0001},
          {"name": "conv2", "kind": "conv2d", "precision": "float", "reason": "effect & budget", "weights": 9,
           "error": 0.004, "effect": None}]  # fmt: skip


def written(folder, **facts):
    write(folder, Facts({"conv2d": 1}, {"conv2d": 1}, **facts))
    return json.loads((folder / "report.json").read_text()), (folder / "report.html").read_text()


def test_quantised_layers_are_drawn(tmp_path, model):
    convert(model, tmp_path / "b", verify=False)
    report, html = written(tmp_path / "b", quantisation={
        "inputs": 100, "layers": LAYERS, "error": 0.01, "budget": 0.02, "agreement": 0.99, "notes": []})  # fmt: skip
    assert report["quantisation"]["layers"] == LAYERS
    bars = re.findall(r'<rect x="260" y="\d+" width="([\d.]+)"', html)
    assert len(bars) == 3 and float(bars[1]) == 2 * float(bars[0]) and html.count("<svg") == 2
    assert "conv&lt;1&gt;" in html and "effect &amp; budget" in html and "99.0 % of them" in html


def test_what_was_refused_and_what_failed_is_said(tmp_path, model):
    convert(model, tmp_path / "b", verify=False)
    report, html = written(tmp_path / "b", refused=["lite: ops are not supported: <silu>"],
                           checks=[Check("out", "onnx", float("inf"), 1e-3, "is missing")])  # fmt: skip
    assert report["checks"][0]["error"] == "inf" and "above the limit" in html
    assert "lite: ops are not supported: &lt;silu&gt;" in html


def test_the_page_needs_nothing_else(tmp_path, model):
    convert(model, tmp_path / "b", verify=False)
    _, html = written(tmp_path / "b", notes=["see http://example.org/"], speeds={"web": [5.0, 1.0, 2.0, 3.0]})
    assert not re.search(r"<(script|link|img|iframe)|\b(src|href|srcset)=|url\(|@import", html)
    assert page(json.loads((tmp_path / "b" / "report.json").read_text())) == html
    assert "<td class=n>2.00</td><td class=n>1.00</td><td class=n>5.00</td>" in html


def test_keep_going_names_what_was_left_out(tmp_path, monkeypatch, model):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    report = convert(model, tmp_path / "b", targets=("web", "onnx", "lite"),
                     options=Options(keep_going=True, report=True))  # fmt: skip
    assert report.refused == ["lite: Paddle Lite's optimiser (paddle_lite_opt) was not found"]
    assert json.loads((tmp_path / "b" / "report.json").read_text())["refused"] == report.refused
    assert (tmp_path / "b" / "model.onnx").is_file() and not (tmp_path / "b" / "lite").exists()


def test_keep_going_leaves_out_what_computes_something_else(tmp_path, model):
    opt = fake_tools(tmp_path / "tools")
    package = tmp_path / "tools" / "site" / "paddlelite" / "lite.py"
    package.write_text(package.read_text().replace("return self.array", "return self.array * 1.5"))
    report = convert(model, tmp_path / "b", targets=("web", "lite", "onnx"),
                     options=Options(lite_opt=str(opt), keep_going=True, report=True))  # fmt: skip
    assert len(report.refused) == 1 and "of the range of out off, the limit is 0.001" in report.refused[0]
    data = json.loads((tmp_path / "b" / "model.json").read_text())
    assert "lite" not in data and "onnx" in data and not (tmp_path / "b" / "lite").exists()
    assert {check.engine for check in report.checks} == {"numpy", "onnx"}


# ---- run ----

def test_the_answer_is_printed_with_labels():
    rows = np.array([[0.1, 2.0, -1.0], [3.0, 0.0, 0.0]], np.float32)
    assert describe({"scores": rows}, ["cat", "dog", "owl"]) == [
        "scores: float32[2, 3]", "  dog 2, cat 0.1, owl -1", "  cat 3, dog 0, owl 0"]  # fmt: skip
    assert describe({"scores": rows}, ["cat"])[1] == "  1 2, 0 0.1, 2 -1"
    assert describe({"map": np.zeros((1, 1, 2, 2), np.float32)}) == ["map: float32[1, 1, 2, 2]", "  0 to 0, mean 0"]
    assert describe({"boxes": np.zeros((0, 6), np.float32)}) == ["boxes: float32[0, 6]", "  nothing"]


def test_times_leave_the_first_run_out():
    assert times_text([50.0, 3.0, 1.0, 2.0]) == \
        "4 runs: 2.00 ms in the middle, 1.00 at best, nine of ten below 3.00; the first took 50.00"


@pytest.mark.parametrize("engine", ["numpy", "onnx", "lite"])
def test_a_picture_runs_and_is_timed(tmp_path, model, capsys, engine):
    opt = str(fake_tools(tmp_path / "tools"))
    convert(model, tmp_path / "b", targets=("web", "onnx", "lite"), options=Options(lite_opt=opt),
            preprocess={"size": [8, 8]})  # fmt: skip
    Image.new("RGB", (20, 10), (255, 128, 0)).save(tmp_path / "photo.png")
    assert main(["run", str(tmp_path / "b"), "--input", str(tmp_path / "photo.png"), "--engine", engine, "--repeat",
                 "3", "--paddle-lite-opt", opt]) == 0  # fmt: skip
    said = capsys.readouterr().out
    assert "out: float32[1, 4, 8, 8]" in said and f"{engine}: 3 runs: " in said


def test_verify_runs_every_target_that_can_run(tmp_path, model, capsys):
    opt = fake_tools(tmp_path / "tools")
    elsewhere = "arm" if paddle_lite.here() == "x86" else "x86"
    convert(model, tmp_path / "b", targets=("web", "onnx", "lite"),
            options=Options(lite_opt=str(opt), lite_targets=(elsewhere,)))  # fmt: skip
    assert main(["verify", str(tmp_path / "b"), "--input-shape", "x=1,3,9,9"]) == 0
    said = capsys.readouterr().out
    assert "range of out, onnx" in said and "note: lite was not run: the bundle has no .nb for this machine" in said
    (tmp_path / "b" / "model.onnx").write_bytes(b"damaged")
    assert main(["verify", str(tmp_path / "b"), "--input-shape", "x=1,3,9,9"]) == 1
    assert "the bundle is not what was signed: model.onnx has changed" in capsys.readouterr().err


@pytest.mark.parametrize("name, content, said", [
    ("photo.png", b"no picture", "this picture cannot be read"),
    ("photo.png", None, "this picture cannot be read")])  # fmt: skip
def test_pictures_that_cannot_be_read(tmp_path, model, capsys, name, content, said):
    convert(model, tmp_path / "b", preprocess={"size": [8, 8]}, verify=False)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(["run", str(tmp_path / "b"), "--input", str(tmp_path / name), "--engine", "numpy"]) == 1
    assert said in capsys.readouterr().err


def test_a_bundle_that_takes_no_pictures(tmp_path, model, capsys):
    convert(model, tmp_path / "b", verify=False)
    assert main(["run", str(tmp_path / "b"), "--input", "photo.png"]) == 1
    assert "does not say how a picture becomes its input" in capsys.readouterr().err
