"""The status page in a real browser: live figures, words for what is wrong, patience when the server is away."""

from pathlib import Path

import pytest
from serving_helpers import json_request, mean_model, noise, write_bundle

from webapp import create_app

pytestmark = pytest.mark.browser
KEY = "a-key-of-sufficient-length"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "models" / "mean" / "1", mean_model(1))
    write_bundle(tmp_path / "models" / "mean" / "2", b"broken")
    write_bundle(tmp_path / "models" / "pages", None)
    return tmp_path / "models"


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    opened = context.new_page()
    opened.errors = []
    opened.on("pageerror", lambda error: opened.errors.append(str(error)))
    yield opened
    context.close()


def version(page, name: str):
    return page.locator(".version", has_text=name)


def test_models_and_figures_are_shown_and_renewed(models: Path, page, serving):
    app = create_app({"models": [str(models)], "rate_per_s": 0})
    with serving(app) as address:
        page.clock.install()
        page.goto(f"{address}/status")
        page.wait_for_selector("#status-figures:not([hidden])")
        assert page.inner_text("#status-badge") == "Ready"
        assert "Answering" in version(page, "mean · version 1").inner_text()
        assert "On ONNX Runtime since" in version(page, "mean · version 1").inner_text()
        broken = version(page, "mean · version 2").inner_text()
        assert "Not ready" in broken and "cannot load model.onnx" in broken and "ONNXRuntimeError" not in broken
        assert "In the page only" in version(page, "pages · version 1").inner_text()
        assert page.locator("#status-times").is_hidden()
        assert app.test_client().post("/v2/models/mean/infer", json=json_request(noise())).status_code == 200
        page.clock.run_for(3500)
        page.wait_for_selector("#status-times:not([hidden])")
        assert page.locator("#status-stages tr").first.locator("th").inner_text() == "Waiting for a turn"
        assert "Model runs asked\n1" in page.inner_text("#status-tiles")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert not page.errors


def test_a_server_that_is_away_is_said_and_asked_again(models: Path, page, serving):
    with serving(create_app({"models": [str(models)]})) as address:
        page.clock.install()
        page.goto(f"{address}/status")
        page.wait_for_selector("#status-figures:not([hidden])")
        page.route("**/api/status", lambda route: route.abort())
        page.clock.run_for(3500)
        page.wait_for_selector("#status-figures[data-stale]")
        assert page.inner_text("#status-badge") == "No answer; trying again"
        page.unroute("**/api/status")
        page.clock.run_for(7000)
        page.wait_for_selector("#status-figures:not([data-stale])")
        assert page.inner_text("#status-badge") == "Ready"
    assert not page.errors


def test_stopping_is_shown(models: Path, page, serving):
    app = create_app({"models": [str(models)]})
    app.extensions["inpage_shared"].stop()
    with serving(app) as address:
        page.goto(f"{address}/status")
        page.wait_for_selector("#status-figures:not([hidden])")
        assert page.inner_text("#status-badge") == "Stopping"


def test_with_keys_the_page_asks_for_one(models: Path, page, serving):
    with serving(create_app({"models": [str(models)], "api_keys": [KEY]})) as address:
        page.goto(f"{address}/status")
        page.wait_for_selector("#status-key-form:not([hidden])")
        assert page.locator("#status-figures").is_hidden()
        page.fill("#status-key", KEY + "x")
        page.click("button:has-text('Show')")
        page.wait_for_selector("#status-key-note:has-text('does not know')")
        page.fill("#status-key", KEY)
        page.press("#status-key", "Enter")
        page.wait_for_selector("#status-figures:not([hidden])")
        assert page.locator("#status-key-form").is_hidden()
        assert KEY not in page.url and page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert not page.errors


def test_an_engine_on_its_way_and_its_batches_are_shown(models: Path, page, serving, gpu, tmp_path: Path):
    hold = tmp_path / "hold"
    hold.touch()
    gpu("FAKE_TRT_HOLD", str(hold))
    app = create_app({"models": [str(models)], "rate_per_s": 0, "trt_cache": str(tmp_path / "engines")})
    app.extensions["inpage_serving"].start(0)
    with serving(app) as address:
        page.goto(f"{address}/status")
        first = version(page, "mean · version 1")
        first.get_by_text("TensorRT is being built: building").wait_for()
        assert "On ONNX Runtime since" in first.inner_text()
        hold.unlink()
        first.get_by_text("On TensorRT since").wait_for(timeout=60_000)
        first.get_by_text("batches,").wait_for()
        assert "is being built" not in first.inner_text()
    app.extensions["inpage_serving"].stop()
    assert not page.errors
