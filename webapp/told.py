"""What failed while a model was to run, in the words of an answer. Nothing here looks at a request."""

import math

from webapp.bundle import NoPictures
from webapp.engines import RunError
from webapp.errors import AnswerError
from webapp.gate import Full, Late
from webapp.pictures import NotAPicture, TooLarge
from webapp.serving import NotReady, Starting, UnknownModel
from webapp.tensors import TensorError

RUN_CODES = {422: "cannot_run", 429: "busy", 502: "engine_failed", 503: "engine_failed", 504: "too_late"}
TURNED_AWAY = {"busy": "busy", "too_late": "too_late", "too_often": "rate"}  # code -> as it is counted


def sentence(error: Exception) -> str:
    """The message with a capital."""
    text = str(error.args[0])
    return text[:1].upper() + text[1:]


def told(error: Exception) -> AnswerError | None:
    """The answer to what was raised; None for what nobody foresaw."""
    match error:
        case AnswerError():
            return error
        case Full():
            hint = "Try again a little later."
            return AnswerError(429, "busy", "The server is busy", hint=hint, retry_s=error.retry_s)
        case Late():
            return AnswerError(504, "too_late", "The request's time ran out before it could run")
        case RunError():
            retry_s = 1 if error.status in (429, 503) else None
            return AnswerError(error.status, RUN_CODES[error.status], str(error), retry_s=retry_s)
        case UnknownModel():
            return AnswerError(404, "not_found", sentence(error), hint="See /api/models for those there are.")
        case NotReady():
            hint = "The model may still work in the page: see /api/models."
            return AnswerError(503, "not_ready", f"The model cannot run here: {error}", hint=hint)
        case Starting():
            hint = "Try again in a moment."
            return AnswerError(503, "not_ready", "The models are being loaded", hint=hint, retry_s=1)
        case NoPictures():
            hint = "Send tensors to /v2/models/NAME/infer instead."
            return AnswerError(422, "no_pictures", f"The model takes no pictures: {error}", hint=hint)
        case TensorError():
            return AnswerError(400, "invalid_request", sentence(error), hint="See /openapi.json for the format.")
        case NotAPicture():
            return AnswerError(400, "not_a_picture", sentence(error), hint="Send the bytes of the file.")
        case TooLarge():
            return AnswerError(413, "too_large", sentence(error), hint="Make the picture smaller first.")
    return None


def too_slow() -> AnswerError:
    """A body that did not arrive in time, or not whole."""
    return AnswerError(408, "too_slow", "The body did not arrive in time", hint="Try again over a better connection.")


def too_often(wait_s: float, rate_per_s: int) -> AnswerError:
    """A client without a token."""
    hint = f"At most {rate_per_s} a second are taken from one client."
    retry_s = max(1, math.ceil(wait_s))
    return AnswerError(429, "too_often", "Too many requests", hint=hint, retry_s=retry_s)
