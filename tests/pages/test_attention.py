"""/attention in Chromium: the words follow the faces, nothing leaves the page, nothing is left behind."""

import json
import time
from pathlib import Path

import pytest
from attention_video import WATCH, delays, known_script, write_script
from conftest import DESKTOP, PHONE, is_foreign, launch
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

# eyes.js with known answers: `fakeFaces` in the page says what is seen now.
FAKE_EYES = """
const head = ({ box, yaw = 0, pitch = -5, open = 0.9 }) => ({
  box, score: 0.9, spread: 4, pose: { yaw, pitch, roll: 0 }, eyes: { left: open, right: open },
  eyeWidth: { left: box[2] / 5, right: box[2] / 5 },
  landmarks: [[.3, .4], [.7, .4], [.5, .6], [.4, .8], [.6, .8]]
    .map(([u, v]) => [box[0] + u * box[2], box[1] + v * box[3]]),
});
const joint = (x, y) => ({ at: [x, y], sure: 0.9 });
const joints = { nose: joint(640, 300), left: joint(800, 520), right: joint(480, 520),
  leftEar: joint(700, 290), rightEar: joint(580, 290) };
const times = { read: 1, detect: 4, crop: 1, head: 2, body: 0 };
export class WorkerEyes {
  everyMs = { solo: 33, room: 66 };
  async prepare() { if (globalThis.fakeFailure) throw await globalThis.fakeFailure(); }
  async warm() {}
  async look() {
    const heads = (globalThis.fakeFaces ?? []).map(head);
    return { heads, joints: heads.length ? joints : null, times, requests: 0, sent: 0 };
  }
  wake(ms) { return new Promise((resolve) => { setTimeout(resolve, ms); }); }
  close() {}
}
"""
ONE = {"box": [540, 200, 200, 240]}


@pytest.fixture
def open_attention(camera_browser, server):
    """Opens /attention; a page error or a request to another host fails the test."""
    contexts, problems = [], []

    def open_page(*, chromium=None, size=DESKTOP, fake=True, script="", camera=True):
        context = (chromium or camera_browser).new_context(
            viewport=size, has_touch=size is PHONE, is_mobile=size is PHONE, service_workers="block")
        contexts.append(context)
        context.set_default_timeout(20_000)
        if fake:
            context.route("**/pages/attention/eyes.js",
                          lambda route: route.fulfill(body=FAKE_EYES, content_type="text/javascript"))
        refuse = ("navigator.mediaDevices.getUserMedia = async () => {"
                  " throw new DOMException('no', 'NotAllowedError'); };")
        context.add_init_script(f"globalThis.fakeFaces = {json.dumps([ONE])};" + ("" if camera else refuse) + script)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"page error: {error}"))
        page.on("request", lambda request: is_foreign(request.url, server) and problems.append(f"asked {request.url}"))
        page.goto(f"{server}/attention")
        return page

    try:
        yield open_page
    finally:
        for context in contexts:
            context.close()
    assert problems == []


def begin(page, mode: str = "solo") -> None:
    page.check(f"input[value={mode}]")
    page.click("[data-part=begin]")
    page.wait_for_selector("[data-part=live]:not([hidden])")


def wait_for_word(page, word: str) -> None:
    page.wait_for_function("word => document.querySelector('[data-part=word]').textContent === word", arg=word)


def look_at(page, faces: list) -> None:
    page.evaluate("faces => { globalThis.fakeFaces = faces; }", faces)


def test_the_words_follow_the_face(open_attention):
    page = open_attention()
    begin(page)
    wait_for_word(page, "Facing the screen")
    expect(page.locator("[data-part=calibration]")).to_contain_text("Calibrated")
    for faces, word in (
        ([{**ONE, "yaw": 45}], "Turned away"), ([ONE], "Facing the screen"), ([{**ONE, "pitch": -35}], "Looking down"),
        ([{**ONE, "open": 0.2}], "Eyes closed"), ([], "Away"), ([ONE], "Facing the screen"),
    ):  # fmt: skip
        look_at(page, faces)
        wait_for_word(page, word)
    expect(page.locator("[data-part=posture]")).to_have_text("Posture: upright")
    expect(page.locator("[data-part=announce]")).to_have_text("Facing the screen")  # spoken, if later


def test_a_room_is_counted_and_nobody_is_shown(open_attention):
    page = open_attention()
    look_at(page, [{"box": [60 + 150 * k, 120, 90, 110], "yaw": 50 if k == 2 else 0} for k in range(6)])
    begin(page, "room")
    page.wait_for_function("""() => document.querySelector('[data-part=room-facing]').textContent === '5'
      && document.querySelector('[data-part=room-faces]').textContent === '6'
      && document.querySelector('[data-part=key] [data-figure=turned]').textContent === '1'""")
    assert page.evaluate("getComputedStyle(document.querySelector('[data-part=video]')).visibility") == "hidden"
    assert page.locator("[data-part=key] [data-figure=away]").count() == 0  # who leaves is not counted on
    page.click("[data-part=stop]")
    with page.expect_download() as saved:
        page.click("[data-part=png]")
    with Image.open(saved.value.path()) as picture:
        assert picture.size == (1200, 420)


REFUSED = """address => new Promise((resolve) => {
  addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective), { once: true });
  fetch(address, { method: 'POST', body: 'frame' }).then(() => resolve('sent'), () => {});
})"""
ADDRESSES = ("/api/models/face_detector/predict", "/v2/models/face_detector/infer", "https://example.com/")


def test_nothing_leaves_the_page_and_nothing_is_left(open_attention, server):
    """With the real networks, in the page's own worker and its helpers."""
    page = open_attention(fake=False)
    begin(page)
    page.wait_for_function("() => document.querySelectorAll('[data-part=stages] tr').length > 0")
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.wait_for_function("() => /^[3-9] s so far/.test(document.querySelector('[data-part=pace]').textContent)")
    assert requests == []
    assert page.inner_text("[data-part=sent]") == "0 bytes"
    # even code that wanted to could not: their policies let page and worker fetch files and nothing else
    worker = next(worker for worker in page.workers if "eyes_worker" in worker.url)
    for address in ADDRESSES:
        assert page.evaluate(REFUSED, address) == "connect-src"
        assert worker.evaluate(REFUSED, address if address.startswith("https") else server + address) == "connect-src"
    page.click("[data-part=stop]")
    page.wait_for_selector("[data-part=end]:not([hidden])")
    for _ in range(100):  # what was ended is told to the driver a little later
        if not page.workers:
            break
        page.wait_for_timeout(50)
    assert page.workers == []
    left = page.evaluate("""async () => ({ local: localStorage.length, session: sessionStorage.length,
      databases: (await indexedDB.databases()).length, caches: (await caches.keys()).length, cookies: document.cookie,
      camera: document.querySelector('[data-part=video]').srcObject })""")
    assert left == {"local": 0, "session": 0, "databases": 0, "caches": 0, "cookies": "", "camera": None}
    with page.expect_download() as saved:
        page.click("[data-part=csv]")
    lines = Path(saved.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("seconds since start,facing the screen (share)") and lines[1].startswith("0,")
    page.click("[data-part=again]")
    assert page.is_visible("[data-part=begin]")


def test_pause_switches_the_camera_off_and_looks_at_nothing(open_attention):
    page = open_attention(size=PHONE)
    begin(page)
    wait_for_word(page, "Facing the screen")
    page.click("[data-part=pause]")
    assert page.evaluate("document.querySelector('[data-part=video]').srcObject") is None
    look_at(page, [])
    time.sleep(1)
    assert page.inner_text("[data-part=word]") == "Paused" and page.is_disabled("[data-part=calibrate]")
    page.click("[data-part=pause]")
    wait_for_word(page, "Away")


def test_a_camera_that_stops_ends_the_session_with_its_sums(open_attention):
    page = open_attention()
    begin(page)
    page.wait_for_function("() => document.querySelectorAll('[data-part=stages] tr').length > 0")
    page.evaluate("""document.querySelector('[data-part=video]').srcObject.getVideoTracks()[0]
      .dispatchEvent(new Event('ended'))""")
    expect(page.locator("[data-part=problem-title]")).to_have_text("The camera stopped")
    expect(page.locator("[data-part=end]")).to_be_visible()


def test_a_refused_camera_is_explained(open_attention):
    page = open_attention(camera=False)
    page.click("[data-part=begin]")
    expect(page.locator("[data-part=problem-title]")).to_contain_text("blocked")
    assert page.is_hidden("[data-part=problem-server]")




@pytest.mark.shared
def test_the_real_networks_follow_a_composed_video(open_attention, browser, shared_dir, tmp_path):
    """Facing, turning away, looking down, blinking, shutting the eyes, leaving: each word in its turn, and no other."""
    script, video = known_script(shared_dir / "faces"), tmp_path / "script.mjpeg"
    starts = write_script(video, script)
    for chromium in launch(browser, video):
        page = open_attention(chromium=chromium, fake=False)
        begin(page)
        page.evaluate(WATCH, starts)
        page.wait_for_function("last => seen.words.at(-1)?.[0] === last", arg=script[-1].word, timeout=120_000)
        late = delays(page.evaluate("seen"), script)
        print(late, page.inner_text("[data-part=pace]"))
        assert max(seconds for _, seconds in late) < 3, late  # on a machine that does other things, too
