"""The target lite: files for each target, checked on this machine; the real tool where it is, a stand-in elsewhere."""

import json
import platform
from pathlib import Path

import numpy as np
import pytest
from lite_kit import fake_tools, script
from programs import small_pir

from converter import convert, lite_target, paddle_lite
from converter.__main__ import main
from converter.errors import ConvertError
from converter.ops import evaluate
from converter.read.bundle import load_bundle
from converter.targets import Options

REAL = paddle_lite.find()
TARGETS = ("arm", "armv8", "x86", "opencl")


@pytest.fixture(autouse=True)
def no_web(monkeypatch):
    monkeypatch.setattr("converter.verify.web_problem", lambda: "Node is not installed")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """As on a machine that has neither the tool nor anything to install it with; its cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


@pytest.fixture
def opt(tmp_path):
    """The real optimiser where this machine has it with its Python package, else the stand-in."""
    return str(REAL.opt if REAL is not None and REAL.python is not None else fake_tools(tmp_path / "tools"))


def model(tmp_path: Path) -> Path:
    return small_pir().save(tmp_path / "net")


def test_each_target_has_its_file_and_this_machine_agrees(tmp_path, opt):
    report = convert(model(tmp_path), tmp_path / "b", targets=("web", "lite"),
                     options=Options(lite_targets=TARGETS, lite_opt=opt))  # fmt: skip
    data = json.loads((tmp_path / "b" / "model.json").read_text())
    assert set(data["lite"]) == set(TARGETS)
    for target, entry in data["lite"].items():
        path = tmp_path / "b" / entry["file"]
        assert path == tmp_path / "b" / "lite" / f"{target}.nb" and path.stat().st_size == entry["bytes"] > 0
    checks = [check for check in report.checks if check.engine.startswith("lite")]
    assert [check.passed for check in checks] == [True]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "tools") == ["b", "net"]


def test_the_bundles_own_file_is_run(tmp_path, opt, capsys):
    convert(model(tmp_path), tmp_path / "b", targets=("web", "lite"), options=Options(lite_opt=opt))
    feeds = {"x": np.random.default_rng(0).standard_normal((1, 3, 7, 9)).astype(np.float32)}
    found, times = lite_target.run(tmp_path / "b", feeds, ["out"], opt, repeat=3)
    expected = evaluate(load_bundle(tmp_path / "b"), feeds)["out"]
    assert len(times) == 3 and min(times) >= 0
    np.testing.assert_allclose(found["out"], expected, atol=1e-5)


def test_a_file_for_another_machine_is_not_started(tmp_path, opt, monkeypatch):
    """Paddle Lite itself would answer NaN in no time."""
    convert(model(tmp_path), tmp_path / "b", targets=("web", "lite"), options=Options(lite_opt=opt))
    feeds = {"x": np.ones((1, 3, 4, 4), np.float32)}
    other = "arm" if paddle_lite.here() == "x86" else "x86"
    with pytest.raises(ConvertError, match=f"a .nb for {other} does not run on {platform.machine()}"):
        paddle_lite.run(paddle_lite.find(opt), tmp_path / "b" / "lite" / f"{other}.nb", other, feeds)
    convert(model(tmp_path), tmp_path / "c", targets=("web", "lite"),
            options=Options(lite_opt=opt, lite_targets=(other,)))  # fmt: skip
    with pytest.raises(ConvertError, match=rf"no \.nb for this machine \({other}\)"):
        lite_target.run(tmp_path / "c", feeds, ["out"], opt)
    monkeypatch.setattr(paddle_lite.platform, "machine", lambda: "riscv64")
    with pytest.raises(ConvertError, match="its files cannot be checked here"):
        convert(model(tmp_path), tmp_path / "d", targets=("web", "lite"), options=Options(lite_opt=opt))


def test_nothing_but_nan_is_no_answer(tmp_path, monkeypatch):
    with pytest.raises(ConvertError, match="nothing but NaN"):
        lite_target._named([np.full((2, 2), np.nan, np.float32)], ["out"], tmp_path)


def test_wrong_answers_leave_no_bundle(tmp_path, monkeypatch):
    wrong = fake_tools(tmp_path / "tools")
    package = tmp_path / "tools" / "site" / "paddlelite" / "lite.py"
    package.write_text(package.read_text().replace("return self.array", "return self.array * 1.5"))
    with pytest.raises(ConvertError, match=r"does not compute what the model computes(?s:.*)lite"):
        convert(model(tmp_path), tmp_path / "b", targets=("web", "lite"), options=Options(lite_opt=str(wrong)))
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("precision, target, flags", [
    ("float32", "armv8", set()), ("float16", "armv8", {"enable_fp16"}), ("float16", "x86", set()),
    ("int8", "arm", {"quant_model", "quant_type"})])  # fmt: skip
def test_the_optimiser_is_told_the_precision(tmp_path, precision, target, flags):
    import zipfile

    tools = paddle_lite.find(str(fake_tools(tmp_path / "tools")))
    for name in ("a.pdmodel", "a.pdiparams"):
        (tmp_path / name).write_text("x")
    paddle_lite.optimise(tools, tmp_path / "a.pdmodel", tmp_path / "a.pdiparams", target, precision,
                         tmp_path / "o.nb")  # fmt: skip
    with zipfile.ZipFile(tmp_path / "o.nb") as nb:
        given = json.loads(nb.read("options.json"))
    assert set(given) - {"model_file", "param_file", "valid_targets", "optimize_out"} == flags


@pytest.mark.parametrize("opt, said", [
    ("", "does not start"), ("import sys; sys.exit('Error: These unsupported ops are: silu')",
                             "refuses: Error: These unsupported ops are: silu"),
    ("print('done')", "refuses: done")])  # fmt: skip
def test_an_optimiser_that_fails_is_one_sentence(tmp_path, opt, said):
    tool = fake_tools(tmp_path / "tools", opt)
    if not opt:
        tool.write_bytes(b"\x7fELF not really")
    with pytest.raises(ConvertError, match=said) as caught:
        convert(model(tmp_path), tmp_path / "b", targets=("web", "lite"), options=Options(lite_opt=str(tool)))
    assert str(caught.value).count("\n") <= 1 and not (tmp_path / "b").exists()


def test_what_the_optimiser_leaves_behind_its_version_is_cleared(tmp_path):
    for content, wanted in ((b"\x02\0v2.12\0" + b"junkjunkju" + b"rest", b"\x02\0v2.12\0" + bytes(10) + b"rest"),
                            (b"PK\x03\x04 another kind", b"PK\x03\x04 another kind")):  # fmt: skip
        (tmp_path / "x.nb").write_bytes(content)
        paddle_lite._settle(tmp_path / "x.nb")
        assert (tmp_path / "x.nb").read_bytes() == wanted


# ---- finding and installing ----

@pytest.mark.parametrize("more, said", [
    ([], "Paddle Lite's optimiser (paddle_lite_opt) was not found"),
    (["--paddle-lite-opt", "nowhere/opt"], "--paddle-lite-opt nowhere/opt: there is no such program"),
    (["--paddle-lite-install"], "neither uv nor a Python 3.7 is here")])  # fmt: skip
def test_a_missing_tool_is_one_sentence(elsewhere, capsys, more, said):
    assert main([str(model(elsewhere)), "-o", str(elsewhere / "b"), "--targets", "lite", *more]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") <= 2 and not (elsewhere / "b").exists()


@pytest.mark.parametrize("by", ["uv", "pyenv"])
def test_it_is_installed_on_request(elsewhere, by):
    """uv, and a Python 3.7 of pyenv's, are stood in for: they make the environment that the real ones would."""
    tools = fake_tools(elsewhere / "wheel")
    log = elsewhere / "log"
    fill = f'mkdir -p "$place"; /bin/cp -r {tools.parent} "$place/"; echo "$0 $@" >> {log}'
    if by == "uv":
        last = "for place; do :; done"
        script(elsewhere / "bin" / "uv", f'#!/bin/sh\nPATH=/bin:/usr/bin\ncase "$1" in venv) {last}; {fill};; '
                                         f'*) echo "$0 $@" >> {log};; esac\n')  # fmt: skip
    else:
        script(elsewhere / "pyenv" / "versions" / "3.7.16" / "bin" / "python3.7",
               f'#!/bin/sh\nPATH=/bin:/usr/bin\nplace="$3"\n{fill}\n'
               f'printf \'#!/bin/sh\\ncase "$*" in *pip*) echo "$0 $@" >> {log};; *) exec {tools.parent}/python "$@";; '
               f'esac\\n\' > "$place/bin/python"\n')  # fmt: skip
    found = paddle_lite.needed(None, install=True)
    assert found.opt == paddle_lite.folder() / "bin" / "paddle_lite_opt" and found.python is not None
    assert "paddlelite==2.12" in log.read_text() and paddle_lite.find() == found
    assert not list(paddle_lite.folder().parent.glob(".paddlelite-*"))


def test_an_installation_that_fails_leaves_nothing(elsewhere):
    script(elsewhere / "bin" / "uv", "#!/bin/sh\necho 'error: no network' >&2\nexit 3\n")
    with pytest.raises(ConvertError, match="installing Paddle Lite failed: error: no network"):
        paddle_lite.needed(None, install=True)
    assert list(paddle_lite.folder().parent.iterdir()) == []


def test_an_optimiser_without_its_python_cannot_be_checked(tmp_path):
    tool = fake_tools(tmp_path / "tools")
    (tmp_path / "tools" / "bin" / "python").unlink()
    with pytest.raises(ConvertError, match="Python package is not beside its optimiser"):
        convert(model(tmp_path), tmp_path / "b", targets=("web", "lite"), options=Options(lite_opt=str(tool)))
    report = convert(model(tmp_path), tmp_path / "b", targets=("web", "lite"), options=Options(lite_opt=str(tool)),
                     verify=False)  # fmt: skip
    assert report.sizes["lite_x86_bytes"] > 0


def test_usage(capsys):
    assert main(["net", "-o", "b", "--targets", "lite", "--lite-targets", "mips"]) == 2
    assert "'mips' is none of arm, armv8, x86, opencl" in capsys.readouterr().err


def test_rows_run_one_by_one(tmp_path, opt):
    """Each answer is its own: what the package hands out is memory that the next run writes to."""
    convert(model(tmp_path), tmp_path / "b", targets=("web", "lite"), options=Options(lite_opt=opt))
    x = np.random.default_rng(0).standard_normal((3, 3, 8, 8)).astype(np.float32)
    target = paddle_lite.here()
    arrays, times = paddle_lite.run(paddle_lite.find(opt), tmp_path / "b" / "lite" / f"{target}.nb", target, {"x": x},
                                    each=True)  # fmt: skip
    expected = evaluate(load_bundle(tmp_path / "b"), {"x": x})["out"]
    assert len(times) == 3 and arrays[0].shape == expected.shape
    np.testing.assert_allclose(arrays[0], expected, atol=1e-5)
