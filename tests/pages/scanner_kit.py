"""What the scanner's tests share: drawn photos with known corners, a fake camera, a stand-in for the page finder."""

import io
import json
import re
import zlib
from pathlib import Path

from PIL import Image, ImageDraw

Point = tuple[float, float]

# The sheet of paper in the drawn photo: TL, TR, BR, BL as shares of the photo's width and height.
CORNERS: list[Point] = [(0.28, 0.10), (0.70, 0.14), (0.76, 0.90), (0.20, 0.86)]
SHEET = (620, 877)
TABLE = (58, 44, 36)
# Coloured squares near the sheet's corners, in the same order: they tell which way up a page came out.
MARKS = [(220, 40, 40), (40, 160, 60), (50, 80, 220), (230, 170, 20)]
MARK_INSET, MARK_SIDE = 40, 90

# detect.js with known answers: corners as shares of the picture, or null; set `fakeCorners` in the page to change it.
FAKE_FINDER = """
export async function prepare({ onProgress } = {}) {
  onProgress?.({ loaded: 1, total: 2, stage: 'weights' });
  if (globalThis.fakePrepare) await globalThis.fakePrepare();
  onProgress?.({ loaded: 2, total: 2, stage: 'weights' });
}
export async function detectDocument(image) {
  if (globalThis.fakeFailure) await globalThis.fakeFailure();
  const width = image.videoWidth || image.width, height = image.videoHeight || image.height;
  const shares = globalThis.fakeCorners;
  return shares ? { corners: shares.map(([x, y]) => [x * width, y * height]), score: 0.97 } : null;
}
export function release() {}
export const backend = () => 'wasm';
"""


def sheet() -> Image.Image:
    """A page with a heading, lines of text and a coloured mark in each corner."""
    picture = Image.new("RGB", SHEET, (250, 249, 245))
    draw = ImageDraw.Draw(picture)
    width, height = SHEET
    inset, side = MARK_INSET, MARK_SIDE
    places = [(inset, inset), (width - inset - side, inset), (width - inset - side, height - inset - side),
              (inset, height - inset - side)]
    for (x, y), colour in zip(places, MARKS, strict=True):
        draw.rectangle((x, y, x + side, y + side), fill=colour)
    draw.rectangle((170, 70, 450, 100), fill=(30, 30, 34))
    for row in range(20):
        y = 170 + row * 27
        draw.rectangle((60, y, 560 - (row * 37) % 140, y + 9), fill=(60, 60, 66))
    return picture


def solve(rows: list[list[float]]) -> list[float]:
    """Gauss-Jordan elimination of n rows of n + 1 numbers."""
    count = len(rows)
    for column in range(count):
        pivot = max(range(column, count), key=lambda r: abs(rows[r][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for other in range(count):
            if other != column:
                factor = rows[other][column]
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[column], strict=True)]
    return [row[-1] for row in rows]


def photo(width: int = 1280, height: int = 720, corners: list[Point] = CORNERS) -> Image.Image:
    """The sheet lying on a dark table, its corners at these shares of the photo."""
    target = [(x * width, y * height) for x, y in corners]
    source = [(0.0, 0.0), (float(SHEET[0]), 0.0), (float(SHEET[0]), float(SHEET[1])), (0.0, float(SHEET[1]))]
    rows = []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y, u])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y, v])
    page = sheet()
    size = (width, height)
    warped = page.transform(size, Image.Transform.PERSPECTIVE, solve(rows), Image.Resampling.BICUBIC)
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).polygon(target, fill=255)
    return Image.composite(warped, Image.new("RGB", size, TABLE), mask)


def jpeg(picture: Image.Image, quality: int = 92) -> bytes:
    """The picture as a JPEG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def write_video(path: Path, pictures: list[Image.Image]) -> Path:
    """Motion JPEG, which Chromium plays in a loop as its fake camera."""
    path.write_bytes(b"".join(jpeg(picture) for picture in pictures))
    return path


def camera_flags(video: Path | None) -> list[str]:
    """Chromium flags for a fake camera that shows this video; None = there is no camera."""
    if video is None:
        return ["--use-fake-device-for-media-stream=device-count=0", "--use-fake-ui-for-media-stream"]
    return [
        "--use-fake-device-for-media-stream=device-count=1",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={video}",
    ]


def use_fake_finder(context, corners: list[Point] | None = CORNERS) -> None:
    """Serves the stand-in for detect.js; a service worker would answer before the route, so block those."""
    context.route("**/pages/scanner/detect.js",
                  lambda route: route.fulfill(body=FAKE_FINDER, content_type="text/javascript"))
    context.add_init_script(f"globalThis.fakeCorners = {json.dumps(corners)}")


def mark_colours(picture: Image.Image) -> list[tuple[int, int, int]]:
    """The colours at the four marks' places in a straightened page, TL, TR, BR, BL."""
    width, height = picture.size
    dx = (MARK_INSET + MARK_SIDE / 2) / SHEET[0] * width
    dy = (MARK_INSET + MARK_SIDE / 2) / SHEET[1] * height
    places = [(dx, dy), (width - dx, dy), (width - dx, height - dy), (dx, height - dy)]
    return [picture.convert("RGB").getpixel((round(x), round(y))) for x, y in places]


def nearest_mark(colour: tuple[int, int, int]) -> int:
    """Which of the four marks has this colour; -1 when none is near."""
    distances = [sum((a - b) ** 2 for a, b in zip(colour, mark, strict=True)) ** 0.5 for mark in MARKS]
    best = min(range(4), key=distances.__getitem__)
    return best if distances[best] < 90 else -1


def pdf_objects(data: bytes) -> dict[int, bytes]:
    """The objects of a PDF, found through its xref table alone; an offset that is wrong by one byte fails."""
    assert data.startswith(b"%PDF-1.4\n") and data.endswith(b"%%EOF\n")
    start = int(data.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    assert data[start:start + 5] == b"xref\n"
    count = int(data[start + 5:].split(b"\n")[0].split()[1])
    table = data.index(b"\n", start + 5) + 1
    objects = {}
    for number in range(1, count):
        entry = data[table + 20 * number:table + 20 * number + 20]
        assert entry[17:] == b"n \n", entry
        offset = int(entry[:10])
        head = b"%d 0 obj\n" % number
        assert data[offset:offset + len(head)] == head
        objects[number] = data[offset + len(head):]
    return objects


def pdf_pages(data: bytes) -> list[tuple[tuple[float, float], Image.Image]]:
    """Each page of a scanned PDF: paper size in points, and the picture on it, decoded."""
    objects = pdf_objects(data)
    root = int(re.search(rb"/Root (\d+) 0 R", data[data.rindex(b"trailer"):]).group(1))
    tree = objects[int(re.search(rb"/Pages (\d+) 0 R", objects[root]).group(1))]
    kids = [int(kid) for kid in re.findall(rb"(\d+) 0 R", re.search(rb"/Kids \[(.*?)\]", tree).group(1))]
    assert len(kids) == int(re.search(rb"/Count (\d+)", tree).group(1))
    pages = []
    for kid in kids:
        width, height = re.search(rb"/MediaBox \[0 0 (\S+) (\S+)\]", objects[kid]).groups()
        image = objects[int(re.search(rb"/Im0 (\d+) 0 R", objects[kid]).group(1))]
        pages.append(((float(width), float(height)), pdf_image(image)))
    return pages


def pdf_image(body: bytes) -> Image.Image:
    """The picture of an image object; its stream must be exactly as long as it says."""
    head, rest = body.split(b"stream\n", 1)
    size = tuple(int(re.search(rb"/%s (\d+)" % key, head).group(1)) for key in (b"Width", b"Height"))
    length = int(re.search(rb"/Length (\d+)", head).group(1))
    stream = rest[:length]
    assert rest[length:].startswith(b"\nendstream\nendobj\n")
    if b"/DCTDecode" in head:
        picture = Image.open(io.BytesIO(stream))
        assert picture.mode == "RGB" and picture.size == size
        return picture
    assert b"/BitsPerComponent 1 " in head and b"/FlateDecode" in head
    return Image.frombytes("1", size, zlib.decompress(stream))
