"""Both directions of Paddle.js in Chromium: our packages in the original runtime from npm, its packages in ours."""

import base64
import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.convert import convert
from converter.errors import ConvertError
from converter.graph import Graph
from converter.ops import evaluate
from converter.write import paddlejs2
from tests.conftest import CHROMIUM_FLAGS, REPO, chromium_path
from tests.converter.paddlejs2_kit import all_cases, array, case_graph, lowered, net
from tests.runtime.browser_kit import Files, Site, running

pytestmark = pytest.mark.browser

SCRIPTS = ("@paddlejs/paddlejs-core/lib/index.js", "@paddlejs/paddlejs-backend-webgl/lib/index.js")
WEBGL_FLAGS = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
WORST = 1e-4  # of the output's range
CASES_EACH = 10
PAGES_LAST = 12  # the original frees no WebGL context, and a browser gives sixteen
# Where each model's picture is not the size that its authors declared: the size of its reference input.
MODELS = {
    "gesture_rec_mobilenetv2": {},
    "ppocr_cls_v2": {"x": (1, 3, 48, 192)},
    "cls_shufflenetv2_x0_25_legacy": {},
    "cls_shufflenetv2_x0_25_pir": {},
    "face_mtcnn_pnet": {"x": (1, 3, 188, 250)},
    "g_doc_ori_x1_0": {},
    "paddlejs_humanseg": {},
    "paddlejs_tinyyolo": {},
}  # fmt: skip

ORIGINAL = """async ({ url, numbers }) => {
  const runner = new paddlejs.core.Runner({ modelPath: location.origin + url });
  await runner.init();
  const bytes = Uint8Array.from(atob(numbers), (letter) => letter.charCodeAt(0));
  return runner.predictWithFeed([{ data: new Float32Array(bytes.buffer), name: 'image' }]);
}"""
OURS = """async ({ url, numbers, compat }) => {
  const data = new Float32Array(Uint8Array.from(atob(numbers), (letter) => letter.charCodeAt(0)).buffer);
  if (compat) {
    const { Runner } = await import('/static/runtime/compat.js');
    const runner = new Runner({ modelPath: url });
    await runner.init();
    const result = await runner.predictWithFeed([{ data, name: 'image' }]);
    await runner.dispose();
    return result;
  }
  const { load } = await import('/static/runtime/index.js');
  const model = await load(url);
  const [{ name, shape }] = model.inputs;
  const result = await model.run({ [name]: { data, shape } });
  await model.dispose();
  return Array.from(result[model.outputs[0].name].data);
}"""
PICTURE = """async ({ url, options, original }) => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [61, 47];
  const context = canvas.getContext('2d');
  const colours = context.createLinearGradient(0, 0, 61, 47);
  ['#e04010', '#20c080', '#1030f0', '#f0f020'].forEach((colour, i) => colours.addColorStop(i / 3, colour));
  context.fillStyle = colours;
  context.fillRect(0, 0, 61, 47);
  const { Runner } = original ? paddlejs.core : await import('/static/runtime/compat.js');
  const runner = new Runner({ modelPath: location.origin + url, ...options });
  await runner.init();
  return runner.predict(canvas);
}"""


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """node_modules with the original Paddle.js: the repository's, else fetched as package-lock.json pins it."""
    if all((REPO / "node_modules" / script).is_file() for script in SCRIPTS):
        return REPO / "node_modules"
    folder = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(REPO / name, folder)
    npm = shutil.which("npm")
    assert npm, "npm is needed to fetch the original Paddle.js"
    done = subprocess.run([npm, "ci", "--silent"], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "node_modules"


@pytest.fixture(scope="module")
def site(packages: Path) -> Iterator[Site]:
    with running({"npm": {script: (packages / script).read_bytes() for script in SCRIPTS}}) as served:
        yield served


@pytest.fixture(scope="module")
def webgl(browser: Any) -> Iterator[Any]:
    """A Chromium of its own, with WebGL 2 computed by the CPU."""
    chromium = browser.browser_type.launch(executable_path=chromium_path(), args=[*CHROMIUM_FLAGS, *WEBGL_FLAGS])
    try:
        yield chromium
    finally:
        chromium.close()


@pytest.fixture
def page(webgl: Any, site: Site) -> Iterator[Any]:
    """A page with the original runtime in it; what it logs as an error, instead of throwing, fails the test."""
    context = webgl.new_context()
    try:
        opened = context.new_page()
        logged: list[str] = []
        opened.on("console", lambda message: logged.append(message.text) if message.type == "error" else None)
        open_original(opened, site)
        yield opened
        assert logged == []
    finally:
        context.close()


def open_original(page: Any, site: Site) -> None:
    page.goto(site.url)
    for script in SCRIPTS:
        page.add_script_tag(url=f"{site.url}/npm/{script}")


def serve(site: Site, name: str, folder: Path) -> str:
    """The address of a package on the site."""
    site.files |= {f"/{name}/{file.name}": file.read_bytes() for file in folder.iterdir() if file.is_file()}
    return f"/{name}"


def packaged(graph: Graph, folder: Path) -> Files:
    folder.mkdir(parents=True, exist_ok=True)
    paddlejs2.write(graph, folder)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def encoded(picture: np.ndarray) -> str:
    return base64.b64encode(picture.astype("<f4").tobytes()).decode()


def flat(result: list[Any]) -> np.ndarray:
    """Numbers, of several outputs one after the other."""
    if result and isinstance(result[0], dict):
        result = list(itertools.chain.from_iterable(values for output in result for values in output.values()))
    return np.array([np.nan if value is None else value for value in result], np.float64)


def worst_error(found: np.ndarray, outputs: list[np.ndarray]) -> float:
    """Largest error over the range of its output; the original pads what does not fill a texture."""
    assert found.size >= sum(output.size for output in outputs)
    worst, at = 0.0, 0
    for output in outputs:
        got = found[at:at + output.size]
        assert np.isfinite(got).all()
        worst = max(worst, float(np.abs(got - output.reshape(-1)).max()) / max(float(np.ptp(output)), 1e-9))
        at += output.size
    return worst


def test_a_net_with_a_bit_of_everything_runs_there_and_here(page: Any, site: Site, tmp_path: Path) -> None:
    picture = np.random.default_rng(2).uniform(-1, 1, (1, 3, 32, 40)).astype(np.float32)
    want = evaluate(net(), {"image": picture})
    site.files |= {f"/net/{leaf}": body for leaf, body in packaged(lowered(net()), tmp_path).items()}
    for script in (ORIGINAL, OURS):
        result = page.evaluate(script, {"url": "/net", "numbers": encoded(picture), "compat": True})
        assert [list(output) for output in result] == [["scores"], ["maps"]]
        assert worst_error(flat(result), list(want.values())) <= WORST


def chosen_cases() -> Iterator[dict[str, Any]]:
    """Some of each operator's, evenly from all of them: each takes the original a tenth of a second and more."""
    for _, group in itertools.groupby(sorted(all_cases(), key=lambda case: case["op"]), lambda case: case["op"]):
        cases = list(group)
        yield from cases[:: -(-len(cases) // CASES_EACH)]


def test_operator_cases_that_are_written_are_right_there(webgl: Any, site: Site, tmp_path: Path) -> None:
    context, wrong, count = webgl.new_context(), [], 0
    try:
        page = context.new_page()
        for case in chosen_cases():
            made = case_graph(case)
            try:
                graph = lowered(made[0]) if made else None
            except ConvertError:
                continue
            if graph is None or made is None:
                continue
            files = packaged(graph, tmp_path / case["name"])
            site.files |= {f"/case/{leaf}": body for leaf, body in files.items()}
            if count % PAGES_LAST == 0:
                open_original(page, site)
            count += 1
            found = flat(page.evaluate(ORIGINAL, {"url": "/case", "numbers": encoded(made[1])}))
            want = np.concatenate([array(output).astype(np.float64).reshape(-1) for output in case["outputs"]["Out"]])
            finite, got = np.isfinite(want), found[:want.size]
            limit = WORST * max(1.0, float(np.ptp(want[finite]))) if finite.any() else 0
            same = got.size == want.size and np.array_equal(np.isfinite(got), finite)
            if not same or np.abs(got - want)[finite].max(initial=0) > limit:
                wrong.append(case["name"])
    finally:
        context.close()
    assert count >= 150
    assert not wrong


@pytest.mark.shared
@pytest.mark.parametrize("name", MODELS)
def test_real_model_runs_there(name: str, page: Any, site: Site, shared_dir: Path, tmp_path: Path) -> None:
    folder = shared_dir / "models" / name
    convert(folder, tmp_path / name, target="paddlejs2", input_shapes=MODELS[name], verify=False)
    with np.load(folder / "ref.npz") as stored:
        reference = dict(stored)
    (picture,) = (reference[key] for key in reference if key.startswith("in:"))
    result = page.evaluate(ORIGINAL, {"url": serve(site, name, tmp_path / name), "numbers": encoded(picture)})
    error = worst_error(flat(result), [reference[key] for key in reference if key.startswith("out:")])
    print(f"\n{name:32} {error:.2e} in the original runtime")
    assert error <= WORST


@pytest.mark.shared
@pytest.mark.parametrize("compat", [False, True], ids=["load", "Runner"])
@pytest.mark.parametrize("name", ["paddlejs_humanseg", "paddlejs_tinyyolo"])
def test_old_package_runs_here(name: str, compat: bool, browser: Any, site: Site, shared_dir: Path) -> None:
    folder = shared_dir / "models" / name
    with np.load(folder / "ref.npz") as stored:
        reference = dict(stored)
    (picture,) = (reference[key] for key in reference if key.startswith("in:"))
    (want,) = (reference[key] for key in reference if key.startswith("out:"))
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(site.url)
        asked = {"url": serve(site, f"old_{name}", folder), "numbers": encoded(picture), "compat": compat}
        found = flat(page.evaluate(OURS, asked))
    finally:
        context.close()
    assert found.size == want.size
    error = worst_error(found, [want])
    print(f"\n{name:32} {error:.2e} through {'Runner' if compat else 'load()'}")
    assert error <= WORST


@pytest.mark.parametrize("options", [
    {},
    {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.2, 0.3], "bgr": True},
    {"keepRatio": False},
    {"fill": "#123456", "mean": [0.1, 0.1, 0.1]},
    {"scale": 45},
], ids=json.dumps)  # fmt: skip
def test_runner_makes_the_same_feed_of_a_picture(
    options: dict[str, Any], page: Any, site: Site, tmp_path: Path
) -> None:
    site.files |= {f"/net/{leaf}": body for leaf, body in packaged(lowered(net()), tmp_path).items()}
    theirs, ours = (flat(page.evaluate(PICTURE, {"url": "/net", "options": options, "original": original}))
                    for original in (True, False))
    assert np.ptp(theirs) > 0.1
    assert np.abs(theirs[:ours.size] - ours).max() <= 1e-4
