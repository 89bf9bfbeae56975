"""The choice of a backend in a real browser, on the scanner's own model: by measurement, cached for the visit, lean."""

import re
from typing import Any

import pytest

from tests.runtime.gpu_kit import launch

pytestmark = pytest.mark.browser

CHOOSE = """async (options) => {
  const { load } = await import('/static/runtime/index.js');
  const model = await load('/models/document_corners/', { backend: 'auto', ...options });
  const image = { data: new Float32Array(3 * 256 * 256), shape: [1, 3, 256, 256] };
  let outputs;
  for (let i = 0; i < 6; i++) outputs = await model.run({ image });
  await model.seeking;
  const { backend, measured } = model;
  await model.dispose();
  return { backend, measured, shape: outputs.heatmaps.shape };
}"""


@pytest.fixture
def open_page(server: str) -> Any:
    """Pages of a browser, and what they asked for."""
    contexts = []

    def open_it(chromium: Any) -> tuple[Any, list[str]]:
        context = chromium.new_context(service_workers="block")
        contexts.append(context)
        asked: list[str] = []
        context.on("request", lambda request: asked.append(re.sub(r".*/static/(?:[0-9a-f]{16}/)?", "", request.url)))
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{server}/offline")
        return page, asked

    yield open_it
    for context in contexts:
        context.close()


def test_all_backends_are_measured_and_the_fastest_is_taken(browser: Any, open_page: Any, capsys: Any) -> None:
    chromium = launch(browser)
    try:
        page, _ = open_page(chromium)
        found = page.evaluate(CHOOSE, {"enough_ms": 0})
        measured = [(entry["backend"], entry["ms"]) for entry in found["measured"]]
        with capsys.disabled():
            table = ", ".join(f"{name} {ms:.1f} ms" for name, ms in measured)
            print(f"\nthe scanner's model, graphics computed by the processor: {table}; taken: {found['backend']}")
        assert {name for name, _ in measured} == {"wasm", "webgl", "webgpu"}
        assert found["backend"] == measured[0][0] == "wasm"
        assert measured == sorted(measured, key=lambda entry: entry[1])
        again = page.evaluate(CHOOSE, {"enough_ms": 0})
        assert again["measured"] == found["measured"], "a visit measures once"
        page.reload()
        assert page.evaluate(CHOOSE, {"enough_ms": 0})["measured"] == found["measured"]
    finally:
        chromium.close()


def test_a_device_without_a_gpu_fetches_nothing_for_one(browser: Any, open_page: Any) -> None:
    page, asked = open_page(browser)
    found = page.evaluate(CHOOSE, {"enough_ms": 0.001})
    assert found["backend"] == "wasm" and found["shape"][1] == 4
    assert [entry["backend"] for entry in found["measured"]] == ["wasm"]
    assert not [name for name in asked if re.match(r"runtime/(?:gpu|webgl|webgpu|remote)", name)]
