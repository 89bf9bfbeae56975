"""The scanner on a device that cannot run the page finder: the real server finds the pages, after the person agreed.

The browser runs without WebAssembly (V8's --jitless takes it away), the server is gunicorn in a process of its own.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scanner_kit as kit
from conftest import DESKTOP, NOT_ASKED, PHONE
from playwright.sync_api import expect

from tests.conftest import CHROMIUM_FLAGS, chromium_path
from tests.pages.test_scanner_model import OUTLINE, scan
from tests.webapp.serving_helpers import Server, running_server

pytestmark = pytest.mark.browser

STEADY = "[data-part=overlay][data-state=steady]"
# Remembers every body that the page sends anywhere.
LISTEN = """
  globalThis.sent = [];
  const realFetch = fetch;
  globalThis.fetch = (url, options) => {
    if (options?.body) sent.push({ url: String(url), body: options.body });
    return realFetch(url, options);
  };
"""
SENT = """() => Promise.all(sent.map(async ({ url, body }) => {
  const picture = await createImageBitmap(body);
  return { path: new URL(url).pathname, type: body.type, bytes: body.size, size: [picture.width, picture.height] };
}))"""
READY, PREDICT = "**/v2/models/document_corners/ready", "**/api/models/document_corners/predict"


@pytest.fixture(scope="module")
def real_server(tmp_path_factory, repo) -> Iterator[Server]:
    """gunicorn with the embedded models, which are loaded."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "models").mkdir()
    with running_server(folder, repo, drain_s=0) as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(scope="module")
def old_browser(browser, tmp_path_factory) -> Iterator:
    """A Chromium without WebAssembly, whose camera shows the drawn photo."""
    video = kit.write_video(tmp_path_factory.mktemp("camera") / "sheet.mjpeg", [kit.photo()])
    flags = [*CHROMIUM_FLAGS, *kit.camera_flags(video), "--js-flags=--jitless"]
    chromium = browser.browser_type.launch(executable_path=chromium_path(), args=flags)
    try:
        yield chromium
    finally:
        chromium.close()


@pytest.fixture
def open_page(old_browser, real_server) -> Iterator[Callable]:
    """Opens /scanner of the real server; a page error fails the test."""
    contexts, errors = [], []

    def open_it(size=DESKTOP, before: Callable = lambda context: None):
        context = old_browser.new_context(
            viewport=size, has_touch=size is PHONE, is_mobile=size is PHONE, service_workers="block")
        contexts.append(context)
        context.set_default_timeout(30_000)
        context.add_init_script(NOT_ASKED + LISTEN)
        before(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://127.0.0.1:{real_server.port}/scanner")
        return page

    try:
        yield open_it
    finally:
        for context in contexts:
            context.close()
    assert errors == []


def agree(page) -> None:
    """Starts the camera and says yes."""
    page.click("[data-part=start-camera]")
    page.wait_for_selector("[data-part=server-dialog][open]")
    page.click("[data-part=server-agree]")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_pages_are_found_by_the_server_once_the_person_agreed(open_page, real_server, size):
    page = open_page(size)
    assert page.evaluate("typeof WebAssembly") == "undefined"
    expect(page.locator("[data-part=server-offer]")).to_be_visible()
    assert page.locator("[data-part=server-bar]").is_hidden()
    page.click("[data-part=start-camera]")
    words = page.inner_text("[data-part=server-dialog]")
    host = f"127.0.0.1:{real_server.port}"
    for told in ("256 × 256 pixels", host, "four corners", "Nothing", "until you close the tab"):
        assert told in words
    assert page.evaluate("sent.length") == 0, "something was sent before the person agreed"
    page.click("[data-part=server-agree]")

    page.wait_for_selector(STEADY)
    for found, true in zip(page.evaluate(OUTLINE), kit.CORNERS, strict=True):
        assert found == pytest.approx(true, abs=0.02)
    assert re.fullmatch(r"On the server · [\d.]+ m?s", page.inner_text("[data-part=badge]"))
    assert page.inner_text("[data-part=server-bar-words]") == "The server finds the pages"
    picture = scan(page)
    assert [kit.nearest_mark(colour) for colour in kit.mark_colours(picture)] == [0, 1, 2, 3]
    expect(page.locator("[data-part=server-bar]")).to_be_visible()
    for sent in page.evaluate(SENT):
        assert (sent["path"], sent["type"], sent["size"]) == (
            "/api/models/document_corners/predict", "image/jpeg", [256, 256])
        assert sent["bytes"] < 40_000


def test_one_click_stops_it(open_page):
    page = open_page()
    agree(page)
    page.wait_for_selector(STEADY)
    page.click("[data-part=server-stop]")
    page.wait_for_selector("[data-part=camera-notice]:not([hidden])")
    count = page.evaluate("sent.length")
    page.wait_for_timeout(700)
    assert page.evaluate("sent.length") == count, "pictures were sent after Stop"
    assert page.locator("[data-part=server-bar]").is_hidden()
    assert page.inner_text("[data-part=badge]") == "By hand"
    page.click("[data-part=camera-server]")
    page.click("[data-part=server-agree]")
    page.wait_for_selector(STEADY)


def test_who_refuses_is_told_what_does_not_work_and_not_asked_again(open_page):
    page = open_page()
    page.click("[data-part=start-camera]")
    page.click("[data-part=server-dialog] [value=no]")
    page.wait_for_selector("[data-part=camera-notice]:not([hidden])")
    told = page.inner_text("[data-part=camera-notice]")
    assert "set the corners by hand" in told and "no automatic shutter" in told
    page.click("[data-part=shutter]")
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    page.click("[data-part=corners-done]")
    page.wait_for_selector("[data-part=sheet][data-state=ready]:not([hidden])")
    page.click("[data-part=add-camera]")
    page.wait_for_selector("[data-view=camera]:not([hidden])")
    assert not page.evaluate("document.querySelector('[data-part=server-dialog]').open")
    assert page.evaluate("sent.length") == 0


def test_the_answer_holds_for_the_tab_and_no_longer(open_page):
    page = open_page()
    agree(page)
    page.wait_for_selector(STEADY)
    page.reload()
    expect(page.locator("[data-part=server-bar]")).to_be_visible()
    page.click("[data-part=start-camera]")
    page.wait_for_selector(STEADY)
    other = open_page()
    expect(other.locator("[data-part=server-offer]")).to_be_visible()
    assert other.locator("[data-part=server-bar]").is_hidden()


def test_a_photo_is_asked_about_too(open_page):
    page = open_page()
    photo = kit.jpeg(kit.photo(640, 480))
    page.set_input_files("[data-part=file-input]", [{"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo}])
    page.click("[data-part=server-agree]")
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    assert "No page found" not in page.inner_text("[data-part=corners-note]")
    assert page.evaluate("sent.length") == 1


FAILURES = {
    "away": (lambda route: route.abort(), "The server does not answer"),
    "busy": (lambda route: route.fulfill(status=429, headers={"Retry-After": "2"}), "The server is busy"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_server_that_does_not_answer_is_named_and_asked_again_later(open_page, name):
    handler, words = FAILURES[name]
    page = open_page()
    agree(page)
    page.wait_for_selector(STEADY)
    page.route(PREDICT, handler)
    expect(page.locator("[data-part=hint]")).to_contain_text(words)
    expect(page.locator("[data-part=badge]")).to_contain_text(re.compile(rf"Server {name} · again in \d+ s"))
    expect(page.locator("[data-part=server-bar-words]")).to_contain_text(words)
    count = page.evaluate("sent.length")
    page.wait_for_timeout(600)
    assert page.evaluate("sent.length") <= count + 1, "a server in trouble was asked at every frame"
    page.unroute(PREDICT)
    page.wait_for_selector(STEADY)
    expect(page.locator("[data-part=badge]")).to_contain_text("On the server")


def test_a_server_that_cannot_is_not_offered(open_page):
    page = open_page(before=lambda context: context.route(READY, lambda route: route.fulfill(status=503)))
    expect(page.locator("[data-part=finder-line]")).to_contain_text("Pages cannot be found automatically here")
    page.click("[data-part=start-camera]")
    page.wait_for_selector("[data-part=camera-notice]:not([hidden])")
    assert page.locator("[data-part=camera-server]").is_hidden()
    assert page.evaluate("sent.length") == 0


def test_nothing_of_a_picture_is_in_the_log(open_page, real_server, tmp_path: Path):
    page = open_page()
    agree(page)
    page.wait_for_selector(STEADY)
    lines = [line for line in real_server.lines() if "predict" in str(line)]
    assert lines
    assert max(len(str(line)) for line in lines) < 1000, "a line of the log is as long as a picture"
