"""The lab in Chromium: an installed and a dropped bundle measured on several backends, drawn, named and copied."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.browser_kit import make_bundle
from webapp import create_app

pytestmark = pytest.mark.browser
DROP = """async ({ files, folder }) => {
  const transfer = new DataTransfer();
  for (const [name, text] of Object.entries(files)) {
    transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
  }
  document.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "small"
    folder.mkdir(parents=True)
    for name, body in make_bundle().items():
        (folder / name).write_bytes(body)
    return folder


ORT = """
export const env = { wasm: {} };
export class Tensor { constructor(type, data, dims) { Object.assign(this, { type, data, dims }); } }
export const InferenceSession = {
  async create(bytes, { executionProviders: [provider] }) {
    const { input, name, length } = JSON.parse(new TextDecoder().decode(bytes));
    if (provider !== 'wasm' || env.wasm.numThreads !== 1) throw new Error(`no ${provider} here`);
    let busy = false;
    return {
      async run(feeds) {
        if (busy) throw new Error('two runs at once');
        const { type, data, dims } = feeds[input];
        if (type !== 'float32' || data.length !== dims.reduce((p, q) => p * q)) throw new Error('a wrong tensor');
        busy = true;
        await null;
        busy = false;
        return { [name]: { dims: [1, length], getData: async () => new Float32Array(length).fill(data[1]) } };
      },
      release: async () => {},
    };
  },
};
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """npm packages with a stand-in for ONNX Runtime Web."""
    folder = tmp_path / "node_modules" / "onnxruntime-web" / "dist"
    folder.mkdir(parents=True)
    (folder / "ort.wasm.min.mjs").write_text(ORT)
    return tmp_path / "node_modules"


@pytest.fixture
def page(gpu: Any, bundle: Path, packages: Path, serving: Any) -> Iterator[Any]:
    """The lab, which must break neither the content policy nor a script."""
    errors: list[str] = []
    with serving(create_app({"models": [str(bundle.parent)], "peers": str(packages)})) as address:
        context = gpu.new_context(permissions=["clipboard-read", "clipboard-write"])
        try:
            page = context.new_page()
            page.set_default_timeout(30_000)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on(
                "console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None
            )
            page.goto(f"{address}/lab")
            yield page
        finally:
            context.close()
    assert not errors


def choose(page: Any, *ids: str) -> None:
    for box in page.locator("#lab-backends input").all():
        box.set_checked(box.get_attribute("value") in ids)


def measure(page: Any) -> None:
    page.click("#lab-start")
    page.wait_for_selector('#lab-badge[data-state="ok"], #lab-badge[data-state="bad"]')
    assert page.inner_text("#lab-badge") == "Done"


def test_an_installed_model_is_measured_on_two_backends(page: Any) -> None:
    page.select_option(
        "#lab-model", label=next(t for t in page.locator("#lab-model option").all_inner_texts() if "small" in t)
    )
    choose(page, "wasm", "webgl")
    measure(page)
    rows = page.locator("#lab-table tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == ["WASM", "WebGL"]
    assert "float32" in rows[1]
    assert "reference" in rows[0]
    assert "small" in page.inner_text("#lab-what")
    assert "SwiftShader" in page.inner_text("#lab-what")
    assert "1×3×8×10" in page.inner_text("#lab-what")
    assert page.locator(".bar-row").count() == 2
    assert page.locator(".step").count() >= 1
    bar = page.locator(".step-bar").first
    assert "ms" in bar.inner_text()
    page.click("#lab-copy-json")
    page.wait_for_selector("#lab-copy-json:text('Copied')")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied["about"]["model"].startswith("small")
    assert [one["backend"] for one in copied["outcomes"]] == ["wasm", "webgl"]
    assert copied["outcomes"][1]["difference"] <= 1e-3
    assert len(copied["outcomes"][1]["times_ms"]) >= 3
    page.click("#lab-copy-table")
    page.wait_for_selector("#lab-copy-table:text('Copied')")
    assert "Backend\tPrecision" in page.evaluate("navigator.clipboard.readText()")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def drop(page: Any, files: dict[str, bytes]) -> None:
    page.evaluate(DROP, {"files": {name: base64.b64encode(body).decode() for name, body in files.items()}})


def test_a_dropped_bundle_is_measured_where_it_is(page: Any) -> None:
    drop(page, make_bundle())
    page.wait_for_selector("#lab-own:not([hidden])", state="attached")
    assert "from this device" in page.inner_text("#lab-model option:checked")
    choose(page, "webgl")
    measure(page)
    assert page.locator("#lab-table tbody tr").count() == 1


def test_what_cannot_be_measured_is_said(page: Any) -> None:
    drop(page, {"notes.txt": b"no model"})
    page.wait_for_selector("#lab-problem:not([hidden])")
    assert "no model.json" in page.inner_text("#lab-problem")
    drop(page, {"model.json": make_bundle()["model.json"]})
    choose(page, "wasm")
    measure(page)
    assert 'The file "chunk_1.dat" was not dropped' in page.inner_text("#lab-table")
    choose(page)
    page.click("#lab-start")
    page.wait_for_selector("#lab-problem:not([hidden])")
    assert page.inner_text("#lab-problem") == "Choose at least one backend."


def test_another_runtime_is_measured_beside_this_one(page: Any) -> None:
    files = make_bundle()
    (given,), (made,) = (json.loads(files["model.json"])[key] for key in ("inputs", "outputs"))
    onnx = {"input": given["name"], "name": made["name"], "length": 3}
    drop(page, files | {"model.onnx": json.dumps(onnx).encode()})
    page.wait_for_selector("#lab-own:not([hidden])", state="attached")
    choose(page, "wasm", "ort-wasm", "ort-webgpu")
    measure(page)
    rows = page.locator("#lab-table tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == ["WASM", "ORT Web WASM", "ORT Web WebGPU"]
    assert rows[1].split("\t")[-2:] == ["–", "1.0e+0"]  # three numbers are not that output
    assert "ort.webgpu.min.mjs" in rows[2]
    assert "with the same model as ONNX" in page.inner_text("#lab-notes")
    choose(page, "ort-wasm")
    measure(page)
    assert "Measure one backend of this runtime, too" in page.inner_text("#lab-table")


def test_a_model_that_is_no_onnx_is_named(page: Any) -> None:
    page.select_option(
        "#lab-model", label=next(t for t in page.locator("#lab-model option").all_inner_texts() if "small" in t)
    )
    choose(page, "wasm", "ort-wasm")
    measure(page)
    assert "The bundle has no model.onnx" in page.locator("#lab-table tbody tr").nth(1).inner_text()
