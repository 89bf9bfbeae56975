"""Shows a packed page in Chromium and prints what it reports; needs Python and a browser, nothing of this repository.

    CHROME=/path/to/chromium python3 host.py [--folder FOLDER] [--limit S] [CHROMIUM FLAG ...]

FOLDER holds page.tar.gz (or is what was in it); default: beside this file. Ends with the page's last report, status 0,
or after --limit seconds, status 1. Without flags: a GPU through Vulkan.
"""

import argparse
import http.server
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
from pathlib import Path

VULKAN = [
    "--use-angle=vulkan", "--enable-features=Vulkan", "--disable-vulkan-surface", "--enable-unsafe-webgpu",
    "--ignore-gpu-blocklist",
]  # fmt: skip
ALWAYS = [
    "--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--remote-debugging-port=0", "--disable-dev-shm-usage",
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
]  # fmt: skip
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
}  # fmt: skip
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json"}


def serve(folder: Path, done: threading.Event) -> http.server.ThreadingHTTPServer:
    """The folder on a free port; what the page posts is printed."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | TYPES

        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))

        def end_headers(self) -> None:
            for name, value in HEADERS.items():
                self.send_header(name, value)
            super().end_headers()

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.send_response(204)
            self.end_headers()
            print(text, flush=True)
            if "done" in json.loads(text):
                done.set()

        def log_message(self, *args: object) -> None:
            """Quiet: the page reports."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def unpacked(folder: Path, scratch: Path) -> Path:
    """Where the page lies."""
    archive = folder / "page.tar.gz"
    if not archive.is_file():
        return folder
    with tarfile.open(archive) as packed:
        packed.extractall(scratch, filter="data")
    return scratch


def show(folder: Path, flags: list[str], limit_s: float) -> bool:
    """Whether the page came to its end."""
    done = threading.Event()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, tempfile.TemporaryFile(mode="w+") as errors:
        scratch = Path(name)
        server = serve(unpacked(folder, scratch / "page"), done)
        command = [os.environ.get("CHROME", "chromium"), *ALWAYS, *flags, f"--user-data-dir={scratch / 'profile'}",
                   f"http://127.0.0.1:{server.server_port}/index.html"]  # fmt: skip
        browser = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                                   start_new_session=True)  # fmt: skip
        finished = done.wait(limit_s)
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()
        server.shutdown()
        if not finished:
            errors.seek(0)
            said = "".join(line for line in errors if "dbus" not in line)
            print("the page did not finish:", said[-3000:], file=sys.stderr)
        return finished


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--limit", type=float, default=540)
    given, flags = parser.parse_known_args()
    return 0 if show(given.folder, flags or VULKAN, given.limit) else 1


if __name__ == "__main__":
    sys.exit(main())
