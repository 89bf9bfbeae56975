"""The short way of what programs send most: tensors in binary to /v2/models/NAME/infer.

The same checks, limits, words, counters and log line as the long way through Flask, for a fraction of its time. It
takes plain requests only (see plain.py); whatever is unusual goes the long way.
"""

import json
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from http import HTTPStatus
from typing import Protocol

from flask import Flask

from webapp import errors, security
from webapp.engines.rows import Place
from webapp.engines.together import Together
from webapp.errors import AnswerError
from webapp.loading import Loaded
from webapp.logs import log, note, request_id
from webapp.metrics import timed
from webapp.plain import Plain
from webapp.tensors import InferRequest, Layout, read_request
from webapp.told import TURNED_AWAY, told, too_often, too_slow
from webapp.turns import Turn

ROUTE = "v2.infer"
PHRASES = {status.value: status.phrase for status in HTTPStatus}
MOST_LAYOUTS, MOST_WORDS = 64, 2048  # that are kept of a model, and bytes of one
JSON, BINARY = "application/json", "application/octet-stream"
CRASH = AnswerError(500, *errors.WORDS[500][:2], hint=errors.WORDS[500][2])

Headers = list[tuple[str, str]]


class Body(Protocol):
    """A body that is still on its way. It is read once, in one of two ways."""

    first: memoryview  # what came with the head

    def whole(self) -> memoryview:
        """All of it, good until the request ends; shorter when the client goes or is too slow. Raises Full."""

    def into(self, header: int, numbers: memoryview) -> bool:
        """What follows the first `header` bytes, which are in `first`, to where it belongs. Whether all of it came."""


class Lane:
    """Beside Flask's app, and with what belongs to it; only our gunicorn worker has it."""

    def __init__(self, app: Flask) -> None:
        self.values, extensions = app.config["INPAGE"], app.extensions
        self.serving, self.gate = extensions["inpage_serving"], extensions["inpage_gate"]
        self.metrics, self.shared = extensions["inpage_metrics"], extensions["inpage_shared"]
        self.headers = head_lines([*security.HEADERS.items(), ("Cache-Control", "no-store")])
        self.limit = self.values["max_infer_kb"] * 1024
        self.open = not self.values["origins"] and not self.values["api_keys"]

    def fits(self, plain: Plain) -> bool:
        """Whether the model runs here, and nothing else has to be looked at than is looked at here."""
        if not self.open or plain.length > self.limit:
            return False
        return any(entry.loaded for entry in self.serving.table.get(plain.model, {}).values())

    def answer(self, plain: Plain, address: str, began: float, body: Body) -> tuple[int, str, bytes]:
        """Status, lines of the head, and body."""
        stages: dict[str, float] = {}
        identity = request_id(plain.id)
        headers: Headers = [("X-Request-ID", identity)]
        try:
            content, json_length = self.run(plain, address, began, body, stages)
            status, kind = 200, JSON if json_length is None else BINARY
            if json_length is not None:
                headers.append(("Inference-Header-Content-Length", str(json_length)))
        except Exception as error:
            failed = self.refused(error, plain)
            status, kind = failed.status, JSON
            words = errors.shape(failed.code, failed.message, failed.where or plain.path, failed.hint, in_protocol=True)
            content = json.dumps(words).encode()
            if failed.retry_s is not None:
                headers.append(("Retry-After", str(failed.retry_s)))
        headers += [("Content-Type", kind), ("Content-Length", str(len(content)))]
        self.note(plain, identity, status, began, stages)
        return status, self.headers + head_lines(headers), content

    def refused(self, error: Exception, plain: Plain) -> AnswerError:
        """What to answer to what was raised, counted; a bug is logged whole."""
        failed = told(error)
        if failed is None:
            logging.getLogger("webapp").exception("POST %s failed", plain.path, exc_info=error)
            return CRASH
        if failed.code in TURNED_AWAY:
            self.metrics.rejects.labels(TURNED_AWAY[failed.code]).inc()
        return failed

    def run(self, plain: Plain, address: str, began: float, body: Body, stages: dict[str, float]
            ) -> tuple[bytes, int | None]:  # fmt: skip
        """Everything around a run, as in runs.run; who cannot run in time is refused before the body is read."""
        self.take_token(plain, address)
        limit_ms = min(self.values["deadline_ms"], plain.timeout_ms or self.values["deadline_ms"])
        times = began, began + limit_ms / 1000
        stages["queue"] = 0.0
        with self.serving.use(plain.model) as loaded:
            (loaded.engine if loaded.engine.batches else self.gate).refuse(times[1])
            if (found := self.shared_row(loaded, plain, body)) is not None:
                return self.run_in_place(loaded, found, body, times, stages)
        content = body.whole()
        if len(content) < plain.length:
            raise too_slow()
        with self.serving.use(plain.model) as loaded:
            if loaded.engine.batches:  # it has a queue of its own, and reading numbers takes no time
                return self.run_on(loaded, plain, content, times, stages, lambda: None)
            turn = ExitStack()
            with turn:
                with timed("queue", stages):
                    turn.enter_context(self.gate.enter(times[1]))
                return self.run_on(loaded, plain, content, times, stages, turn.close)

    def shared_row(self, loaded: Loaded, plain: Plain, body: Body) -> tuple[Layout, Place] | None:
        """Where the numbers of a request go whose JSON is known by now, if its engine has a row for them."""
        if not isinstance(loaded.engine, Together) or len(body.first) < plain.header:
            return None
        layout = loaded.layouts.get(bytes(body.first[: plain.header]))
        if layout is None or layout.length != plain.length or len(layout.tensors) != 1:
            return None
        place = loaded.engine.place(layout.tensors[0][:3])
        return None if place is None else (layout, place)

    def run_in_place(self, loaded: Loaded, found: tuple[Layout, Place], body: Body, times: tuple[float, float],
                     stages: dict[str, float]) -> tuple[bytes, int | None]:  # fmt: skip
        """The same as `run_on`, for numbers that are read to a place of the engine."""
        layout, place = found
        try:
            if not body.into(layout.tensors[0][3], memoryview(place.array).cast("B")):
                raise too_slow()
            asked = InferRequest({layout.tensors[0][0]: place.array}, layout.outputs, "", layout.timeout_us, place)
            stages["decode"] = 0.0  # the JSON is known, and the numbers are where they belong
            with timed("total", stages):
                return Turn(loaded, *times, lambda: None, stages, self.serving.look_soon).answer(asked)
        finally:
            loaded.engine.give_back(place)

    def run_on(self, loaded: Loaded, plain: Plain, content: memoryview, times: tuple[float, float],
               stages: dict[str, float], give_back: Callable[[], None]) -> tuple[bytes, int | None]:  # fmt: skip
        """The answer's body, and the length of its JSON where binary data follows (else None)."""
        with timed("total", stages):
            with timed("decode", stages):
                asked = self.read(loaded, plain, content)
            return Turn(loaded, *times, give_back, stages, self.serving.look_soon).answer(asked)

    def read(self, loaded: Loaded, plain: Plain, content: memoryview) -> InferRequest:
        """The request's tensors. Raises TensorError."""
        words = bytes(content[: plain.header])
        layout = loaded.layouts.get(words)
        if layout is not None and layout.length == plain.length:
            return layout.read(content)
        of = loaded.bundle
        asked = read_request(content, str(plain.header), of.inputs, of.outputs, self.values["max_dimension"])
        layout = Layout.of(asked, plain.header, plain.length) if len(words) <= MOST_WORDS else None
        if layout is not None and len(loaded.layouts) < MOST_LAYOUTS:
            loaded.layouts[words] = layout
        return asked

    def take_token(self, plain: Plain, address: str) -> None:
        """Raise AnswerError 429 when the client asks more often than it may."""
        rate, proxies = self.values["rate_per_s"], self.values["proxies"]
        if not rate:
            return
        if proxies and len(plain.forwarded) >= proxies:
            address = plain.forwarded[-proxies]
        wait_s = self.shared.take(security.client_of(address), rate, self.values["burst"])
        if wait_s > 0:
            raise too_often(wait_s, rate)

    def note(self, plain: Plain, identity: str, status: int, began: float, stages: dict[str, float]) -> None:
        """Count it, and write its line."""
        self.metrics.count(ROUTE, plain.model, status, stages)
        if log.isEnabledFor(logging.INFO):
            note(logging.INFO, {
                "id": identity, "model": plain.model, "method": "POST", "path": plain.path, "status": status,
                "ms": round((time.monotonic() - began) * 1000, 2), "bytes": plain.length,
                "stagesMs": {part: round(seconds * 1000, 2) for part, seconds in stages.items()},
            })  # fmt: skip


def head_lines(headers: Headers) -> str:
    """Headers as they are sent."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers])


def head_of(status: int, lines: str) -> bytes:
    """The head of an answer."""
    return f"HTTP/1.1 {status} {PHRASES[status]}\r\n{lines}\r\n".encode("latin-1")
