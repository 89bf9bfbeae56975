"""The Open Inference Protocol, version 2, over HTTP: what Triton's and KServe's clients speak."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from webapp import runs, security
from webapp.serving import Entry, Serving
from webapp.shared import Shared
from webapp.tensors import NAMES, read_request

v2 = Blueprint("v2", __name__, url_prefix="/v2")


def fresh(body: dict[str, Any], status: int = 200) -> Response:
    """JSON that is true now and may not be kept."""
    response = jsonify(body)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response


def package_version() -> str:
    """The installed version; a checkout that was not installed has none."""
    try:
        return version("paddle-inpage")
    except PackageNotFoundError:
        return "0"


def serving() -> Serving:
    """The models, after the first look at the disk, for whoever may ask."""
    security.refuse_other_sites()
    security.check_key()
    with runs.in_words():
        runs.first_look()
    return runs.serving()


@v2.get("")
def server() -> Response:
    """Server metadata."""
    return fresh({"name": "paddle-inpage", "version": package_version(), "extensions": ["binary_tensor_data"]})


@v2.get("/health/live")
def live() -> Response:
    """The process answers."""
    return fresh({"live": True})


@v2.get("/health/ready")
def ready() -> Response:
    """The models were looked at, and the server is not about to stop. What one model lacks is said at the model."""
    shared: Shared = current_app.extensions["inpage_shared"]
    if shared.stopping:
        return fresh({"ready": False, "reason": "the server is stopping"}, 503)
    found = runs.serving()
    if not found.scanned.is_set():
        if found.thread is not None:
            return fresh({"ready": False, "reason": "the models are being loaded"}, 503)
        found.wait_for_first_look()
    return fresh({"ready": True})


def tensor(entry: dict[str, Any]) -> dict[str, Any]:
    """An input or output as the protocol describes it: -1 for what is known only at run time."""
    shape = [size if isinstance(size, int) and size >= 0 else -1 for size in entry["shape"]]
    return {"name": entry["name"], "datatype": NAMES.get(entry["dtype"], entry["dtype"]), "shape": shape}


def state(entry: Entry) -> dict[str, Any]:
    """What is known of one version: whether it runs, on what, since when, and what is wrong."""
    loaded = entry.loaded
    pages_only = loaded is None and entry.bundle.pages_only
    found: dict[str, Any] = {"version": str(entry.bundle.number), "ready": loaded is not None, "pagesOnly": pages_only}
    if entry.problem:
        found["reason"] = entry.problem
    for name, pending in entry.building.items():
        found["building"] = {"engine": name, **pending.state()}
    if loaded is not None:
        found |= {
            "engine": loaded.engine_name,
            "enginesRefused": loaded.refused,
            "bundle": loaded.bundle.version,
            "onnxSha256": loaded.bundle.onnx_sha256,
            "loadedAt": round(loaded.since, 3),
            "loadMs": round(loaded.load_s * 1000, 1),
        }
    return found


def metadata(name: str, number: str | None) -> Response:
    """Model metadata. The protocol's fields, then `ready`, `serving` and what is known of each version."""
    found = serving()
    with runs.in_words():
        entry = found.pick(name, runs.known_number(number))
        versions = found.versions(name)
    bundle = entry.loaded.bundle if entry.loaded else entry.bundle
    body: dict[str, Any] = {
        "name": bundle.name,
        "versions": [str(other) for other in versions],
        "platform": entry.loaded.engine.platform if entry.loaded else "",
        "inputs": [tensor(declared) for declared in bundle.inputs],
        "outputs": [tensor(declared) for declared in bundle.outputs],
        "ready": entry.loaded is not None,
        "serving": str(bundle.number) if entry.loaded else None,
        "states": [state(other) for other in versions.values()],
    }
    if entry.problem:
        body["reason"] = entry.problem
    return fresh(body)


@v2.get("/models/<name>")
def model(name: str) -> Response:
    """The newest version that can run."""
    return metadata(name, None)


@v2.get("/models/<name>/versions/<number>")
def model_version(name: str, number: str) -> Response:
    """That version."""
    return metadata(name, number)


def readiness(name: str, number: str | None) -> Response:
    """200 when the model can run, else 503 with the reason."""
    with runs.in_words():
        entry = serving().pick(name, runs.known_number(number))
    body = {"name": entry.bundle.name, "ready": entry.loaded is not None}
    return fresh(body, 200) if entry.loaded else fresh({**body, "reason": entry.problem}, 503)


@v2.get("/models/<name>/ready")
def model_ready(name: str) -> Response:
    """Whether any version can run."""
    return readiness(name, None)


@v2.get("/models/<name>/versions/<number>/ready")
def model_version_ready(name: str, number: str) -> Response:
    """Whether that version can run."""
    return readiness(name, number)


def work(turn: runs.Turn, body: bytes | memoryview) -> Response:
    """Read the request's tensors, then run."""
    limit = current_app.config["INPAGE"]["max_dimension"]
    header = request.headers.get("Inference-Header-Content-Length")
    with runs.stage("decode"):
        asked = read_request(body, header, turn.loaded.bundle.inputs, turn.loaded.bundle.outputs, limit)
    return turn.run(asked)


@v2.post("/models/<name>/infer")
def infer(name: str) -> Response:
    """Run the newest version that can run."""
    return runs.run(name, None, work)


@v2.post("/models/<name>/versions/<number>/infer")
def infer_version(name: str, number: str) -> Response:
    """Run that version."""
    return runs.run(name, runs.known_number(number), work)
