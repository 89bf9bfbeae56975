"""Engines built, checked, kept and run, on a GPU whose numbers are ONNX Runtime's."""

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.trt import kit
from trt import EngineCache, Recipe, Runner, Shapes, TrtError, build, check, compare
from trt import cuda as cuda_module
from trt.calibrate import entropy
from trt.produce import Proof, in_pieces, produce
from trt.recipe import read_shapes
from trt.reference import by_onnxruntime

SIZES = Shapes((1, 3, 4, 4), (4, 3, 8, 8), (8, 3, 16, 16))


def recipe(precision: str = "fp16", **more) -> Recipe:
    return Recipe(precision, {"image": SIZES}, **more)


def kind_of(error: pytest.ExceptionInfo) -> tuple[str, str]:
    return error.value.kind, str(error.value)


def test_an_engine_is_built_checked_kept_and_run(gpu, cudart: Path, tmp_path: Path):
    model, events = kit.small_model(), []
    before = kit.not_freed(cudart)
    done = produce(model, recipe(), tmp_path / "e.engine", Proof(1e-2), tell=events.append)
    stages = list(dict.fromkeys(event["stage"] for event in events))
    assert stages == ["parsing", "building", "checking", "writing", "done"]
    assert max(event["steps"] for event in events) == 7 and done["errors"]["y"]["largest"] < 1e-5
    runner = Runner(EngineCache(tmp_path).load(tmp_path / "e.engine"), 2)
    assert runner.max_rows == 8 and runner.inputs == ["image"] and runner.outputs == ["y"]
    for rows, side in ((1, 4), (3, 16), (8, 8), (1, 4)):
        feeds = {"image": kit.images(rows, side)}
        np.testing.assert_allclose(runner.run(feeds)["y"], by_onnxruntime(model, feeds)["y"], rtol=1e-4, atol=1e-5)
    runner.close()
    assert kit.not_freed(cudart) == before, "everything was given back"


def test_nothing_is_allocated_for_a_run(gpu, cudart: Path):
    runner = Runner(build(kit.small_model(), recipe()), 2)
    held = kit.not_freed(cudart)
    for rows in range(1, 9):
        runner.run({"image": kit.images(rows)})
        assert kit.not_freed(cudart) == held
    runner.close()


@pytest.mark.parametrize("shape", [(9, 3, 8, 8), (1, 3, 3, 8), (1, 3, 8, 17), (1, 2, 8, 8), (3, 8, 8)])
def test_sizes_out_of_bounds_are_refused_and_the_next_run_is_right(gpu, shape):
    model = kit.small_model()
    runner = Runner(build(model, recipe()))
    with pytest.raises(TrtError, match="the engine was built for") as error:
        runner.run({"image": np.zeros(shape, np.float32)})
    assert error.value.kind == "invalid"
    feeds = {"image": kit.images(2)}
    np.testing.assert_allclose(runner.run(feeds)["y"], by_onnxruntime(model, feeds)["y"], rtol=1e-4, atol=1e-5)
    for wrong in ({"image": kit.images(1).astype(np.float64)}, {"x": kit.images(1)}, {}):
        with pytest.raises(TrtError):
            runner.run(wrong)
    runner.close()


def test_more_rows_than_fit_are_run_in_pieces(gpu):
    model, feeds = kit.small_model(), {"image": kit.images(21)}
    runner = Runner(build(model, recipe()))
    np.testing.assert_allclose(in_pieces(runner, feeds)["y"], by_onnxruntime(model, feeds)["y"], rtol=1e-4, atol=1e-5)
    runner.close()


def test_an_output_without_rows_is_seen(gpu):
    runner = Runner(build(kit.small_model(rows_out=False), recipe()))
    assert runner.max_rows == 0
    runner.close()


def head_of(plan: bytes) -> dict:
    return json.loads(plan.partition(b"\n")[0])


def test_flags_of_each_precision(gpu, tmp_path: Path):
    model = kit.small_model()
    assert head_of(build(model, recipe("fp32")))["flags"] == []  # TF32, on by default, would not be fp32
    assert head_of(build(model, recipe("fp16")))["flags"] == ["FP16"]
    calibrator = entropy(lambda: iter([{"image": kit.images(1)}] * 9), recipe("int8"), tmp_path / "table")
    assert head_of(build(model, recipe("int8"), calibrator=calibrator))["flags"] == ["FP16", "INT8"]
    quick = head_of(build(model, recipe(quick=True)))
    assert quick["sources"] == 1 << 3 and quick["flags"] == ["ENABLE_TACTIC_HEURISTIC", "FP16"]
    assert head_of(build(model, recipe()))["sources"] is None


def test_times_of_one_build_serve_the_next(gpu, tmp_path: Path):
    file = tmp_path / "gpu.timing"
    file.write_bytes(b"of another GPU")
    known = [head_of(build(kit.small_model(), recipe(), timing=file))["known_times"] for _ in range(2)]
    assert known == [False, True]


def test_calibration_feeds_whole_batches_and_keeps_its_table(gpu, cudart: Path, tmp_path: Path):
    rows = [{"image": (k + 1) * np.ones((1, 3, 8, 8), np.float32)} for k in range(10)]
    asked = []

    def source():
        asked.append(1)
        return iter(rows)

    held = kit.not_freed(cudart)
    for _ in range(2):
        plan = build(kit.small_model(), recipe("int8"), calibrator=entropy(source, recipe("int8"), tmp_path / "table"))
        table = json.loads(head_of(plan)["table"])
        assert table == {"batches": 2, "most": {"image": 8.0}}, "4 + 4 rows; the last two are no whole batch"
    assert kit.not_freed(cudart) == held
    assert json.loads((tmp_path / "table").read_text()) == table and len(asked) == 2
    (tmp_path / "table").write_text('{"batches": 0, "most": {}}')
    plan = build(kit.small_model(), recipe("int8"), calibrator=entropy(source, recipe("int8"), tmp_path / "table"))
    assert json.loads(head_of(plan)["table"])["batches"] == 0, "the table that is there is used"


def test_a_sample_of_another_size_fails_the_build(gpu):
    bad = entropy(lambda: iter([{"image": np.zeros((1, 3, 5, 5), np.float32)}]), recipe("int8"))
    with pytest.raises(TrtError, match="is what is calibrated"):
        build(kit.small_model(), recipe("int8"), calibrator=bad)


def test_int8_without_anything_to_calibrate_with(gpu):
    with pytest.raises(TrtError, match="int8 needs pictures to calibrate with"):
        build(kit.small_model(), recipe("int8"))


FAILURES = {
    "no GPU": ({"FAKE_TRT": "no_gpu"}, "no_gpu", "finds no GPU: CUDA initialization failure with error: 35"),
    "unreadable": ({"FAKE_TRT": "cannot_parse"}, "build_failed", "No importer registered for op: Mystery"),
    "no tactic": ({"FAKE_TRT": "build_fails"}, "build_failed", "Could not find any implementation for node conv_0"),
    "too old": ({"FAKE_TRT_VERSION": "8.4.1"}, "not_installed", "TensorRT 8.4.1 is too old"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_each_failure_says_what_the_library_said(gpu, case: str, tmp_path: Path):
    knobs, kind, words = FAILURES[case]
    for name, value in knobs.items():
        gpu(name, value)
    with pytest.raises(TrtError) as error:
        produce(kit.small_model(), recipe(), tmp_path / "e.engine", Proof(1e-2))
    assert kind_of(error)[0] == kind and words in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_an_engine_that_computes_something_else_is_not_kept(gpu, tmp_path: Path):
    gpu("FAKE_TRT_OFF", "5")
    with pytest.raises(TrtError, match="above the tolerance of 0.01: 'y' largest") as error:
        produce(kit.small_model(), recipe(), tmp_path / "e.engine", Proof(1e-2))
    assert error.value.kind == "out_of_tolerance" and list(tmp_path.iterdir()) == []
    gpu("FAKE_TRT_OFF", "nan")
    with pytest.raises(TrtError, match="is not finite"):
        produce(kit.small_model(), recipe(), tmp_path / "e.engine", Proof(1e-2))


def test_without_the_library_the_reason_names_the_extra(gpu, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(TrtError, match=r"pip install \.\[tensorrt\]") as error:
        build(kit.small_model(), recipe())
    assert error.value.kind == "not_installed"


def test_memory_and_gpus_that_are_not_there(gpu, cudart: Path):
    plan, held = build(kit.small_model(), recipe()), kit.not_freed(cudart)
    gpu("FAKE_GPU_MB", "0")
    with pytest.raises(TrtError, match="out of memory"):
        Runner(plan)
    assert kit.not_freed(cudart) == held
    gpu("FAKE_GPUS", "0")
    with pytest.raises(TrtError, match=r"driver version is insufficient.*error 35") as error:
        cuda_module.cuda().gpu()
    assert error.value.kind == "no_gpu"
    gpu("CUDART", "libnothing.so")
    with pytest.raises(TrtError, match="set CUDART to its path"):
        cuda_module.cuda()


def test_a_run_that_fails_says_so(gpu):
    runner = Runner(build(kit.small_model(), recipe()))
    for knob in ("FAKE_TRT_RUN_FAILS", "FAKE_GPU_LOST"):
        gpu(knob, "1")
        with pytest.raises(TrtError, match="illegal") as error:
            runner.run({"image": kit.images(1)})
        assert error.value.kind == "run_failed"
        os.environ.pop(knob)
    runner.close()


def test_an_engine_of_another_version_or_a_damaged_one_is_no_engine(gpu, tmp_path: Path):
    plan, cache = build(kit.small_model(), recipe()), EngineCache(tmp_path)
    path = cache.path("abc" * 20, "8.5.3.1", "Fake GPU (sm_90)", recipe())
    cache.store(path, plan)
    assert cache.load(path) == plan
    path.write_bytes(path.read_bytes()[:-1])
    assert cache.load(path) is None and cache.load(tmp_path / "none") is None
    with pytest.raises(TrtError, match="not compatible with this version"):
        Runner(plan.replace(b"8.5.3.1", b"8.5.2.2"))


def test_the_cache_tells_apart_all_that_an_engine_depends_on(tmp_path: Path):
    cache, other = EngineCache(tmp_path), Shapes((1, 3, 4, 4), (4, 3, 8, 8), (8, 3, 16, 32))
    paths = {
        cache.path(model, version, gpu, which)
        for model in ("a" * 64, "b" * 64)
        for version in ("8.5.3.1", "10.9")
        for gpu in ("A (sm_80)", "B (sm_80)", "A (sm_90)")
        for which in (recipe("fp16"), recipe("fp32"), recipe("int8"), recipe("int8", calibration="1"),
                      recipe(quick=True), recipe(held_to="0.02"), Recipe("fp16", {"image": other}))  # fmt: skip
    }
    assert len(paths) == 2 * 2 * 3 * 7
    assert cache.path("a" * 64, "8.5", "G", recipe()) == cache.path("a" * 64, "8.5", "G", recipe())


def test_a_full_disk_leaves_nothing_half_written(gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrtError, match="No space left on device") as error:
        produce(kit.small_model(), recipe(), tmp_path / "engines" / "e.engine", Proof(1e-2))
    assert error.value.kind == "cannot_write" and list((tmp_path / "engines").iterdir()) == []


def test_errors_are_shares_of_the_range():
    reference = {"y": np.array([0.0, 4.0, 2.0])}
    errors = compare({"y": np.array([0.0, 4.0, 2.4])}, reference)["y"]
    assert errors.largest == pytest.approx(0.1) and errors.typical == pytest.approx(0.1 / np.sqrt(3))
    check.require({"y": errors}, 0.11)
    check.require({"y": errors}, 0.06, "typical")
    with pytest.raises(TrtError, match="largest 1.00e-01"):
        check.require({"y": errors}, 0.09)
    for wrong in ({}, {"y": np.zeros(2)}):
        with pytest.raises(TrtError):
            compare(wrong, reference)


@pytest.mark.parametrize("text", ["image", "=1x3", "image=1x3,2x3", "image=0x3", "image=2x3,1x3,4x3", "image=1x3,2,3"])
def test_shapes_that_make_no_sense(text: str):
    with pytest.raises(TrtError):
        read_shapes(text)


def test_the_command_line_from_building_to_running(cudart: Path, tmp_path: Path):
    model, feeds = tmp_path / "model.onnx", {"image": kit.images(5)}
    model.write_bytes(kit.small_model())
    wanted = by_onnxruntime(model.read_bytes(), feeds)
    np.savez(tmp_path / "ref.npz", **{"in:image": feeds["image"], "out:y": wanted["y"]})
    environment = {**os.environ, **kit.environment(cudart)}

    def command(*arguments: str) -> tuple[int, dict]:
        done = subprocess.run([sys.executable, "-m", "trt", *arguments], cwd=tmp_path, env=environment, text=True,
                              capture_output=True, timeout=120)  # fmt: skip
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    sizes = "image=1x3x4x4,4x3x8x8,8x3x16x16"
    code, last = command("build", "model.onnx", "-o", "e.engine", "--shape", sizes, "--reference", "ref.npz")
    assert code == 0 and last["stage"] == "done" and last["errors"]["y"]["largest"] < 1e-5
    code, last = command("run", "e.engine", "--input", "ref.npz", "--output", "out.npz", "--repeat", "3")
    assert code == 0 and last["medianMs"] > 0
    np.testing.assert_allclose(np.load(tmp_path / "out.npz")["out:y"], wanted["y"], rtol=1e-4, atol=1e-5)
    assert command("check", "e.engine", "--reference", "ref.npz")[0] == 0
    environment["FAKE_TRT_OFF"] = "9"
    code, last = command("check", "e.engine", "--reference", "ref.npz")
    assert code == 1 and last["kind"] == "out_of_tolerance"
    code, last = command("build", "model.onnx", "-o", "f.engine", "--shape", sizes, "--expect", "0" * 64)
    assert code == 1 and "not the file that was expected" in last["reason"] and not (tmp_path / "f.engine").exists()


def test_several_threads_run_one_engine_each_with_its_own_memory(gpu):
    model = kit.small_model()
    runner = Runner(build(model, recipe()), 4)
    wrong = []

    def ask(k: int) -> None:
        for turn in range(20):
            feeds = {"image": kit.images(1 + (k + turn) % 8, seed=k * 100 + turn)}
            memory = runner.buffers[k]
            memory.write(0, feeds)
            runner.execute(memory, {"image": feeds["image"].shape})
            if not np.allclose(memory.read()["y"], by_onnxruntime(model, feeds)["y"], rtol=1e-4, atol=1e-5):
                wrong.append((k, turn))

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    runner.close()
    assert not wrong
