"""/attention in Chromium: the words follow the faces, nothing leaves the page, nothing is left behind."""

import io
import json
import time
from pathlib import Path

import pytest
from conftest import DESKTOP, PHONE, is_foreign, launch
from PIL import Image

pytestmark = pytest.mark.browser

# detect.js with known answers: `fakeFaces` in the page says what is seen now.
FAKE_DETECTOR = """
const points = ([x, y, w, h]) => [[.1, .1], [.9, .1], [.1, .9], [.9, .9]].map(([u, v]) => [x + u * w, y + v * h]);
const face = ({ box, yaw = 0, pitch = -5, open = 0.9 }) => ({
  box, score: 0.9, spread: 4, pose: { yaw, pitch, roll: 0 }, eyes: { left: open, right: open },
  eyeWidth: { left: box[2] / 5, right: box[2] / 5 }, points: points(box),
  landmarks: [[.3, .4], [.7, .4], [.5, .6], [.4, .8], [.6, .8]]
    .map(([u, v]) => [box[0] + u * box[2], box[1] + v * box[3]]),
});
const seen = () => (globalThis.fakeFaces ?? []).map(face);
export async function prepare() { if (globalThis.fakeFailure) throw await globalThis.fakeFailure(); }
export async function detectFaces() { return seen(); }
export async function readFaces(video, boxes) {
  const faces = seen();
  return boxes.map((box) => faces.find((f) => Math.abs(f.box[0] - box[0]) < 60) ?? null);
}
const joint = (x, y) => ({ at: [x, y], sure: 0.9 });
export async function readUpperBody() {
  return { nose: joint(640, 300), left: joint(800, 520), right: joint(480, 520),
    leftEar: joint(700, 290), rightEar: joint(580, 290) };
}
export async function release() {}
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
            context.route("**/pages/attention/detect.js",
                          lambda route: route.fulfill(body=FAKE_DETECTOR, content_type="text/javascript"))
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


def wait_for_word(page, word: str, within_s: float) -> None:
    page.wait_for_function("word => document.querySelector('[data-part=word]').textContent === word", arg=word,
                           timeout=within_s * 1000)


def test_the_words_follow_the_face(open_attention):
    page = open_attention()
    begin(page)
    wait_for_word(page, "Facing the screen", 4)
    page.wait_for_function(
        "() => document.querySelector('[data-part=calibration]').textContent.startsWith('Calibrated')", timeout=10_000)
    for faces, word, within_s in (
        ([{**ONE, "yaw": 45}], "Turned away", 4.5), ([ONE], "Facing the screen", 2.5),
        ([{**ONE, "pitch": -35}], "Looking down", 3), ([ONE], "Facing the screen", 2.5),
        ([{**ONE, "open": 0.2}], "Eyes closed", 3.5), ([ONE], "Facing the screen", 2.5), ([], "Away", 4),
    ):  # fmt: skip
        page.evaluate("faces => { globalThis.fakeFaces = faces; }", faces)
        wait_for_word(page, word, within_s)
    page.evaluate("faces => { globalThis.fakeFaces = faces; }", [ONE])
    page.wait_for_function("() => document.querySelector('[data-part=posture]').textContent === 'Posture: upright'")


def test_a_room_is_counted_and_nobody_is_shown(open_attention):
    page = open_attention()
    faces = [{"box": [60 + 150 * k, 120, 90, 110], "yaw": 50 if k == 2 else 0} for k in range(6)]
    page.evaluate("faces => { globalThis.fakeFaces = faces; }", faces)
    begin(page, "room")
    page.wait_for_function("""() => document.querySelector('[data-part=room-facing]').textContent === '5'
      && document.querySelector('[data-part=room-faces]').textContent === '6'
      && document.querySelector('[data-part=key] [data-figure=turned]').textContent === '1'""")
    assert page.evaluate("getComputedStyle(document.querySelector('[data-part=video]')).visibility") == "hidden"


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_nothing_leaves_the_page_and_nothing_is_left(open_attention, size):
    page = open_attention(size=size)
    begin(page)
    wait_for_word(page, "Facing the screen", 4)
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    time.sleep(3)
    assert requests == []
    assert page.inner_text("[data-part=sent]") == "0 bytes"
    # even code that wanted to could not: the page's policy lets it fetch files and nothing else
    for address in ("/api/models/face_detector/predict", "/v2/models/face_detector/infer", "https://example.com/"):
        refused = page.evaluate("""address => new Promise((resolve) => {
          addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective), { once: true });
          fetch(address, { method: 'POST', body: 'frame' }).then(() => resolve('sent'), () => {});
        })""", address)
        assert refused == "connect-src"
    page.click("[data-part=stop]")
    page.wait_for_selector("[data-part=end]:not([hidden])")
    left = page.evaluate("""async () => ({ local: localStorage.length, session: sessionStorage.length,
      databases: (await indexedDB.databases()).length, cookies: document.cookie,
      camera: document.querySelector('[data-part=video]').srcObject })""")
    assert left == {"local": 0, "session": 0, "databases": 0, "cookies": "", "camera": None}
    with page.expect_download() as saved:
        page.click("[data-part=csv]")
    lines = Path(saved.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("seconds since start,facing the screen (share)") and lines[1].startswith("0,")
    page.click("[data-part=again]")
    assert page.is_visible("[data-part=begin]")


def test_pause_looks_at_nothing(open_attention):
    page = open_attention()
    begin(page)
    wait_for_word(page, "Facing the screen", 4)
    page.click("[data-part=pause]")
    page.evaluate("globalThis.fakeFaces = []")
    time.sleep(3.5)
    assert page.inner_text("[data-part=word]") == "Facing the screen"
    page.click("[data-part=pause]")
    wait_for_word(page, "Away", 4.5)


def test_a_refused_camera_is_explained(open_attention):
    page = open_attention(camera=False)
    page.click("[data-part=begin]")
    page.wait_for_selector("[data-part=problem]:not([hidden])")
    assert "blocked" in page.inner_text("[data-part=problem-title]")


def test_a_device_that_cannot_is_told_that_no_server_steps_in(open_attention):
    page = open_attention(fake=False, script="WebAssembly.validate = () => false; delete WebAssembly.compileStreaming;"
                          "WebAssembly.compile = async () => { throw new WebAssembly.CompileError('no SIMD'); };")
    page.route("**/runtime/worker.js", lambda route: route.abort())
    page.click("[data-part=begin]")
    page.wait_for_selector("[data-part=problem]:not([hidden])")
    assert page.inner_text("[data-part=problem-title]")
    assert page.is_visible("[data-part=begin]")


def camera_frame(path: Path | None) -> bytes:
    """A picture of the camera's size, or an empty room."""
    room = Image.new("RGB", (640, 480), (90, 90, 95))
    if path:
        with Image.open(path) as picture:
            scale = min(640 / picture.width, 480 / picture.height)
            fitted = picture.convert("RGB").resize((round(picture.width * scale), round(picture.height * scale)))
        room.paste(fitted, ((640 - fitted.width) // 2, (480 - fitted.height) // 2))
    buffer = io.BytesIO()
    room.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


@pytest.mark.shared
def test_the_real_networks_follow_a_composed_video(open_attention, browser, shared_dir, tmp_path):
    """A person who faces the camera, turns away, shuts the eyes and leaves: each word within a second of its time."""
    faces = shared_dir / "faces"
    known = {record["src_id"]: record for record in json.loads((faces / "detect.json").read_text())}
    crops = [c for c in json.loads((faces / "crops.json").read_text()) if c["src_id"] in known and c["px"] > 60]

    def pictures(among, wanted):
        return [known[c["src_id"]]["file"] for c in among if wanted(c)][:3]

    person = [c for c in crops if c["group"] == "personC"]  # of the validation split
    frontal = pictures(person, lambda c: c["eye"] == "neutral" and abs(c["pose"][0]) < 5 and c["ear"]["right"] > 0.29)
    closed = pictures(person, lambda c: c["eye"] == "closed" and c["src_id"] == "webcam_0160_closed")
    turned = pictures(crops, lambda c: c["source"] == "drowsy" and abs(c["pose"][0]) > 42)
    script = [(frontal, 10, "Facing the screen"), (turned, 7, "Turned away"), (frontal, 4, "Facing the screen"),
              (closed, 6, "Eyes closed"), (frontal, 4, "Facing the screen"), ([None], 6, "Away")]
    frames = []
    for files, seconds, _ in script:
        shown = [camera_frame(faces / file if file else None) for file in files]
        frames += [shown[(k // 15) % len(shown)] for k in range(seconds * 30)]
    video = tmp_path / "script.mjpeg"
    video.write_bytes(b"".join(frames))
    for chromium in launch(browser, video):
        page = open_attention(chromium=chromium, fake=False)
        begin(page)
        began, seen = time.monotonic(), []
        while time.monotonic() - began < sum(seconds for _, seconds, _ in script):
            word = page.inner_text("[data-part=word]")
            if not seen or seen[-1][1] != word:
                seen.append((round(time.monotonic() - began, 1), word))
            time.sleep(0.1)
        words = [word for _, word in seen if word not in ("Looking…", "Not clear")]
        assert words[:6] == [word for _, _, word in script], seen
        print(seen, page.inner_text("[data-part=pace]"))
