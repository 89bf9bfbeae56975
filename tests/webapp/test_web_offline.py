"""What makes the site installable and what the service worker keeps."""

import hashlib
import io
import re

import pytest
from flask.testing import FlaskClient
from PIL import Image

from webapp import create_app
from webapp.pages import OFFLINE_PAGES, hash_of_site, when_kept


def kept(client: FlaskClient) -> set[str]:
    return {entry["url"] for entry in client.get("/assets.json").json["files"] if entry["keep"] == "always"}


def test_what_only_some_devices_need_is_kept_once_it_was_used():
    names = {
        "runtime/engine.js": "always", "runtime/ops/conv/wasm.js": "always", "pages/scanner/finder.js": "always",
        "pages/home.js": "always", "runtime/webgpu/kernels/conv.js": "used", "runtime/gpu/plan.js": "used",
        "runtime/ops/conv/webgl.js": "used", "runtime/ops/recurrent/index.js": "used", "runtime/ops/node.js": "always",
        "pages/lab/lab.js": "used", "pages/icons/icon.svg": "always",
        "runtime/wasm/kernels.wasm": "relaxed", "runtime/wasm/kernels.strict.wasm": "strict",
    }  # fmt: skip
    assert {name: when_kept(name) for name in names} == names


def test_worker_has_the_whole_site_as_its_scope(client: FlaskClient):
    answer = client.get("/service-worker.js")
    assert answer.headers["Service-Worker-Allowed"] == "/"
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    version = client.get("/assets.json").json["version"]
    assert f"const VERSION = '{version}'" in answer.text and "__SITE_VERSION__" not in answer.text


@pytest.mark.browser
def test_the_scanners_model_needs_nothing_that_is_not_kept_at_once(browser, server: str, client: FlaskClient):
    context = browser.new_context(service_workers="block")
    try:
        page, asked = context.new_page(), []
        detector = client.application.extensions["inpage_assets"].url("pages/scanner/detect.js")
        context.on("request", lambda request: asked.append(request.url.removeprefix(server)))
        page.goto(server)
        page.evaluate(f"""async () => {{
          const {{ detectDocument }} = await import('{detector}');
          await detectDocument({{ data: new Uint8ClampedArray(4 * 64 * 64), width: 64, height: 64 }});
        }}""")
    finally:
        context.close()
    files = {entry["url"]: entry["keep"] for entry in client.get("/assets.json").json["files"]}
    needed = {url for url in asked if url.startswith("/static/")}
    assert any("/runtime/wasm/kernels" in url for url in needed)
    assert not {url for url in needed if files.get(url) not in ("always", "relaxed")}


@pytest.mark.parametrize("page", OFFLINE_PAGES)
def test_everything_a_kept_page_names_is_kept(client: FlaskClient, page: str):
    html = client.get(page).text
    named = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', html))
    assert named and named <= kept(client)


def test_every_listed_file_is_there_with_its_hash(client: FlaskClient):
    files = client.get("/assets.json").json["files"]
    assert len(files) > 5
    for entry in files:
        answer = client.get(entry["url"])
        assert answer.status_code == 200, entry["url"]
        assert "immutable" in answer.headers["Cache-Control"]
        assert hashlib.sha256(answer.data).hexdigest() == entry["sha256"] and len(answer.data) == entry["bytes"]


def test_a_changed_template_is_a_new_version():
    environment = create_app().jinja_env
    before = hash_of_site("tree", environment)
    original = environment.loader.get_source

    def get_source(environment, name):
        source, *rest = original(environment, name)
        return (source + "<!-- edited -->" if name == "home.html" else source, *rest)

    environment.loader.get_source = get_source
    assert hash_of_site("tree", environment) != before
    assert hash_of_site("another tree", environment) != hash_of_site("tree", environment)


def test_manifest_and_icons(client: FlaskClient):
    answer = client.get("/manifest.webmanifest")
    assert answer.mimetype == "application/manifest+json"
    manifest = answer.get_json(force=True)
    assert manifest["start_url"] == "/" and manifest["display"] == "standalone"
    assert {"any", "maskable"} == {icon.get("purpose", "any") for icon in manifest["icons"]}
    for icon in manifest["icons"]:
        picture = Image.open(io.BytesIO(client.get(icon["src"]).data))
        assert f"{picture.width}x{picture.height}" == icon["sizes"]
        assert icon["src"] in kept(client)
