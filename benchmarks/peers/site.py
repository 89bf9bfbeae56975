"""The product's own server with the comparison's pages, peers and models beside it, under /bench/.

gunicorn runs `benchmarks.peers.site:app` with the product's settings. What a peer fetches is served as our own
files are: compressed by the same rule, kept by browsers, cross-origin isolated.
"""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Blueprint, Flask, Response, abort, current_app, request
from markupsafe import escape

from webapp import create_app
from webapp.assets import IMMUTABLE, MIME, REVALIDATE, Asset, choose_encoding

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
CACHE = HERE.parent / ".cache"
ROOTS = {"pages": HERE / "pages", "npm": HERE / "node_modules", "nets": CACHE / "nets"}
KINDS = MIME | {
    ".html": "text/html; charset=utf-8", ".mjs": MIME[".js"], ".bin": MIME[".dat"], ".onnx": MIME[".dat"],
    ".tflite": MIME[".dat"],
}  # fmt: skip
TEXTS = {".js", ".mjs", ".json", ".html", ".wasm"}
# The product's policy, and what TF.js and ONNX Runtime need besides: blobs as workers, eval.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob:; "
    "connect-src 'self' blob: data:; worker-src 'self' blob:; img-src 'self' data:"
)
START_S = 60
LARGE = (
    "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm", "onnxruntime-web/dist/ort.wasm.min.mjs",
    "@litertjs/core/wasm/*_internal.wasm", "@litertjs/core/dist/index.js",
    "@tensorflow/tfjs-*/dist/*.wasm", "@tensorflow/tfjs-*/dist/*.min.js",
)  # fmt: skip
"""What takes brotli longer than a page would wait."""

bench = Blueprint("bench", __name__)


class BenchAsset(Asset):
    """A file that is none of the product's; its compressed body is kept on disk, since a peer's takes a while."""

    @property
    def compressible(self) -> bool:
        return self.path.suffix in TEXTS

    def body(self, encoding: str) -> bytes:
        kept = CACHE / "compressed" / f"{self.sha256}.{encoding}"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            written = kept.with_suffix(f".{os.getpid()}")
            written.write_bytes(squeeze(self.content(), encoding))
            written.rename(kept)
        return kept.read_bytes()


def squeeze(plain: bytes, encoding: str) -> bytes:
    """As the product compresses small files: at the best level, however large."""
    if encoding == "gzip":
        import gzip

        return gzip.compress(plain, 9, mtime=0)
    import brotli

    return brotli.compress(plain, quality=11)


known: dict[Path, BenchAsset] = {}


def asset_of(path: Path) -> BenchAsset:
    """The file, its hash computed once."""
    if path not in known:
        content = path.read_bytes()
        known[path] = BenchAsset(path, hashlib.sha256(content).hexdigest(), len(content))
    return known[path]


def compress_peers() -> None:
    """Ahead of the first page: the best level of brotli takes a minute for some of these files, once."""
    for pattern in LARGE:
        for path in ROOTS["npm"].glob(pattern):
            asset_of(path).body("br")


@bench.get("/bench/<root>/<path:name>")
def file(root: str, name: str) -> Response:
    """One file below one of the roots."""
    base = ROOTS.get(root)
    path = (base / name).resolve() if base else HERE
    if base is None or base.resolve() not in path.parents or not path.is_file() or path.suffix not in KINDS:
        abort(404)
    if path.name == "run.html":
        page = path.read_text(encoding="utf-8").replace("__WHERE__", json.dumps(where()))
        page = page.replace("<!-- early -->", early())
        return Response(page, content_type=KINDS[".html"], headers={"Content-Security-Policy": POLICY})
    asset = asset_of(path)
    encoding = choose_encoding() if asset.compressible else "identity"
    response = Response(asset.content() if encoding == "identity" else asset.body(encoding))
    if encoding != "identity":
        response.headers["Content-Encoding"] = encoding
    response.headers["Content-Type"] = KINDS[path.suffix]
    # As if every address held a version; the product's pages embed such ones, too.
    response.headers["Cache-Control"] = REVALIDATE if path.suffix == ".html" else IMMUTABLE
    response.headers["Content-Security-Policy"] = POLICY
    return response


def early() -> str:
    """What the page will ask for: its engine's script, and here the model, as the README advises."""
    engine, bundle = request.args.get("engine", ""), request.args.get("bundle", "")
    assets, models = current_app.extensions["inpage_assets"], current_app.extensions["inpage_models"]
    links = [f'<link rel=modulepreload href="{escape(name)}">' for name in ("kit.js", f"engine_{engine}.js")]
    if engine == "inpage":
        links.append(f'<link rel=modulepreload href="{assets.url("runtime/index.js")}">')
    for found in models.versions(bundle)[: int(request.args.get("hints", 1))]:
        if request.args.get("threads") != "1":  # in a worker
            weights = escape(" ".join(name for name in found.files if name.endswith(".dat")))
            start = f'src="{assets.url("runtime/start.js")}" data-model="{escape(found.immutable_url)}"'
            links.insert(0, f'<script async {start} data-weights="{weights}"></script>')
            continue
        for name in found.files:
            address = escape(found.immutable_url + name)
            links.append(f'<link rel=preload as=fetch crossorigin=anonymous href="{address}">')
    return "\n".join(links)


@bench.get("/bench/where.json")
def where() -> dict[str, str]:
    """Addresses of the product's own files that never change, as its pages are given them."""
    assets, models = current_app.extensions["inpage_assets"], current_app.extensions["inpage_models"]
    return {"runtime": assets.url("runtime/index.js")} | {
        bundle.name: bundle.immutable_url for bundle in models.all() if not bundle.problem
    }


def app() -> Flask:
    """The product, and the comparison beside it."""
    made = create_app()
    made.register_blueprint(bench)
    return made


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(models: Path) -> Iterator[str]:
    """The server, with the bundles in `models`; its address, once it answers and has compressed its files."""
    port = free_port()
    environ = os.environ | {
        "INPAGE_PORT": str(port), "INPAGE_MODELS": str(models), "INPAGE_LOG_LEVEL": "error", "INPAGE_SCAN_S": "0",
        "INPAGE_DRAIN_S": "0", "INPAGE_GRACE_S": "1", "INPAGE_ENGINES": "onnx",
    }  # fmt: skip
    command = [sys.executable, "-m", "gunicorn", "-c", "python:webapp.gunicorn_conf", "benchmarks.peers.site:app()"]
    server = subprocess.Popen(command, cwd=REPO, env=environ, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        runtime = wait_for(f"{address}/bench/where.json", server)["runtime"]
        for build in ("kernels", "kernels.strict"):  # the largest of our files, ready once the server has compressed it
            url = address + runtime.replace("index.js", f"wasm/{build}.wasm")
            urllib.request.urlopen(urllib.request.Request(url, headers={"Accept-Encoding": "br"})).close()
        yield address
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)


def visited(site: str, bundle: str) -> None:
    """As after some visitors: the server has the bundle's weights compressed."""
    where = wait_for(f"{site}/bench/where.json", None)[bundle]
    with urllib.request.urlopen(f"{site}{where}model.json") as answer:
        chunks = [chunk["file"] for chunk in json.load(answer)["chunks"]]
    end = time.monotonic() + START_S
    while chunks and time.monotonic() < end:
        asked = urllib.request.Request(f"{site}{where}{chunks[0]}", headers={"Accept-Encoding": "br"})
        with urllib.request.urlopen(asked) as answer:
            if answer.headers["Content-Encoding"] == "br":
                chunks.pop(0)
                continue
        time.sleep(0.2)


def wait_for(address: str, server: subprocess.Popen | None) -> dict[str, str]:
    """Its answer, as soon as there is one."""
    end = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(address) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            if (server and server.poll() is not None) or time.monotonic() > end:
                raise
            time.sleep(0.1)
