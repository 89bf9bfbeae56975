"""How well `detectDocument` finds pages: the real module, in a real browser, on a folder of pictures.

    python -m tests.vision.evaluate_detector FOLDER [--bundle DIR] [--side 480] [--json]

Prints the IoU of each picture with the corners in FOLDER/corners.json (see annotated_photos.py), then mean, median and
minimum, and for pictures without a page the share where nothing is found. `--bundle` tries another model than the
embedded one.
"""

import argparse
import json
import mimetypes
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import CHROMIUM_FLAGS, chromium_path, serve
from tests.vision.annotated_photos import Photo, read_photos
from webapp import create_app

DETECTOR = "/static/pages/scanner/detect.js"
GEOMETRY = "/static/pages/scanner/vision/geometry.js"
PICTURES = "/evaluation/"
BUNDLE = "/static/models/document_corners/"

PREPARE = f"""async () => {{
  window.detector = await import('{DETECTOR}');
  window.geometry = await import('{GEOMETRY}');
  await window.detector.prepare({{}});
}}"""
DETECT = """async ([address, truth]) => {
  const blob = await (await fetch(address)).blob();
  const start = performance.now();
  const found = await window.detector.detectDocument(blob);
  const ms = performance.now() - start;
  const iou = found && truth ? window.geometry.convexIoU(found.corners, truth) : null;
  return { found, ms, iou };
}"""


def evaluate(page: Any, server: str, photos: list[Photo], bundle: Path | None = None) -> Iterator[dict[str, Any]]:
    """Runs the detector of `server` on each photo, in a Playwright page.

    Yields `{file, page, found, score, iou, ms}`: whether there is a page, whether one was found, and the IoU of the
    two (0 when it was missed, None when there is none). `bundle` replaces the embedded model.
    """
    by_name = {photo.path.name: photo.path for photo in photos}

    def picture(route: Any) -> None:
        path = by_name[route.request.url.rsplit("/", 1)[1]]
        route.fulfill(body=path.read_bytes(), content_type=mimetypes.guess_type(path.name)[0])

    def model(route: Any) -> None:
        path = bundle / route.request.url.rsplit("/", 1)[1]
        found = path.is_file()
        route.fulfill(status=200 if found else 404, body=path.read_bytes() if found else "")

    page.context.route(f"**{PICTURES}*", picture)
    if bundle:
        page.context.route(f"**{BUNDLE}*", model)
    page.goto(f"{server}/")
    page.evaluate(PREPARE)
    for photo in photos:
        result = page.evaluate(DETECT, [PICTURES + photo.path.name, photo.corners])
        yield {
            "file": photo.path.name,
            "page": photo.corners is not None,
            "found": result["found"] is not None,
            "corners": result["found"] and result["found"]["corners"],
            "score": result["found"] and result["found"]["score"],
            "iou": (result["iou"] or 0.0) if photo.corners else None,
            "ms": result["ms"],
        }


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean, median and minimum IoU of the pictures with a page, and the share of the others where nothing was found."""
    ious = [result["iou"] for result in results if result["page"]]
    empty = [not result["found"] for result in results if not result["page"]]
    return {
        "pages": len(ious),
        "mean": statistics.fmean(ious) if ious else None,
        "median": statistics.median(ious) if ious else None,
        "min": min(ious, default=None),
        "over_0.9": sum(iou > 0.9 for iou in ious) / len(ious) if ious else None,
        "without_page": len(empty),
        "left_alone": sum(empty) / len(empty) if empty else None,
        "median_ms": statistics.median(result["ms"] for result in results) if results else None,
    }


@contextmanager
def chromium_page() -> Iterator[Any]:
    """A blank page of a headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        try:
            yield browser.new_context(service_workers="block").new_page()
        finally:
            browser.close()


def line(result: dict[str, Any]) -> str:
    """One result as text."""
    score = "nothing found" if not result["found"] else f"score {result['score']:.2f}"
    iou = "no page   " if result["iou"] is None else f"IoU {result['iou']:.4f}"
    return f"{iou}  {score:<13}  {result['ms']:6.0f} ms  {result['file']}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bundle", type=Path, help="a bundle's folder, instead of the embedded model")
    parser.add_argument("--side", type=int, default=480, help="longest side that corners.json is for; 0: the picture's")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    options = parser.parse_args(arguments)
    photos = read_photos(options.folder, options.side or None)
    results = []
    for server in serve(create_app()):
        with chromium_page() as page:
            for result in evaluate(page, server, photos, options.bundle):
                results.append(result)
                if not options.json:
                    print(line(result), flush=True)
    total = summary(results)
    if options.json:
        print(json.dumps({"results": results, "summary": total}))
    else:
        for key, value in total.items():
            print(f"{key}: {value:.4f}" if isinstance(value, float) else f"{key}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
