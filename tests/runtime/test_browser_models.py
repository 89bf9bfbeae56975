"""Real models, converted and run in Chromium, against what Paddle Inference gave for the same inputs."""

import base64
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.ops import evaluate
from converter.passes import relax
from converter.read import read
from tests.runtime.browser_kit import Site, running

pytestmark = [pytest.mark.browser, pytest.mark.shared]

MODELS = [
    "cls_shufflenetv2_x0_25_legacy",
    "cls_shufflenetv2_x0_25_pir",
    "face_blazeface_fluid",
    "face_mtcnn_onet",
    "face_mtcnn_pnet",
    "g_doc_ori_x1_0",
    "g_picodet_s_192_pedestrian",
    "g_ppocrv4_mobile_rec",
    "g_ppocrv5_mobile_det",
    "gesture_rec_mobilenetv2",
    "ocr_det_mobile_v1_fluid",
    "paddlejs_humanseg",
    "paddlejs_tinyyolo",
    "ppocr_cls_v2",
    "ppocr_rec_en2_crnn",
    "ppocr_rec_en2_crnn_pir",
    "ppocrv3_det_ch",
    "ppocrv3_det_ch_pir",
]
PACKAGES = [name for name in MODELS if name.startswith("paddlejs_")]
DETECTORS = {"face_blazeface_fluid": 0.5, "g_picodet_s_192_pedestrian": 0.0}
"""Score above which rows are compared, as a set: BlazeFace's below are near-ties, of which others may be kept."""
STEEP = "ocr_det_mobile_v1_fluid"
"""Its head is 1 / (1 + exp(-50 x)), which multiplies whatever float32 rounds away before it: Paddle's own answer is
1.6e-4 from the same program computed in float64, and Paddle 3.3.1 itself is 2.3e-4 from that answer with the graph
optimisation that it turns on by default, 1.1e-4 without it but with MKL's sums in their reproducible order
(MKL_CBWR=COMPATIBLE). So another order of additions cannot be held to WORST from it. This one is held to the exact
numbers instead: as near to them as Paddle is and half as much again, for the worst of 300 000 pixels is chance: orders
of additions that are equally good on the whole gave 1.6e-4 to 2.6e-4."""
STEEP_SLACK = 1.5
WORST = 1e-4  # of the output's range
FILES_OF_A_PACKAGE = r"model\.json|chunk_\d+\.dat"
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
    const { data, shape } = results[name];
    const dtype = data.constructor.name.replace(/Big|Array/g, '').toLowerCase();
    outputs.push({ name, shape, dtype, data: await base64(data) });
  }
  await model.dispose();
  return { outputs, times_ms };
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running({}) as served:
        yield served


@pytest.fixture(scope="module")
def page(site: Site, browser: Any) -> Iterator[Any]:
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(site.url)
        yield page
    finally:
        context.close()


@pytest.fixture(scope="module")
def table(pytestconfig: pytest.Config) -> Iterator[list[str]]:
    """Rows printed together at the end of the module, whether or not pytest captures output."""
    rows = [f"{'model':32} {'operators':>9} {'worst error / range':>20} {'bundle KB':>10} {'run ms':>8}"]
    yield rows
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("", *rows, sep="\n")


@dataclass
class Told:
    """What the page computed. outputs: name → array, in the model's order. times_ms: one per run."""

    outputs: dict[str, np.ndarray]
    times_ms: list[float]


Arrays = dict[str, np.ndarray]


def convert(source: Path, bundle: Path, repo: Path) -> None:
    """By the command that a developer types."""
    command = [sys.executable, "-m", "converter", str(source), "-o", str(bundle), "--no-verify"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def reference(folder: Path) -> tuple[Arrays, Arrays]:
    """(inputs, outputs) that Paddle was given and gave."""
    with np.load(folder / "ref.npz") as arrays:
        parts = {key: arrays[key] for key in arrays.files}
    inputs, outputs = (
        {key.removeprefix(prefix): array for key, array in parts.items() if key.startswith(prefix)}
        for prefix in ("in:", "out:")
    )
    return inputs, outputs


def run_in_page(site: Site, page: Any, files: dict[str, bytes], inputs: Arrays) -> Told:
    """Serve the files as a model, load it in the page and run it on the inputs."""
    site.files = {f"/model/{leaf}": body for leaf, body in files.items()}
    feeds = {}
    for number, (name, array) in enumerate(inputs.items()):
        site.files[f"/feeds/{number}.bin"] = array.tobytes()
        feeds[name] = {"file": f"/feeds/{number}.bin", "shape": list(array.shape)}
    told = page.evaluate(RUN, {"bundle": "/model", "feeds": feeds, "runs": RUNS})
    outputs = {
        output["name"]: np.frombuffer(base64.b64decode(output["data"]), output["dtype"]).reshape(output["shape"])
        for output in told["outputs"]
    }
    return Told(outputs, told["times_ms"])


def error_of(got: np.ndarray, want: np.ndarray) -> float:
    """Worst difference as a share of the range; exact for whole numbers."""
    assert got.shape == want.shape
    assert np.isfinite(got).all()
    if want.dtype.kind != "f":
        assert np.array_equal(got, want)
        return 0.0
    return float(np.abs(got - want).max()) / float(np.ptp(want))


def error_of_rows(got: np.ndarray, want: np.ndarray, sure: float) -> float:
    """The same for rows [class, score, 4 sides]: all scores in order, and those above `sure` as a set of rows."""
    assert got.shape == want.shape
    spread = float(np.ptp(want))
    ours, theirs = (rows[rows[:, 1] > sure] for rows in (got, want))
    assert len(ours) == len(theirs) > 0
    scores = float(np.abs(np.sort(got[:, 1]) - np.sort(want[:, 1])).max())
    both = np.abs(ours[:, None] - theirs[None]).max(axis=2)  # every row of ours against every one of theirs
    rows = max(both.min(axis=0).max(), both.min(axis=1).max())
    return max(scores, float(rows)) / spread


def in_float64(folder: Path, inputs: Arrays) -> Arrays:
    """The program as its authors wrote it, computed by the oracle with 53 bits."""
    graph = relax.run(read(folder))
    for value in graph.values.values():
        if value.data is not None and value.data.dtype == np.float32:
            value.data = value.data.astype(np.float64)
    for name in graph.inputs:
        graph.values[name].dtype = "float64"
    exact = evaluate(graph, {name: array.astype(np.float64) for name, array in inputs.items()})
    assert all(array.dtype == np.float64 for array in exact.values())
    return exact


def worst_error(name: str, outputs: Arrays, wanted: Arrays) -> float:
    """Over all outputs; re-saved models rename theirs: those go by order."""
    assert len(outputs) == len(wanted)
    worst = 0.0
    for (key, got), want in zip(outputs.items(), wanted.values(), strict=True):
        want = wanted.get(key, want)
        rows = name in DETECTORS and want.ndim == 2
        worst = max(worst, error_of_rows(got, want, DETECTORS[name]) if rows else error_of(got, want))
    return worst


def row_of(label: str, model: dict[str, Any], files: dict[str, bytes], worst: float, times_ms: list[float]) -> str:
    """A line of the table."""
    operators = sum(op["type"] not in ("feed", "fetch") for op in model["ops"])
    size_kb = sum(map(len, files.values())) / 1000
    return f"{label:32} {operators:9} {worst:20.2e} {size_kb:10.0f} {statistics.median(times_ms):8.1f}"


@pytest.mark.parametrize("name", MODELS)
def test_converted_model_matches_paddle(
    name: str, shared_dir: Path, repo: Path, tmp_path: Path, site: Site, page: Any, table: list[str]
) -> None:
    source = shared_dir / "models" / name
    convert(source, tmp_path / name, repo)
    files = {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
    inputs, wanted = reference(source)
    told = run_in_page(site, page, files, inputs)
    worst = worst_error(name, told.outputs, wanted)
    table.append(row_of(name, json.loads(files["model.json"]), files, worst, told.times_ms))
    if name == STEEP:
        exact = in_float64(source, inputs)
        ours, paddles = worst_error(name, told.outputs, exact), worst_error(name, wanted, exact)
        table.append(f"  … from float64: {ours:.2e}, Paddle itself {paddles:.2e}")
        assert ours <= STEEP_SLACK * max(WORST, paddles), table[-1]
    else:
        assert worst <= WORST, table[-1]


@pytest.mark.parametrize("name", PACKAGES)
def test_old_package_matches_paddle_as_it_is(
    name: str, shared_dir: Path, site: Site, page: Any, table: list[str]
) -> None:
    source = shared_dir / "models" / name
    files = {file.name: file.read_bytes() for file in source.iterdir() if re.fullmatch(FILES_OF_A_PACKAGE, file.name)}
    inputs, wanted = reference(source)
    told = run_in_page(site, page, files, inputs)
    worst = worst_error(name, told.outputs, wanted)
    table.append(row_of(f"{name}, unconverted", json.loads(files["model.json"]), files, worst, told.times_ms))
    assert worst <= WORST, table[-1]


def test_every_model_is_in_the_list(shared_dir: Path) -> None:
    assert sorted(path.parent.name for path in (shared_dir / "models").glob("*/meta.json")) == MODELS
