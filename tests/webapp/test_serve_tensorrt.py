"""TensorRT as the server uses it: built behind the CPU's back, swapped in when it is right, left when it is not."""

from pathlib import Path

import numpy as np
import pytest
from serving_helpers import mean_model, noise, write_bundle
from tensorrt_helpers import answer, built, engine_name, looked, reasons, serving_of, until

from tests.trt import kit
from webapp.engines import Options, builds, tensorrt
from webapp.engines.base import EngineError, Pending
from webapp.models import Models
from webapp.serving import NotReady


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


def test_an_engine_that_is_not_as_it_was_asked_for_is_said(gpu, models_dir: Path, options, tmp_path: Path,
                                                           caplog: pytest.LogCaptureFixture):  # fmt: skip
    gpu("FAKE_TRT_COARSE", "1e6")
    write_bundle(models_dir / "mean", mean_model(3))
    (tmp_path / "rows").mkdir()
    np.savez(tmp_path / "rows" / "rows.npz", image=noise(4))
    with caplog.at_level("WARNING"):
        asked = options(trt_precision="int8", trt_calibration=str(tmp_path / "rows"), batch_rows=4)
        serving = built(serving_of(models_dir, asked))
    assert answer(serving) == (3, "tensorrt")
    assert "the engine is fp16, not as it was asked for: int8, 0 nodes in float32: above the tolerance" in caplog.text
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


def test_engines_that_nobody_used_for_long_make_room(gpu, models_dir: Path, options, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(tensorrt, "MB", 1)  # so that a few bytes are too many
    folder = write_bundle(models_dir / "mean", mean_model(1))
    first = built(serving_of(models_dir, options(trt_cache_mb=1)))
    folder_of_engines = tmp_path / "engines"
    (one,) = folder_of_engines.glob("*.engine")
    write_bundle(folder, mean_model(2))
    looked(first, lambda: answer(first) == (2, "tensorrt"))
    (two,) = folder_of_engines.glob("*.engine")
    assert one != two, "the first made room, the second stays although there is no room for it either"
    first.stop()
    assert not +tensorrt.in_use
