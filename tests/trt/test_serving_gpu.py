"""The benchmark on a GPU: one command gives the table, keeps what it knows, and goes on where it was cut off."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving_gpu_builds import run_build
from tests.trt import kit
from trt.reference import by_onnxruntime


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A model as `--prepare` leaves it, as far as it is needed here."""
    folder, feeds = tmp_path / "models" / "small", {"image": kit.images(6)}
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(kit.small_model())
    answers = by_onnxruntime(kit.small_model(), feeds)
    np.savez(folder / "reference.npz", **{"in:image": feeds["image"], "out:y": answers["y"]})
    return folder.parent


def run(models: Path, work: Path, *more: str) -> tuple[str, list[dict]]:
    """What it printed, and the objects among it."""
    command = [sys.executable, "benchmarks/serving_gpu.py", models, "--work", work, "--seconds", "0.05", *more]
    done = subprocess.run(list(map(str, command)), cwd=kit.REPO, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_one_command_gives_the_table_and_the_next_goes_on_from_there(gpu, models: Path, tmp_path: Path):
    work = tmp_path / "work"
    _, events = run(models, work, "--only", "fp32")
    assert {event["engine"] for event in events if event["what"] == "result"} == {"fp32", "ONNX Runtime, CPU"}
    gpu("FAKE_TRT_OFF", "0.3")  # what was measured is not measured again
    text, events = run(models, work, "--only", "fp32", "--only", "fp16")
    assert {event["engine"] for event in events if event["what"] in ("build", "result")} == {"fp16"}
    found = json.loads((work / "results.json").read_text())
    assert found["small | fp32"]["largestError"] < 1e-5 and found["small | fp16"]["largestError"] > 1e-3
    assert {"single", "batched", "fullBatch", "batch1OnTheGpu"} <= found["small | fp16"].keys()
    assert "failures" not in found["small | fp16"]["batched"]
    table = (work / "table.md").read_text()
    assert table in text and len(table.splitlines()) == 5 and "×" in table


def test_what_fails_leaves_a_gap_and_its_reason(gpu, models: Path, tmp_path: Path):
    gpu("FAKE_TRT", "build_fails")
    run(models, tmp_path / "work", "--only", "fp32")
    found = json.loads((tmp_path / "work" / "results.json").read_text())
    assert "Could not find any implementation" in found["small | fp32"]["problem"]
    assert "batch1" in found["small | ONNX Runtime, CPU"] and "batch1" not in found["small | fp32"]


def test_a_build_that_takes_too_long_is_ended(gpu, models: Path, tmp_path: Path):
    gpu("FAKE_TRT_BUILD_S", "60")
    report = run_build(models / "small", "fp32", tmp_path / "small.fp32.engine", 0, time.monotonic() + 2)
    assert report["stage"] == "failed" and report["reason"].startswith("out of time after ")
    assert not (tmp_path / "small.fp32.json").exists()


def test_without_a_gpu_it_says_so(gpu, models: Path, tmp_path: Path):
    gpu("FAKE_GPUS", "0")
    text, events = run(models, tmp_path / "work")
    assert text.startswith("nothing to measure here: ") and not events
