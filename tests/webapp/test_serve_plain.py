"""The quick reader of request heads takes plain ones only, and reads them as gunicorn's own reader does."""

import random

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from webapp.plain import KNOWN, MOST_BYTES, read_head

INFER = "/v2/models/mean/infer"
HEADERS = {"Host": "x", "Content-Length": "500", "Inference-Header-Content-Length": "100"}


def head(first: str = f"POST {INFER} HTTP/1.1", drop: str = "", more: str = "", **changes: str) -> bytes:
    """A request's head with something changed; `more` is added as it is."""
    headers = {name: value for name, value in HEADERS.items() if name != drop}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n" + more + "\r\n").encode("latin-1")


def test_a_plain_request_is_read():
    content = head(timeout_ms="70", X_Request_ID="mine", X_Forwarded_For="1.2.3.4, ::1,", User_Agent="odd (a; b) 1/2")
    plain, length = read_head(content + b"{body}")
    assert length == len(content)
    assert (plain.path, plain.model, plain.length, plain.header) == (INFER, "mean", 500, 100)
    assert (plain.timeout_ms, plain.id, plain.forwarded) == (70, "mine", ("1.2.3.4", "::1"))
    plain, _ = read_head(head(connection="Keep-Alive"))
    assert (plain.timeout_ms, plain.id, plain.forwarded) == (None, "", ())


NOT_PLAIN = {
    "another method": head(f"PUT {INFER} HTTP/1.1"),
    "another address": head("POST /v2/models/mean/versions/1/infer HTTP/1.1"),
    "a query": head(f"POST {INFER}?a=b HTTP/1.1"),
    "an encoded name": head("POST /v2/models/me%61n/infer HTTP/1.1"),
    "an older protocol": head(f"POST {INFER} HTTP/1.0"),
    "a name with dots first": head("POST /v2/models/../infer HTTP/1.1"),
    "no host": head(drop="Host"),
    "no length": head(drop="Content-Length"),
    "nothing in binary": head(drop="Inference-Header-Content-Length"),
    "a length of nothing": head(Content_Length="0"),
    "a length with a sign": head(Content_Length="+5"),
    "two lengths": head(more="content-length: 500\r\n"),
    "two lengths in one": head(Content_Length="500, 500"),
    "chunks": head(Transfer_Encoding="chunked"),
    "a page of another site": head(Origin="https://x.test"),
    "a key": head(Authorization="Bearer x"),
    "a compressed body": head(Content_Encoding="gzip"),
    "who waits to be told to go on": head(Expect="100-continue"),
    "the last request": head(connection="close"),
    "another protocol": head(connection="Upgrade", Upgrade="h2c"),
    "a time that is none": head(timeout_ms="soon"),
    "an unknown header": head(X_Odd="1"),
    "underscores": head(more="X_Request_ID: mine\r\n"),
    "a folded line": head(User_Agent="a\r\n b"),
    "a bare line feed": head(User_Agent="a\nX-Request-ID: b"),
    "a space before the colon": head(more="User-Agent : x\r\n"),
    "no space behind it": head(more="User-Agent:x\r\n"),
    "letters beyond ASCII": head(User_Agent="\xe9"),
    "a null byte": head(User_Agent="a\0b"),
    "an address that is quoted": head(X_Forwarded_For='"1.2.3.4"'),
    "not whole": head()[:-2],
    "too long": head(User_Agent="a" * 900, Accept="b" * 900, Pragma="c" * 1100, more="Accept-Language: d\r\n" * 9
                     + "Cache-Control: " + "e" * MOST_BYTES + "\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_PLAIN)
def test_what_is_not_plain_is_left_to_gunicorn(case: str):
    assert read_head(NOT_PLAIN[case] + b"{}") is None


def by_gunicorn(content: bytes) -> Request | None:
    """What its own reader says; None where it refuses."""
    try:
        return Request(Config(), IterUnreader(iter([content])), ("10.0.0.1", 1))
    except (ParseException, NoMoreData):
        return None


PIECES = [b"\r\n", b"\n", b"\r", b":", b": ", b" ", b"\t", b"0", b"5", b",", b"_", b"Content-Length: 5\r\n", b"\0",
          b"Transfer-Encoding: chunked\r\n", b"Host: y\r\n", b"X-Request-ID: a\r\n", b"\xff", b"POST "]  # fmt: skip


def spoilt(dice: random.Random) -> bytes:
    """A plain head, with pieces put in and taken out."""
    names = dice.sample(sorted(KNOWN), dice.randint(0, 5))
    more = b"".join(name + b": " + dice.choice([b"a", b"1", b"keep-alive", b"a, b"]) + b"\r\n" for name in names)
    found = bytearray(head(drop=dice.choice(["", "", "Host", "Content-Length"]), more=more.decode()) + b"{}" * 9)
    for _ in range(dice.choice([0, 0, 1, 2])):
        at = dice.randrange(len(found))
        if dice.random() < 0.6:
            found[at:at] = dice.choice(PIECES)
        else:
            del found[at : at + dice.randint(1, 3)]
    return bytes(found)


def test_it_reads_as_gunicorn_does_whatever_it_takes():
    dice, taken = random.Random(20261121), 0
    for _ in range(6000):
        content = spoilt(dice)
        found = read_head(content)
        if found is None:
            continue
        (plain, length), taken = found, taken + 1
        theirs = by_gunicorn(content)
        assert theirs is not None, content
        headers = dict(theirs.headers)
        assert len(headers) == len(theirs.headers) and theirs.body.reader.length == plain.length, content
        assert (theirs.method, theirs.path, theirs.query, theirs.version) == ("POST", plain.path, "", (1, 1)), content
        assert headers["INFERENCE-HEADER-CONTENT-LENGTH"] == str(plain.header), content
        assert headers.get("X-REQUEST-ID", "") == plain.id and not theirs.should_close(), content
        rest = theirs.unreader.read()
        assert content[length:].startswith(rest) and len(content) - length == len(rest), content
    assert taken > 500
