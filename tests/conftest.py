"""Fixtures every test folder shares: the real models beside the repository, a running server, a real browser."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
SHARED = REPO.parent / "shared"

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@pytest.fixture(scope="session")
def repo() -> Path:
    """The repository's root."""
    return REPO


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with real models and photos; a test that asks for it carries `@pytest.mark.shared`."""
    if not SHARED.is_dir():
        pytest.skip("../shared (real models and photos) is not beside this checkout")
    return SHARED


def chromium_path() -> str:
    """The browser's executable: CHROMIUM from the environment, else the first one on the PATH."""
    named = os.environ.get("CHROMIUM")
    found = [named] if named else [path for name in CHROMIUM_NAMES if (path := shutil.which(name))]
    if not found or not Path(found[0]).exists():
        pytest.fail(f"no Chromium at {named or 'any known name on the PATH'}: install chromium or set CHROMIUM")
    return found[0]


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """A headless Chromium (Playwright, sync). Open a `browser.new_context()` per test, and close it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        try:
            yield chromium
        finally:
            chromium.close()


def serve(app) -> Iterator[str]:
    """Serve a WSGI app on a free port of 127.0.0.1 from a thread; yields `http://127.0.0.1:PORT`."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        """Logs failures only: a page asks for some dozens of files."""

        def log_request(self, code="-", size="-"):
            if str(code).startswith("5"):
                super().log_request(code, size)

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="test-server", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


@pytest.fixture(scope="session")
def serving() -> Callable[..., AbstractContextManager[str]]:
    """`with serving(app) as address:` serves any WSGI app for as long as the block lasts."""
    return contextmanager(serve)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The web app as it ships, running for the whole session; yields its address without a trailing slash."""
    from webapp import create_app

    yield from serve(create_app())
