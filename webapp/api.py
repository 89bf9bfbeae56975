"""JSON for programs."""

from flask import Blueprint, Response, current_app, jsonify

from webapp.models import Models

api = Blueprint("api", __name__, url_prefix="/api")


@api.get("/models")
def list_models() -> Response:
    """Every installed bundle: `{models: [{name, ready, url, bytes, inputs, outputs, …} | {name, ready, problem}]}`."""
    models: Models = current_app.extensions["inpage_models"]
    response = jsonify(models=[bundle.describe() for bundle in models.all()])
    response.headers["Cache-Control"] = "no-cache"
    return response
