"""Running a model for a request: who may, when it is its turn, within its time, and what failed in which words."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from flask import Response, current_app, g, request

from webapp import inputs, security, turns
from webapp.errors import AnswerError
from webapp.gate import Gate
from webapp.metrics import Metrics, timed
from webapp.serving import NotReady, Serving
from webapp.tensors import InferRequest
from webapp.told import TURNED_AWAY, told


def serving() -> Serving:
    """The models of the app in hand."""
    return current_app.extensions["inpage_serving"]


def metrics() -> Metrics:
    """The counters of the app in hand."""
    return current_app.extensions["inpage_metrics"]


def known_number(text: str | None) -> int | None:
    """A version's number from an address."""
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise AnswerError(404, "not_found", "Versions are numbers", hint="See /v2/models/NAME for those there are.")
    return int(text)


def first_look() -> None:
    """Wait until the models are there, for as long as the request has. Raises Starting."""
    serving().wait_for_first_look(current_app.config["INPAGE"]["deadline_ms"] / 1000)


@contextmanager
def in_words() -> Iterator[None]:
    """Turn what the inside raises into answers, and count who is turned away although nothing is wrong."""
    try:
        yield
    except Exception as error:
        answer = told(error)
        if answer is not None and answer.code in TURNED_AWAY:
            metrics().rejects.labels(TURNED_AWAY[answer.code]).inc()
        if answer is None or answer is error:
            raise
        raise answer from error


class Turn(turns.Turn):
    """The same, with an answer for Flask."""

    def run(self, asked: InferRequest) -> Response:
        """Run, and write the answer in the protocol's form: JSON, or JSON with binary data behind it."""
        body, json_length = self.answer(asked)
        kind = "application/json" if json_length is None else "application/octet-stream"
        response = Response(body, content_type=kind)
        if json_length is not None:
            response.headers["Inference-Header-Content-Length"] = str(json_length)
        response.headers["Cache-Control"] = "no-store"
        return response


def stage(name: str) -> AbstractContextManager[None]:
    """Time a part of the request in hand."""
    return timed(name, g.stages)


def run(name: str, number: int | None, work: Callable[[Turn, bytes | memoryview], Response]) -> Response:
    """Everything around a run: `work(turn, body)` is called when it is this request's turn."""
    security.refuse_other_sites()
    security.check_key()
    gate: Gate = current_app.extensions["inpage_gate"]
    with in_words(), ExitStack() as stack:
        first_look()
        entry = serving().pick(name, number)  # refuse at once what cannot run anyway
        g.model = entry.bundle.name
        if entry.loaded is None:
            raise NotReady(entry.problem)
        security.take_token()
        deadline = inputs.deadline()
        (entry.loaded.engine if entry.loaded.engine.batches else gate).refuse(deadline)
        body = inputs.read_body()
        turn = stack.enter_context(ExitStack())
        with stage("queue"):
            turn.enter_context(gate.enter(deadline))
        loaded = stack.enter_context(serving().use(name, number))
        with stage("total"):
            return work(Turn(loaded, g.began, deadline, turn.close, g.stages, serving().look_soon), body)


def count(response: Response) -> Response:
    """Count the requests to run a model, and what each part of one took."""
    if request.endpoint in inputs.RUNNING:
        metrics().count(request.endpoint, g.get("model", ""), response.status_code, g.stages)
    return response
