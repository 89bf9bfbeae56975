"""/attention on a device that cannot look itself: it says so; another page asks first, then lets the real server look.

The browser runs without WebAssembly (V8's --jitless takes it away), the server is gunicorn in a process of its own.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import scanner_kit as kit
from attention_video import Part, known_script, write_script
from conftest import DESKTOP
from playwright.sync_api import expect

from tests.conftest import CHROMIUM_FLAGS, chromium_path
from tests.webapp.serving_helpers import running_server

pytestmark = pytest.mark.browser

MODEL = r"models/(?:face_detector|face_head|upper_body)"
MAY_BE_ASKED = re.compile(rf"/v2/{MODEL}/ready|/api/{MODEL}/predict|/static/.*")


@pytest.fixture(scope="module")
def site(tmp_path_factory, repo) -> Iterator[str]:
    """gunicorn with the embedded models, which are loaded: until then the page says that the server cannot look."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "models").mkdir()
    with running_server(folder, repo, drain_s=0) as server:
        server.wait_until_ready()
        yield f"http://127.0.0.1:{server.port}"


def old_page(browser, video: Path):
    """A page of a Chromium without WebAssembly; the caller closes its browser."""
    flags = [*CHROMIUM_FLAGS, *kit.camera_flags(video), "--js-flags=--jitless"]
    chromium = browser.browser_type.launch(executable_path=chromium_path(), args=flags)
    context = chromium.new_context(viewport=DESKTOP, service_workers="block")
    context.set_default_timeout(30_000)
    return chromium, context.new_page()


def test_a_device_that_cannot_says_so_and_sends_nothing(browser, site, tmp_path):
    chromium, page = old_page(browser, kit.write_video(tmp_path / "sheet.mjpeg", [kit.photo()]))
    try:
        page.goto(f"{site}/attention")
        page.click("[data-part=begin]")
        expect(page.locator("[data-part=problem-title]")).to_have_text("This device cannot look for faces itself")
        page.click("[data-part=problem-server] a")
        asked = []
        page.on("request", lambda request: asked.append((request.method, request.url)))
        page.click("[data-part=begin]")
        words = page.inner_text("[data-part=server-dialog][open]")
        for told in (site.removeprefix("http://"), "640 pixels", "recognise people", "Nothing", "this session alone"):
            assert told in words
        page.keyboard.press("Escape")  # is no answer, hence no yes
        expect(page.locator("[data-part=problem-title]")).to_have_text("Nothing was sent")
        assert page.is_hidden("[data-part=live]")
        assert page.evaluate("document.querySelector('[data-part=video]').srcObject") is None
        assert not [url for method, url in asked if method != "GET"]
    finally:
        chromium.close()


@pytest.mark.shared
def test_the_server_looks_once_the_person_agreed_and_until_one_click(browser, site, shared_dir, tmp_path):
    frontal = known_script(shared_dir / "faces")[0]
    write_script(tmp_path / "face.mjpeg", [Part(frontal.files[:1], 1, frontal.word)])
    chromium, page = old_page(browser, tmp_path / "face.mjpeg")
    try:
        page.goto(f"{site}/attention/server")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.removeprefix(site)))
        page.click("[data-part=begin]")
        page.click("[data-part=server-agree]")
        # Without a compiler a look may take seconds, and only a session of a second or more has an end to show.
        expect(page.locator("[data-part=word]")).to_have_text("Facing the screen", timeout=60_000)
        expect(page.locator("[data-part=timeline-words]")).to_contain_text("so far", timeout=60_000)
        expect(page.locator("[data-part=server-bar]")).to_contain_text("On the server")
        assert re.fullmatch(r"\d+ KB|\d\.\d MB", page.inner_text("[data-part=server-sent]"))
        for address in ("/api/models/document_corners/predict", "/v2/models/document_corners/infer"):
            assert page.evaluate("""address => new Promise((resolve) => {
              addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective), { once: true });
              fetch(address, { method: 'POST', body: 'frame' }).then(() => resolve('sent'), () => {});
            })""", address) == "connect-src"  # fmt: skip
        page.click("[data-part=server-stop]")
        page.wait_for_selector("[data-part=end]:not([hidden])")
        assert page.evaluate("document.querySelector('[data-part=video]').srcObject") is None
        assert not [path for path in asked if not MAY_BE_ASKED.fullmatch(path) and "document_corners" not in path]
        asked.clear()
        page.wait_for_timeout(1500)  # more than a look lasts
        assert asked == []
        page.click("[data-part=again]")
        page.click("[data-part=begin]")  # the answer held for one session
        expect(page.locator("[data-part=server-dialog]")).to_be_visible()
    finally:
        chromium.close()
