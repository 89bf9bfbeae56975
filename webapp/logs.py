"""One JSON object per line, with the request's id: never a picture, a tensor, a key or a query."""

import json
import logging
import os
import re
import threading
import time
from functools import lru_cache
from typing import Any

from flask import Flask, Response, g, has_request_context, request

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
EXTRAS = ("model", "version", "engine", "route", "method", "path", "status", "ms", "stagesMs", "bytes", "leftOut")
MAX_PATH = 200
MOST_REFUSALS = 20  # lines a second in each process

log = logging.getLogger("webapp.requests")


@lru_cache(maxsize=2)
def day_and_second(seconds: int) -> str:
    """A time as ISO 8601 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "logger", "message", "process", "request"?, …}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in the message."""
        line: dict[str, Any] = {
            "time": f"{day_and_second(int(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if has_request_context() and "request_id" in g:
            line["request"] = g.request_id
        elif "id" in vars(record):
            line["request"] = vars(record)["id"]
        line.update({name: vars(record)[name] for name in EXTRAS if name in vars(record)})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configuration(level: str, form: str) -> dict[str, Any]:
    """For logging.config: everything, gunicorn's messages included, to standard error in one form."""
    forms = {
        "json": {"()": "webapp.logs.JsonFormatter"},
        "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
    }
    passed_on = {"level": level.upper(), "handlers": [], "propagate": True}
    silent = {"level": "CRITICAL", "handlers": [], "propagate": False}  # requests are logged here, with their id
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": forms[form]},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {"gunicorn.error": passed_on, "gunicorn.access": silent},
    }


def request_id(given: str) -> str:
    """The caller's own where it is a sound one, else a new one."""
    return given if REQUEST_ID.fullmatch(given) else os.urandom(16).hex()


class Sparing:
    """So many lines a second of what comes in floods; the next one says how many were left out."""

    def __init__(self, most: int) -> None:
        self.most, self.lock = most, threading.Lock()
        self.second = self.lines = self.left_out = 0

    def left_out_before(self, now: float) -> int | None:
        """How many were left out before this one; None where it is left out itself."""
        with self.lock:
            if int(now) != self.second:
                self.second, self.lines = int(now), 0
            if self.lines >= self.most:
                self.left_out += 1
                return None
            self.lines += 1
            found, self.left_out = self.left_out, 0
            return found


refusals = Sparing(MOST_REFUSALS)


def note(level: int, about: dict[str, Any]) -> None:
    """A request's line: as `log.log(level, "request", extra=about)`, without looking for who calls. Not every refusal
    of a busy server has one: they would fill the disk, and take the time of those who are served.
    """
    if about["status"] == 429:
        left_out = refusals.left_out_before(time.monotonic())
        if left_out is None:
            return
        about["leftOut"] = left_out
    log.handle(log.makeRecord(log.name, level, "", 0, "request", (), None, extra=about))


def begin() -> None:
    """Give the request its id: the caller's own when it is a sound one."""
    g.request_id = request_id(request.headers.get("X-Request-ID", ""))
    g.began = request.environ.get("inpage.began") or time.monotonic()  # what waited for a thread began before
    g.stages = {}


def end(response: Response) -> Response:
    """Say the id again, and write the request's line: for programs that run models always, else for debugging."""
    response.headers["X-Request-ID"] = g.request_id
    took_s = time.monotonic() - g.began
    level = logging.INFO if "model" in g else logging.DEBUG
    if log.isEnabledFor(level):
        about = {
            "method": request.method,
            "path": request.path[:MAX_PATH],
            "status": response.status_code,
            "ms": round(took_s * 1000, 2),
            "bytes": request.content_length or 0,
        }
        if "model" in g:
            about["model"] = g.model
            about["stagesMs"] = {name: round(seconds * 1000, 2) for name, seconds in g.stages.items()}
        note(level, about)
    return response


def install(app: Flask) -> None:
    """Before every other hook of a request, and after it."""
    app.before_request(begin)
    app.after_request(end)
