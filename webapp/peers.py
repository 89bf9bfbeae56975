"""Other runtimes for the lab to compare with: files of npm packages on this machine, and the models as ONNX.

They are no part of this project: `INPAGE_PEERS` names the folder where the operator installed them. Without it, none of
these addresses is there.
"""

import re
from pathlib import Path

from flask import Blueprint, Response, current_app, send_file

from webapp.errors import AnswerError
from webapp.pages import models

peers = Blueprint("peers", __name__, url_prefix="/lab/peers")

RUNTIME = re.compile(r"ort[\w.-]*\.(mjs|wasm)")
TYPES = {"mjs": "text/javascript", "wasm": "application/wasm"}


@peers.get("/onnxruntime-web/<name>")
def runtime_file(name: str) -> Response:
    """A module of ONNX Runtime Web, or the WebAssembly that it fetches."""
    kind = RUNTIME.fullmatch(name)
    path = Path(current_app.config["INPAGE"]["peers"], "onnxruntime-web", "dist", name).resolve()
    if not kind or not path.is_file():
        raise AnswerError(404, "not_found", "onnxruntime-web has no such file", where=name)
    return send_file(path, mimetype=TYPES[kind[1]], max_age=0)


@peers.get("/models/<name>.onnx")
def model_onnx(name: str) -> Response:
    """The model as ONNX, as it lies in the bundle."""
    bundle = next((version for version in models().versions(name) if version.onnx_sha256), None)
    if bundle is None:
        hint = "Convert the model with --target web --target onnx."
        raise AnswerError(404, "not_found", "There is no such model with a sound model.onnx", where=name, hint=hint)
    return send_file((bundle.folder / "model.onnx").resolve(), mimetype="application/octet-stream", max_age=0)
