"""The headers every response carries, with the reason for each; who may use the server from another site or at all."""

import hashlib
import hmac
import ipaddress
import re
from functools import lru_cache
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request

from webapp.errors import AnswerError
from webapp.shared import Shared
from webapp.told import too_often

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",  # kernels.wasm is compiled in the page; no eval, no inline script
        "style-src 'self'",
        "img-src 'self' blob: data:",  # photos the visitor picked, canvases turned into pictures
        "media-src 'self' blob:",
        "connect-src 'self'",  # nothing can be sent to another host
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    # Both are needed for SharedArrayBuffer, hence for WASM threads; workers need the second on their own script.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
PAIRS = [(name.lower(), (name, value)) for name, value in HEADERS.items()]


# What other sites may use where the settings allow them: the runtime, pictures into pixels, models, and running models.
EMBEDDABLE = re.compile(r"/static/(?:[0-9a-f]{16}/)?(?:runtime|media)/|/models/|/api/|/v2(?:/|$)")
ALLOWED_HEADERS = (
    "Authorization, Content-Type, Inference-Header-Content-Length, Timeout-Ms, X-API-Key, X-Request-ID"
)
EXPOSED_HEADERS = "Inference-Header-Content-Length, Retry-After, X-Request-ID"
PREFLIGHT_S = "600"


def allowed_origin() -> str:
    """What to answer an `Origin` with: empty, `*`, or that origin."""
    origins = current_app.config["INPAGE"]["origins"]
    if origins == ["*"]:
        return "*"
    return request.headers.get("Origin", "") if request.headers.get("Origin") in origins else ""


def add_headers(response: Response) -> Response:
    """Set every header that the handler has not set itself, and what lets other sites in."""
    if current_app.config["INPAGE"]["origins"] and EMBEDDABLE.match(request.path):
        if origin := allowed_origin():
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
        if origin != "*":
            response.vary.add("Origin")
        # CORP cannot name sites: the list above decides who reads, this only says that others may load at all.
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    given = {name.lower() for name, _ in response.headers}
    response.headers.extend([pair for low, pair in PAIRS if low not in given])
    return response


def answer_preflight() -> Response | None:
    """A browser asks first, before another site's page may send what is not a plain form."""
    asked = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    if not (asked and EMBEDDABLE.match(request.path) and allowed_origin()):
        return None
    response = Response(status=204)
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
    response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
    response.headers["Access-Control-Max-Age"] = PREFLIGHT_S
    return response


def refuse_other_sites() -> None:
    """A page of a site that is not listed may not use this server, even where its browser would let it try.

    Raises AnswerError 403. Programs send no Origin and are not concerned.
    """
    origin = request.headers.get("Origin")
    if origin is None or urlsplit(origin).netloc == request.host or allowed_origin():
        return
    hint = "Its owner can list the site in INPAGE_ORIGINS."
    raise AnswerError(403, "other_site", "This server does not answer pages of other sites", hint=hint)


def check_key() -> None:
    """Raise AnswerError 401 where keys are set and the request brings none of them."""
    keys: list[str] = current_app.config["INPAGE"]["api_keys"]
    if not keys:
        return
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    given = token.strip() if kind.lower() == "bearer" else request.headers.get("X-API-Key", "")
    digest = hashlib.sha256(given.encode()).digest()
    # Every key is compared, in the same time whatever was given.
    if sum(hmac.compare_digest(digest, hashlib.sha256(key.encode()).digest()) for key in keys) == 0:
        hint = "Send a key as Authorization: Bearer KEY, or as X-API-Key."
        raise AnswerError(401, "key_needed", "This server needs a key for that", hint=hint)
    g.key_digest = digest.hex()


def client_name() -> str:
    """Whom to count: a key, else the address; of IPv6 the network, since one client has many addresses."""
    return g.key_digest if "key_digest" in g else client_of(request.remote_addr or "")


@lru_cache(maxsize=1024)
def client_of(text: str) -> str:
    """Whom to count, by address."""
    text = text or "unknown"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    return str(ipaddress.ip_network(f"{text}/64", strict=False)) if address.version == 6 else text


def take_token() -> None:
    """Raise AnswerError 429 when the client asks more often than it may."""
    settings = current_app.config["INPAGE"]
    if not settings["rate_per_s"]:
        return
    shared: Shared = current_app.extensions["inpage_shared"]
    wait_s = shared.take(client_name(), settings["rate_per_s"], settings["burst"])
    if wait_s > 0:
        raise too_often(wait_s, settings["rate_per_s"])


def install(app: Flask) -> None:
    """Answer preflights, and add the headers to every response, errors included."""
    app.before_request(answer_preflight)
    app.after_request(add_headers)
