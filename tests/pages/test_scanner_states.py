"""States of refusal and failure: each says what happened, and photos with manual corners keep working."""

from pathlib import Path

import pytest
import scanner_kit as kit
from conftest import PHONE

pytestmark = pytest.mark.browser

FAIL = "globalThis.{} = async () => {{ throw Object.assign(new Error('x'), {{ code: '{}' }}); }};"
REFUSE = "navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('x', '{}'); }};"
CAMERA_STATES = {
    "refused": (REFUSE.format("NotAllowedError"), "The camera is blocked for this page"),
    "busy": (REFUSE.format("NotReadableError"), "The camera is in use"),
    "insecure": ("Object.defineProperty(window, 'isSecureContext', { value: false });",
                 "The camera needs a secure address"),
    "unsupported": ("Object.defineProperty(navigator, 'mediaDevices', { value: undefined });",
                    "This browser offers no camera to pages"),
}
FINDER_STATES = {
    "no SIMD": ("WebAssembly.validate = () => false;", "Pages cannot be found automatically here", False),
    "download": (FAIL.format("fakePrepare", "network"), "The page finder could not be downloaded", True),
    "lost twice": (FAIL.format("fakeFailure", "worker_lost"), "The page finder stopped twice", True),
}


def take_photo_by_hand(page) -> None:
    """A photo still becomes a page, its corners set by hand."""
    page.set_input_files("[data-part=file-input]",
                         [{"name": "a.jpg", "mimeType": "image/jpeg", "buffer": kit.jpeg(kit.photo(640, 480))}])
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    page.click("[data-part=corners-done]")
    page.wait_for_selector("[data-part=sheet][data-state=ready]:not([hidden])")


@pytest.mark.parametrize("name", CAMERA_STATES)
def test_no_camera_to_be_had(open_scanner, name):
    script, title = CAMERA_STATES[name]
    page = open_scanner(script=script)
    page.click("[data-part=start-camera]")
    page.wait_for_selector("[data-part=start-problem]:not([hidden])")
    assert page.inner_text("[data-part=start-problem-title]") == title
    assert page.is_enabled("[data-part=start-camera]"), "it can be tried again"
    take_photo_by_hand(page)


def test_device_without_a_camera(open_scanner, blind_browser):
    page = open_scanner(chromium=blind_browser, size=PHONE)
    page.tap("[data-part=start-camera]")
    page.wait_for_selector("[data-part=start-problem]:not([hidden])")
    assert page.inner_text("[data-part=start-problem-title]") == "No camera found"
    assert page.get_attribute("[data-part=capture-input]", "capture") == "environment"


@pytest.mark.parametrize("name", FINDER_STATES)
def test_finder_that_fails_leaves_the_camera_and_manual_corners(open_scanner, name):
    script, title, can_retry = FINDER_STATES[name]
    page = open_scanner(script=script)
    page.click("[data-part=start-camera]")
    page.wait_for_selector("[data-part=camera-notice]:not([hidden])")
    assert page.inner_text("[data-part=camera-notice-title]") == title
    assert page.is_visible("[data-part=camera-retry]") is can_retry
    assert page.inner_text("[data-part=badge]") == "By hand"
    page.click("[data-part=shutter]")
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    assert "the whole picture is selected" in page.inner_text("[data-part=corners-note]")


def test_finder_can_be_tried_again(open_scanner):
    page = open_scanner(script=FINDER_STATES["download"][0])
    page.click("[data-part=start-camera]")
    page.wait_for_selector("[data-part=camera-notice]:not([hidden])")
    page.evaluate("globalThis.fakePrepare = null")
    page.click("[data-part=camera-retry]")
    page.wait_for_selector("[data-part=camera-notice]", state="hidden")
    page.wait_for_selector("[data-part=overlay][data-state=found], [data-part=overlay][data-state=steady]")


def test_one_lost_worker_is_not_even_noticed(open_scanner):
    page = open_scanner(script="""
      let losses = 1;
      globalThis.fakeFailure = async () => {
        if (losses-- > 0) throw Object.assign(new Error('x'), { code: 'worker_lost' });
      };""")
    page.click("[data-part=start-camera]")
    page.wait_for_selector("[data-part=overlay][data-state=steady]")
    assert page.is_hidden("[data-part=camera-notice]")


def test_loading_shows_its_progress(open_scanner):
    page = open_scanner(script="globalThis.fakePrepare = () => new Promise((done) => { globalThis.arrive = done; });")
    page.click("[data-part=start-camera]")
    page.wait_for_selector("[data-part=model-progress]:not([hidden])")
    assert page.evaluate("document.querySelector('[data-part=model-progress]').value") == 0.5
    assert page.inner_text("[data-part=badge]") == "Loading 50 %"
    page.evaluate("arrive()")
    page.wait_for_selector("[data-part=model-progress]", state="hidden")


def test_camera_that_is_unplugged(open_scanner):
    page = open_scanner()
    page.click("[data-part=start-camera]")
    page.wait_for_selector("[data-part=overlay][data-state=found], [data-part=overlay][data-state=steady]")
    page.evaluate("document.querySelector('video').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))")
    page.wait_for_selector("[data-part=start-problem]:not([hidden])")
    assert page.inner_text("[data-part=start-problem-title]") == "The camera stopped"


LOSE_PIXEL_WORKERS = """
  const RealWorker = Worker;
  let losses = %d;
  globalThis.Worker = class extends RealWorker {
    postMessage(...args) {
      if (losses-- > 0) setTimeout(() => this.dispatchEvent(new Event('error')), 50);
      else super.postMessage(...args);
    }
  };
  globalThis.heal = () => { losses = 0; };
"""


def test_lost_pixel_worker_is_started_again_once(open_scanner):
    page = open_scanner(script=LOSE_PIXEL_WORKERS % 1)
    take_photo_by_hand(page)


def test_pixel_worker_lost_twice_offers_a_retry(open_scanner):
    page = open_scanner(script=LOSE_PIXEL_WORKERS % 2)
    page.set_input_files("[data-part=file-input]",
                         [{"name": "a.jpg", "mimeType": "image/jpeg", "buffer": kit.jpeg(kit.photo(640, 480))}])
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    page.click("[data-part=corners-done]")
    page.wait_for_selector("[data-part=page-problem]:not([hidden])")
    assert "stopped twice" in page.inner_text("[data-part=page-problem-text]")
    page.click("[data-part=export]")
    assert page.is_disabled("[data-part=save]")
    page.click("[data-part=export-close]")
    page.evaluate("heal()")
    page.click("[data-part=page-retry]")
    page.wait_for_selector("[data-part=sheet][data-state=ready]:not([hidden])")


def test_old_browser_without_offscreen_canvas_and_compression(open_scanner):
    page = open_scanner(script="""
      WebAssembly.validate = () => false;
      delete window.OffscreenCanvas;
      delete window.CompressionStream;
      localStorage.setItem('inpage.scanner', JSON.stringify({ mode: 'black-white' }));
    """)
    take_photo_by_hand(page)
    page.click("[data-part=export]")
    with page.expect_download() as started:
        page.click("[data-part=save]")
    [(_, picture)] = kit.pdf_pages(Path(started.value.path()).read_bytes())
    assert picture.mode == "1"


def test_works_offline_after_the_first_visit(camera_browser, server):
    context = camera_browser.new_context()
    try:
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.add_init_script("navigator.permissions.query = async () => ({ state: 'prompt' });")
        page.goto(f"{server}/scanner")
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        page.wait_for_function("async () => (await caches.keys()).length > 0")
        page.reload()
        page.wait_for_function("() => navigator.serviceWorker.controller !== null")
        context.set_offline(True)
        page.reload()
        page.wait_for_selector("[data-view=start]:not([hidden])")
        take_photo_by_hand(page)
    finally:
        context.close()


def test_camera_goes_off_in_a_hidden_tab(open_scanner):
    page = open_scanner(script="""
      const realTimeout = setTimeout;
      globalThis.setTimeout = (run, ms, ...rest) => realTimeout(run, ms === 60_000 ? 60 : ms, ...rest);
      globalThis.hide = () => {
        Object.defineProperty(document, 'hidden', { value: true, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      };
    """)
    page.click("[data-part=start-camera]")
    page.wait_for_selector("[data-part=overlay][data-state=found], [data-part=overlay][data-state=steady]")
    page.evaluate("globalThis.track = document.querySelector('video').srcObject.getVideoTracks()[0]")
    page.evaluate("hide()")
    page.wait_for_selector("[data-part=start-problem]:not([hidden])")
    assert "switched off while you were away" in page.inner_text("[data-part=start-problem-title]")
    assert page.evaluate("track.readyState") == "ended"
