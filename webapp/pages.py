"""The HTML pages, the static files, and what makes the site installable."""

import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import brotli
from flask import Blueprint, Response, current_app, jsonify, render_template, request
from jinja2 import Environment

from webapp.assets import IMMUTABLE, REVALIDATE, Asset, Assets, choose_encoding
from webapp.errors import AnswerError
from webapp.models import Models
from webapp.security import CONTENT_SECURITY_POLICY

pages = Blueprint("pages", __name__)

# What the service worker keeps for use without a network: the pages, and from static/ what they load.
OFFLINE_PAGES = ("/", "/scanner", "/offline")
OFFLINE_PAGES_ONCE_USED = ("/attention",)
OFFLINE_FOLDERS = (
    "pages/", "runtime/", "media/", "models/document_corners/", "models/face_detector/", "models/face_head/",
    "models/upper_body/",
)  # fmt: skip
ONLINE_ONLY = ("/signature.json", "/check.dat")  # of a bundle: for those who pass it on, and to try half precision on
# For Node, and for packages of the original Paddle.js: no page of this site asks for them. For the help of the server:
# of no use without a network.
NOT_OFFLINE = (
    "runtime/run_node.js", "runtime/source_node.js", "runtime/stream_node.js", "runtime/compat", "runtime/paddlejs",
    "runtime/remote", "pages/scanner/server", "pages/attention/eyes_server",
)  # fmt: skip

# Kept once it was used: what only some devices, models or pages need. The families are those of the scanner's model.
OFFLINE_ONCE_USED = re.compile(
    r"runtime/(?:gpu|webgl|webgpu)/|runtime/ops/.+/(?:webgl|webgpu)\.js"
    r"|runtime/ops/(?!binary/|conv/|layout/|matmul/|pool/|resize/)[^/]+/"
    r"|models/(?!document_corners/)"
    r"|pages/status\.|pages/(?!scanner/)[^/]+/.+\.(?:js|css)"
)
# Of the two builds of the kernels a browser needs one; the service worker knows which.
OFFLINE_IF = {"runtime/wasm/kernels.wasm": "relaxed", "runtime/wasm/kernels.strict.wasm": "strict"}

# Which page uses which embedded model, for the gallery: the words of the link, and where it leads.
USED_BY = {
    "document_corners": ("Open the scanner", "/scanner"),
    "face_detector": ("See who faces the screen", "/attention"),
    "face_head": ("See who faces the screen", "/attention"),
    "upper_body": ("See who faces the screen", "/attention"),
}

MANIFEST: dict[str, Any] = {
    "name": "Paddle InPage",
    "short_name": "InPage",
    "description": "A document scanner and other PaddlePaddle models that run inside the page, on your own device.",
    "id": "/",
    "start_url": "/",
    "scope": "/",
    "display": "standalone",
    "background_color": "#f5f7f6",
    "theme_color": "#0a6b5b",
}


def assets() -> Assets:
    """The static tree of the app in hand."""
    return current_app.extensions["inpage_assets"]


def models() -> Models:
    """The bundles of the app in hand."""
    return current_app.extensions["inpage_models"]


def page(template: str, **values: Any) -> Response:
    """A rendered page; always revalidated, since it names the current hash of every file it uses."""
    return small_text(render_template(template, **values), "text/html; charset=utf-8")


def small_text(text: str, content_type: str) -> Response:
    """Text made for this request: compressed quickly, revalidated on every use."""
    body, encoding = text.encode(), choose_encoding()
    if encoding != "identity":
        body = gzip.compress(body, 6, mtime=0) if encoding == "gzip" else brotli.compress(body, quality=5)
    response = Response(body, content_type=content_type)
    if encoding != "identity":
        response.headers["Content-Encoding"] = encoding
    response.headers["Cache-Control"] = "no-cache"
    response.vary.add("Accept-Encoding")
    response.add_etag()
    return response.make_conditional(request)


@pages.get("/")
def home() -> Response:
    """What this is, what the device can do, and the installed models."""
    return page("home.html", bundles=models().all(), used_by=USED_BY)


@pages.get("/scanner")
def scanner() -> Response:
    """The document scanner."""
    return page("scanner.html")


# What /attention and its thread may ask for: files of this site, to which nothing can be sent. Where the person lets
# the server look, on a page of its own, these three models, too.
EYES = "pages/attention/eyes_worker.js"
HELPER = "runtime/backends/wasm_helper.js"  # started by that thread; computes, and asks for nothing
LOOKED_AT_BY = ("face_detector", "face_head", "upper_body")


def policy(connect: str) -> str:
    """The site's policy with other addresses that may be asked."""
    return CONTENT_SECURITY_POLICY.replace("connect-src 'self'", f"connect-src {connect}")


def files_only() -> str:
    """Files of this site and nothing else: no frame could be sent."""
    return f"{request.host}/static/ {request.host}/service-worker.js"


@pages.get("/attention")
def attention() -> Response:
    """Who faces the screen. Its policy lets it fetch files of this site and nothing else."""
    response = page("attention.html", place="device")
    response.headers["Content-Security-Policy"] = policy(files_only())
    return response


@pages.get("/attention/server")
def attention_server() -> Response:
    """The same for devices that cannot: it asks the person first, then three models of this site's server."""
    models = " ".join(f"{request.host}/{way}/{name}/" for name in LOOKED_AT_BY for way in ("v2/models", "api/models"))
    response = page("attention.html", place="server")
    response.headers["Content-Security-Policy"] = policy(f"{files_only()} {models}")
    return response


@pages.get("/lab")
def lab() -> Response:
    """How fast the models are on the visitor's device, backend by backend."""
    return page("lab.html", bundles=models().all(), peers=current_app.config["INPAGE"]["peers"])


@pages.get("/status")
def status() -> Response:
    """The server's models and counters, live, for people."""
    return page("status.html")


@pages.get("/offline")
def offline() -> Response:
    """Shown by the service worker when a page is not kept and there is no network."""
    return page("offline.html")


@pages.get("/static/<path:path>")
def static_file(path: str) -> Response:
    """A file of static/, under its hash (immutable) or plain (revalidated)."""
    found = assets().find(path)
    if found is None:
        hint = "If the page has been open for long, reload it: it may belong to an earlier version of this site."
        raise AnswerError(404, "not_found", "There is no such file", where=request.path, hint=hint)
    asset, cache_control = found
    response = asset.respond(cache_control)
    if path.endswith((EYES, HELPER)):  # a worker has the policy of its own script, not that of its page
        response.headers["Content-Security-Policy"] = policy(files_only() if path.endswith(EYES) else "'none'")
    return response


@pages.get("/models/<name>/<path:path>")
def model_file(name: str, path: str) -> Response:
    """A file of a bundle: `/models/NAME/FILE` (revalidated) or `/models/NAME/VERSION/FILE` (immutable)."""
    versions = models().versions(name)
    if not versions:
        hint = "See /api/models for what is installed, and why a bundle may be refused."
        raise AnswerError(404, "not_found", "There is no usable model of this name", where=request.path, hint=hint)
    first, _, rest = path.partition("/")
    bundle = next((version for version in versions if version.version == first), versions[0])
    asset: Asset | None = bundle.files.get(rest if first == bundle.version else path)
    if asset is None:
        hint = "A bundle has model.json and the chunks that it names; an address with an old version is gone."
        raise AnswerError(404, "not_found", "The model has no such file", where=request.path, hint=hint)
    return asset.respond(IMMUTABLE if first == bundle.version else REVALIDATE)


def hash_of_site(tree_version: str, templates: Environment) -> str:
    """A hash of everything a visitor can be given: the static tree and the templates."""
    digest = hashlib.sha256(tree_version.encode())
    for name in sorted(templates.list_templates()):
        if templates.loader is None:
            raise LookupError("the app has no template loader")
        digest.update(templates.loader.get_source(templates, name)[0].encode())
    return digest.hexdigest()[:16]


def site_version() -> str:
    """The version of what this process answers with: fixed, as the templates are, unless it reloads them."""
    tree = assets().current()
    known: dict[str, str] = current_app.extensions.setdefault("inpage_site_versions", {})
    if tree.version not in known or current_app.config["TEMPLATES_AUTO_RELOAD"]:
        known[tree.version] = hash_of_site(tree.version, current_app.jinja_env)
    return known[tree.version]


def when_kept(name: str) -> str:
    """When the service worker keeps a file: `always`, once it was `used`, or with one kind of SIMD."""
    return "used" if OFFLINE_ONCE_USED.match(name) else OFFLINE_IF.get(name, "always")


@pages.get("/assets.json")
def asset_list() -> Response:
    """What the service worker keeps: {version, pages, usedPages: [url], files: [{url, name, keep, sha256, bytes}]}."""
    tree = assets().current()
    files = [
        {
            "url": f"/static/{tree.version}/{name}",
            "name": name,
            "keep": "used" if name in tree.signs else when_kept(name),
            "sha256": asset.sha256,
            "bytes": asset.bytes,
        }
        for name, asset in tree.files.items()
        if name.startswith(OFFLINE_FOLDERS) and not name.startswith(NOT_OFFLINE) and not name.endswith(ONLINE_ONLY)
    ]
    return small_text(
        json.dumps({"version": site_version(), "pages": OFFLINE_PAGES, "usedPages": OFFLINE_PAGES_ONCE_USED,
                    "files": files}), "application/json"
    )  # fmt: skip


@pages.get("/service-worker.js")
def service_worker() -> Response:
    """The service worker, with the site's version written in: a new version is a new worker."""
    tree = assets().current()
    source = tree.files["service_worker.js"].path.read_text(encoding="utf-8")
    response = small_text(source.replace("__SITE_VERSION__", site_version()), "text/javascript; charset=utf-8")
    response.headers["Service-Worker-Allowed"] = "/"
    return response


@pages.get("/manifest.webmanifest")
def manifest() -> Response:
    """What makes the site installable."""
    icons = [
        {"src": assets().url("pages/icons/icon-192.png"), "sizes": "192x192", "type": "image/png"},
        {"src": assets().url("pages/icons/icon-512.png"), "sizes": "512x512", "type": "image/png"},
        {
            "src": assets().url("pages/icons/icon-512.png"),
            "sizes": "512x512",
            "type": "image/png",
            "purpose": "maskable",
        },
    ]
    shortcuts = [{"name": "Scan a document", "url": "/scanner"}]
    body = json.dumps({**MANIFEST, "icons": icons, "shortcuts": shortcuts}, indent=2)
    return small_text(body, "application/manifest+json")


@pages.get("/favicon.ico")
def favicon() -> Response:
    """Browsers that ask for it without being told get the small icon."""
    found: Path = assets().current().files["pages/icons/icon-192.png"].path
    return Response(found.read_bytes(), content_type="image/png", headers={"Cache-Control": "public, max-age=86400"})


@pages.get("/health/live")
def live() -> Response:
    """The process answers."""
    response = jsonify(status="live")
    response.headers["Cache-Control"] = "no-store"
    return response
