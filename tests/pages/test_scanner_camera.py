"""Camera to PDF in a real browser, with a fake camera that shows a drawn sheet."""

import json
import zipfile
from pathlib import Path

import pytest
import scanner_kit as kit
from conftest import PHONE
from PIL import Image

pytestmark = pytest.mark.browser


def start_camera(page) -> None:
    page.click("[data-part=start-camera]")
    page.wait_for_selector("[data-view=camera]:not([hidden])")
    page.wait_for_selector("[data-part=overlay][data-state=found], [data-part=overlay][data-state=steady]")


def finish_page(page) -> None:
    page.click("[data-part=corners-done]")
    page.wait_for_selector("[data-part=sheet][data-state=ready]:not([hidden])")


def save(page, action) -> bytes:
    with page.expect_download() as started:
        action()
    return Path(started.value.path()).read_bytes()


def save_pdf(page) -> bytes:
    page.click("[data-part=export]")
    return save(page, lambda: page.click("[data-part=save]"))


def test_outline_lies_on_the_sheet_in_the_video(open_scanner):
    page = open_scanner()
    start_camera(page)
    page.wait_for_selector("[data-part=overlay][data-state=steady]")
    dots, box = page.evaluate("""() => {
      const { left, top, width, height } = document.querySelector('[data-part=video]').getBoundingClientRect();
      const dots = [...document.querySelectorAll('.camera .dots circle')].map((dot) => {
        const r = dot.getBoundingClientRect();
        return [r.left + r.width / 2, r.top + r.height / 2];
      });
      return [dots, [left, top, width, height]];
    }""")
    left, top, width, height = box
    scale = min(width / 1280, height / 720)
    for (x, y), (u, v) in zip(dots, kit.CORNERS, strict=True):
        assert x == pytest.approx(left + width / 2 + (u - 0.5) * 1280 * scale, abs=1.5)
        assert y == pytest.approx(top + height / 2 + (v - 0.5) * 720 * scale, abs=1.5)
    page.wait_for_selector("[data-part=hint][data-code=ready]")  # the line before it stays long enough to be read
    assert page.inner_text("[data-part=hint]") == "Ready. Press the shutter"
    assert "On this device" in page.inner_text("[data-part=badge]")


def test_camera_to_pdf(open_scanner):
    page = open_scanner()
    start_camera(page)
    page.click("[data-part=shutter]")
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    assert "Page found" in page.inner_text("[data-part=corners-note]")
    finish_page(page)
    [(paper, picture)] = kit.pdf_pages(save_pdf(page))
    assert [kit.nearest_mark(colour) for colour in kit.mark_colours(picture)] == [0, 1, 2, 3]
    assert picture.height > 500, "at the photo's own resolution"
    assert paper[0] / paper[1] == pytest.approx(picture.width / picture.height, rel=0.01)
    assert max(paper) == pytest.approx(841.89, abs=0.01)
    corners = [(3, 3), (picture.width - 4, 3), (picture.width - 4, picture.height - 4), (3, picture.height - 4)]
    for place in corners:
        assert min(picture.getpixel(place)) > 180, f"the table shows at {place}"


def test_keyboard_alone_takes_edits_and_saves(open_scanner):
    page = open_scanner()
    page.focus("[data-part=start-title]")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.part") == "start-camera"
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-part=overlay][data-state=steady]")
    page.keyboard.press("Space")
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "corners-title"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Top left corner"
    assert page.is_visible("[data-part=magnifier]")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowDown")
    x, y = (round(share * side) for share, side in zip(kit.CORNERS[0], (1280, 720), strict=True))
    page.wait_for_function("text => document.querySelector('[data-part=corners-spoken]').textContent === text",
                           arg=f"{x + 10} across, {y + 1} down")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-part=sheet][data-state=ready]:not([hidden])")
    for _ in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.part") == "export"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.dataset.part") == "save"
    data = save(page, lambda: page.keyboard.press("Enter"))
    assert len(kit.pdf_pages(data)) == 1


def test_automatic_capture_takes_each_page_once(open_scanner):
    page = open_scanner(script="localStorage.setItem('inpage.scanner', JSON.stringify({ auto: true, check: false }));")
    start_camera(page)
    assert page.is_checked("[data-part=auto]")
    page.wait_for_function("() => document.querySelector('[data-part=pile-label]').textContent === '1 page'")
    page.wait_for_function("() => document.querySelector('[data-part=hint]').dataset.code === 'next'")
    page.wait_for_timeout(1800)
    assert page.inner_text("[data-part=pile-label]") == "1 page"
    moved = [(x + 0.18, y + 0.06) for x, y in kit.CORNERS]
    page.evaluate(f"globalThis.fakeCorners = {json.dumps(moved)}")
    page.wait_for_function("() => document.querySelector('[data-part=pile-label]').textContent === '2 pages'")


def test_switches_are_remembered(open_scanner):
    page = open_scanner()
    start_camera(page)
    page.click("label:has([data-part=auto])")
    assert json.loads(page.evaluate("localStorage.getItem('inpage.scanner')"))["auto"] is True
    page.reload()
    start_camera(page)
    assert page.is_checked("[data-part=auto]")


def test_allowed_camera_starts_by_itself(open_scanner):
    page = open_scanner(asked=True)
    page.wait_for_selector("[data-view=camera]:not([hidden])")


def test_camera_goes_off_when_left(open_scanner):
    page = open_scanner()
    start_camera(page)
    page.evaluate("globalThis.track = document.querySelector('video').srcObject.getVideoTracks()[0]")
    assert page.evaluate("track.readyState") == "live"
    page.keyboard.press("Escape")
    page.wait_for_selector("[data-view=start]:not([hidden])")
    assert page.evaluate("track.readyState") == "ended"


def test_no_page_in_view_starts_with_the_whole_picture(open_scanner):
    page = open_scanner(corners=None, size=PHONE)
    page.tap("[data-part=start-camera]")
    page.wait_for_selector("[data-part=hint][data-code=none]", timeout=15_000)
    page.tap("[data-part=shutter]")
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    assert "No page found: the whole picture" in page.inner_text("[data-part=corners-note]")
    finish_page(page)
    [(_, picture)] = kit.pdf_pages(save_pdf(page))
    assert picture.width / picture.height == pytest.approx(1280 / 720, rel=0.03)


def test_dragging_a_corner_moves_it_under_the_magnifier(open_scanner):
    page = open_scanner()
    start_camera(page)
    page.click("[data-part=shutter]")
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    handle = page.locator(".handle").first
    before = handle.bounding_box()
    page.mouse.move(before["x"] + 24, before["y"] + 24)
    page.mouse.down()
    page.mouse.move(before["x"] + 54, before["y"] + 44, steps=3)
    assert page.is_visible("[data-part=magnifier]")
    page.mouse.up()
    assert page.is_hidden("[data-part=magnifier]")
    after = handle.bounding_box()
    assert (after["x"] - before["x"], after["y"] - before["y"]) == pytest.approx((30, 20), abs=0.6)
    page.click("[data-part=corners-reset]")
    assert handle.bounding_box()["x"] == pytest.approx(before["x"], abs=0.6)


def test_crossed_corners_cannot_be_used(open_scanner):
    page = open_scanner()
    start_camera(page)
    page.click("[data-part=shutter]")
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    first, third = (page.locator(".handle").nth(i).bounding_box() for i in (0, 2))
    page.mouse.move(first["x"] + 24, first["y"] + 24)
    page.mouse.down()
    page.mouse.move(third["x"] + 44, third["y"] + 14, steps=3)
    page.mouse.up()
    assert page.is_disabled("[data-part=corners-done]")
    assert "cannot be straightened" in page.inner_text("[data-part=corners-note]")
    page.click("[data-part=corners-whole]")
    assert page.is_enabled("[data-part=corners-done]")


def test_modes_turns_order_and_exports(open_scanner, tmp_path):
    page = open_scanner()
    shapes = [(1280, 720), (900, 1200)]
    files = [{"name": f"{i}.jpg", "mimeType": "image/jpeg", "buffer": kit.jpeg(kit.photo(*shape))}
             for i, shape in enumerate(shapes)]
    page.set_input_files("[data-part=file-input]", files)
    page.wait_for_function("() => document.querySelectorAll('.thumb[data-state=ready]').length === 2")
    assert page.inner_text("[data-part=pages-title]") == "Page 1 of 2"
    page.click("label:has(input[value=black-white])")
    page.click("[data-part=turn-right]")
    page.click("[data-part=later]")
    assert page.inner_text("[data-part=pages-title]") == "Page 2 of 2"
    page.wait_for_function("() => document.querySelectorAll('.thumb[data-state=ready]').length === 2")
    page.click("[data-part=export]")
    page.select_option("[data-part=export-paper]", "a4")
    pages = kit.pdf_pages(save(page, lambda: page.click("[data-part=save]")))
    (paper, colour), (turned_paper, black_white) = pages
    assert paper == pytest.approx((595.276, 841.89), abs=0.01)
    assert [kit.nearest_mark(c) for c in kit.mark_colours(colour)] == [0, 1, 2, 3]
    assert black_white.mode == "1" and black_white.width > black_white.height
    assert turned_paper == pytest.approx((841.89, 595.276), abs=0.01)
    share = sum(black_white.convert("L").histogram()[200:]) / (black_white.width * black_white.height)
    assert 0.5 < share < 0.97, "white paper, dark print"

    page.click("[data-part=export]")
    page.check("input[value=page]")
    png = tmp_path / "page.png"
    png.write_bytes(save(page, lambda: page.click("[data-part=save]")))
    with Image.open(png) as picture:
        assert picture.size == black_white.size


def test_share_copy_zip_and_undo(open_scanner, tmp_path):
    page = open_scanner(script="""
      globalThis.shared = [];
      navigator.canShare = () => true;
      navigator.share = async ({ files }) => { shared.push([files[0].name, files[0].type]); };
      globalThis.copied = [];
      navigator.clipboard.write = async (items) => { copied.push((await items[0].getType('image/png')).size); };
    """)
    files = [{"name": f"{i}.jpg", "mimeType": "image/jpeg", "buffer": kit.jpeg(kit.photo(800, 600))} for i in range(3)]
    page.set_input_files("[data-part=file-input]", files)
    page.wait_for_function("() => document.querySelectorAll('.thumb[data-state=ready]').length === 3")
    page.click("[data-part=delete]")
    assert page.locator(".thumb").count() == 2
    page.click("[data-part=toast-action]")
    assert page.locator(".thumb").count() == 3
    page.click("[data-part=export]")
    page.fill("[data-part=export-name]", "../my scan")
    page.click("[data-part=share]")
    page.wait_for_function("() => shared.length === 1")
    assert page.evaluate("shared[0]") == ["my scan.pdf", "application/pdf"]
    page.click("[data-part=export]")
    page.click("[data-part=copy]")
    page.wait_for_function("() => copied.length === 1 && copied[0] > 1000")
    page.click("[data-part=export]")
    page.check("input[value=zip]")
    archive = tmp_path / "pages.zip"
    archive.write_bytes(save(page, lambda: page.click("[data-part=save]")))
    with zipfile.ZipFile(archive) as zipped:
        assert zipped.testzip() is None
        assert zipped.namelist() == [f"my scan-{i}.png" for i in (1, 2, 3)]
