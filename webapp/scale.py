"""The same server on many machines: a Ray Serve app, `pip install .[scale]`.

    python -m webapp.scale --min-replicas 2 --max-replicas 8           on this machine
    serve run webapp.scale:app min_replicas=2 max_replicas=8           on a Ray cluster

Each replica is the whole app with its own models: every route of one server is a route here, and a replica that dies
takes only the requests that it was running. Replicas are added while more than `target` requests are under way in each.
Requests of one shape run together inside a replica, as on one machine. What processes of one machine share without Ray
(rates per client, counters) each replica has for itself: Ray's own dashboard sums them up.
"""

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from webapp import create_app, settings

NAME = "inpage"


def ray_serve() -> Any:
    """The library, imported on first use."""
    try:
        from ray import serve
    except ImportError as error:
        raise SystemExit(f"Ray Serve cannot be imported ({error}); install it with: pip install .[scale]") from error
    return serve


@dataclass(frozen=True)
class Scale:
    """How many replicas there are; every value may come as text from a command line."""

    min_replicas: int = 1
    max_replicas: int = 4
    target: int = 4  # requests under way in a replica, above which another one is started
    cpus: float = 1.0  # that a replica takes of a machine
    gpus: float = 0.0

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
        if not 1 <= made.min_replicas <= made.max_replicas or made.target < 1:
            raise settings.SettingError("it takes 1 <= min_replicas <= max_replicas and target >= 1")
        return made


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

    def __init__(self, values: dict[str, Any]) -> None:
        self.app = create_app(values)
        self.most_bytes = max(values["max_infer_kb"], values["max_body_kb"]) * 1024
        self.threads = ThreadPoolExecutor(values["threads"], thread_name_prefix="request")
        self.serving = self.app.extensions["inpage_serving"]
        self.serving.start(values["scan_s"])
        self.serving.wait_for_first_look()

    async def __call__(self, request: Any) -> Any:
        """One request, as Starlette hands it over."""
        from starlette.responses import Response

        environ = environ_of(request.scope, await self.body(request))
        loop = asyncio.get_running_loop()
        status, headers, body = await loop.run_in_executor(self.threads, answer_of, self.app, environ)
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
    return deployment.bind(dict(values))


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
