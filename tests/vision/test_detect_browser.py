"""`detectDocument` in Chromium, with a bundle that answers what it is told, and the script that measures it."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.vision.annotated_photos import read_photos
from tests.vision.corner_bundle import write_bundle
from tests.vision.evaluate_detector import BUNDLE, evaluate, line, summary

pytestmark = pytest.mark.browser

SIZE = (640, 480)
PAGE = [(150.0, 80.0), (500.0, 100.0), (530.0, 400.0), (120.0, 380.0)]
# What the network says is off by four pixels; the edges lead back.
TOLD = [((x + 4) / SIZE[0], (y - 4) / SIZE[1]) for x, y in PAGE]

SOURCES = """async ({ address, width, height }) => {
  const { detectDocument } = await import('/static/pages/scanner/detect.js');
  const blob = await (await fetch(address)).blob();
  const bitmap = await createImageBitmap(blob);
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d');
  context.drawImage(bitmap, 0, 0);
  const offscreen = new OffscreenCanvas(width, height);
  offscreen.getContext('2d').drawImage(bitmap, 0, 0);
  const element = Object.assign(new Image(), { src: URL.createObjectURL(blob) });
  const video = Object.assign(document.createElement('video'), { srcObject: canvas.captureStream(), muted: true });
  await video.play();
  context.drawImage(bitmap, 0, 0);
  const sources = {
    Blob: blob, ImageBitmap: bitmap, HTMLCanvasElement: canvas, OffscreenCanvas: offscreen,
    ImageData: context.getImageData(0, 0, width, height), HTMLImageElement: element, HTMLVideoElement: video,
  };
  const found = {};
  for (const [name, source] of Object.entries(sources)) {
    found[name] = await detectDocument(source);
    found[`${name}, live`] = await detectDocument(source, { quality: 'live' });
  }
  return found;
}"""


def picture(background: str) -> Image.Image:
    """A white page on a table."""
    large = Image.new("RGB", (SIZE[0] * 4, SIZE[1] * 4), background)
    ImageDraw.Draw(large).polygon([(x * 4, y * 4) for x, y in PAGE], fill="#f4f3ef")
    return large.resize(SIZE, Image.Resampling.BOX)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "told_corners", TOLD)


def test_every_kind_of_source(page: Any, server: str, bundle: Path):
    png = io.BytesIO()
    picture("#555045").save(png, "PNG")
    page.context.route("**/picture.png", lambda route: route.fulfill(body=png.getvalue(), content_type="image/png"))
    page.context.route(f"**{BUNDLE}*", lambda route: route.fulfill(path=bundle / route.request.url.rsplit("/", 1)[1]))
    page.goto(f"{server}/")
    arguments = {"address": "/picture.png", "width": SIZE[0], "height": SIZE[1]}
    results = page.evaluate(SOURCES, arguments)
    assert len(results) == 14
    for name, found in results.items():
        assert found and found["score"] > 0.6, name
        for (x, y), (tx, ty) in zip(found["corners"], PAGE, strict=True):
            assert abs(x - tx) < 1 and abs(y - ty) < 1, f"{name}: {found['corners']}"


def test_the_measure_counts_pages_and_pictures_without_one(page: Any, server: str, bundle: Path, tmp_path: Path):
    picture("#555045").save(tmp_path / "page.png")
    picture("#555045").save(tmp_path / "unlisted.png")
    Image.new("RGB", SIZE, "#0b0b0b").save(tmp_path / "dark.jpg")
    Image.new("RGB", SIZE, "#0b0b0b").save(tmp_path / "missed.jpg")
    small = [[x * 480 / 640, y * 480 / 640] for x, y in PAGE]
    listed = {"page.png": small, "dark.jpg": None, "missed.jpg": small}
    (tmp_path / "corners.json").write_text(json.dumps({"corners": listed}))

    results = list(evaluate(page, server, read_photos(tmp_path), bundle))

    by_name = {result["file"]: result for result in results}
    assert by_name["page.png"]["iou"] > 0.99
    assert by_name["missed.jpg"]["iou"] == 0.0 and not by_name["missed.jpg"]["found"]
    assert not by_name["dark.jpg"]["found"] and by_name["dark.jpg"]["iou"] is None
    assert by_name["unlisted.png"]["found"] and by_name["unlisted.png"]["iou"] is None
    total = summary(results)
    assert total["pages"] == 2 and total["without_page"] == 2 and total["left_alone"] == 0.5
    assert total["min"] == 0.0 and total["mean"] == by_name["page.png"]["iou"] / 2
    assert "nothing found" in line(by_name["missed.jpg"]) and "no page" in line(by_name["dark.jpg"])


def test_corners_of_a_picture_that_is_not_there_are_an_error(tmp_path: Path):
    (tmp_path / "corners.json").write_text('{"corners": {"gone.jpg": null}}')
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        read_photos(tmp_path)


def test_sizes_and_corners_are_after_the_exif_rotation(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (960, 480)).save(tmp_path / "turned.jpg", exif=exif)
    corners = [[10, 20], [200, 20], [200, 400], [10, 400]]
    (tmp_path / "corners.json").write_text(json.dumps({"corners": {"turned.jpg": corners}}))
    (photo,) = read_photos(tmp_path)
    assert (photo.width, photo.height) == (480, 960)
    assert photo.corners == [(20, 40), (400, 40), (400, 800), (20, 800)]
    assert read_photos(tmp_path, None)[0].corners == [tuple(corner) for corner in corners]
