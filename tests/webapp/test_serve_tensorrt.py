"""TensorRT as the server uses it: built behind the CPU's back, swapped in when it is right, left when it is not."""

import logging
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from serving_helpers import json_request, mean_model, noise, write_bundle

from tests.trt import kit
from webapp import create_app
from webapp.engines import Options, builds, tensorrt
from webapp.engines.base import EngineError, Pending
from webapp.models import Models
from webapp.serving import NotReady, Serving


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def options(tmp_path: Path):
    """Options with a cache of this test's own."""
    yield lambda **more: Options(trt_cache=str(tmp_path / "engines"), **more)
    for build in list(builds.builds.values()):
        build.cancel()
        build.thread.join(20)
    builds.builds.clear()


def serving_of(models_dir: Path, options: Options, order=("tensorrt", "onnx")) -> Serving:
    serving = Serving(Models([models_dir]), list(order), options)
    serving.scan()
    return serving


def until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def looked(serving: Serving, condition) -> None:
    """Look at the disk until something is so."""

    def now() -> bool:
        serving.scan()
        return condition()

    until(now)


def engine_name(serving: Serving) -> str:
    return serving.pick("mean").loaded.engine_name


def answer(serving: Serving, rows: int = 1) -> tuple[float, str]:
    """The factor that the model multiplies with, and the engine."""
    image = noise(rows)
    with serving.use("mean") as loaded:
        found = loaded.engine.run({"image": image}, 20)["y"]
        assert found.shape == (rows, 3)
        return round(float(np.mean(found) / image.mean()), 2), loaded.engine_name


def built(serving: Serving) -> Serving:
    looked(serving, lambda: engine_name(serving) == "tensorrt")
    return serving


def reasons(serving: Serving) -> str:
    return "; ".join(serving.pick("mean").loaded.refused)


def test_the_cpu_answers_until_the_engine_is_there(gpu, models_dir: Path, options):
    gpu("FAKE_TRT_BUILD_S", "1.5")
    write_bundle(models_dir / "mean", mean_model(3))
    serving = serving_of(models_dir, options())
    first = serving.pick("mean").loaded
    assert answer(serving) == (3, "onnx") and reasons(serving) == "tensorrt: the engine is being built"
    (pending,) = first.pending.values()
    stages = set()

    def is_built() -> bool:
        stages.add(pending.state()["stage"])
        return pending.finished()

    until(is_built)
    assert {"building", "done"} <= stages and pending.state()["seconds"] >= 1.4
    with serving.use("mean") as held:
        serving.scan()
        assert answer(serving) == (3, "tensorrt") and reasons(serving) == ""
        assert held is first and held.engine.run({"image": noise()}, 5)["y"].shape == (1, 3), "who had it keeps it"
    assert serving.pick("mean").loaded.pending == {}
    serving.stop()


def test_a_built_engine_is_found_again(gpu, models_dir: Path, options, monkeypatch: pytest.MonkeyPatch):
    write_bundle(models_dir / "mean", mean_model(3))
    built(serving_of(models_dir, options())).stop()
    builds.builds.clear()
    monkeypatch.setattr(builds, "BuildProcess", lambda *_: pytest.fail("it was built again"))
    serving = serving_of(models_dir, options())
    assert answer(serving) == (3, "tensorrt")
    serving.stop()


def test_a_damaged_engine_is_built_again(gpu, models_dir: Path, options, tmp_path: Path):
    write_bundle(models_dir / "mean", mean_model(3))
    built(serving_of(models_dir, options())).stop()
    (file,) = (tmp_path / "engines").glob("*.engine")
    file.write_bytes(file.read_bytes()[:-5])
    serving = serving_of(models_dir, options())
    assert answer(serving) == (3, "onnx")
    assert answer(built(serving)) == (3, "tensorrt")
    serving.stop()


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
    assert caplog.text.count(words) == 1, "said once, not with every look"
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


def test_sizes_that_the_engine_was_not_built_for_run_on_the_cpu(gpu, models_dir: Path, options):
    write_bundle(
        models_dir / "mean", kit.small_model(), preprocess=None,
        inputs=[{"name": "image", "shape": ["n", 3, "h", "w"], "dtype": "float32"}],
        outputs=[{"name": "y", "shape": ["n", 4], "dtype": "float32"}],
    )  # fmt: skip
    serving = built(serving_of(models_dir, options()))
    with serving.use("mean") as loaded:
        for rows, side in ((3, 224), (2, 40)):
            feeds = {"image": kit.images(rows, side)}
            found = loaded.engine.run(feeds, 20)["y"]
            np.testing.assert_allclose(found, kit_reference(feeds), rtol=1e-3, atol=1e-4)
        assert loaded.engine.beside is not None
    serving.stop()


def kit_reference(feeds):
    from trt.reference import by_onnxruntime

    return by_onnxruntime(kit.small_model(), feeds)["y"]


def test_pictures_of_any_size_get_bounds_that_hold_them_all(models_dir: Path):
    limit = {"side": 970, "type": "max", "multiple": 32}
    spec = {"input": "image", "resize": "limit", "limit": limit, "scale": 1 / 255}
    write_bundle(models_dir / "mean", mean_model(), preprocess=spec,
                 inputs=[{"name": "image", "shape": ["n", 3, "h", "w"], "dtype": "float32"}])  # fmt: skip
    (bundle,) = Models([models_dir]).all()
    shapes = tensorrt.recipe_of(bundle, Options(batch_rows=8)).shapes["image"]
    assert shapes.smallest == (1, 3, 32, 32) and shapes.usual == (4, 3, 640, 640) and shapes.largest == (8, 3, 992, 992)


def test_an_output_without_rows_stays_on_the_cpu(gpu, models_dir: Path, options):
    write_bundle(
        models_dir / "mean", kit.small_model(rows_out=False), preprocess=None,
        inputs=[{"name": "image", "shape": ["n", 3, "h", "w"], "dtype": "float32"}],
        outputs=[{"name": "y", "shape": [4], "dtype": "float32"}],
    )  # fmt: skip
    serving = serving_of(models_dir, options())
    looked(serving, lambda: "not every output has a row" in reasons(serving))
    assert engine_name(serving) == "onnx"
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


def test_reloads_give_the_gpu_s_memory_back(gpu, cudart: Path, models_dir: Path, options):
    folder = write_bundle(models_dir / "mean", mean_model(1))
    held = kit.not_freed(cudart)
    serving = built(serving_of(models_dir, options()))
    one = kit.not_freed(cudart)
    assert one > held
    for factor in (2, 3, 4):
        write_bundle(folder, mean_model(factor))
        looked(serving, lambda factor=factor: answer(serving) == (factor, "tensorrt"))
        assert kit.not_freed(cudart) == one
    serving.stop()
    assert kit.not_freed(cudart) == held


def test_int8_without_pictures_says_what_it_needs(gpu, models_dir: Path, options, tmp_path: Path):
    write_bundle(models_dir / "mean", mean_model(3))
    serving = serving_of(models_dir, options(trt_precision="int8"))
    looked(serving, lambda: "int8 needs pictures to calibrate with" in reasons(serving))
    serving.stop()
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    np.savez(pictures / "a.npz", image=noise(40))
    serving = built(serving_of(models_dir, options(trt_precision="int8", trt_calibration=str(pictures))))
    assert answer(serving) == (3, "tensorrt") and list((tmp_path / "engines").glob("*.table"))
    serving.stop()


def test_without_any_other_engine_the_model_is_ready_when_it_is_built(gpu, models_dir: Path, options):
    gpu("FAKE_TRT_BUILD_S", "0.5")
    write_bundle(models_dir / "mean", mean_model(3))
    serving = serving_of(models_dir, options(), order=["tensorrt"])
    with pytest.raises(NotReady, match="tensorrt: the engine is being built"), serving.use("mean"):
        pytest.fail("it ran")
    looked(serving, lambda: serving.pick("mean").loaded is not None)
    assert answer(serving) == (3, "tensorrt")
    serving.stop()


def test_load_itself_says_pending_or_why_not(gpu, models_dir: Path, options):
    write_bundle(models_dir / "mean", None)
    (bundle,) = Models([models_dir]).all()
    with pytest.raises(EngineError, match="no model.onnx") as error:
        tensorrt.load(bundle, options())
    assert error.value.quiet
    write_bundle(models_dir / "mean", mean_model())
    (bundle,) = Models([models_dir]).all()
    with pytest.raises(Pending):
        tensorrt.load(bundle, options())


def app_of(models_dir: Path, tmp_path: Path, **settings):
    return create_app({"models": [str(models_dir)], "trt_cache": str(tmp_path / "engines"), "scan_s": 0,
                       "rate_per_s": 0, **settings})  # fmt: skip


def test_progress_and_batches_are_seen_from_outside(gpu, models_dir: Path, tmp_path: Path, options):
    gpu("FAKE_TRT_BUILD_S", "1")
    gpu("FAKE_TRT_RUN_MS", "20,0")
    write_bundle(models_dir / "mean", mean_model(3))
    app = app_of(models_dir, tmp_path, threads=64, batch_wait_ms=200)
    client, serving = app.test_client(), app.extensions["inpage_serving"]
    serving.start(0)
    assert serving.scanned.wait(20)
    seen, states = set(), []

    def swapped() -> bool:
        state = client.get("/v2/models/mean").json["states"][0]
        states.append(state)
        seen.add(state.get("building", {}).get("stage"))
        assert client.post("/v2/models/mean/infer", json=json_request(noise())).status_code == 200
        return state["engine"] == "tensorrt"

    until(swapped)
    assert "building" in seen and states[0]["engine"] == "onnx" and "building" not in states[-1]
    assert client.get("/v2/models/mean").json["platform"] == "tensorrt_plan"
    before = client.get("/api/status").json["batches"]["mean"]["count"]
    codes: list[int] = []

    def ask() -> None:
        codes.append(app.test_client().post("/v2/models/mean/infer", json=json_request(noise())).status_code)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert codes == [200] * 16
    assert 1 <= client.get("/api/status").json["batches"]["mean"]["count"] - before <= 8, "sixteen requests"
    assert 'inpage_batch_rows_count{model="mean"}' in client.get("/metrics").text
    serving.stop()


def test_who_asks_how_the_server_is_finds_a_thread(gpu, models_dir: Path, tmp_path: Path, options):
    write_bundle(models_dir / "mean", mean_model(3))
    app = app_of(models_dir, tmp_path, threads=16, runs=1, queue=8)  # 16 - 1 - 8 - 4 = 3 at the GPU
    serving = app.extensions["inpage_serving"]
    built(serving)
    gpu("FAKE_TRT_RUN_MS", "600,0")
    codes: list[int] = []

    def ask() -> None:
        codes.append(app.test_client().post("/v2/models/mean/infer", json=json_request(noise())).status_code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(codes) == [200] * 3 + [429] * 5
    assert app.test_client().post("/v2/models/mean/infer", json=json_request(noise())).status_code == 200
    serving.stop()


def test_the_gpu_s_queue_and_deadline_answer_as_the_gate_s_do(gpu, models_dir: Path, tmp_path: Path, options):
    write_bundle(models_dir / "mean", mean_model(3))
    app = app_of(models_dir, tmp_path, threads=64, batch_rows=1, batch_queue=1, deadline_ms=700)
    serving = app.extensions["inpage_serving"]
    built(serving)
    gpu("FAKE_TRT_RUN_MS", "400,0")
    answers = []

    def ask() -> None:
        answers.append(app.test_client().post("/v2/models/mean/infer", json=json_request(noise())))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    codes = sorted(answer.status_code for answer in answers)
    assert set(codes) <= {200, 429, 504} and 429 in codes and 200 in codes, codes
    assert all("Retry-After" in found.headers for found in answers if found.status_code == 429)
    serving.stop()
