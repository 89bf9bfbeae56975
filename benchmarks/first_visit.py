"""First visit to the scanner with an empty cache: what is transferred, and how long until the first outline is drawn.

    python benchmarks/first_visit.py [--runs 3] [--limit-kb 200]

A fresh Chromium opens /scanner with a fake camera that shows a drawn sheet of paper. Bytes are counted at the server,
as sent (compressed); the model's weights are listed on their own, everything else must stay below the limit.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO), str(REPO / "tests" / "pages")]

from playwright.sync_api import sync_playwright  # noqa: E402
from scanner_kit import camera_flags, photo, write_video  # noqa: E402
from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: E402

from webapp import create_app  # noqa: E402

FLAGS = ["--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
OUTLINE = "document.querySelector('.stage .overlay .outline')?.getAttribute('d')?.length > 8"
WAIT_S = 60


def kind(path: str) -> str:
    """The group in which a request is counted."""
    if "/models/" in path:
        return "model"
    if path.endswith(".wasm"):
        return "kernels"
    if path.endswith(".js"):
        return "scripts"
    return "styles" if path.endswith(".css") else "pages and the rest"


class Counting:
    """A WSGI app that counts the bytes of another's answers by kind."""

    def __init__(self, app) -> None:
        self.app, self.bytes, self.requests = app, Counter(), Counter()

    def __call__(self, environ, start_response):
        group = kind(environ["PATH_INFO"])
        self.requests[group] += 1
        for block in self.app(environ, start_response):
            self.bytes[group] += len(block)
            yield block


class Silent(WSGIRequestHandler):
    """No line per request."""

    def log_request(self, code="-", size="-") -> None:
        """Say nothing."""


@contextmanager
def serving(app) -> Iterator[str]:
    """Serve on a free port for as long as the block lasts."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def wait_for_outline(page) -> None:
    """Start the camera where the page has not done so itself, and wait until the page draws an outline."""
    button = page.locator("[data-part=start-camera]")
    give_up = time.perf_counter() + WAIT_S
    while not page.evaluate(OUTLINE):
        if time.perf_counter() > give_up:
            raise TimeoutError(f"no outline within {WAIT_S} s; is static/models/document_corners there?")
        if button.is_visible() and button.is_enabled():
            button.dispatch_event("click")  # `click` would wait for a button that goes away
        page.wait_for_timeout(20)


def visit(playwright, video: Path, chromium: str) -> tuple[Counting, float, float]:
    """One first visit: the counts, and seconds to the page and from there to the first outline."""
    app = create_app()
    app.extensions["inpage_assets"].warm()
    counting = Counting(app)
    browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, *camera_flags(video)])
    try:
        with serving(counting) as address:
            page = browser.new_context(permissions=["camera"]).new_page()
            start = time.perf_counter()
            page.goto(f"{address}/scanner")
            loaded = time.perf_counter()
            wait_for_outline(page)
            outlined = time.perf_counter()
            page.evaluate("navigator.serviceWorker.ready.then(() => true)")  # what is kept for offline use counts, too
            return counting, loaded - start, outlined - loaded
    finally:
        browser.close()


def main() -> int:
    """Print the figures; 1 when the transfer is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--limit-kb", type=float, default=200)
    arguments = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or "chromium"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        video = write_video(Path(folder) / "sheet.mjpeg", [photo()] * 2)
        visits = [visit(playwright, video, chromium) for _ in range(arguments.runs)]
    counting = visits[-1][0]
    for group, count in counting.bytes.most_common():
        print(f"{group:20} {counting.requests[group]:4} requests {count / 1000:8.1f} KB")
    total = sum(count for group, count in counting.bytes.items() if group != "model") / 1000
    print(f"{'all but the model':20} {'':13} {total:8.1f} KB (limit {arguments.limit_kb:.0f})")
    for name, column in (("page loaded", 1), ("then to first outline", 2)):
        times = [entry[column] for entry in visits]
        median, least, most = statistics.median(times), min(times), max(times)
        print(f"{name:22} median {median:.2f} s of {len(times)} ({least:.2f} to {most:.2f})")
    return int(total > arguments.limit_kb)


if __name__ == "__main__":
    sys.exit(main())
