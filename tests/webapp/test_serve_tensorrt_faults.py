"""TensorRT that is absent, refuses, fails, hangs, or finds a full disk: said once, and the CPU goes on."""

import logging
import sys
from pathlib import Path

import pytest
from serving_helpers import mean_model, noise, write_bundle
from tensorrt_helpers import answer, built, engine_name, looked, reasons, serving_of, until

from tests.trt import kit
from webapp.engines import builds

FAULTS = {
    "the build fails": ({"FAKE_TRT": "build_fails"}, "Could not find any implementation for node conv_0"),
    "the build is killed": ({"FAKE_TRT": "crashes"}, "the build ended by signal 6"),
    "the parser refuses": ({"FAKE_TRT": "cannot_parse"}, "No importer registered for op: Mystery"),
    "the numbers are wrong": ({"FAKE_TRT_OFF": "0.7"}, "above the tolerance of 0.01: 'y' largest"),
    "not finite": ({"FAKE_TRT_OFF": "nan"}, "output 'y' is not finite"),
    "no GPU": ({"FAKE_TRT": "no_gpu"}, "finds no GPU: CUDA initialization failure with error: 35"),
    "no GPU for CUDA": ({"FAKE_GPUS": "0"}, "driver version is insufficient for CUDA runtime version (error 35)"),
    "libraries missing": ({"FAKE_TRT": "no_cudnn"}, "cannot be loaded (libcudnn.so.8: cannot open shared object file"),
    "too old": ({"FAKE_TRT_VERSION": "8.4.0"}, "TensorRT 8.4.0 is too old"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_each_failure_is_said_and_the_cpu_goes_on(gpu, models_dir: Path, options, case: str, tmp_path: Path, caplog):
    knobs, words = FAULTS[case]
    for name, value in knobs.items():
        gpu(name, value)
    write_bundle(models_dir / "mean", mean_model(3))
    with caplog.at_level(logging.INFO):
        serving = serving_of(models_dir, options())
        looked(serving, lambda: words in reasons(serving))
        for _ in range(3):
            serving.scan()
    assert answer(serving) == (3, "onnx") and not serving.pick("mean").loaded.pending
    assert sum(words in record.getMessage() for record in caplog.records) == 1, "said once, not with every look"
    assert not list((tmp_path / "engines").glob("*.engine*")) if (tmp_path / "engines").exists() else True
    serving.stop()


def test_tensorrt_that_is_not_installed_is_no_reason_to_worry(models_dir: Path, options, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    write_bundle(models_dir / "mean", mean_model(3))
    with caplog.at_level(logging.INFO):
        serving = serving_of(models_dir, options())
    assert "pip install .[tensorrt]" in reasons(serving) and answer(serving) == (3, "onnx")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_full_disk_is_said_and_tried_again_later(gpu, models_dir: Path, options, tmp_path: Path, monkeypatch):
    """The disk is full where engines are kept: a folder that nothing can be written to stands for it."""
    write_bundle(models_dir / "mean", mean_model(3))
    (tmp_path / "sitecustomize.py").write_text(
        "import errno, os\n"
        "real = os.replace\n"
        "def replace(source, target):\n"
        "    if str(target).endswith('.engine'):\n"
        "        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
        "    real(source, target)\n"
        f"if not os.path.exists({str(tmp_path / 'space')!r}): os.replace = replace\n"
    )
    gpu("PYTHONPATH", f"{tmp_path}:{kit.FAKE}:{kit.REPO}")
    serving = serving_of(models_dir, options())
    looked(serving, lambda: "No space left on device" in reasons(serving))
    assert answer(serving) == (3, "onnx")
    assert not list((tmp_path / "engines").glob("*.engine*")), "nothing half-written is left"
    (tmp_path / "space").touch()
    monkeypatch.setattr(builds, "FAILURE_COUNTS_S", 0.0)
    assert answer(built(serving)) == (3, "tensorrt")
    serving.stop()


def test_the_model_that_is_gone_meanwhile_is_not_built_for(gpu, models_dir: Path, options):
    gpu("FAKE_TRT_BUILD_S", "60")
    folder = write_bundle(models_dir / "mean", mean_model(3))
    serving = serving_of(models_dir, options())
    (build,) = builds.builds.values()
    until(lambda: build.process is not None)
    write_bundle(folder, mean_model(4))
    serving.scan()
    assert build.process.wait(20) != 0 and answer(serving) == (4, "onnx")
    (_, other) = builds.builds.values()
    until(lambda: other.process is not None)
    serving.stop()
    assert other.process.wait(20) != 0


def test_a_build_that_was_stopped_for_one_version_is_begun_again_for_another(gpu, models_dir: Path, options):
    gpu("FAKE_TRT_BUILD_S", "2")
    write_bundle(models_dir / "mean" / "1", mean_model(3))
    second = write_bundle(models_dir / "mean" / "2", mean_model(3), labels=["another"])
    serving = serving_of(models_dir, options())
    (build,) = builds.builds.values()
    until(lambda: build.process is not None)
    second.rename(models_dir / "away")
    serving.scan()
    until(lambda: build.ended)
    assert build.failure is not None and answer(serving) == (3, "onnx")
    assert answer(built(serving)) == (3, "tensorrt")
    serving.stop()


def test_a_build_that_hangs_is_ended(gpu, models_dir: Path, options, monkeypatch, tmp_path: Path):
    gpu("FAKE_TRT_BUILD_S", "600")
    monkeypatch.setattr(builds, "LIMIT_S", 1.5)
    write_bundle(models_dir / "mean", mean_model(3))
    (tmp_path / "engines").mkdir()
    serving = serving_of(models_dir, options())
    looked(serving, lambda: "the build ended by signal 9" in reasons(serving))
    assert answer(serving) == (3, "onnx")
    serving.stop()


def test_two_processes_build_an_engine_once(gpu, models_dir: Path, options, tmp_path: Path):
    gpu("FAKE_TRT_BUILD_S", "1")
    write_bundle(models_dir / "mean", mean_model(3))
    serving = serving_of(models_dir, options())
    ((path, first),) = builds.builds.items()
    until(lambda: first.process is not None)
    second = builds.BuildProcess(path, ["this would fail"])  # as another server process would
    until(lambda: second.ended)
    assert second.process is None and second.failure is None and second.event["stage"] == "done"
    looked(serving, lambda: engine_name(serving) == "tensorrt")
    serving.stop()


def test_a_build_that_cannot_be_started_says_so(tmp_path: Path):
    build = builds.BuildProcess(tmp_path / "engines" / "e.engine", [str(tmp_path / "no-such-program")])
    until(lambda: build.ended)
    assert build.failure == ("run_failed", "the build cannot be started (No such file or directory)")


def test_another_process_s_failure_is_taken_over(gpu, models_dir: Path, options):
    gpu("FAKE_TRT", "build_fails")
    write_bundle(models_dir / "mean", mean_model(3))
    serving = serving_of(models_dir, options())
    ((path, first),) = builds.builds.items()
    until(lambda: first.process is not None)
    second = builds.BuildProcess(path, ["this would fail otherwise"])
    until(lambda: first.ended and second.ended)
    assert first.failure is not None and second.failure == first.failure and second.process is None
    serving.stop()


def test_a_gpu_that_fails_while_running_is_left(gpu, models_dir: Path, options):
    write_bundle(models_dir / "mean", mean_model(3))
    serving = built(serving_of(models_dir, options()))
    gpu("FAKE_TRT_RUN_FAILS", "1")
    with serving.use("mean") as loaded, pytest.raises(Exception, match="another engine takes over") as error:
        loaded.engine.run({"image": noise()}, 5)
    assert error.value.status == 503
    serving.scan()
    assert answer(serving) == (3, "onnx") and "illegal address" in reasons(serving)
    serving.stop()
