"""Real models, converted and run in Chromium, against what Paddle Inference gave for the same inputs."""

import base64
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.browser_kit import Site, running

pytestmark = [pytest.mark.browser, pytest.mark.shared]

MODELS = [
    "ppocrv3_det_ch",
    "ppocrv3_det_ch_pir",
    "gesture_rec_mobilenetv2",
    "cls_shufflenetv2_x0_25_legacy",
    "cls_shufflenetv2_x0_25_pir",
    "ppocr_cls_v2",
    "paddlejs_humanseg",
]
WORST = 1e-4  # of the output's range
RUNS = 3

RUN = """async ({ bundle, feeds, runs }) => {
  const { load } = await import('/static/runtime/index.js');
  const model = await load(bundle);
  const tensors = {};
  for (const [name, { file, shape }] of Object.entries(feeds)) {
    tensors[name] = { data: new Float32Array(await (await fetch(file)).arrayBuffer()), shape };
  }
  const times_ms = [];
  let results;
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    results = await model.run(tensors);
    times_ms.push(performance.now() - start);
  }
  const base64 = (data) => new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(',')[1]);
    reader.readAsDataURL(new Blob([data]));
  });
  const outputs = [];
  for (const { name } of model.outputs) {
    outputs.push({ name, shape: results[name].shape, data: await base64(results[name].data) });
  }
  await model.dispose();
  return { outputs, times_ms };
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running({}) as served:
        yield served


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """Rows printed together at the end of the module (pytest -s shows them)."""
    rows = [f"{'model':32} {'operators':>9} {'worst error / range':>20} {'bundle KB':>10} {'run ms':>8}"]
    yield rows
    print("", *rows, sep="\n")


def convert(source: Path, bundle: Path, repo: Path) -> None:
    """By the command that a developer types."""
    command = [sys.executable, "-m", "converter", str(source), "-o", str(bundle), "--no-verify"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", MODELS)
def test_converted_model_matches_paddle(
    name: str, shared_dir: Path, repo: Path, tmp_path: Path, site: Site, browser: Any, table: list[str]
) -> None:
    bundle = tmp_path / name
    convert(shared_dir / "models" / name, bundle, repo)
    files = {file.name: file.read_bytes() for file in bundle.iterdir()}
    site.files = {f"/{name}/{leaf}": body for leaf, body in files.items()}
    reference = np.load(shared_dir / "models" / name / "ref.npz")
    feeds = {}
    for number, key in enumerate(key for key in reference if key.startswith("in:")):
        site.files[f"/feeds/{number}.bin"] = reference[key].tobytes()
        feeds[key.removeprefix("in:")] = {"file": f"/feeds/{number}.bin", "shape": list(reference[key].shape)}

    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(site.url)
        told = page.evaluate(RUN, {"bundle": f"/{name}", "feeds": feeds, "runs": RUNS})
    finally:
        context.close()

    wanted = {key.removeprefix("out:"): reference[key] for key in reference if key.startswith("out:")}
    assert len(told["outputs"]) == len(wanted)
    worst = 0.0
    for output, (key, want) in zip(told["outputs"], wanted.items(), strict=True):
        want = wanted.get(output["name"], want)  # re-saved models rename their outputs: those go by order
        got = np.frombuffer(base64.b64decode(output["data"]), want.dtype).reshape(output["shape"])
        assert got.shape == want.shape, key
        assert np.isfinite(got).all(), key
        worst = max(worst, float(np.abs(got - want).max()) / float(np.ptp(want)))
    operators = len(json.loads(files["model.json"])["ops"]) - len(feeds) - len(wanted)
    size_kb = sum(map(len, files.values())) / 1000
    median_ms = statistics.median(told["times_ms"])
    table.append(f"{name:32} {operators:9} {worst:20.2e} {size_kb:10.0f} {median_ms:8.1f}")
    assert worst <= WORST, table[-1]
