"""What pages and programs of this project ask for: the list of models, a picture's result, the state of the server."""

import time
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from webapp import pictures, runs, security
from webapp.bundle import picture_spec
from webapp.errors import AnswerError
from webapp.models import Models
from webapp.openapi import document
from webapp.tensors import InferRequest
from webapp.v2 import fresh, package_version, serving, state

api = Blueprint("api", __name__)

PICTURE_TYPES = {"image/jpeg", "image/png", "image/webp", "application/octet-stream", ""}


@api.get("/api/models")
def list_models() -> Response:
    """Every installed bundle: `{models: [{name, ready, url, bytes, inputs, outputs, …} | {name, ready, problem}]}`."""
    models: Models = current_app.extensions["inpage_models"]
    response = jsonify(models=[bundle.describe() for bundle in models.all()])
    response.headers["Cache-Control"] = "no-cache"
    return response


def work(turn: runs.Turn, body: bytes | memoryview) -> Response:
    """Decode the picture, make it the model's input as the bundle says, run."""
    settings = current_app.config["INPAGE"]
    max_pixels, max_side = settings["max_megapixels"] * 1_000_000, settings["max_dimension"]
    bundle = turn.loaded.bundle
    spec = picture_spec(bundle)
    with runs.stage("decode"):
        rgba = pictures.decode(body, max_pixels, max_side)
    with runs.stage("preprocess"):
        feeds = {spec["input"]: pictures.tensor(spec, rgba, max_pixels, max_side)}
    wanted = request.accept_mimetypes
    binary = wanted["application/octet-stream"] > wanted["application/json"]
    return turn.run(InferRequest(feeds, dict.fromkeys((entry["name"] for entry in bundle.outputs), binary)))


@api.post("/api/models/<name>/predict")
def predict(name: str) -> Response:
    """The model's outputs for a JPEG, PNG or WebP file; `?version=N` picks a version."""
    if request.mimetype not in PICTURE_TYPES:
        hint = "Send the file itself as the body, as image/jpeg, image/png or image/webp."
        raise AnswerError(415, "unsupported_media", "This address takes a picture", hint=hint)
    return runs.run(name, runs.known_number(request.args.get("version")), work)


@api.get("/api/status")
def status() -> Response:
    """What the status page shows: this process's models, the counters of all processes."""
    found = serving()
    shared = current_app.extensions["inpage_shared"]
    names = sorted({name for name, _, _ in found.entries()})
    models: list[dict[str, Any]] = []
    for name in names:
        states = [state(entry) for entry in found.versions(name).values()]
        ready = [entry["version"] for entry in states if entry["ready"]]
        models.append({"name": name, "serving": ready[-1] if ready else None, "versions": states})
    return fresh(
        {
            "version": package_version(),
            "upSeconds": round(time.time() - shared.started, 1),
            "stopping": shared.stopping,
            "models": models,
            **runs.metrics().summary(),
        }
    )


@api.get("/metrics")
def prometheus() -> Response:
    """The counters of all processes, for Prometheus."""
    security.check_key()
    text, content_type = runs.metrics().text()
    return Response(text, content_type=content_type, headers={"Cache-Control": "no-store"})


@api.get("/openapi.json")
def openapi() -> Response:
    """What this server offers to programs, as an OpenAPI 3.1 document."""
    response = jsonify(document(package_version()))
    response.headers["Cache-Control"] = "no-cache"
    return response
