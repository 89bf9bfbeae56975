"""signature.json: the size and SHA-256 of every file of a bundle, and one digest that stands for the model.

The report says what was measured where the bundle was made, and a TensorRT engine runs only there, so they are listed
apart: the same model, converted again with the same options, has the same digest.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from converter.errors import ConvertError

FILE = "signature.json"
FORMAT, FORMAT_VERSION = "paddle-inpage-signature", 1
BESIDE = ("report.html", "report.json", "tensorrt/engine", "tensorrt/engine.json")
_BLOCK = 1 << 20


def sign(folder: Path) -> dict[str, Any]:
    """Write signature.json over the folder's files; returns its content."""
    content = _content(folder)
    (folder / FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return content


def check(folder: Path) -> dict[str, Any]:
    """The signature of a bundle whose files are those that it lists; ConvertError names every other file."""
    path = folder / FILE
    try:
        wanted = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConvertError("there is no signature.json", where=str(folder),
                           hint="convert the model again with this release") from error
    except (OSError, ValueError) as error:
        raise ConvertError(f"the signature cannot be read: {error}", where=str(path)) from error
    if not isinstance(wanted, dict) or wanted.get("format") != FORMAT or wanted.get("formatVersion") != FORMAT_VERSION:
        raise ConvertError("this is not a bundle's signature", where=str(path))
    found = _content(folder)
    problems = [problem for part in ("files", "beside") for problem in _differences(wanted.get(part), found[part])]
    if not problems and wanted.get("digest") != found["digest"]:
        problems = ["the digest is not that of the files"]
    if problems:
        raise ConvertError("the bundle is not what was signed: " + "; ".join(problems), where=str(folder),
                           hint="convert or copy it again")
    return found


def _content(folder: Path) -> dict[str, Any]:
    listed: dict[str, dict[str, dict[str, Any]]] = {"files": {}, "beside": {}}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ConvertError("is neither a file nor a folder; a bundle holds nothing else", where=str(path))
        if path.is_file() and name != FILE:
            entry = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
            listed["beside" if name in BESIDE else "files"][name] = entry
    text = json.dumps(listed["files"], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"format": FORMAT, "formatVersion": FORMAT_VERSION, "digest": digest, **listed}


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _differences(wanted: Any, found: dict[str, Any]) -> list[str]:
    if not isinstance(wanted, dict):
        return ["the signature lists no files"]
    said = [f"{name} is missing" for name in sorted(set(wanted) - set(found))]
    said += [f"{name} is not signed" for name in sorted(set(found) - set(wanted))]
    return said + [f"{name} has changed" for name in sorted(set(found) & set(wanted)) if found[name] != wanted[name]]
