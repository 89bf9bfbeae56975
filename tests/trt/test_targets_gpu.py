"""TensorRT's rows of the table of targets: one command, which goes on where it was cut off."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trt import kit
from trt import quantise

COUNT = 4


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A model as `--prepare` leaves it."""
    folder, rows = tmp_path / "models" / "small", {"image": kit.images(8)}
    (folder / "pictures").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(kit.small_model())
    (folder / "model.int8.qdq.onnx").write_bytes(quantise.plan(kit.small_model(), [rows], rows, 0.5)[0])
    spec = {"input": "image", "size": [8, 8], "mean": [0.5] * 3, "std": [0.2] * 3}
    (folder / "model.json").write_text(json.dumps({"preprocess": spec}))
    for k in range(COUNT + 2):
        pixels = np.random.default_rng(k).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{k}.jpg")
    return folder.parent


def run(models: Path, work: Path, *more: str) -> tuple[str, list[dict]]:
    """What it printed, and the results among it."""
    command = [sys.executable, "benchmarks/targets_gpu.py", models, "--work", work, "--count", COUNT, *more]
    done = subprocess.run(list(map(str, command)), cwd=kit.REPO, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return done.stdout, [line for line in lines if "engine" in line]


def test_every_precision_gets_a_row_and_is_not_measured_again(gpu, models: Path, tmp_path: Path):
    work = tmp_path / "work"
    text, results = run(models, work)
    assert [result["engine"] for result in results] == ["fp16", "int8:qdq", "fp32"], text
    known = json.loads((work / "small.json").read_text())
    assert all(f"| 100.0 % of {COUNT + 2}" in known[kind]["judged"] and known[kind]["ms"] > 0 for kind in known)
    rows = (work / "table.md").read_text()
    assert rows in text and [row.split(" | ")[2] for row in rows.splitlines()] == ["fp16", "int8", "fp32"]
    assert run(models, work)[1] == [] and json.loads((work / "small.json").read_text()) == known
    gpu("FAKE_TRT_OFF", "0.3")
    (work / "small.json").unlink()  # the engines are left: only measured
    assert all(float(result["judged"].split()[0]) > 1e-3 for result in run(models, work)[1])


def test_what_cannot_be_built_is_tried_again_the_next_time(gpu, models: Path, tmp_path: Path):
    gpu("FAKE_TRT", "build_fails")
    text, results = run(models, tmp_path / "work")
    assert all(result["problem"] == "it was not built" for result in results) and len(results) == 3
    assert text.count("it was not built | – | –") == 3
    gpu("FAKE_TRT", "")
    assert all("judged" in result for result in run(models, tmp_path / "work")[1])


def test_a_build_that_takes_too_long_is_ended(gpu, models: Path, tmp_path: Path):
    gpu("FAKE_TRT_BUILD_S", "60")
    text, results = run(models, tmp_path / "work", "--minutes", "0.15")
    assert [result["problem"] for result in results] == ["out of time"] * 3 and text.count("| out of time |") == 3


def test_without_a_gpu_it_says_so(gpu, models: Path, tmp_path: Path):
    gpu("FAKE_GPUS", "0")
    text, results = run(models, tmp_path / "work")
    assert text.startswith("nothing to measure here: ") and not results
