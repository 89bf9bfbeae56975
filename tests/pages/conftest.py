"""Browsers and pages for the scanner's tests."""

from collections.abc import Callable, Iterator

import pytest
import scanner_kit as kit
from playwright.sync_api import expect

from tests.conftest import CHROMIUM_FLAGS, chromium_path
from tests.runtime.conftest import gpu  # noqa: F401  (a fixture)

expect.set_options(timeout=20_000)  # a busy machine is no failure
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
# A browser that has not been told yet whether this page may use the camera.
NOT_ASKED = "navigator.permissions.query = async () => ({ state: 'prompt' });"


def launch(browser, video) -> Iterator:
    """Another Chromium with its own flags, from the driver that the session's browser already runs."""
    flags = [*CHROMIUM_FLAGS, *kit.camera_flags(video)]
    chromium = browser.browser_type.launch(executable_path=chromium_path(), args=flags)
    try:
        yield chromium
    finally:
        chromium.close()


@pytest.fixture(scope="session")
def camera_browser(browser, tmp_path_factory) -> Iterator:
    """A Chromium whose camera shows the drawn photo."""
    yield from launch(browser, kit.write_video(tmp_path_factory.mktemp("camera") / "sheet.mjpeg", [kit.photo()]))


@pytest.fixture(scope="session")
def blind_browser(browser) -> Iterator:
    """A Chromium on a device without any camera."""
    yield from launch(browser, None)


@pytest.fixture
def open_scanner(camera_browser, server) -> Iterator[Callable]:
    """Opens /scanner with the stand-in finder; a page error or a request to another host fails the test."""
    contexts, problems = [], []

    def open_page(*, chromium=None, size=DESKTOP, corners=kit.CORNERS, script="", asked=False):
        context = (chromium or camera_browser).new_context(
            viewport=size, has_touch=size is PHONE, is_mobile=size is PHONE, service_workers="block")
        contexts.append(context)
        context.set_default_timeout(20_000)
        kit.use_fake_finder(context, corners)
        context.route("**/v2/models/*/ready", lambda route: route.fulfill(status=503))  # no server that could help
        context.add_init_script(("" if asked else NOT_ASKED) + script)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"page error: {error}"))
        page.on("request", lambda request: is_foreign(request.url, server) and problems.append(f"asked {request.url}"))
        page.goto(f"{server}/scanner")
        return page

    try:
        yield open_page
    finally:
        for context in contexts:
            context.close()
    assert problems == []


def is_foreign(url: str, server: str) -> bool:
    """Whether a request leaves the page's own origin."""
    return not url.startswith((server + "/", "blob:", "data:"))
