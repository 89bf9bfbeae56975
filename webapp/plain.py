"""The head of what programs send most: a plain request to run a model, read by one expression. No Flask here.

Everything that is not exactly so (another header than these, one of them twice, a body of unknown length, a line that
is not written as usual) is left to gunicorn's own reader: what this one takes, that one would read the same way.
"""

import re
from dataclasses import dataclass

MOST_BYTES = 8192
END = b"\r\n\r\n"
LINES = re.compile(
    rb"POST (/v2/models/([A-Za-z0-9][A-Za-z0-9._-]{0,99})/infer) HTTP/1\.1"
    rb"((?:\r\n[A-Za-z0-9-]{1,60}: [\x21-\x7e](?:[\x20-\x7e]{0,1000}[\x21-\x7e])?){1,24})"
)
ADDRESSES = re.compile(rb"[0-9A-Za-z.:,_ \[\]-]*")
NUMBER = re.compile(rb"[1-9][0-9]{0,8}")
# Those that say something here, and those that could not change anything.
USED = {b"connection", b"content-length", b"host", b"inference-header-content-length", b"timeout-ms",
        b"x-forwarded-for", b"x-request-id"}  # fmt: skip
IDLE = {b"accept", b"accept-encoding", b"accept-language", b"cache-control", b"content-type", b"pragma", b"traceparent",
        b"tracestate", b"user-agent", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-real-ip",
        b"forwarded"}  # fmt: skip
KNOWN = USED | IDLE


@dataclass(frozen=True)
class Plain:
    """A request to run the newest version of a model: `length` bytes of body, `header` of them JSON."""

    path: str
    model: str
    length: int
    header: int
    timeout_ms: int | None
    id: str
    forwarded: tuple[str, ...]  # X-Forwarded-For


def read_head(content: bytes) -> tuple[Plain, int] | None:
    """The request whose beginning this is, and how long its head is; None where it is not plain, or not whole."""
    end = content.find(END, 0, MOST_BYTES)
    found = LINES.fullmatch(content, 0, end) if end > 0 else None
    if found is None:
        return None
    headers: dict[bytes, bytes] = {}
    for line in found.group(3).split(b"\r\n")[1:]:
        name, _, value = line.partition(b": ")
        name = name.lower()
        if name in headers or name not in KNOWN:
            return None
        headers[name] = value
    length, header = headers.get(b"content-length", b""), headers.get(b"inference-header-content-length", b"")
    timeout = headers.get(b"timeout-ms", b"1")
    if not (NUMBER.fullmatch(length) and NUMBER.fullmatch(header) and NUMBER.fullmatch(timeout)):
        return None
    if b"host" not in headers or headers.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    chain = headers.get(b"x-forwarded-for", b"")
    if not ADDRESSES.fullmatch(chain):
        return None
    return Plain(
        path=found.group(1).decode(),
        model=found.group(2).decode(),
        length=int(length),
        header=int(header),
        timeout_ms=int(timeout) if b"timeout-ms" in headers else None,
        id=headers.get(b"x-request-id", b"").decode(),
        forwarded=tuple(part.strip().decode() for part in chain.split(b",") if part.strip()),
    ), end + len(END)
