"""The OpenAPI document is true: schemathesis asks what it allows, and holds the answers to it."""


import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from serving_helpers import json_request, mean_model, noise, picture_bytes, write_bundle

from webapp import create_app


def no_failure_but_promised_ones(ctx, response, case):
    """Not ready: an embedded model that runs in pages only. Too late: a time that the request itself set."""
    if response.status_code in (503, 504):
        body = response.json()
        found = body.get("error") if isinstance(body.get("error"), dict) else body
        if found.get("code") == "not_ready" or found.get("ready") is False:
            return None
        if found.get("code") == "too_late" and "timeout-ms" in {name.lower() for name in case.headers or {}}:
            return None
    return not_a_server_error(ctx, response, case)


# What a schema cannot say (a shape that fits its data, a picture) is tested by example; so the checks are these.
CHECKS = [no_failure_but_promised_ones, status_code_conformance, content_type_conformance, response_headers_conformance,
          response_schema_conformance, unsupported_method]  # fmt: skip
BOUNDED = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("openapi") / "models"
    write_bundle(folder / "mean", mean_model(1))
    return create_app({"models": [str(folder)], "rate_per_s": 0})


@pytest.fixture(scope="module")
def document(app) -> dict:
    return app.test_client().get("/openapi.json").json


@pytest.fixture
def any_name(app):
    """The document as it is: mostly names of models that are not there."""
    return schemathesis.openapi.from_wsgi("/openapi.json", app)


@pytest.fixture
def this_name(app, document):
    """The document with the one model and version that are there."""
    text = {**document, "paths": {path: dict(item) for path, item in document["paths"].items()}}
    for item in text["paths"].values():
        if "parameters" in item:
            known = {"model": "mean", "version": "1"}
            item["parameters"] = [
                {**given, "schema": {"type": "string", "enum": [known[given["name"]]]}} for given in item["parameters"]
            ]
    schema = schemathesis.openapi.from_dict(text)
    schema.app = app
    return schema


def ask_everything(schema) -> int:
    """Ask every address a bounded number of times; the number of addresses."""
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @BOUNDED
        @given(case=operation.as_strategy())
        def ask(case):
            case.call_and_validate(checks=CHECKS)

        ask()
        asked += 1
    return asked


def test_any_request_is_answered_as_written(any_name, document):
    assert ask_everything(any_name) == len(document["paths"])


def test_requests_to_a_model_are_answered_as_written(this_name, document):
    assert ask_everything(this_name) == len(document["paths"])


def test_every_address_for_programs_is_in_the_document(app, document):
    rules = {
        str(rule).replace("<name>", "{model}").replace("<number>", "{version}")
        for rule in app.url_map.iter_rules()
        if str(rule).startswith(("/v2", "/api/"))
    }
    assert rules == set(document["paths"])


def test_the_document_names_no_schema_that_is_not_there(document):
    text = str(document)
    named = {part.split("'")[0] for part in text.split("#/components/schemas/")[1:]}
    assert named == set(document["components"]["schemas"])


@pytest.mark.parametrize("path", ["/v2/models/mean/infer", "/api/models/mean/predict"])
def test_a_sound_request_gets_what_the_document_promises(app, document, path: str):
    schema = schemathesis.openapi.from_dict(document)
    operation = schema[path.replace("mean", "{model}")]["POST"]
    client = app.test_client()
    body = {"json": json_request(noise())} if path.startswith("/v2") else {"data": picture_bytes()}
    answer = client.post(path, **body)
    assert answer.status_code == 200
    operation.validate_response(schemathesis.Response.from_any(answer))
