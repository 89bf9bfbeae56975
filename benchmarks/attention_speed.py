"""How fast /attention looks at one face and at twenty, stage by stage, and how late its words come.

    python benchmarks/attention_speed.py [--faces FOLDER] [--seconds 10] [--share 0.6] [--camera 30]
        [--free] [--no-words]

A Chromium with a fake camera of 1280×720 at 30 pictures a second, composed of labelled faces (FOLDER, by default
../shared/faces: crops.json, detect.json and their pictures). `--share` is how much of the time the page may work; 0.6
is its own choice. `--camera` is how many pictures a second the camera gives; with `--free` the page looks at more than
the 30 (one face) or 15 (a room) that it takes by itself. Words are timed against a video whose frames say themselves
when they are shown, beyond what a word must last.
"""

import argparse
import json
import math
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO), str(REPO / "tests" / "pages")]

from attention_video import WATCH, delays, known_script, write_script  # noqa: E402
from first_visit import FLAGS, serving  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402
from scanner_kit import camera_flags  # noqa: E402

from webapp import create_app  # noqa: E402

FRAME = (1280, 720)
# Before the start: counts the pictures that the page looks at, each once, and takes its limits away if it is set free.
LOOKS = """async free => {
  const { src } = document.querySelector('script[src*="pages/attention/attention.js"]');
  const { WorkerEyes } = await import(new URL('eyes.js', src));
  const { prepare } = WorkerEyes.prototype;
  WorkerEyes.prototype.prepare = function (options) {
    if (free) this.everyMs = { solo: 0, room: 0 };
    return prepare.call(this, options);
  };
  globalThis.looked = new Set();
  globalThis.VideoFrame = class extends VideoFrame {
    constructor(...source) {
      super(...source);
      looked.add(this.timestamp);
    }
  };
}"""
# Pictures that the camera gave and that the page looked at in a number of seconds.
COUNTS = """async seconds => {
  const video = document.querySelector('[data-part=video]');
  const given = () => new Promise((resolve) => {
    video.requestVideoFrameCallback((now, { presentedFrames: frames }) => resolve({ now, frames, looks: looked.size }));
  });
  const first = await given();
  await new Promise((resolve) => { setTimeout(resolve, 1000 * seconds); });
  const last = await given();
  const per = (last.now - first.now) / 1000;
  return [(last.frames - first.frames) / per, (last.looks - first.looks) / per];
}"""
LOOP = 30  # frames, in which everybody sways once


def raw_frame(picture: Image.Image) -> bytes:
    """The planes of a Y4M frame, 4:2:0: nothing for the camera to decode."""
    y, *colours = picture.convert("YCbCr").split()
    half = [plane.resize((FRAME[0] // 2, FRAME[1] // 2), Image.Resampling.BOX) for plane in colours]
    planes = [y.point(lambda v: 16 + v * 219 // 255), *(plane.point(lambda v: 16 + v * 224 // 255) for plane in half)]
    return b"FRAME\n" + b"".join(plane.tobytes() for plane in planes)


def faces_video(path: Path, faces: Path, count: int, camera: int) -> None:
    """People side by side, as large as there is room for, swaying a little."""
    crops = [c for c in json.loads((faces / "crops.json").read_text()) if c["px"] > 70 and abs(c["pose"][0]) < 20]
    columns = math.ceil(math.sqrt(count * FRAME[0] / FRAME[1]))
    cell = (FRAME[0] // columns, FRAME[1] // math.ceil(count / columns))
    side = min(*cell, 460)
    people = []
    for crop in crops[:: len(crops) // count][:count]:
        with Image.open(faces / crop["file"]) as picture:
            people.append(picture.convert("RGB").resize((side, side)))
    frames = [b"YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg\n" % (*FRAME, camera)]
    for k in range(LOOP):
        room = Image.new("RGB", FRAME, (90, 90, 95))
        sway = round(6 * math.sin(2 * math.pi * k / LOOP))
        for n, person in enumerate(people):
            left, top = n % columns * cell[0] + (cell[0] - side) // 2, n // columns * cell[1] + (cell[1] - side) // 2
            room.paste(person, (left + sway, top))
        frames.append(raw_frame(room))
    path.write_bytes(b"".join(frames))


def started(chromium, address: str, mode: str, share: str, free: bool = False):
    """The page, looking."""
    page = chromium.new_context(service_workers="block").new_page()
    page.goto(f"{address}/attention")
    page.evaluate(LOOKS, free)
    page.check(f"input[value={mode}]")
    page.click("[data-part=begin]")
    page.wait_for_selector("[data-part=live]:not([hidden])")
    page.evaluate("""share => {
      const choice = document.querySelector('[data-part=budget]');
      choice.append(new Option(share, share, true, true));
      choice.dispatchEvent(new Event('change'));
    }""", share)  # fmt: skip
    return page


def speed(chromium, address: str, mode: str, seconds: float, share: str, free: bool) -> dict[str, float]:
    """Pictures a second, milliseconds from camera to word, milliseconds of each stage when it is done."""
    page = started(chromium, address, mode, share, free)
    page.wait_for_timeout(1000)
    given, looked = page.evaluate(COUNTS, seconds)
    words = page.text_content("[data-part=pace]") or ""
    pace = re.search(r"([\d.]+) pictures a second, ([\d.]+) ms", words)
    if not pace:
        raise ValueError(f"the page says no speed: {words!r}")
    texts = "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    rows = page.eval_on_selector_all("[data-part=stages] tr", texts)
    page.context.close()
    stages = {name: float(ms.split()[0]) for name, ms in rows}
    return {"camera a second": round(given, 2), "page a second": round(looked, 2), "ms": float(pace[2]), **stages}


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=Path, default=REPO.parent / "shared" / "faces")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--share", default="0.6")
    parser.add_argument("--camera", type=int, default=30, help="pictures a second that it gives")
    parser.add_argument("--free", action="store_true", help="without the page's own limit of pictures a second")
    parser.add_argument("--no-words", action="store_true")
    arguments = parser.parse_args()
    if not (arguments.faces / "crops.json").is_file():
        print(f"attention_speed: no labelled faces in {arguments.faces}; name their folder with --faces")
        return 0
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or "chromium"
    with tempfile.TemporaryDirectory() as folder, serving(create_app()) as address, sync_playwright() as playwright:
        video = Path(folder) / "faces.y4m"
        for count, mode in ((1, "solo"), (20, "room")):
            faces_video(video, arguments.faces, count, arguments.camera)
            chromium = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *camera_flags(video)])
            figures = speed(chromium, address, mode, arguments.seconds, arguments.share, arguments.free)
            print(f"{count} of them: " + ", ".join(f"{name} {value:g}" for name, value in figures.items()), flush=True)
            chromium.close()
        if arguments.no_words:
            return 0
        video, script = Path(folder) / "words.mjpeg", known_script(arguments.faces)
        starts = write_script(video, script)
        chromium = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *camera_flags(video)])
        page = started(chromium, address, "solo", arguments.share)
        page.evaluate(WATCH, starts)
        page.wait_for_function("last => seen.words.at(-1)?.[0] === last", arg=script[-1].word, timeout=120_000)
        for word, seconds in delays(page.evaluate("seen"), script):
            print(f"{word}: {seconds:.2f} s late")
        chromium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
