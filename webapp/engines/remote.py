"""Another server that speaks the Open Inference Protocol: Triton, KServe, or this program elsewhere."""

import http.client
import json
import threading
import time
from urllib.parse import quote, urlsplit

from webapp.bundle import Bundle
from webapp.engines.base import Arrays, Engine, EngineError, Options, RunError
from webapp.tensors import TensorError, binary_request, read_binary_response

KEPT_CONNECTIONS = 8


class RemoteEngine(Engine):
    """One model on another server; connections are kept and shared."""

    platform = "remote"

    def __init__(self, name: str, outputs: list[str], options: Options) -> None:
        self.base = urlsplit(options.remote_url)
        self.path = f"/v2/models/{quote(name, safe='')}"
        self.outputs, self.options = outputs, options
        self.idle: list[http.client.HTTPConnection] = []
        self.lock = threading.Lock()

    def connection(self) -> tuple[http.client.HTTPConnection, bool]:
        """A connection for one request, and whether it was used before."""
        with self.lock:
            if self.idle:
                return self.idle.pop(), True
        kind = http.client.HTTPSConnection if self.base.scheme == "https" else http.client.HTTPConnection
        return kind(self.base.netloc, timeout=self.options.remote_timeout_s), False

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str], timeout_s: float) -> tuple:
        """(status, headers, body) of one request. Raises OSError or http.client.HTTPException."""
        until = time.monotonic() + timeout_s
        while True:
            connection, used = self.connection()
            try:
                left = max(0.001, until - time.monotonic())
                connection.timeout = left
                if connection.sock is not None:
                    connection.sock.settimeout(left)
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                content = answer.read(self.options.max_answer_bytes + 1)
            except TimeoutError:
                connection.close()
                raise
            except (OSError, http.client.HTTPException):
                connection.close()
                if not used:
                    raise
                continue  # the other side closed a connection that it had kept: only then is a second try safe
            self.put_back(connection, answer)
            return answer.status, answer.headers, content

    def put_back(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> None:
        """Keep a connection whose answer was read to its end."""
        with self.lock:
            if answer.isclosed() and not answer.will_close and len(self.idle) < KEPT_CONNECTIONS:
                self.idle.append(connection)
                return
        connection.close()

    def run(self, feeds: Arrays, timeout_s: float) -> Arrays:
        """One request in binary form; its own limit and the request's both hold."""
        body, headers = binary_request(feeds, self.outputs)
        limit_s = min(timeout_s, self.options.remote_timeout_s)
        headers["timeout-ms"] = str(max(1, int(limit_s * 1000)))
        try:
            status, answered, content = self.ask("POST", f"{self.path}/infer", body, headers, limit_s)
        except TimeoutError as error:
            raise RunError(f"The other server did not answer within {limit_s:.1f} s", 504) from error
        except (OSError, http.client.HTTPException) as error:
            raise RunError(f"The other server cannot be reached ({type(error).__name__})", 502) from error
        if status != 200:
            raise RunError(f"The other server answered {status}", status if status in (422, 429, 503, 504) else 502)
        try:
            if len(content) > self.options.max_answer_bytes:
                raise TensorError(f"it is larger than {self.options.max_answer_bytes} bytes")
            return read_binary_response(content, answered.get("Inference-Header-Content-Length"))
        except TensorError as error:
            raise RunError(f"The other server's answer cannot be read: {error}", 502) from error

    def close(self) -> None:
        """Close the kept connections."""
        with self.lock:
            kept, self.idle = self.idle, []
        for connection in kept:
            connection.close()


def load(bundle: Bundle, options: Options) -> RemoteEngine:
    """Raises EngineError (a passing one) unless the other server has this model, with the same inputs and outputs."""
    engine = RemoteEngine(bundle.name, [entry["name"] for entry in bundle.outputs], options)
    where = options.remote_url
    try:
        status, _, content = engine.ask("GET", engine.path, b"", {}, options.remote_timeout_s)
        if status != 200:
            raise EngineError(f"{where} answers {status} for this model", passing=True)
        described = json.loads(content)
        for kind, declared in (("inputs", bundle.inputs), ("outputs", bundle.outputs)):
            names = sorted(str(entry["name"]) for entry in described[kind])
            if names != sorted(entry["name"] for entry in declared):
                raise EngineError(f"{where} has a model of this name with the {kind} {names}", passing=True)
    except (OSError, http.client.HTTPException) as error:
        raise EngineError(f"{where} cannot be reached ({type(error).__name__})", passing=True) from error
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{where} does not speak the Open Inference Protocol", passing=True) from error
    return engine
