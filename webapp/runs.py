"""Running a model for a request: who may, when it is its turn, within its time, and what failed in which words."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from flask import Response, current_app, g, request

from webapp import inputs, security, turns
from webapp.engines import RunError
from webapp.errors import AnswerError
from webapp.gate import Full, Gate, Late
from webapp.metrics import Metrics
from webapp.models import NoPictures
from webapp.pictures import NotAPicture, TooLarge
from webapp.serving import NotReady, Serving, UnknownModel
from webapp.tensors import InferRequest, TensorError

RUN_CODES = {422: "cannot_run", 429: "busy", 502: "engine_failed", 503: "engine_failed", 504: "too_late"}


def serving() -> Serving:
    """The models of the app in hand."""
    return current_app.extensions["inpage_serving"]


def metrics() -> Metrics:
    """The counters of the app in hand."""
    return current_app.extensions["inpage_metrics"]


def reject(status: int, code: str, message: str, *, hint: str = "", retry_s: int | None = None) -> AnswerError:
    """Count a request that is turned away although nothing is wrong with it."""
    metrics().rejects.labels(code).inc()
    return AnswerError(status, code, message, hint=hint, retry_s=retry_s)


def known_number(text: str | None) -> int | None:
    """A version's number from an address."""
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise AnswerError(404, "not_found", "Versions are numbers", hint="See /v2/models/NAME for those there are.")
    return int(text)


@contextmanager
def in_words() -> Iterator[None]:
    """Turn what the inside raises into answers."""
    try:
        yield
    except UnknownModel as error:
        raise AnswerError(404, "not_found", sentence(error), hint="See /api/models for those there are.") from error
    except NotReady as error:
        hint = "The model may still work in the page: see /api/models."
        raise AnswerError(503, "not_ready", f"The model cannot run here: {error}", hint=hint) from error
    except NoPictures as error:
        hint = "Send tensors to /v2/models/NAME/infer instead."
        raise AnswerError(422, "no_pictures", f"The model takes no pictures: {error}", hint=hint) from error
    except TensorError as error:
        raise AnswerError(400, "invalid_request", sentence(error), hint="See /openapi.json for the format.") from error
    except NotAPicture as error:
        raise AnswerError(400, "not_a_picture", sentence(error), hint="Send the bytes of the file.") from error
    except TooLarge as error:
        raise AnswerError(413, "too_large", sentence(error), hint="Make the picture smaller first.") from error
    except Full as error:
        hint = "Try again a little later."
        raise reject(429, "busy", "The server is busy", hint=hint, retry_s=error.retry_s) from None
    except Late:
        raise reject(504, "too_late", "The request's time ran out before it could run") from None
    except RunError as error:
        retry_s = 1 if error.status in (429, 503) else None
        raise AnswerError(error.status, RUN_CODES[error.status], str(error), retry_s=retry_s) from error


def sentence(error: Exception) -> str:
    """The message with a capital."""
    text = str(error.args[0])
    return text[:1].upper() + text[1:]


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
    return metrics().stage(name, g.model, g.stages)


def run(name: str, number: int | None, work: Callable[[Turn, bytes | memoryview], Response]) -> Response:
    """Everything around a run: `work(turn, body)` is called when it is this request's turn."""
    security.refuse_other_sites()
    security.check_key()
    serving().wait_for_first_look()
    gate: Gate = current_app.extensions["inpage_gate"]
    with in_words(), ExitStack() as stack:
        entry = serving().pick(name, number)  # refuse at once what cannot run anyway
        g.model = entry.bundle.name
        if entry.loaded is None:
            raise NotReady(entry.problem)
        if failed := request.environ.get("inpage.failed"):
            raise failed  # on the short way, see lane.py
        security.take_token()
        deadline = inputs.deadline()
        body = inputs.read_body()
        turn = stack.enter_context(ExitStack())
        with stage("queue"):
            turn.enter_context(gate.enter(deadline))
        loaded = stack.enter_context(serving().use(name, number))
        with stage("total"):
            return work(Turn(loaded, g.began, deadline, turn.close, stage, serving().look_soon), body)


def count(response: Response) -> Response:
    """Count the requests that name a model, and what else programs ask for."""
    if request.endpoint in inputs.RUNNING:
        metrics().requests.labels(request.endpoint, g.get("model", ""), str(response.status_code)).inc()
    return response
