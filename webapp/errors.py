"""Every failure's answer: one JSON shape for programs, one page for people.

Under /v2 the Open Inference Protocol wants `error` to be a text; there the same words stand beside it.
"""

from typing import Any

from flask import Flask, Response, current_app, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException, InternalServerError

# Under these, the reader is a program: a script, a worker, a health check.
PROGRAM_PATHS = ("/api/", "/health/", "/models/", "/static/", "/v2/")
PROGRAM_FILES = ("/assets.json", "/service-worker.js", "/manifest.webmanifest", "/metrics", "/openapi.json", "/v2")

WORDS = {
    400: ("bad_request", "This request could not be understood", "Check the address and try again."),
    404: ("not_found", "There is nothing at this address", "It may have moved, or the link is mistyped."),
    405: ("method_not_allowed", "This address does not take that kind of request", "Open it as an ordinary page."),
    413: ("too_large", "That is more than this server accepts", "Pictures stay on your device and need no upload."),
    415: ("unsupported_media", "This server does not take a body of that kind", "See /openapi.json for what it takes."),
    500: ("internal", "Something went wrong on the server", "It has been logged. Please try again in a moment."),
}


class AnswerError(Exception):
    """A failure with its HTTP status, raised by any handler. `message` is one sentence; `hint` is what to do next."""

    def __init__(
        self, status: int, code: str, message: str, *, where: str = "", hint: str = "", retry_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.where, self.hint = status, code, message, where, hint
        self.retry_s = retry_s


def for_program() -> bool:
    """Whether the request in hand comes from a program rather than from a person's address bar."""
    return request.path.startswith(PROGRAM_PATHS) or request.path in PROGRAM_FILES


def shape(code: str, message: str, where: str, hint: str, *, in_protocol: bool) -> dict[str, Any]:
    """The one shape, as an object for JSON."""
    error: dict[str, Any] = {"code": code, "message": message, "where": where, "hint": hint}
    return {**error, "error": f"{message}: {hint}" if hint else message} if in_protocol else {"error": error}


def answer(status: int, code: str, message: str, where: str = "", hint: str = "") -> Response:
    """The one shape: `{"error": {code, message, where, hint}}`, or error.html with the same words."""
    if for_program():
        in_protocol = request.path == "/v2" or request.path.startswith("/v2/")
        response = jsonify(shape(code, message, where or request.path, hint, in_protocol=in_protocol))
    else:
        response = make_response(render_template("error.html", status=status, message=message, hint=hint))
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response


def on_answer_error(error: AnswerError) -> Response:
    """An error that a handler raised on purpose."""
    response = answer(error.status, error.code, error.message, error.where, error.hint)
    if error.retry_s is not None:
        response.headers["Retry-After"] = str(error.retry_s)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def on_http_error(error: HTTPException) -> Response:
    """An error that the framework raised: no such route, wrong method, body too large."""
    if error.response is not None or error.code is None or error.code < 400:
        return error.get_response()
    code, message, hint = WORDS.get(error.code, (f"http_{error.code}", error.name, ""))
    response = answer(error.code, code, message, hint=hint)
    if error.code == 405 and getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def on_crash(error: Exception) -> Response:
    """Anything else is a bug: log it whole, tell the visitor nothing of it."""
    current_app.logger.exception("%s %s failed", request.method, request.path, exc_info=error)
    return on_http_error(InternalServerError())


def install(app: Flask) -> None:
    """Register the handlers."""
    app.register_error_handler(AnswerError, on_answer_error)
    app.register_error_handler(HTTPException, on_http_error)
    app.register_error_handler(Exception, on_crash)
