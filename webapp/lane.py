"""The short way of what programs send most: tensors in binary to /v2/models/NAME/infer.

The same checks, limits, counters and log line as the long way through Flask, for a fraction of its time. It takes plain
requests only: whatever is unusual, and whatever goes wrong, is left to the long way, so that every error has one place.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from webapp import security
from webapp.logs import log, request_id
from webapp.tensors import read_request
from webapp.turns import Turn

PATH = re.compile(r"/v2/models/([A-Za-z0-9][A-Za-z0-9._-]{0,99})/infer")
NUMBER = re.compile(r"[1-9][0-9]{0,8}")
# Pages of other sites, compressed or chunked bodies, keys: seldom, and not for here.
UNUSUAL = ("HTTP_ORIGIN", "HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING", "HTTP_AUTHORIZATION", "HTTP_X_API_KEY")
JSON, BINARY = "application/json", "application/octet-stream"

Environ = dict[str, Any]


class Lane:
    """A WSGI app in front of Flask's; only our gunicorn worker has it."""

    def __init__(self, app: Flask) -> None:
        self.long, self.values, extensions = app, app.config["INPAGE"], app.extensions
        self.serving, self.gate = extensions["inpage_serving"], extensions["inpage_gate"]
        self.metrics, self.shared = extensions["inpage_metrics"], extensions["inpage_shared"]
        self.counters: dict[str, Any] = {}
        self.headers = [*security.HEADERS.items(), ("Cache-Control", "no-store")]
        self.limit = self.values["max_infer_kb"] * 1024

    def __call__(self, environ: Environ, start_response: Callable) -> Iterable[bytes]:
        """One request, on the short way or the long one."""
        name = self.fits(environ)
        body = environ["inpage.read"](*sizes(environ)) if name else None
        if name is None or body is None or len(body) < sizes(environ)[0]:
            return self.long(environ, start_response)
        environ["inpage.arrived"]()
        stages: dict[str, float] = {}
        try:
            content, json_length = self.run(name, body, environ, stages)
        except Exception as error:  # told on the long way, in its words
            environ["inpage.failed"] = error
            return self.long(environ, start_response)
        headers = [*self.headers, ("Content-Length", str(len(content))), ("X-Request-ID", environ["inpage.id"])]
        headers.append(("Content-Type", JSON if json_length is None else BINARY))
        if json_length is not None:
            headers.append(("Inference-Header-Content-Length", str(json_length)))
        start_response("200 OK", headers)
        self.note(name, environ, stages)
        return [content]

    def fits(self, environ: Environ) -> str | None:
        """The model's name where the request is plain, the model runs, and its client may ask now."""
        found = PATH.fullmatch(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
        if not found or any(name in environ for name in UNUSUAL) or self.values["origins"] or self.values["api_keys"]:
            return None
        length = environ.get("CONTENT_LENGTH", "")
        if not NUMBER.fullmatch(length) or int(length) > self.limit:
            return None
        if not NUMBER.fullmatch(environ.get("HTTP_INFERENCE_HEADER_CONTENT_LENGTH", "")):
            return None
        if not NUMBER.fullmatch(environ.get("HTTP_TIMEOUT_MS", "1")):
            return None
        name = found.group(1)
        if not any(entry.loaded for entry in self.serving.table.get(name, {}).values()):
            return None
        rate = self.values["rate_per_s"]
        client = security.client_of(environ.get("REMOTE_ADDR", ""))
        return name if not rate or self.shared.take(client, rate, self.values["burst"]) == 0 else None

    def run(self, name: str, body: memoryview, environ: Environ, stages: dict[str, float]) -> tuple[bytes, int | None]:
        """Everything around a run, as in runs.run."""
        began: float = environ["inpage.began"]
        limit_ms = min(self.values["deadline_ms"], int(environ.get("HTTP_TIMEOUT_MS", self.values["deadline_ms"])))
        environ["inpage.id"] = request_id(environ.get("HTTP_X_REQUEST_ID", ""))

        def stage(part: str) -> Any:
            return self.metrics.stage(part, name, stages)

        with ExitStack() as stack:
            turn = stack.enter_context(ExitStack())
            deadline = began + limit_ms / 1000
            with stage("queue"):
                turn.enter_context(self.gate.enter(deadline))
            loaded = stack.enter_context(self.serving.use(name))
            mine = Turn(loaded, began, deadline, turn.close, stage, self.serving.look_soon)
            with stage("total"):
                header = environ["HTTP_INFERENCE_HEADER_CONTENT_LENGTH"]
                with stage("decode"):
                    bundle = loaded.bundle
                    asked = read_request(body, header, bundle.inputs, bundle.outputs, self.values["max_dimension"])
                return mine.answer(asked)

    def note(self, name: str, environ: Environ, stages: dict[str, float]) -> None:
        """Count it, and write its line."""
        counter = self.counters.get(name)
        if counter is None:
            counter = self.counters[name] = self.metrics.requests.labels("v2.infer", name, "200")
        counter.inc()
        if log.isEnabledFor(logging.INFO):
            about = {
                "id": environ["inpage.id"], "model": name, "method": "POST", "path": environ["PATH_INFO"],
                "status": 200, "ms": round((time.monotonic() - environ["inpage.began"]) * 1000, 2),
                "bytes": int(environ["CONTENT_LENGTH"]),
                "stagesMs": {part: round(seconds * 1000, 2) for part, seconds in stages.items()},
            }  # fmt: skip
            log.info("request", extra=about)


def sizes(environ: Environ) -> tuple[int, int]:
    """Bytes of the body, and of the JSON at its beginning."""
    return int(environ["CONTENT_LENGTH"]), int(environ["HTTP_INFERENCE_HEADER_CONTENT_LENGTH"])


def in_front_of(app: Flask) -> Callable[[Environ, Callable], Iterable[bytes]]:
    """The app with the short way before it, behind as many proxies as it believes."""
    lane, proxies = Lane(app), app.config["INPAGE"]["proxies"]
    return ProxyFix(lane, x_for=proxies, x_proto=0) if proxies else lane
