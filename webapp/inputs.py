"""A request's body -> checked bytes, and when its time is up."""

import re
from collections.abc import Callable

from flask import current_app, g, request
from werkzeug.exceptions import ClientDisconnected

from webapp.errors import AnswerError
from webapp.told import too_slow

RUNNING = ("v2.infer", "v2.infer_version", "api.predict")  # endpoints with the larger limit


def body_limit() -> int:
    """Bytes that the endpoint in hand takes."""
    settings = current_app.config["INPAGE"]
    return settings["max_infer_kb" if request.endpoint in RUNNING else "max_body_kb"] * 1024


def refuse_large_body() -> None:
    """Refuse a body above the limit from its header alone, before any of it is read; bound what has no such header."""
    limit = body_limit()
    request.max_content_length = limit
    if request.content_length is not None and request.content_length > limit:
        raise too_large(limit)


def too_large(limit: int) -> AnswerError:
    """413, with the limit."""
    return AnswerError(413, "too_large", "That is more than this server accepts", hint=f"Send at most {limit} bytes.")


def read_body() -> bytes | memoryview:
    """The whole body; good until the request ends.

    Raises AnswerError: 415 when it is compressed, 408 when it did not arrive in time. Raises Full where too many large
    ones are in memory.
    """
    if request.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        hint = "Send the body as it is, without Content-Encoding."
        raise AnswerError(415, "compressed", "This server does not take compressed bodies", hint=hint)
    take: Callable[[int], None] | None = request.environ.get("inpage.take")
    if take is not None and request.content_length is None:
        take(body_limit())  # in pieces, so it may become as long as that
    try:
        content = read_directly() or request.get_data(cache=False)
    except (ClientDisconnected, OSError) as error:
        raise too_slow() from error
    if len(content) < (request.content_length or 0):
        raise too_slow()  # gunicorn's stream just ends when the client is cut off
    arrived: Callable[[], None] | None = request.environ.get("inpage.arrived")
    if arrived is not None:
        arrived()  # the server stops watching this client's pace
    return content


def read_directly() -> memoryview | None:
    """The body by the short way that our gunicorn worker offers, where its length is known."""
    read: Callable[[int, int], memoryview | None] | None = request.environ.get("inpage.read")
    if read is None or not request.content_length:
        return None
    header = request.headers.get("Inference-Header-Content-Length", "")
    return read(request.content_length, int(header) if re.fullmatch(r"[0-9]{1,9}", header) else 0)


def deadline() -> float:
    """When the request's time is up (time.monotonic): the setting, or sooner if the client says so."""
    limit_ms: int = current_app.config["INPAGE"]["deadline_ms"]
    text = request.headers.get("timeout-ms")
    if text is not None:
        if not text.isascii() or not text.isdecimal() or not 0 < len(text) <= 9 or int(text) == 0:
            hint = "Leave it out, or send a whole number of milliseconds."
            raise AnswerError(400, "invalid_request", "The header timeout-ms is not a time", hint=hint)
        limit_ms = min(limit_ms, int(text))
    return g.began + limit_ms / 1000
