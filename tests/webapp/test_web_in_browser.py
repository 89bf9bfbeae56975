"""The home page and offline use, in a real browser."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from webapp import create_app

pytestmark = pytest.mark.browser

KEPT_CACHES = """async () => {
  const late = new Promise((_, reject) => setTimeout(reject, 20000, new Error('no service worker took over')));
  await Promise.race([navigator.serviceWorker.ready, late]);
  return (await caches.keys()).filter((name) => name.startsWith('inpage-site-'));
}"""


def eventually(page: Page, question: str, seconds: float = 20) -> None:
    """Ask the page until it says yes (`wait_for_function` does not wait for an asynchronous answer)."""
    for _ in range(int(seconds * 10)):
        if page.evaluate(question):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"not within {seconds} s: {question}")


@pytest.fixture
def page(browser) -> Iterator[Page]:
    """A page of its own, whose console errors and broken requests fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert not problems


def test_home_says_what_the_device_can_do(page: Page, server: str):
    page.goto(server)
    expect(page.locator("#device-badge")).to_have_text("Ready to run models")
    expect(page.locator("#device-features li")).to_have_count(4)
    expect(page.locator("#device-features li").first).to_contain_text("WebAssembly SIMD: available")
    assert page.evaluate("crossOriginIsolated") is True


def test_home_without_simd_says_so(page: Page, server: str):
    page.add_init_script("WebAssembly.validate = () => false")
    page.goto(server)
    expect(page.locator("#device-badge")).to_have_text("Cannot run models")
    expect(page.locator("#device-summary")).to_contain_text("lacks WebAssembly SIMD")


@pytest.mark.parametrize(("width", "height"), [(320, 568), (390, 844), (1280, 800)])
def test_no_page_scrolls_sideways(page: Page, server: str, width: int, height: int, make_bundle: Callable[..., Path]):
    page.set_viewport_size({"width": width, "height": height})
    for path in ("/", "/offline"):
        page.goto(server + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_gallery_lists_sound_and_damaged_bundles(page: Page, make_bundle: Callable[..., Path], tmp_path: Path, serving):
    make_bundle("a_sound_one")
    (make_bundle("broken") / "chunk_1.dat").unlink()
    with serving(create_app({"models": [str(tmp_path / "models")]})) as address:
        page.goto(address)
        expect(page.locator(".model", has_text="a_sound_one")).to_contain_text("x: float32[?, 3, 8, 8]")
        expect(page.locator(".model", has_text="broken")).to_contain_text("chunk_1.dat is missing")
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")  # it must not be fetched from a stopped server


def test_keyboard_reaches_the_content_first(page: Page, server: str):
    page.goto(server)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"


def test_the_site_works_without_a_network_after_the_first_visit(browser, server: str):
    context = browser.new_context()
    page = context.new_page()
    try:
        page.goto(server)
        (kept,) = page.evaluate(KEPT_CACHES)
        listed = page.evaluate("async (name) => (await (await caches.open(name)).keys()).length", kept)
        assert listed > 20
        context.set_offline(True)
        page.reload()
        expect(page.locator("#device-badge")).to_have_text("Ready to run models")
        page.goto(f"{server}/scanner")
        expect(page.get_by_role("heading", level=1)).to_have_text("Document scanner")
        page.goto(f"{server}/never-opened")
        expect(page.get_by_role("heading", level=1)).to_have_text("This page needs the network once")
    finally:
        context.close()


def edited_app():
    """The app after an update that changed one page."""
    app = create_app()
    original = app.jinja_env.loader.get_source

    def get_source(environment, name):
        source, *rest = original(environment, name)
        return (source.replace("Bring your own", "Bring yours"), *rest)

    app.jinja_env.loader.get_source = get_source
    return app


def test_a_new_version_replaces_the_kept_one(browser, serving):
    versions = [create_app(), edited_app()]
    with serving(lambda environ, start: versions[0](environ, start)) as address:
        context = browser.new_context()
        try:
            page = context.new_page()
            page.goto(address)
            (before,) = page.evaluate(KEPT_CACHES)
            del versions[0]
            page.evaluate("async () => (await navigator.serviceWorker.ready).update()")
            eventually(page, "async () => (await navigator.serviceWorker.ready).waiting !== null")
            assert before in page.evaluate(KEPT_CACHES)  # the open page may still need it
            page.close()  # the old worker lives as long as one of its pages
            page = context.new_page()
            page.goto(address)
            eventually(page, f"async () => !(await caches.keys()).includes('{before}')")
            (after,) = page.evaluate(KEPT_CACHES)
            assert after != before
            context.set_offline(True)
            page.reload()
            expect(page.get_by_text("Bring yours")).to_be_visible()
        finally:
            context.close()
