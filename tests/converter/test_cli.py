"""The command line: what it prints, what it leaves behind, and its exit codes."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from programs import Pir, small_legacy, small_pir

from converter import verify as verifying
from converter.__main__ import main


@pytest.fixture
def no_web(monkeypatch):
    """As on a machine without Node."""
    monkeypatch.setattr(verifying, "web_problem", lambda: "Node is not installed")


@pytest.fixture
def model(tmp_path):
    return str(small_pir().save(tmp_path / "net"))


@pytest.fixture
def bundle(tmp_path, model, no_web):
    assert main([model, "-o", str(tmp_path / "bundle"), "--quiet"]) == 0
    return str(tmp_path / "bundle")


def test_convert_reports(tmp_path, model, no_web, capsys):
    assert main([model, "-o", str(tmp_path / "b")]) == 0
    text = capsys.readouterr().out
    assert "operators  2 → 1 (1 conv2d)" in text and "worst error" in text and "range of out, numpy" in text
    assert "432 B of weights in 1 chunk," in text
    assert json.loads((tmp_path / "b" / "model.json").read_text())["name"] == "net"


def test_options_reach_the_bundle(tmp_path, model, no_web):
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    (tmp_path / "post.json").write_text('{"margin": 0.0714}')
    assert main(["-o", str(tmp_path / "b"), model, "--quiet", "--precision", "float16", "--name", "cats",
                 "--labels", str(tmp_path / "labels.txt"), "--postprocess", str(tmp_path / "post.json"),
                 "--mean", "0.485,0.456,-0.1", "--std", "0.5", "--scale", "1/255", "--size", "192x320",
                 "--resize", "fit", "--channels", "bgr", "--interpolation", "area", "--pad-value", "127.5",
                 "--layout", "nchw", "--input-shape", "x=1,3,16,16"]) == 0  # fmt: skip
    data = json.loads((tmp_path / "b" / "model.json").read_text())
    assert data["name"] == "cats" and data["labels"] == ["cat", "dog"] and data["postprocess"] == {"margin": 0.0714}
    assert data["precision"] == "float16" and data["vars"]["conv.w"]["dtype"] == "float16"
    assert data["preprocess"] == {
        "input": "x", "size": [192, 320], "resize": "fit", "interpolation": "area", "crop": None, "limit": None,
        "padValue": 127.5, "channels": "bgr", "layout": "nchw", "scale": 1 / 255, "mean": [0.485, 0.456, -0.1],
        "std": [0.5, 0.5, 0.5]}  # fmt: skip


def test_limit_options(tmp_path, model, no_web):
    assert main([model, "-o", str(tmp_path / "b"), "--limit-side", "960", "--quiet"]) == 0
    spec = json.loads((tmp_path / "b" / "model.json").read_text())["preprocess"]
    assert spec["resize"] == "limit" and spec["limit"] == {"side": 960, "type": "max", "multiple": 32}
    assert main([model, "-o", str(tmp_path / "c"), "--limit-type", "min"]) == 1


def test_run_with_numpy(tmp_path, bundle, capsys):
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 5)).astype(np.float32)
    np.savez(tmp_path / "in.npz", **{"in:x": x, "out:ignored": x})
    assert main(["run", bundle, "--input", str(tmp_path / "in.npz"), "--output", str(tmp_path / "out.npz"),
                 "--engine", "numpy"]) == 0  # fmt: skip
    with np.load(tmp_path / "out.npz") as found:
        assert found.files == ["out"] and found["out"].shape == (2, 4, 5, 5)
    assert "out: float32[2, 4, 5, 5]" in capsys.readouterr().out


@pytest.mark.parametrize("arrays, message", [
    ({"y": np.ones(3)}, "missing inputs ['x'], unknown inputs ['y']"),
    ({"x": np.ones((1, 3, 4, 4), np.int64)}, "is int64, the model wants float32"),
    ({"x": np.ones((1, 3, 4), np.float32)}, "the model wants ['x.0', 3, 'x.2', 'x.3']"),
    (None, "this is not an .npz of arrays"),
])  # fmt: skip
def test_run_with_wrong_inputs(tmp_path, bundle, capsys, arrays, message):
    np.savez(tmp_path / "in.npz", **(arrays or {}))
    if arrays is None:
        (tmp_path / "in.npz").write_bytes(b"junk")
    assert main(["run", bundle, "--input", str(tmp_path / "in.npz"), "--output", str(tmp_path / "out.npz"),
                 "--engine", "numpy"]) == 1  # fmt: skip
    assert message in capsys.readouterr().err and not (tmp_path / "out.npz").exists()


def test_pickles_are_not_loaded(tmp_path, bundle, capsys):
    np.savez(tmp_path / "in.npz", x=np.array([{"a": 1}], dtype=object))
    assert main(["run", bundle, "--input", str(tmp_path / "in.npz"), "--output", str(tmp_path / "o.npz")]) == 1
    assert "this is not an .npz of arrays" in capsys.readouterr().err


def test_verify(tmp_path, bundle, model, capsys, monkeypatch):
    monkeypatch.setattr(verifying.with_paddle, "installed", lambda: False)
    assert main(["verify", bundle, "--model", model, "--input-shape", "x=1,3,9,9"]) == 0
    assert "range of out, numpy" in capsys.readouterr().out
    other = small_pir()
    other.params["conv.w"] *= 2
    assert main(["verify", bundle, "--model", str(other.save(tmp_path / "other"))]) == 1
    assert "ABOVE the limit" in capsys.readouterr().out


def test_inspect_model_and_bundle(tmp_path, bundle, model, capsys):
    assert main(["inspect", model]) == 0
    text = capsys.readouterr().out
    assert "net: pir version 4" in text and "input x: float32[x.0,3,x.2,x.3]" in text
    assert "leaky_relu(" in text and "weights: 1 (1 float32), 108 numbers, 432 B" in text
    assert main(["inspect", bundle, "--brief"]) == 0
    text = capsys.readouterr().out
    assert "net: bundle of pir version 4" in text and "graph:" not in text


def test_inspect_names_what_is_unsupported(tmp_path, capsys):
    p = Pir()
    p.fetch(p.op("warp_drive", [p.data("x", [2])], [2]))
    assert main(["inspect", str(p.save(tmp_path / "m"))]) == 1
    assert "unsupported:\n  pd_op.warp_drive × 1" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["run", "inspect", "verify", "convert"])
def test_folders_named_like_commands(tmp_path, monkeypatch, no_web, name):
    small_pir().save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert main([f"./{name}", "-o", "b", "--quiet"]) == 0
    assert main(["convert", name, "-o", "c", "--quiet"]) == 0
    assert (tmp_path / "b" / "model.json").read_bytes() == (tmp_path / "c" / "model.json").read_bytes()


@pytest.mark.parametrize("argv", [
    [], ["model"], ["model", "-o"], ["model", "-o", "b", "--precision", "float8"],
    ["model", "-o", "b", "--size", "big"],
    ["model", "-o", "b", "--mean", "a,b"], ["model", "-o", "b", "--input-shape", "x"], ["run", "b"], ["verify"],
    ["model", "-o", "b", "--tolerance", "0"], ["inspect"], ["model", "-o", "b", "--unknown"],
    ["model", "-o", "b", "--size", "0x3"], ["model", "-o", "b", "--scale", "1/0"],
])  # fmt: skip
def test_mistakes_of_usage(argv):
    assert main(argv) == 2


@pytest.mark.parametrize("argv", [["--help"], ["run", "--help"], ["convert", "--help"], ["--version"]])
def test_help(argv, capsys):
    assert main(argv) == 0
    assert capsys.readouterr().out


def damaged(tmp_path, kind):
    """A model folder with one fault."""
    folder = small_legacy().save(tmp_path / "m")
    program, weights = folder / "inference.pdmodel", folder / "inference.pdiparams"
    if kind == "truncated weights":
        weights.write_bytes(weights.read_bytes()[:100])
    elif kind == "missing weights":
        weights.unlink()
    elif kind == "wrong magic":
        program.write_bytes(b"\x7fELF" + program.read_bytes())
    elif kind == "zero bytes":
        program.write_bytes(b"")
    elif kind == "unknown operator":
        p = small_legacy()
        p.op("warp_drive", {"X": ["y"]}, {"Out": ["z"]})
        p.fetch("z")
        p.save(folder)
    return str(folder)


@pytest.mark.parametrize("kind, message", [
    ("truncated weights", "the weights end early"),
    ("missing weights", "5 of 5 parameters have no file"),
    ("wrong magic", "not a Paddle program"),
    ("zero bytes", "the file is empty"),
    ("unknown operator", "warp_drive × 1"),
])  # fmt: skip
def test_bad_models_exit_1_and_leave_nothing(tmp_path, capsys, kind, message):
    folder = damaged(tmp_path, kind)
    assert main([folder, "-o", str(tmp_path / "out" / "b")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and "→" in error and "Traceback" not in error
    assert [child.name for child in tmp_path.iterdir()] == ["m"]


def test_a_bundle_with_a_flipped_byte(tmp_path, bundle, capsys):
    chunk = next((tmp_path / "bundle").glob("chunk_1.dat"))
    data = bytearray(chunk.read_bytes())
    data[5] ^= 0xFF
    chunk.write_bytes(data)
    np.savez(tmp_path / "in.npz", x=np.ones((1, 3, 4, 4), np.float32))
    for command in (["verify", bundle], ["inspect", bundle],
                    ["run", bundle, "--input", str(tmp_path / "in.npz"), "--output", str(tmp_path / "o.npz")]):
        assert main(command) == 1
        assert "SHA-256 does not match" in capsys.readouterr().err


RUN = [sys.executable, "-m", "converter"]


def test_paddle_is_not_imported(repo, tmp_path, model):
    """Nothing but numpy and protobuf (and yaml, for YAML): Paddle's import is made to fail."""
    code = ("import sys; sys.modules['paddle'] = None; from converter.__main__ import main; "
            "code = main(sys.argv[1:]); assert 'yaml' not in sys.modules; sys.exit(code)")  # fmt: skip
    command = [sys.executable, "-c", code, model, "-o", str(tmp_path / "b"), "--no-verify"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "not verified" in done.stdout


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_conversion_leaves_nothing(repo, tmp_path, model, stop):
    # whoever runs the tests in the background may have made them, and so their children, ignore SIGINT
    code = ("import runpy, signal, sys, time; from converter.write import web\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "def slow(*given): print('writing', flush=True); time.sleep(30)\n"
            "web.write = slow; sys.argv[0] = 'converter'\n"
            "runpy.run_module('converter', run_name='__main__')")  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", code, model, "-o", str(tmp_path / "b")], cwd=repo,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert process.stdout.readline() == "writing\n"
        assert any(child.suffix == ".part" for child in tmp_path.iterdir())
        process.send_signal(stop)
        _, error = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and "interrupted; nothing was written" in error
    assert [child.name for child in tmp_path.iterdir()] == ["net"]


def test_progress_only_for_slow_steps(monkeypatch, capsys):
    from converter import progress

    monkeypatch.setattr(progress, "SLOW_S", 0.05)
    with progress.Progress() as step:
        step("quick")
        step("slow")
        time.sleep(0.3)
    assert capsys.readouterr().err == "… slow\n"


def test_module_runs_as_a_program(repo):
    done = subprocess.run([*RUN, "nowhere", "-o", "nothing"], cwd=repo, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.startswith("error: nowhere: there is no such file or folder")
    assert not (repo / "nothing").exists()
