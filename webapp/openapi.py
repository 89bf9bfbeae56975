"""What this server offers to programs, as an OpenAPI 3.1 document. The tests hold the server to it."""

from typing import Any

from webapp.tensors import DTYPES, MAX_ID, MAX_RANK, MAX_TENSORS

Schema = dict[str, Any]
NAME = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"}
NUMBER = {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"}
PICTURE = {"type": "string", "format": "binary"}


def ref(name: str) -> Schema:
    """A schema by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: str, optional: str = "", /, **properties: Schema) -> Schema:
    """An object; the names of its fields, then their schemas."""
    names = [*required.split(), *optional.split()]
    if sorted(names) != sorted(properties):
        raise ValueError(f"{sorted(set(names) ^ set(properties))} is listed or described, not both")
    return {"type": "object", "required": required.split(), "properties": properties}


def listed(item: Schema, **limits: int) -> Schema:
    """An array."""
    return {"type": "array", "items": item, **limits}


TEXT, FLAG, COUNT, NUM = {"type": "string"}, {"type": "boolean"}, {"type": "integer", "minimum": 0}, {"type": "number"}
DATATYPE = {"type": "string", "enum": list(DTYPES)}

PARAMETERS = {"type": "object", "properties": {
    "binary_data_size": COUNT, "binary_data": FLAG, "binary_data_output": FLAG,
    "timeout": {"type": "integer", "minimum": 1, "description": "Microseconds."}}}  # fmt: skip

SCHEMAS: dict[str, Schema] = {
    "Error": record("error", error=record("code message where hint", code=TEXT, message=TEXT, where=TEXT, hint=TEXT)),
    "ProtocolError": record(
        "error code message where hint", error=TEXT, code=TEXT, message=TEXT, where=TEXT, hint=TEXT
    ),
    "Server": record("name version extensions", name=TEXT, version=TEXT, extensions=listed(TEXT)),
    "Live": record("live", live=FLAG),
    "Ready": record("ready", "name reason", ready=FLAG, name=TEXT, reason=TEXT),
    "Tensor": record("name datatype shape", name=TEXT, datatype=TEXT, shape=listed({"type": "integer", "minimum": -1})),
    "Building": record("engine stage", "steps seconds reason",
                       engine=TEXT, stage=TEXT, steps=COUNT, seconds=NUM, reason=TEXT),
    "Version": record(
        "version ready pagesOnly", "reason engine enginesRefused building bundle onnxSha256 loadedAt loadMs",
        building=ref("Building"),
        version=TEXT, ready=FLAG, pagesOnly=FLAG, reason=TEXT, engine=TEXT, enginesRefused=listed(TEXT), bundle=TEXT,
        onnxSha256=TEXT, loadedAt=NUM, loadMs=NUM,
    ),
    "Model": record(
        "name versions platform inputs outputs ready serving states", "reason",
        name=TEXT, versions=listed(TEXT), platform=TEXT, inputs=listed(ref("Tensor")), outputs=listed(ref("Tensor")),
        ready=FLAG, serving={"type": ["string", "null"]}, states=listed(ref("Version")), reason=TEXT,
    ),
    "InferInput": record(
        "name datatype shape", "data parameters",
        name=TEXT, datatype=DATATYPE, shape=listed({"type": "integer", "minimum": 1}, maxItems=MAX_RANK),
        data={"type": "array"}, parameters=PARAMETERS,
    ),
    "InferRequest": record(
        "inputs", "id outputs parameters",
        id={"type": "string", "maxLength": MAX_ID}, inputs=listed(ref("InferInput"), maxItems=MAX_TENSORS),
        outputs=listed(record("name", "parameters", name=TEXT, parameters=PARAMETERS), maxItems=MAX_TENSORS),
        parameters=PARAMETERS,
    ),
    "InferOutput": record(
        "name datatype shape", "data parameters",
        name=TEXT, datatype=DATATYPE, shape=listed(COUNT), data={"type": "array"}, parameters=PARAMETERS,
    ),
    "InferResponse": record(
        "model_name model_version outputs", "id",
        model_name=TEXT, model_version=TEXT, id=TEXT, outputs=listed(ref("InferOutput")),
    ),
    "Bundles": record("models", models=listed(record(
        "name number ready", "problem url immutableUrl bytes precision inputs outputs labels operators operatorTypes",
        name=TEXT, number=COUNT, ready=FLAG, problem=TEXT, url=TEXT, immutableUrl=TEXT, bytes=COUNT, precision=TEXT,
        inputs=listed({"type": "object"}), outputs=listed({"type": "object"}), labels=COUNT, operators=COUNT,
        operatorTypes=listed(TEXT),
    ))),
    "Status": record(
        "version upSeconds stopping models requests rejects running waiting processes stages batches",
        version=TEXT, upSeconds=NUM, stopping=FLAG, requests={"type": "object", "additionalProperties": COUNT},
        rejects={"type": "object", "additionalProperties": COUNT}, running=COUNT, waiting=COUNT, processes=COUNT,
        models=listed(record("name serving versions", name=TEXT, serving={"type": ["string", "null"]},
                             versions=listed(ref("Version")))),
        batches={"type": "object", "additionalProperties": record("count meanRows", count=COUNT, meanRows=NUM)},
        stages={"type": "object",
                "additionalProperties": record("count p50Ms p95Ms", count=COUNT, p50Ms=NUM, p95Ms=NUM)},
    ),
}  # fmt: skip

REASONS = {
    400: "The request is not what this document says.",
    401: "A key is needed.",
    403: "The request comes from a page of another site.",
    404: "There is no such model or version.",
    408: "The body did not arrive in time.",
    413: "The body or the picture is too large.",
    415: "The body is compressed, or of another kind.",
    422: "The model cannot run on this input.",
    429: "The server is busy, or this client asks too often; Retry-After says when to try again.",
    502: "The other server, which runs this model, failed.",
    503: "The model cannot run now.",
    504: "The request's time ran out.",
}
ASKING = (401, 403)
RUNNING = (400, 401, 403, 404, 408, 413, 415, 422, 429, 502, 503, 504)


def content(schema: Schema, kind: str = "application/json") -> Schema:
    """A body."""
    return {kind: {"schema": schema}}


def answers(good: Schema, what: str, failures: tuple[int, ...], error: str) -> Schema:
    """200 and what can go wrong; 413 can go wrong everywhere a body is sent."""
    found: Schema = {"200": {"description": what, "content": good}}
    for status in sorted({*failures, 413}):
        found[str(status)] = {"description": REASONS[status], "content": content(ref(error))}
        if status == 429:
            found["429"]["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}}
    return found


def get(summary: str, schema: Schema, *failures: int, error: str = "Error", secured: bool = True) -> Schema:
    """A GET that answers JSON."""
    operation = {"summary": summary, "responses": answers(content(schema), summary, failures, error)}
    return {"get": operation if secured else {**operation, "security": []}}


def path_parameter(name: str, schema: Schema) -> Schema:
    """A part of the address."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


def header(name: str, schema: Schema, description: str) -> Schema:
    """An optional header."""
    return {"name": name, "in": "header", "schema": schema, "description": description}


TIMEOUT = header("timeout-ms", {"type": "integer", "minimum": 1, "maximum": 999_999_999}, "Milliseconds it may wait.")
LENGTH = header("Inference-Header-Content-Length", COUNT, "Bytes of JSON before the binary data.")


def infer() -> Schema:
    """Run a model on tensors."""
    both = content(ref("InferRequest")) | content(PICTURE, "application/octet-stream")
    good = content(ref("InferResponse")) | content(PICTURE, "application/octet-stream")
    return {"post": {
        "summary": "Run a model on tensors",
        "description": "JSON, or with Inference-Header-Content-Length JSON followed by the tensors' bytes.",
        "parameters": [TIMEOUT, LENGTH],
        "requestBody": {"required": True, "content": both},
        "responses": answers(good, "The outputs", RUNNING, "ProtocolError"),
    }}  # fmt: skip


def predict() -> Schema:
    """Run a model on a picture."""
    kinds = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
    good = content(ref("InferResponse")) | content(PICTURE, "application/octet-stream")
    version = {"name": "version", "in": "query", "schema": NUMBER}
    return {"post": {
        "summary": "Run a model on a picture",
        "description": "The file's bytes; resized and normalised as the model's bundle says.",
        "parameters": [TIMEOUT, version],
        "requestBody": {"required": True, "content": {kind: {"schema": PICTURE} for kind in kinds}},
        "responses": answers(good, "The outputs", RUNNING, "Error"),
    }}  # fmt: skip


def paths() -> dict[str, Schema]:
    """Every address for programs."""
    model, version = path_parameter("model", NAME), path_parameter("version", NUMBER)
    by_model: dict[str, Schema] = {
        "": get("A model", ref("Model"), *ASKING, 404, error="ProtocolError"),
        "/ready": get("Whether a model can run", ref("Ready"), *ASKING, 404, error="ProtocolError"),
        "/infer": infer(),
    }
    by_model["/ready"]["get"]["responses"]["503"] = {"description": "It cannot.", "content": content(ref("Ready"))}
    ready = get("Whether the server takes requests", ref("Ready"), error="ProtocolError", secured=False)
    ready["get"]["responses"]["503"] = {"description": "It does not.", "content": content(ref("Ready"))}
    found: dict[str, Schema] = {
        "/v2": get("The server", ref("Server"), error="ProtocolError", secured=False),
        "/v2/health/live": get("Whether the process answers", ref("Live"), error="ProtocolError", secured=False),
        "/v2/health/ready": ready,
    }
    for end, operation in by_model.items():
        found[f"/v2/models/{{model}}{end}"] = {**operation, "parameters": [model]}
        found[f"/v2/models/{{model}}/versions/{{version}}{end}"] = {**operation, "parameters": [model, version]}
    found["/api/models"] = get("The installed bundles", ref("Bundles"), secured=False)
    found["/api/models/{model}/predict"] = {**predict(), "parameters": [model]}
    found["/api/status"] = get("Models and counters", ref("Status"), *ASKING)
    return found


def document(version: str) -> Schema:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Paddle InPage",
            "version": version,
            "description": "Runs the installed models for browsers that cannot: the Open Inference Protocol, "
            "version 2, and an address that takes pictures.",
        },
        "paths": paths(),
        "security": [{}, {"bearer": []}, {"key": []}],
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }
