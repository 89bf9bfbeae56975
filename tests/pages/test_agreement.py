"""The same picture, the same answer: in the page, and through both roads to the server, its own resizing included.

Four roads for one picture file:
    page            the runtime's WebAssembly kernels, on pixels that the browser decoded
    tensor          the page prepares the tensor, /v2/models/M/infer runs it
    file            the picture file as it is to /api/models/M/predict, which decodes and resizes it itself
    small JPEG      the page sends what it sends from a camera: a JPEG of the model's size
The first three may differ by rounding only; the last by what JPEG loses.
"""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scanner_kit as kit
from PIL import Image

from webapp import create_app

pytestmark = pytest.mark.browser

ROUNDING = 2e-4  # of an output's range: two engines, and two implementations of the same resizing in float32
COMPRESSED = 0.15  # a heatmap's peak may move by a fraction of a cell
CORNERS_APART = 0.5  # pixels of a picture of 1280 x 720

ROADS = """async ([name, base64, type]) => {
  const { load } = await import('/static/runtime/index.js');
  const file = new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type });
  const address = `/models/${name}/`;
  const outputs = {};
  const plain = (result) => Object.fromEntries(Object.entries(result).map(
    ([key, { data, shape }]) => [key, { data: [...data], shape }]));
  for (const [road, options] of Object.entries({
    page: { backend: 'wasm' }, tensor: { backend: 'server', send: 'tensor' }, 'small JPEG': { backend: 'server' },
  })) {
    const model = await load(address, options);
    outputs[road] = plain(await model.run({ [model.inputs[0].name]: file }));
    await model.dispose();
  }
  return outputs;
}"""
DETECT = """async ([base64, places]) => {
  const { createDetector } = await import('/static/pages/scanner/detect.js');
  const file = new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))]);
  const picture = await createImageBitmap(file);
  const found = {};
  for (const place of places) {
    const detector = createDetector();
    await detector.prepare({ place });
    found[place] = await detector.detectDocument(picture);
    await detector.release();
  }
  return found;
}"""


def base64(content: bytes) -> str:
    """For `atob` in the page."""
    import base64 as library

    return library.b64encode(content).decode()


def arrays(result: dict) -> dict[str, np.ndarray]:
    """Outputs as they came out of the page."""
    return {name: np.array(value["data"], np.float64).reshape(value["shape"]) for name, value in result.items()}


def posted(client, name: str, content: bytes, kind: str) -> dict[str, np.ndarray]:
    """Outputs of the picture's own road."""
    answer = client.post(f"/api/models/{name}/predict", data=content, content_type=kind)
    assert answer.status_code == 200, answer.text
    return {entry["name"]: np.array(entry["data"]).reshape(entry["shape"]) for entry in answer.json["outputs"]}


def differences(name: str, roads: dict[str, dict[str, np.ndarray]]) -> dict[str, float]:
    """The largest difference from the page, as a share of the output's range; printed."""
    worst, words = {}, []
    for road, outputs in roads.items():
        if road == "page":
            continue
        assert outputs.keys() == roads["page"].keys()
        shares = [np.abs(mine - outputs[key]) / max(1e-6, np.abs(mine).max()) for key, mine in roads["page"].items()]
        worst[road] = max(float(share.max()) for share in shares)
        words.append(f"{road} {worst[road]:.1e} (mean {max(float(share.mean()) for share in shares):.1e})")
    print(f"\n{name}: differs from the page by at most {', '.join(words)} of the output's range")
    return worst


@pytest.fixture
def four_roads(browser, serving, capsys):
    """Runs a picture over all roads of a model in `folder` (None: embedded) and prints how far they are apart."""

    def run(name: str, content: bytes, kind: str, folder: Path | None = None) -> dict[str, float]:
        app = create_app({"models": [str(folder)] if folder else []})
        context = browser.new_context(service_workers="block")
        try:
            with serving(app) as address:
                page = context.new_page()
                page.goto(f"{address}/offline")
                found = page.evaluate(ROADS, [name, base64(content), kind])
        finally:
            context.close()
        roads = {road: arrays(outputs) for road, outputs in found.items()}
        roads["file"] = posted(app.test_client(), name, content, kind)
        with capsys.disabled():
            return differences(name, roads)

    return run


def png(picture: Image.Image) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def test_the_scanners_network_answers_alike_on_every_road(four_roads):
    worst = four_roads("document_corners", png(kit.photo(1280, 720)), "image/png")
    assert max(worst["tensor"], worst["file"]) < ROUNDING
    assert worst["small JPEG"] < COMPRESSED


def test_the_scanner_finds_the_same_corners_in_the_page_and_on_the_server(browser, server, capsys):
    context = browser.new_context(service_workers="block")
    try:
        page = context.new_page()
        page.goto(f"{server}/offline")
        found = page.evaluate(DETECT, [base64(png(kit.photo(1280, 720))), ["device", "server"]])
    finally:
        context.close()
    apart = np.abs(np.array(found["device"]["corners"]) - np.array(found["server"]["corners"])).max()
    with capsys.disabled():
        print(f"\nscanner: corners {apart:.2f} pixels apart on the device and on the server, of a picture of 1280x720")
    assert apart < CORNERS_APART
    true = np.array(kit.CORNERS) * (1280, 720)
    assert np.abs(np.array(found["server"]["corners"]) - true).max() < 6


@pytest.fixture(scope="module")
def text_detector(shared_dir, tmp_path_factory, repo) -> Path:
    """ppocrv3_det_ch, converted for pages and for the server, with PP-OCR's own preprocessing."""
    folder = tmp_path_factory.mktemp("models")
    model, bundle = shared_dir / "models/ppocrv3_det_ch", folder / "ppocrv3_det_ch"
    command = [
        sys.executable, "-m", "converter", str(model), "-o", str(bundle), "--targets", "web,onnx", "--no-verify",
        "--quiet", "--channels", "bgr", "--resize", "limit", "--limit-side", "640",
        "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225",
    ]  # fmt: skip
    subprocess.run(command, cwd=repo, check=True)
    assert json.loads((bundle / "model.json").read_text())["preprocess"]["limit"]["side"] == 640
    return folder


@pytest.mark.shared
def test_the_text_detector_answers_alike_on_every_road(four_roads, text_detector, shared_dir):
    content = (shared_dir / "photos/RapidAI_ch_en_num.jpg").read_bytes()
    with Image.open(io.BytesIO(content)) as opened:
        lossless = png(opened.convert("RGB"))
    worst = four_roads("ppocrv3_det_ch", lossless, "image/png", text_detector)
    assert max(worst["tensor"], worst["file"]) < ROUNDING
