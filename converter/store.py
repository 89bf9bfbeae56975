"""A store of model versions behind http(s): MODEL/NUMBER-DIGEST.tar, and MODEL/latest.json, which names one of them.

Anything that takes PUT and answers GET will do. INPAGE_STORE_TOKEN, where it is set, goes along as a bearer token.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from converter.errors import ConvertError
from converter.unpack import MAX_BYTES, unpack

LATEST = "latest.json"
TOKEN = "INPAGE_STORE_TOKEN"
TIMEOUT_S = 60
_MAX_LATEST_BYTES = 1 << 16
_KEYS = {"file": str, "number": int, "version": str, "digest": str}


def latest(url: str, missing_is_none: bool = False) -> dict[str, Any] | None:
    """What latest.json of a model's address says."""
    content = _get(f"{url.rstrip('/')}/{LATEST}", _MAX_LATEST_BYTES, missing_is_none)
    if content is None:
        return None
    try:
        found = json.loads(content)
    except ValueError as error:
        raise ConvertError("latest.json is not JSON", where=url) from error
    if not isinstance(found, dict) or any(not isinstance(found.get(key), kind) for key, kind in _KEYS.items()):
        raise ConvertError("latest.json does not name a version", where=url, hint="is this a model's address?")
    if "/" in found["file"] or not found["file"].endswith(".tar"):
        raise ConvertError(f"latest.json names the file {found['file']!r}; only an archive beside it is taken",
                           where=url)
    return found


def fetch(url: str, entry: dict[str, Any], work: Path) -> Path:
    """Download and unpack the archive that latest.json names; what it holds is still to be checked."""
    content = _get(f"{url.rstrip('/')}/{entry['file']}", MAX_BYTES)
    assert content is not None
    archive, folder = work / "version.tar", work / "bundle"
    archive.write_bytes(content)
    folder.mkdir()
    unpack(archive, folder)
    return folder


def put(url: str, bundle: Path, entry: dict[str, Any]) -> str:
    """Send the archive, then latest.json; returns the archive's name. A push that breaks off leaves the old latest."""
    file = f"{entry['number']}-{entry['digest'][:16]}.tar"
    _put(f"{url}/{file}", archive_of(bundle), "application/x-tar")
    _put(f"{url}/{LATEST}", json.dumps({"file": file, **entry}, ensure_ascii=False).encode(), "application/json")
    return file


def archive_of(bundle: Path) -> bytes:
    """A tar of the files in order, without times or owners: the same bundle gives the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(path.relative_to(bundle).as_posix())
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as stream:
                tar.addfile(entry, stream)
    return out.getvalue()


def _request(url: str, **more: Any) -> urllib.request.Request:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConvertError("this is no http(s) address", where=url)
    request = urllib.request.Request(url, **more)
    if os.environ.get(TOKEN):
        request.add_header("Authorization", f"Bearer {os.environ[TOKEN]}")
    return request


def _get(url: str, limit: int, missing_is_none: bool = False) -> bytes | None:
    try:
        with urllib.request.urlopen(_request(url), timeout=TIMEOUT_S) as answer:
            content = answer.read(limit + 1)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404 and missing_is_none:
                return None
            raise ConvertError(f"the store answers {error.code} {error.reason}", where=url) from error
    except OSError as error:
        raise ConvertError(f"the store cannot be reached: {getattr(error, 'reason', error)}", where=url) from error
    if len(content) > limit:
        raise ConvertError(f"the store sends more than {limit} bytes", where=url)
    return content


def _put(url: str, content: bytes, kind: str) -> None:
    request = _request(url, data=content, method="PUT", headers={"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        with error:
            hint = "it takes no PUT: name a store that does, or push to a folder" if error.code in (405, 501) else ""
            raise ConvertError(f"the store answers {error.code} {error.reason}", where=url, hint=hint) from error
    except OSError as error:
        raise ConvertError(f"the store cannot be reached: {getattr(error, 'reason', error)}", where=url) from error
