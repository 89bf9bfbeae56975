"""Photos that are chosen, dropped or pasted, and files that cannot become a page."""

import base64
import json
import struct

import pytest
import scanner_kit as kit
from conftest import PHONE

pytestmark = pytest.mark.browser

ARRIVE = """([kind, files]) => {
  const transfer = new DataTransfer();
  for (const [name, type, text] of files) {
    transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, { type }));
  }
  const options = { bubbles: true, cancelable: true };
  if (kind === 'paste') {
    document.dispatchEvent(new ClipboardEvent('paste', { ...options, clipboardData: transfer }));
  } else {
    document.dispatchEvent(new DragEvent('dragenter', { ...options, dataTransfer: transfer }));
    globalThis.zoneShown = !document.querySelector('[data-part=drop-zone]').hidden;
    document.dispatchEvent(new DragEvent('drop', { ...options, dataTransfer: transfer }));
  }
}"""


def file(name: str, data: bytes, kind: str = "image/jpeg") -> dict:
    return {"name": name, "mimeType": kind, "buffer": data}


def arrive(page, kind: str, files: list[dict]) -> None:
    page.evaluate(ARRIVE, [kind, [[f["name"], f["mimeType"], base64.b64encode(f["buffer"]).decode()] for f in files]])


def small_photo() -> bytes:
    return kit.jpeg(kit.photo(640, 480))


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_photo_arrives(open_scanner, kind):
    page = open_scanner()
    arrive(page, kind, [file("sheet.jpg", small_photo())])
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    page.click("[data-part=corners-done]")
    page.wait_for_selector("[data-part=sheet][data-state=ready]:not([hidden])")
    if kind == "drop":
        assert page.evaluate("zoneShown") is True
    assert page.is_hidden("[data-part=drop-zone]")


BAD_FILES = {
    "zero bytes": (b"", "is empty (0 bytes)"),
    "no picture": (b"this is plain text, whatever its name says", "is not a photo"),
    "cut off": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "cannot be read"),
    "151 megapixels": (b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 12288, 12288) + bytes(40),
                       "151 megapixels"),
    "HEIC": (b"\x00\x00\x00\x18ftypheic" + bytes(40), "HEIC photo"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_no_photo_is_explained(open_scanner, name):
    data, words = BAD_FILES[name]
    page = open_scanner()
    page.set_input_files("[data-part=file-input]", [file("bad.jpg", data)])
    page.locator("[data-part=toast-text]", has_text=words).wait_for()
    assert "“bad.jpg”" in page.inner_text("[data-part=toast-text]")
    assert page.is_visible("[data-view=start]") and page.is_hidden("[data-part=busy]")
    page.set_input_files("[data-part=file-input]", [file("good.jpg", small_photo())])
    page.wait_for_selector("[data-view=corners]:not([hidden])")


def test_several_photos_become_pages_and_bad_ones_are_named(open_scanner):
    page = open_scanner()
    files = [file("a.jpg", small_photo()), file("b.txt", b"words", "text/plain"), file("c.jpg", small_photo())]
    page.set_input_files("[data-part=file-input]", files)
    page.wait_for_selector("[data-view=pages]:not([hidden])")
    assert page.locator(".thumb").count() == 2
    assert "“b.txt” is not a photo" in page.inner_text("[data-part=pages-notice-text]")


def test_photos_without_a_page_are_pointed_out(open_scanner):
    page = open_scanner(corners=None)
    page.set_input_files("[data-part=file-input]", [file("a.jpg", small_photo()), file("b.jpg", small_photo())])
    page.wait_for_selector("[data-view=pages]:not([hidden])")
    assert "No page was found in page 2’s photo" in page.inner_text("[data-part=pages-notice-text]")


def test_twenty_megapixels(open_scanner):
    page = open_scanner(size=PHONE)
    page.set_default_timeout(90_000)
    big = kit.jpeg(kit.photo(1368, 912).resize((5472, 3648)), quality=80)
    page.set_input_files("[data-part=file-input]", [file("big.jpg", big)])
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    page.click("[data-part=corners-done]")
    page.wait_for_selector("[data-part=sheet][data-state=ready]:not([hidden])")
    size = page.eval_on_selector("[data-part=sheet]", "sheet => [sheet.naturalWidth, sheet.naturalHeight]")
    assert min(size) > 2300, "the page keeps the photo's resolution"


def test_corners_of_a_page_can_be_changed_later(open_scanner):
    page = open_scanner()
    page.set_input_files("[data-part=file-input]", [file("a.jpg", small_photo()), file("b.jpg", small_photo())])
    page.wait_for_function("() => document.querySelectorAll('.thumb[data-state=ready]').length === 2")
    before = page.get_attribute("[data-part=sheet]", "src")
    page.click("[data-part=edit-corners]")
    page.wait_for_selector("[data-view=corners]:not([hidden])")
    page.click("[data-part=corners-whole]")
    page.click("[data-part=corners-done]")
    page.wait_for_function(
        "before => document.querySelector('[data-part=sheet]').getAttribute('src') !== before", arg=before)
    ratio = page.eval_on_selector("[data-part=sheet]", "sheet => sheet.naturalWidth / sheet.naturalHeight")
    assert ratio == pytest.approx(640 / 480, rel=0.03)


def test_unsaved_pages_are_guarded(open_scanner):
    page = open_scanner()
    guarded = "!dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert page.evaluate(guarded) is False
    page.set_input_files("[data-part=file-input]", [file("a.jpg", small_photo()), file("b.jpg", small_photo())])
    page.wait_for_function("() => document.querySelectorAll('.thumb[data-state=ready]').length === 2")
    assert page.evaluate(guarded) is True
    page.click("[data-part=export]")
    with page.expect_download():
        page.click("[data-part=save]")
    page.wait_for_selector("[data-part=export-dialog]:not([open])", state="attached")
    assert page.evaluate(guarded) is False


def test_start_over_asks_before_it_discards(open_scanner):
    page = open_scanner()
    page.set_input_files("[data-part=file-input]", [file("a.jpg", small_photo()), file("b.jpg", small_photo())])
    page.wait_for_selector("[data-view=pages]:not([hidden])")
    page.click("[data-part=start-over]")
    page.click("[data-part=confirm-dialog] button[value=keep]")
    assert page.locator(".thumb").count() == 2
    page.click("[data-part=start-over]")
    page.click("[data-part=confirm-dialog] button[value=discard]")
    page.wait_for_selector("[data-view=start]:not([hidden])")
    assert page.is_hidden("[data-part=resume]")


def test_strip_is_reordered_by_keyboard(open_scanner):
    page = open_scanner()
    shapes = [(640, 480), (480, 640)]
    page.set_input_files("[data-part=file-input]", [file(f"{w}.jpg", kit.jpeg(kit.photo(w, h))) for w, h in shapes])
    page.wait_for_function("() => document.querySelectorAll('.thumb[data-state=ready]').length === 2")
    sources = "[...document.querySelectorAll('.thumb img')].map((img) => img.getAttribute('src'))"
    before = page.evaluate(sources)
    page.focus(".thumb >> nth=0")
    page.keyboard.press("Alt+ArrowDown")
    assert page.evaluate(sources) == before[::-1]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Page 2"
    assert page.text_content("[data-part=pages-spoken]") == "Now page 2 of 2"
    page.keyboard.press("ArrowUp")
    assert page.inner_text("[data-part=pages-title]") == "Page 1 of 2"


def test_settings_hold_no_picture(open_scanner):
    page = open_scanner()
    page.set_input_files("[data-part=file-input]", [file("a.jpg", small_photo()), file("b.jpg", small_photo())])
    page.wait_for_function("() => document.querySelectorAll('.thumb[data-state=ready]').length === 2")
    page.click("label:has(input[value=grey])")
    stored = page.evaluate("({ ...localStorage })")
    assert set(stored) == {"inpage.scanner"} and set(json.loads(stored["inpage.scanner"])) == {
        "auto", "check", "device", "mode", "paper"}
    page.reload()
    assert page.locator(".thumb").count() == 0
