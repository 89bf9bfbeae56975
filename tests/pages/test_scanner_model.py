"""The scanner with its real page finder: from the camera to a straight page, and a photo without any page."""

import io
import json
from pathlib import Path

import pytest
import scanner_kit as kit
from conftest import launch
from PIL import Image, ImageOps

pytestmark = pytest.mark.browser

FOUND = "[data-part=overlay][data-state=found], [data-part=overlay][data-state=steady]"
PHOTO = "fmeow_33538838.jpg"
# Where the outline's corners are, as shares of the video picture.
OUTLINE = """() => {
  const video = document.querySelector('[data-part=video]');
  const { left, top, width, height } = video.getBoundingClientRect();
  const scale = Math.min(width / video.videoWidth, height / video.videoHeight);
  return [...document.querySelectorAll('.camera .dots circle')].map((dot) => {
    const r = dot.getBoundingClientRect();
    const x = (r.left + r.width / 2 - left - width / 2) / scale / video.videoWidth + 0.5;
    const y = (r.top + r.height / 2 - top - height / 2) / scale / video.videoHeight + 0.5;
    return [x, y];
  });
}"""


def open_page(chromium, server, contexts):
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, service_workers="block")
    contexts.append(context)
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(f"{server}/scanner")
    return page


@pytest.fixture
def contexts():
    opened = []
    yield opened
    for context in opened:
        context.close()


def scan(page) -> Image.Image:
    """Takes the page in view and returns the picture in the saved PDF."""
    page.click("[data-part=shutter]")
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    page.click("[data-part=corners-done]")
    page.wait_for_selector("[data-part=sheet][data-state=ready]:not([hidden])")
    page.click("[data-part=export]")
    with page.expect_download() as started:
        page.click("[data-part=save]")
    [(_, picture)] = kit.pdf_pages(Path(started.value.path()).read_bytes())
    return picture


def test_real_finder_outlines_and_scans_the_sheet(camera_browser, server, contexts):
    page = open_page(camera_browser, server, contexts)
    page.wait_for_selector("[data-part=overlay][data-state=steady]")
    for found, true in zip(page.evaluate(OUTLINE), kit.CORNERS, strict=True):
        assert found == pytest.approx(true, abs=0.02)
    assert "WASM" in page.inner_text("[data-part=badge]") and "ms" in page.inner_text("[data-part=badge]")
    picture = scan(page)
    assert [kit.nearest_mark(colour) for colour in kit.mark_colours(picture)] == [0, 1, 2, 3]


def test_real_finder_draws_nothing_on_an_empty_table(camera_browser, server, contexts):
    page = open_page(camera_browser, server, contexts)
    page.wait_for_selector(FOUND)
    page.keyboard.press("Escape")
    empty = io.BytesIO()
    Image.effect_noise((800, 600), 18).convert("RGB").save(empty, "JPEG")
    page.set_input_files("[data-part=file-input]",
                         [{"name": "table.jpg", "mimeType": "image/jpeg", "buffer": empty.getvalue()}])
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    assert "No page found" in page.inner_text("[data-part=corners-note]")


@pytest.mark.shared
def test_real_photo_in_front_of_the_camera(browser, server, contexts, shared_dir, tmp_path):
    docs = shared_dir / "photos/docs"
    true = json.loads((docs / "corners.json").read_text())["corners"][PHOTO]
    with Image.open(docs / PHOTO) as opened:
        photo = ImageOps.exif_transpose(opened).convert("RGB")
    scale = 480 / max(photo.size)   # the annotations are for a longest side of 480
    video = kit.write_video(tmp_path / "photo.mjpeg", [photo])
    for chromium in launch(browser, video):
        page = open_page(chromium, server, contexts)
        page.wait_for_selector("[data-part=overlay][data-state=steady]")
        for (x, y), (u, v) in zip(page.evaluate(OUTLINE), true, strict=True):
            assert (x, y) == pytest.approx((u / scale / photo.width, v / scale / photo.height), abs=0.03)
        picture = scan(page)
        assert min(picture.size) > 200
        contexts.pop().close()
