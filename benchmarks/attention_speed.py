"""How fast /attention looks at one face and at twenty, stage by stage, and how late its words come.

    python benchmarks/attention_speed.py [--faces FOLDER] [--seconds 10] [--share 0.6]

A Chromium with a fake camera of 1280×720 at 30 pictures a second, composed of labelled faces (FOLDER, by default
../shared/faces: crops.json, detect.json and their pictures). `--share` is how much of the time the page may work; 0.6
is its own choice. Words are timed against a video whose frames say themselves when they are shown, beyond what a word
must last.
"""

import argparse
import io
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
# Counts the frames that the camera gives.
CAMERA = """() => {
  const video = document.querySelector('[data-part=video]');
  globalThis.cameraFrames = 0;
  const count = (now) => {
    globalThis.cameraFirst ??= now;
    globalThis.cameraLast = now;
    cameraFrames += 1;
    video.requestVideoFrameCallback(count);
  };
  video.requestVideoFrameCallback(count);
}"""
LOOP = 30  # frames, in which everybody sways once


def faces_video(path: Path, faces: Path, count: int) -> None:
    """People side by side, as large as there is room for, swaying a little."""
    crops = [c for c in json.loads((faces / "crops.json").read_text()) if c["px"] > 70 and abs(c["pose"][0]) < 20]
    columns = math.ceil(math.sqrt(count * FRAME[0] / FRAME[1]))
    cell = (FRAME[0] // columns, FRAME[1] // math.ceil(count / columns))
    side = min(*cell, 460)
    people = []
    for crop in crops[:: len(crops) // count][:count]:
        with Image.open(faces / crop["file"]) as picture:
            people.append(picture.convert("RGB").resize((side, side)))
    frames = []
    for k in range(LOOP):
        room = Image.new("RGB", FRAME, (90, 90, 95))
        sway = round(6 * math.sin(2 * math.pi * k / LOOP))
        for n, person in enumerate(people):
            left, top = n % columns * cell[0] + (cell[0] - side) // 2, n // columns * cell[1] + (cell[1] - side) // 2
            room.paste(person, (left + sway, top))
        buffer = io.BytesIO()
        room.save(buffer, "JPEG", quality=88)
        frames.append(buffer.getvalue())
    path.write_bytes(b"".join(frames))


def started(chromium, address: str, mode: str, share: str):
    """The page, looking."""
    page = chromium.new_context(service_workers="block").new_page()
    page.goto(f"{address}/attention")
    page.check(f"input[value={mode}]")
    page.click("[data-part=begin]")
    page.wait_for_selector("[data-part=live]:not([hidden])")
    page.evaluate("""share => {
      const choice = document.querySelector('[data-part=budget]');
      choice.append(new Option(share, share, true, true));
      choice.dispatchEvent(new Event('change'));
    }""", share)  # fmt: skip
    return page


def speed(chromium, address: str, mode: str, seconds: float, share: str) -> dict[str, float]:
    """Pictures a second, milliseconds from camera to word, milliseconds of each stage when it is done."""
    page = started(chromium, address, mode, share)
    page.evaluate(CAMERA)
    page.wait_for_timeout(seconds * 1000)
    camera = page.evaluate("(cameraFrames - 1) / ((cameraLast - cameraFirst) / 1000)")
    words = page.text_content("[data-part=pace]") or ""
    pace = re.search(r"([\d.]+) pictures a second, ([\d.]+) ms", words)
    if not pace:
        raise ValueError(f"the page says no speed: {words!r}")
    texts = "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    rows = page.eval_on_selector_all("[data-part=stages] tr", texts)
    page.context.close()
    stages = {name: float(ms.split()[0]) for name, ms in rows}
    return {"camera a second": round(camera, 1), "page a second": float(pace[1]), "ms": float(pace[2]), **stages}


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=Path, default=REPO.parent / "shared" / "faces")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--share", default="0.6")
    arguments = parser.parse_args()
    if not (arguments.faces / "crops.json").is_file():
        print(f"attention_speed: no labelled faces in {arguments.faces}; name their folder with --faces")
        return 0
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or "chromium"
    with tempfile.TemporaryDirectory() as folder, serving(create_app()) as address, sync_playwright() as playwright:
        video = Path(folder) / "video.mjpeg"
        for count, mode in ((1, "solo"), (20, "room")):
            faces_video(video, arguments.faces, count)
            chromium = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *camera_flags(video)])
            figures = speed(chromium, address, mode, arguments.seconds, arguments.share)
            print(f"{count} of them: " + ", ".join(f"{name} {value:g}" for name, value in figures.items()), flush=True)
            chromium.close()
        script = known_script(arguments.faces)
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
