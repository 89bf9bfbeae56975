"""Versions side by side: found, tried, switched without losing a request; a broken one changes only the words."""

import logging
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from serving_helpers import mean_model, noise, write_bundle

from webapp.engines import Engine, EngineError, Options, onnx
from webapp.models import Models
from webapp.serving import NotReady, Serving, UnknownModel


def serving_of(folder: Path, **options) -> Serving:
    serving = Serving(Models([folder]), ["onnx"], Options(), **options)
    serving.scan()
    return serving


def factor(serving: Serving, number: int | None = None) -> float:
    """Which model answers: the factor it was made with."""
    image = noise()
    with serving.use("mean", number) as loaded:
        return round(float(np.mean(loaded.engine.run({"image": image}, 10)["y"]) / image.mean()), 3)


def reason(serving: Serving, number: int) -> str:
    return serving.versions("mean")[number].problem


def test_a_bare_bundle_is_version_1(models_dir: Path):
    write_bundle(models_dir / "mean", mean_model(3))
    serving = serving_of(models_dir)
    assert list(serving.versions("mean")) == [1] and factor(serving) == factor(serving, 1) == 3


def test_the_newest_that_can_run_answers(models_dir: Path):
    for number in (1, 2, 10):
        write_bundle(models_dir / "mean" / str(number), mean_model(number))
    serving = serving_of(models_dir)
    assert list(serving.versions("mean")) == [1, 2, 10]
    assert (factor(serving), factor(serving, 1), factor(serving, 2)) == (10, 1, 2)
    with pytest.raises(UnknownModel, match="no version 3; it has 1, 2, 10"):
        serving.pick("mean", 3)
    with pytest.raises(UnknownModel, match="no model 'other'"):
        serving.pick("other")


def test_folders_that_are_no_versions_are_left_alone(models_dir: Path):
    write_bundle(models_dir / "mean" / "1", mean_model())
    for name in ("0", "01", "x", "1.5", "²"):
        write_bundle(models_dir / "mean" / name, mean_model(9))
    assert list(serving_of(models_dir).versions("mean")) == [1]


def test_a_bundle_for_pages_only_is_said_to_be_one(models_dir: Path):
    write_bundle(models_dir / "mean", None)
    serving = serving_of(models_dir)
    with pytest.raises(NotReady, match="the bundle has no model.onnx"), serving.use("mean"):
        pytest.fail("it ran")
    (bundle,) = serving.models.all()
    assert not bundle.problem and set(bundle.files) == {"model.json", "chunk_1.dat"}


def test_a_new_version_is_switched_to_and_removed_again(models_dir: Path):
    write_bundle(models_dir / "mean" / "1", mean_model(1))
    serving = serving_of(models_dir)
    first = serving.pick("mean").loaded
    write_bundle(models_dir / "mean" / "2", mean_model(2))
    serving.scan()
    assert factor(serving) == 2 and serving.pick("mean", 1).loaded is first
    for path in (models_dir / "mean" / "2").iterdir():
        path.unlink()
    serving.scan()
    assert factor(serving) == 1 and list(serving.versions("mean")) == [1]


def test_pages_get_the_newest_sound_version_and_each_by_its_hash(models_dir: Path):
    from webapp import create_app

    write_bundle(models_dir / "mean" / "1", None, labels=["one"])
    write_bundle(models_dir / "mean" / "2", None, labels=["two"])
    client = create_app({"models": [str(models_dir)]}).test_client()
    (entry,) = [entry for entry in client.get("/api/models").json["models"] if entry["name"] == "mean"]
    assert entry["number"] == 2
    assert client.get("/models/mean/model.json").json["labels"] == ["two"]
    older = Models([models_dir]).versions("mean")[1]
    assert client.get(older.immutable_url + "model.json").json["labels"] == ["one"]
    assert "mean · version 2" in client.get("/").text
    (models_dir / "mean" / "2" / "chunk_1.dat").write_bytes(b"")
    assert client.get("/models/mean/model.json").json["labels"] == ["one"]
    problem = [entry for entry in client.get("/api/models").json["models"] if not entry["ready"]]
    assert [(entry["name"], entry["number"]) for entry in problem] == [("mean", 2)]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def set_onnx(content: bytes):
    return lambda folder: (folder / "model.onnx").write_bytes(content)


def nan_model() -> bytes:
    return mean_model(float("nan"))


BROKEN = {
    "no ONNX at all": (set_onnx(b"not a model"), "cannot load model.onnx"),
    "an empty file": (set_onnx(b""), "cannot load model.onnx"),
    "cut in half": (set_onnx(mean_model()[: len(mean_model()) // 2]), "cannot load model.onnx"),
    "other names": (set_onnx(mean_model(output="z")), "model.onnx has the outputs ['z']; model.json declares ['y']"),
    "not finite": (set_onnx(nan_model()), "output 'y' is not finite"),
    "a damaged chunk": (lambda folder: flip(folder / "chunk_1.dat"), "chunk_1.dat is damaged"),
    "no JSON": (lambda folder: (folder / "model.json").write_text("{"), "not valid JSON"),
    "a shape it has not": (
        lambda folder: write_bundle(folder, outputs=[{"name": "y", "shape": ["image.0", 4], "dtype": "float32"}]),
        "output 'y' has the shape [1, 3]; model.json declares ['image.0', 4]",
    ),
    "a type it has not": (
        lambda folder: write_bundle(folder, outputs=[{"name": "y", "shape": ["image.0", 3], "dtype": "int32"}]),
        "output 'y' is float32; model.json declares int32",
    ),
    "a type nobody knows": (
        lambda folder: write_bundle(folder, outputs=[{"name": "y", "shape": [1], "dtype": "complex64"}]),
        "no datatype for y",
    ),
    "a hash that is not its own": (
        lambda folder: write_bundle(folder, onnx={"file": "model.onnx", "sha256": "0" * 64}),
        "model.onnx is damaged",
    ),
    "a file that is named and not there": (
        lambda folder: (write_bundle(folder, onnx={"sha256": "0" * 64}), (folder / "model.onnx").unlink()),
        "model.onnx is missing, though",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_new_version_leaves_the_old_one_answering(models_dir: Path, case: str):
    damage, words = BROKEN[case]
    write_bundle(models_dir / "mean" / "1", mean_model(1))
    serving = serving_of(models_dir)
    damage(write_bundle(models_dir / "mean" / "2", mean_model(2)))
    serving.scan()
    assert factor(serving) == 1 and words in reason(serving, 2)
    with pytest.raises(NotReady), serving.use("mean", 2):
        pytest.fail("it ran")


@pytest.mark.parametrize("case", BROKEN)
def test_a_version_broken_in_place_keeps_answering_as_it_was(models_dir: Path, case: str):
    damage, words = BROKEN[case]
    folder = write_bundle(models_dir / "mean" / "1", mean_model(1))
    serving = serving_of(models_dir)
    damage(folder)
    serving.scan()
    assert factor(serving) == 1 and words in reason(serving, 1)
    write_bundle(folder, mean_model(5))
    serving.scan()
    assert factor(serving) == 5 and not reason(serving, 1)


def counting(loads: list, slow_s: float = 0.0):
    def load(bundle, options):
        loads.append(bundle.number)
        time.sleep(slow_s)
        return onnx.load(bundle, options)

    return {"onnx": load}


def test_nothing_is_loaded_twice(models_dir: Path):
    folder = write_bundle(models_dir / "mean" / "1", mean_model(1))
    loads: list[int] = []
    serving = serving_of(models_dir, engines=counting(loads))
    serving.scan()
    for path in folder.iterdir():
        path.touch()
    serving.scan()
    assert loads == [1] and factor(serving) == 1


def test_a_refused_version_is_not_tried_again_until_it_changes(models_dir: Path):
    folder = write_bundle(models_dir / "mean" / "1", b"no model")
    loads: list[int] = []
    serving = serving_of(models_dir, engines=counting(loads))
    serving.scan()
    assert loads == [1]
    write_bundle(folder, mean_model(4))
    serving.scan()
    assert loads == [1, 1] and factor(serving) == 4


def test_two_reloads_at_once_load_once(models_dir: Path):
    write_bundle(models_dir / "mean" / "1", mean_model(1))
    loads: list[int] = []
    serving = serving_of(models_dir, engines=counting(loads, slow_s=0.1))
    write_bundle(models_dir / "mean" / "2", mean_model(2))
    threads = [threading.Thread(target=serving.scan) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert loads == [1, 2] and factor(serving) == 2


class Recording(Engine):
    """An engine that knows when it was closed."""

    platform = "recording"

    def __init__(self, bundle):
        self.number, self.closed, self.after_close = bundle.number, False, 0

    def run(self, feeds, timeout_s):
        self.after_close += self.closed
        return {"y": np.full((len(feeds["image"]), 3), self.number, np.float32)}

    def close(self):
        self.closed = True


def test_an_engine_is_closed_when_the_last_one_let_go(models_dir: Path):
    made: list[Recording] = []

    def load(bundle, options):
        made.append(Recording(bundle))
        return made[-1]

    folder = write_bundle(models_dir / "mean" / "1", mean_model(1))
    serving = serving_of(models_dir, engines={"onnx": load})
    with serving.use("mean") as outer:
        with serving.use("mean"):
            write_bundle(folder, mean_model(2))
            serving.scan()
            assert len(made) == 2 and not made[0].closed
        assert not made[0].closed and outer.engine is made[0]
    assert made[0].closed and not made[1].closed
    serving.stop()
    assert made[1].closed


def test_an_engine_that_fails_its_trial_is_closed(models_dir: Path):
    made: list[Recording] = []

    class Silent(Recording):
        def run(self, feeds, timeout_s):
            return {}

    def load(bundle, options):
        made.append(Silent(bundle))
        return made[-1]

    write_bundle(models_dir / "mean" / "1", mean_model(1))
    serving = serving_of(models_dir, engines={"onnx": load})
    assert made[0].closed and "there is no output 'y'" in reason(serving, 1)


def test_switching_back_and_forth_loses_no_run(models_dir: Path):
    made: list[Recording] = []

    def load(bundle, options):
        made.append(Recording(bundle))
        return made[-1]

    write_bundle(models_dir / "mean" / "1", mean_model(1))
    serving = serving_of(models_dir, engines={"onnx": load})
    stop, counts, failures = threading.Event(), [], []

    def ask():
        count = 0
        while not stop.is_set():
            try:
                with serving.use("mean") as loaded:
                    loaded.engine.run({"image": noise()}, 1)
                count += 1
            except Exception as error:
                failures.append(error)
        counts.append(count)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(12):
        write_bundle(models_dir / "mean" / "1", mean_model(turn + 2))
        serving.scan()
    stop.set()
    for thread in threads:
        thread.join(10)
    assert not failures and min(counts) > 0
    assert len(made) == 13 and not any(engine.after_close for engine in made)
    assert [engine.closed for engine in made] == [True] * 12 + [False]


def test_engines_are_tried_in_order_and_every_reason_is_kept(models_dir: Path, caplog: pytest.LogCaptureFixture):
    def absent(bundle, options):
        raise EngineError("no such device")

    def buggy(bundle, options):
        raise KeyError("secret inside")

    write_bundle(models_dir / "mean", mean_model(1))
    with caplog.at_level(logging.WARNING):
        serving = Serving(
            Models([models_dir]), ["a", "b", "onnx"], Options(), engines={"a": absent, "b": buggy, "onnx": onnx.load}
        )
        serving.scan()
    loaded = serving.pick("mean").loaded
    assert loaded.engine_name == "onnx" and loaded.refused == ["a: no such device", "b: KeyError"]
    assert "engine not used: a: no such device" in caplog.text and "secret inside" in caplog.text


def test_a_passing_failure_is_tried_again_after_a_while(models_dir: Path, monkeypatch: pytest.MonkeyPatch):
    there = []

    def load(bundle, options):
        if not there:
            raise EngineError("the other server is away", passing=True)
        return Recording(bundle)

    write_bundle(models_dir / "mean", mean_model(1))
    serving = serving_of(models_dir, engines={"onnx": load})
    there.append(True)
    serving.scan()
    assert serving.pick("mean").loaded is None
    serving.versions("mean")[1].retry_at = time.monotonic() - 1
    serving.scan()
    assert serving.pick("mean").loaded is not None


def test_without_the_library_the_reason_names_the_extra(models_dir: Path, monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    write_bundle(models_dir / "mean", mean_model(1))
    assert "pip install .[onnx]" in reason(serving_of(models_dir), 1)


def test_a_model_cannot_name_other_files(models_dir: Path, tmp_path: Path):
    import onnx as onnx_library

    (tmp_path / "secret.bin").write_bytes(np.ones(1, np.float32).tobytes())
    model = onnx_library.load_from_string(mean_model(1))
    tensor = model.graph.initializer[0]
    onnx_library.external_data_helper.set_external_data(tensor, "../../secret.bin", length=4)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx_library.TensorProto.EXTERNAL
    write_bundle(models_dir / "mean", model.SerializeToString())
    assert "cannot load model.onnx" in reason(serving_of(models_dir), 1)


def test_the_thread_notices_by_itself(models_dir: Path):
    write_bundle(models_dir / "mean" / "1", mean_model(1))
    serving = Serving(Models([models_dir]), ["onnx"], Options())
    serving.start(every_s=0.02)
    serving.start(every_s=0.02)
    assert serving.scanned.wait(20)
    write_bundle(models_dir / "mean" / "2", mean_model(2))
    end = time.monotonic() + 20
    while factor(serving) != 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    serving.stop()
    serving.thread.join(10)
    assert not serving.thread.is_alive()


def test_a_look_that_fails_does_not_end_the_thread(models_dir: Path, monkeypatch, caplog: pytest.LogCaptureFixture):
    write_bundle(models_dir / "mean", mean_model(1))
    models = Models([models_dir])
    found, calls = models.found, []

    def sometimes():
        calls.append(1)
        if len(calls) == 1:
            raise OSError("the disk is away")
        return found()

    monkeypatch.setattr(models, "found", sometimes)
    serving = Serving(models, ["onnx"], Options())
    serving.start(every_s=0.02)
    end = time.monotonic() + 20
    while not serving.entries():
        assert time.monotonic() < end
        time.sleep(0.02)
    serving.stop()
    assert "looking for models failed" in caplog.text and len(calls) >= 2
