"""The same server on many machines: a Ray Serve app, `pip install .[scale]`.

    python -m webapp.scale --min-replicas 2 --max-replicas 8           on this machine
    serve run webapp.scale:app min_replicas=2 max_replicas=8           on a Ray cluster

Each replica is the whole app with its own models: every route of one server is a route here, and a replica that dies
takes only the requests that it was running. Replicas are added while more than `target` requests are under way in each.
With `max_batch`, requests of one shape that arrive together run together; TensorRT batches by itself, and on a CPU it
does not pay, so the default is none. What processes of one machine share without Ray (rates per client, counters) each
replica has for itself: Ray's own dashboard sums them up.
"""

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np

from webapp import create_app, settings
from webapp.engines import Engine, Load, Options
from webapp.engines.base import Arrays
from webapp.gate import Late
from webapp.models import Bundle

NAME = "inpage"
Key = tuple[tuple[str, str, tuple[int, ...]], ...]


def ray_serve() -> Any:
    """The library, imported on first use."""
    try:
        from ray import serve
    except ImportError as error:
        raise SystemExit(f"Ray Serve cannot be imported ({error}); install it with: pip install .[scale]") from error
    return serve


@dataclass(frozen=True)
class Scale:
    """How many replicas there are and how they batch; every value may come as text from a command line."""

    min_replicas: int = 1
    max_replicas: int = 4
    target: int = 4  # requests under way in a replica, above which another one is started
    cpus: float = 1.0  # that a replica takes of a machine
    gpus: float = 0.0
    max_batch: int = 1  # 1: no batching
    batch_wait_ms: float = 3.0

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Scale":
        """From a command line's or a file's words. Raises SettingError."""
        known = {name: type(default) for name, default in vars(cls()).items()}
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise settings.SettingError(f"unknown setting {', '.join(unknown)}; known are {', '.join(known)}")
        try:
            made = cls(**{name: known[name](value) for name, value in given.items()})
        except ValueError as error:
            raise settings.SettingError(f"a setting is not a number ({error})") from error
        if not 1 <= made.min_replicas <= made.max_replicas or made.target < 1 or made.max_batch < 1:
            raise settings.SettingError("it takes 1 <= min_replicas <= max_replicas, target >= 1 and max_batch >= 1")
        return made


# ---- batching ----


def rows_are_free(bundle: Bundle) -> bool:
    """Whether every input and output counts its rows by the same name: only then can requests be put together."""
    first = {entry["shape"][0] if entry["shape"] else None for entry in [*bundle.inputs, *bundle.outputs]}
    return len(first) == 1 and isinstance(next(iter(first)), str) and not str(next(iter(first))).startswith("?")


def key_of(feeds: Arrays) -> Key:
    """What requests must have in common to run together."""
    return tuple((name, array.dtype.str, array.shape[1:]) for name, array in sorted(feeds.items()))


def run_together(engine: Engine, asked: Sequence[Arrays], timeout_s: float) -> list[Arrays | Exception]:
    """One run for each group of the same shapes; a group's failure is the answer of each in it."""
    groups: dict[Key, list[int]] = {}
    for i, feeds in enumerate(asked):
        groups.setdefault(key_of(feeds), []).append(i)
    answers: list[Arrays | Exception] = [RuntimeError("not run")] * len(asked)
    for members in groups.values():
        rows = [len(next(iter(asked[i].values()))) for i in members]
        joined = {name: np.concatenate([asked[i][name] for i in members]) for name in asked[members[0]]}
        try:
            results = engine.run(joined, timeout_s)
        except Exception as error:  # each of them gets it, in its own request
            for i in members:
                answers[i] = error
            continue
        ends = np.cumsum(rows)
        for i, end, count in zip(members, ends, rows, strict=True):
            answers[i] = {name: array[end - count : end] for name, array in results.items()}
    return answers


class Batched:
    """An engine whose requests Ray Serve puts together."""

    batches = True

    def __init__(self, engine: Engine, loop: Callable[[], asyncio.AbstractEventLoop | None], scale: Scale,
                 watch: Callable[[int], None]) -> None:  # fmt: skip
        self.engine, self.loop, self.platform = engine, loop, engine.platform

        async def together(asked: list[tuple[Arrays, float]]) -> list[Arrays | Exception]:
            watch(len(asked))
            limit_s = max(timeout_s for _, timeout_s in asked)
            return await asyncio.to_thread(run_together, engine, [feeds for feeds, _ in asked], limit_s)

        wait_s = scale.batch_wait_ms / 1000
        self.together = ray_serve().batch(max_batch_size=scale.max_batch, batch_wait_timeout_s=wait_s)(together)

    @property
    def broken(self) -> str:
        """Why the engine inside will never run again."""
        return self.engine.broken

    def run(self, feeds: Arrays, timeout_s: float) -> Arrays:
        """From a request's thread: wait for company, then for the answer. Raises what the engine raises, and Late."""
        loop = self.loop()
        if loop is None:  # the trial, before the first request
            return self.engine.run(feeds, timeout_s)
        waiting = asyncio.run_coroutine_threadsafe(self.together((feeds, timeout_s)), loop)
        try:
            answer = waiting.result(timeout_s)
        except FutureTimeoutError as error:
            waiting.cancel()
            raise Late from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Free what the engine inside holds."""
        self.engine.close()


# ---- a replica ----


def environ_of(scope: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    """An ASGI request as WSGI has it (PEP 3333: text is bytes, read as Latin-1)."""
    server, client = scope.get("server") or ("localhost", 80), scope.get("client") or ("", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": scope.get("root_path", "").encode().decode("latin-1"),
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": str(server[0]), "SERVER_PORT": str(server[1]), "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": str(client[0]), "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0), "wsgi.url_scheme": scope.get("scheme", "http"), "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr, "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }  # fmt: skip
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        key = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def answer_of(app: Callable, environ: dict[str, Any]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of one WSGI request."""
    began: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        began[:] = [(status, headers)]
        return lambda data: None

    blocks = app(environ, start)
    try:
        body = b"".join(blocks)
    finally:
        if hasattr(blocks, "close"):
            blocks.close()
    status, headers = began[0]
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return int(status.split()[0]), raw, body


class Replica:
    """The app in one process of Ray's: requests come in its event loop and run in threads."""

    def __init__(self, values: dict[str, Any], scale: Scale) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.app = create_app(values)
        self.most_bytes = max(values["max_infer_kb"], values["max_body_kb"]) * 1024
        self.threads = ThreadPoolExecutor(values["threads"], thread_name_prefix="request")
        self.serving = self.app.extensions["inpage_serving"]
        if scale.max_batch > 1:
            loader, watch = self.serving.loader, self.app.extensions["inpage_metrics"].batch
            batched = partial(self.load_batched, scale, watch)
            loader.engines = {name: partial(batched, load) for name, load in loader.engines.items()}
        self.serving.start(values["scan_s"])
        self.serving.wait_for_first_look()

    def load_batched(self, scale: Scale, watch: Callable[[str, int], None], load: Load,
                     bundle: Bundle, options: Options) -> Engine:  # fmt: skip
        """The engine, batched unless it does that itself or the model's rows are fixed."""
        engine = load(bundle, options)
        if engine.batches or not rows_are_free(bundle):
            return engine
        return Batched(engine, lambda: self.loop, scale, partial(watch, bundle.name))

    async def __call__(self, request: Any) -> Any:
        """One request, as Starlette hands it over."""
        from starlette.responses import Response

        self.loop = asyncio.get_running_loop()
        environ = environ_of(request.scope, await self.body(request))
        status, headers, body = await self.loop.run_in_executor(self.threads, answer_of, self.app, environ)
        response = Response(body, status)
        response.raw_headers = headers
        return response

    async def body(self, request: Any) -> bytes:
        """No more than the app takes: what is larger it refuses, by the header or by the length."""
        announced = request.headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced) > self.most_bytes:
            return b""
        blocks, length = [], 0
        async for block in request.stream():
            blocks.append(block)
            length += len(block)
            if length > self.most_bytes:
                break
        return b"".join(blocks)

    def check_health(self) -> None:
        """Ray replaces a replica whose models were never looked at."""
        if not self.serving.scanned.is_set():
            raise RuntimeError("the models were not looked at")


def application(values: Mapping[str, Any], scale: Scale) -> Any:
    """What `serve.run` takes."""
    values = dict(values)
    if scale.max_batch > 1:  # a batch's requests are all under way at once
        values["runs"] = max(values["runs"], 2 * scale.max_batch)
    values["threads"] = max(values["threads"], values["runs"] + values["queue"] + 4)
    deployment = ray_serve().deployment(
        Replica,
        name=NAME,
        max_ongoing_requests=values["threads"],  # the app's own queue says 429, with a time to come back
        autoscaling_config={
            "min_replicas": scale.min_replicas,
            "max_replicas": scale.max_replicas,
            "target_ongoing_requests": scale.target,
        },
        ray_actor_options={"num_cpus": scale.cpus, "num_gpus": scale.gpus},
        graceful_shutdown_timeout_s=values["grace_s"] + values["drain_s"],
        health_check_period_s=2,
        health_check_timeout_s=10,
    )
    return deployment.bind(values, scale)


def app(given: Mapping[str, Any]) -> Any:
    """For `serve run webapp.scale:app` and Serve's configuration files; settings come from the INPAGE_ variables."""
    return application(settings.read(), Scale.of(given))


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve on this machine until it is stopped. Exit code 2 for a setting that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m webapp.scale", description=__doc__.splitlines()[0])
    for name, default in vars(Scale()).items():
        parser.add_argument("--" + name.replace("_", "-"), default=default, metavar="N", help=f"Default: {default}.")
    try:
        scale = Scale.of(vars(parser.parse_args(arguments)))
        values = settings.read()
    except settings.SettingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to others
    serve = ray_serve()
    import ray

    ray.init(include_dashboard=False)
    stop = threading.Event()
    try:
        serve.start(http_options={"host": values["host"], "port": values["port"]})
        serve.run(application(values, scale), name=NAME, route_prefix="/", blocking=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        print(f"Paddle InPage is at http://{values['host']}:{values['port']}/  (Ctrl-C stops it)", flush=True)
        stop.wait()
    finally:
        serve.shutdown()
        ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
