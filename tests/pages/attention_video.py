"""A fake camera's video with a known script, which says itself which frame is shown: the delay of a page's words can be
measured whatever the camera does."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

SIZE = (640, 480)
FPS = 30
BITS = 12
STRIP = 16  # pixels at the lower edge: the frame's number as black and white fields, highest bit first

# What the page shows only after it has lasted, in seconds (static/pages/attention/signal/rules.js).
HOLDS = {"Facing the screen": 0.5, "Looking down": 1.5, "Turned away": 3.0, "Eyes closed": 2.0, "Away": 2.0}

# In the page: when each part of the script began to be shown, and when each word was.
WATCH = """starts => {
  const video = document.querySelector('[data-part=video]'), word = document.querySelector('[data-part=word]');
  const context = new OffscreenCanvas(12, 1).getContext('2d', { willReadFrequently: true });
  globalThis.seen = { parts: [], words: [] };
  let last = '', part = -1;
  const look = () => {
    const { videoWidth: width, videoHeight: height } = video, strip = height / 30;
    context.drawImage(video, 0, height - strip * 0.75, width, strip / 2, 0, 0, 12, 1);
    const { data } = context.getImageData(0, 0, 12, 1);
    let frame = 0;
    for (let k = 0; k < 12; k += 1) frame = 2 * frame + (data[4 * k] > 127);
    const now = starts.findLastIndex((start) => frame >= start);
    if (now > part) seen.parts.push([part = now, performance.now()]); // the video begins anew at its end
    video.requestVideoFrameCallback(look);
  };
  const note = () => {
    if (word.textContent !== last) seen.words.push([last = word.textContent, performance.now()]);
  };
  look();
  note();
  new MutationObserver(note).observe(word, { childList: true, characterData: true, subtree: true });
}"""


@dataclass
class Part:
    """Pictures that are shown in turn for a while, and the word that they should lead to ('': none, too short)."""

    files: list[Path | None]
    seconds: float
    word: str


def camera_frame(path: Path | None) -> Image.Image:
    """A picture of the camera's size, or an empty room."""
    room = Image.new("RGB", SIZE, (90, 90, 95))
    if path:
        with Image.open(path) as picture:
            scale = min(SIZE[0] / picture.width, SIZE[1] / picture.height)
            fitted = picture.convert("RGB").resize((round(picture.width * scale), round(picture.height * scale)))
        room.paste(fitted, ((SIZE[0] - fitted.width) // 2, (SIZE[1] - fitted.height) // 2))
    return room


def stamped(picture: Image.Image, number: int) -> bytes:
    """A JPEG with the frame's number in its strip."""
    picture, draw_to = picture.copy(), SIZE[1] - STRIP
    draw = ImageDraw.Draw(picture)
    for k in range(BITS):
        fill = 255 * (number >> (BITS - 1 - k) & 1)
        draw.rectangle((k * SIZE[0] // BITS, draw_to, (k + 1) * SIZE[0] // BITS - 1, SIZE[1] - 1), (fill, fill, fill))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def write_script(path: Path, script: list[Part]) -> list[int]:
    """Writes the video; returns the first frame of each part."""
    frames: list[bytes] = []
    starts: list[int] = []
    for part in script:
        starts.append(len(frames))
        shown = [camera_frame(file) for file in part.files]
        for k in range(round(part.seconds * FPS)):
            frames.append(stamped(shown[(k // 15) % len(shown)], len(frames)))
    path.write_bytes(b"".join(frames))
    return starts


def known_script(faces: Path) -> list[Part]:
    """People of the labelled pack: facing, turned away, looking down, blinking, eyes closed, gone."""
    files = {record["src_id"]: faces / record["file"] for record in json.loads((faces / "detect.json").read_text())}
    crops = [c for c in json.loads((faces / "crops.json").read_text()) if c["src_id"] in files and c["px"] > 60]

    def pictures(*ids: str) -> list[Path | None]:
        return [files[name] for name in ids]

    frontal = pictures("webcam_0136_neutral", "webcam_0148_neutral")
    closed = pictures("webcam_0156_closed", "webcam_0160_closed")
    turned = pictures(*[c["src_id"] for c in crops if c["source"] == "drowsy" and abs(c["pose"][0]) > 42][:3])
    down = pictures("drowsy_0244", "drowsy_0192")
    facing = "Facing the screen"
    return [
        Part(frontal, 8, facing), Part(turned, 6, "Turned away"), Part(frontal, 3, facing),
        Part(down, 5, "Looking down"), Part(frontal, 3, facing), Part(closed, 0.4, ""), Part(frontal, 2, ""),
        Part(closed, 5, "Eyes closed"), Part(frontal, 3, facing), Part([None], 5, "Away"),
    ]  # fmt: skip


def delays(seen: dict, script: list[Part]) -> list[tuple[str, float]]:
    """For each word of the script, how long after its time it was shown: seconds beyond what it must last.

    Raises AssertionError when the page showed other words, or the same in another order.
    """
    words = [(word, at) for word, at in seen["words"] if word not in ("Looking…", "Not clear")]
    wanted = [(part, dict(seen["parts"]).get(k)) for k, part in enumerate(script) if part.word]
    assert [word for word, _ in words] == [part.word for part, _ in wanted], words
    pairs = zip(words, wanted, strict=True)
    return [(word, (at - began) / 1000 - HOLDS[word]) for (word, at), (_, began) in pairs if began is not None]
