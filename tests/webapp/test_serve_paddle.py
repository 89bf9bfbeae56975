"""The original program on Paddle Inference: for bundles whose model ONNX cannot express."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from serving_helpers import json_request, mean_model, noise, write_bundle

from webapp import create_app
from webapp.engines import EngineError, Options, RunError, paddle
from webapp.models import Models
from webapp.serving import Serving

MAKE = """
import os, sys
os.environ["FLAGS_enable_pir_api"] = sys.argv[2]
import paddle
paddle.enable_static()
main, start = paddle.static.Program(), paddle.static.Program()
with paddle.static.program_guard(main, start):
    image = paddle.static.data("image", [-1, 3, 32, 32], "float32")
    scaled = paddle.scale(image, 3.0)
    y = paddle.mean(scaled, axis=[2, 3])
    exe = paddle.static.Executor(paddle.CPUPlace())
    exe.run(start)
    weight = paddle.static.create_parameter([3], "float32", default_initializer=paddle.nn.initializer.Constant(0.0))
    exe.run(start)
    paddle.static.save_inference_model(sys.argv[1] + "/inference", [image], [y + weight], exe, program=main)
"""


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """y = 3 * mean of image, saved by both generations of Paddle."""
    found = {}
    for name, pir in (("inference.json", "1"), ("inference.pdmodel", "0")):
        found[name] = tmp_path_factory.mktemp("program")
        subprocess.run([sys.executable, "-c", MAKE, found[name], pir], check=True, capture_output=True, timeout=300)
        assert (found[name] / name).is_file()
    return found


@pytest.fixture
def bundle_folder(tmp_path: Path):
    """A bundle with the program and without model.onnx."""

    def make(source: Path, **changes) -> Path:
        folder = write_bundle(tmp_path / "models" / "mean", None, **changes)
        for path in source.iterdir():
            shutil.copy(path, folder)
        return folder

    return make


def only_bundle(folder: Path):
    (bundle,) = Models([folder.parent]).all()
    return bundle


@pytest.mark.parametrize("name", ["inference.json", "inference.pdmodel"])
def test_the_program_answers_where_there_is_no_onnx(programs, bundle_folder, tmp_path: Path, name: str):
    bundle_folder(programs[name])
    app = create_app({"models": [str(tmp_path / "models")], "rate_per_s": 0, "deadline_ms": 60_000})
    client, image = app.test_client(), noise(2)
    answer = client.post("/v2/models/mean/infer", json=json_request(image)).json
    np.testing.assert_allclose(answer["outputs"][0]["data"], 3 * image.mean((2, 3)).ravel(), rtol=1e-5)
    model = client.get("/v2/models/mean").json
    assert model["platform"] == "paddle_inference" and model["states"][0]["engine"] == "paddle"
    assert [line.split(":")[0] for line in model["states"][0]["enginesRefused"]] == ["tensorrt", "onnx"]
    # A sound model.onnx is preferred to it.
    (tmp_path / "models" / "mean" / "model.onnx").write_bytes(mean_model(5))
    app.extensions["inpage_serving"].scan()
    assert client.get("/v2/models/mean").json["states"][0]["engine"] == "onnx"


def test_each_thread_has_a_predictor_of_its_own(programs, bundle_folder):
    engine = paddle.load(only_bundle(bundle_folder(programs["inference.json"])), Options())
    wrong, start = [], threading.Barrier(4)

    def ask(k: int) -> None:
        start.wait()
        for turn in range(10):
            image = noise(1 + turn % 3, seed=10 * k + turn)
            found = engine.run({"image": image}, 10)["y"]
            if not np.allclose(found, 3 * image.mean((2, 3)), rtol=1e-5):
                wrong.append((k, turn))

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and 1 <= len(engine.idle) <= 4
    engine.close()


def test_an_input_that_it_cannot_run_is_said_without_its_inside(programs, bundle_folder):
    engine = paddle.load(only_bundle(bundle_folder(programs["inference.json"])), Options())
    with pytest.raises(RunError) as error:
        engine.run({"nothing": noise()}, 10)
    assert error.value.status == 422 and "/" not in str(error.value) and "\n" not in str(error.value)
    assert engine.run({"image": noise()}, 10)["y"].shape == (1, 3), "the predictor was put back"


def test_another_model_s_program_is_refused(programs, bundle_folder):
    folder = bundle_folder(programs["inference.json"], inputs=[{"name": "x", "shape": [1, 3, 32, 32],
                                                                "dtype": "float32"}])  # fmt: skip
    with pytest.raises(EngineError, match=r"has the inputs \['image'\]; model.json declares \['x'\]"):
        paddle.load(only_bundle(folder), Options())


def test_a_damaged_program_leaves_the_version_unready(programs, bundle_folder):
    folder = bundle_folder(programs["inference.json"])
    (folder / "inference.json").write_text("{}")
    serving = Serving(Models([folder.parent]), ["onnx", "paddle"], Options())
    serving.scan()
    assert "paddle: Paddle cannot load inference.json" in serving.pick("mean").problem
    shutil.copy(programs["inference.json"] / "inference.json", folder)
    serving.scan()
    assert serving.pick("mean").loaded.engine_name == "paddle", "a changed program is noticed"


def test_without_the_library_the_reason_names_the_extra(programs, bundle_folder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "paddle", None)
    with pytest.raises(EngineError, match=r"pip install \.\[paddle\]"):
        paddle.load(only_bundle(bundle_folder(programs["inference.json"])), Options())


@pytest.mark.shared
@pytest.mark.parametrize("name", ["ppocrv3_det_ch", "ppocrv3_det_ch_pir"])
def test_a_real_program_answers_as_paddle_does_without_optimisation(shared_dir: Path, bundle_folder, name: str):
    """The second one's resize is an operator that oneDNN's kernels cannot be given: it then runs without them."""
    folder = shared_dir / "models" / name
    known = np.load(folder / "ref.npz")
    (output,) = (key.removeprefix("out:") for key in known.files if key.startswith("out:"))
    bundle = only_bundle(
        bundle_folder(
            folder, preprocess=None,
            inputs=[{"name": "x", "shape": ["n", 3, "h", "w"], "dtype": "float32"}],
            outputs=[{"name": output, "shape": ["n", 1, "h", "w"], "dtype": "float32"}],
        )
    )  # fmt: skip
    engine = paddle.load(bundle, Options())
    found = engine.run({"x": known["in:x"]}, 60)[output]
    np.testing.assert_allclose(found, known[f"out:{output}"], atol=2e-4)
    engine.close()
