"""What makes the site installable and what the service worker keeps."""

import hashlib
import io
import re

import pytest
from flask.testing import FlaskClient
from PIL import Image

from webapp import create_app
from webapp.pages import OFFLINE_PAGES, hash_of_site


def kept(client: FlaskClient) -> set[str]:
    return {entry["url"] for entry in client.get("/assets.json").json["files"]}


def test_worker_has_the_whole_site_as_its_scope(client: FlaskClient):
    answer = client.get("/service-worker.js")
    assert answer.headers["Service-Worker-Allowed"] == "/"
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    version = client.get("/assets.json").json["version"]
    assert f"const VERSION = '{version}'" in answer.text and "__SITE_VERSION__" not in answer.text


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
