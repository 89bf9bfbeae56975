"""What is MODEL? A folder or a file is recognised by its content and sent to its reader."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import ConvertError, refusing
from converter.graph import Graph
from converter.ops import REGISTRY
from converter.read import bundle, paddlejs, pir, program
from converter.read.canonical import build
from converter.read.canonical_ops import HANDLERS
from converter.read.foreign import in_folder_instead, refuse_foreign

for _module in pkgutil.iter_modules([str(Path(__file__).parent)]):
    if _module.name.startswith("canonical_"):   # they register the handlers of their operators
        importlib.import_module(f"converter.read.{_module.name}")

_PLAIN_STEMS = ("inference", "model", "__model__", "infer")
_KINDS = "a Paddle 3 inference.json, a .pdmodel, a fluid __model__, a Paddle.js model.json, or one of our bundles"


@dataclass
class Found:
    """kind: pir, program, paddlejs or bundle. data: the parsed JSON, where there is one."""

    kind: str
    path: Path
    data: Any = None


def read(path: str | Path, params: str | Path | None = None, strict: bool = True) -> Graph:
    """Read any supported model. strict=False keeps unsupported operators and lists them in meta["unsupported"].

    meta gets "name" and "source" {format, version?, sha256}. Raises ConvertError for anything unreadable.
    """
    found = find(Path(path))
    params_path = Path(params) if params else None
    try:
        with refusing("the model is malformed", str(path), "the file is damaged; export or download it again"):
            if found.kind == "bundle":
                graph = bundle.load(found.path.parent, found.data)
                _known(graph, strict, str(path))
            else:
                graph = build(read_program(found, params_path), HANDLERS, strict)
    except OSError as error:
        raise ConvertError(f"cannot read: {error.strerror or error}", where=str(path)) from error
    if found.kind != "bundle":
        graph.meta["name"] = model_name(found.path)
        graph.meta["source"]["sha256"] = _digest(found, params_path, graph)
    graph.meta["folder"] = str(found.path.parent)
    graph.meta["program"] = found.path.name
    return graph


def _known(graph: Graph, strict: bool, where: str) -> None:
    """The same question to a bundle that build() asks a program."""
    missing = sorted({node.type for node in graph.nodes} - REGISTRY.keys())
    if missing and strict:
        raise ConvertError(f"{len(missing)} operator types are not supported: {', '.join(missing)}", where=where,
                           hint="a newer release wrote this bundle, or it is damaged")
    if missing:
        graph.meta["unsupported"] = missing


def read_program(found: Found, params_path: Path | None = None) -> Any:
    """The program as stored, before it is made canonical."""
    if found.kind == "pir":
        return pir.read(found.path, found.data, params_path)
    if found.kind == "paddlejs":
        return paddlejs.read(found.path, found.data)
    return program.read(found.path, params_path)


def find(path: Path) -> Found:
    """Decide what a path is; ConvertError that lists what was looked for."""
    if path.is_dir():
        return _in_folder(path)
    if not path.exists():
        return _of_file(_of_prefix(path))
    return _of_file(path)


def _of_prefix(path: Path) -> Path:
    """The program of a path without suffix, as paddle.jit.save takes it: folder/inference."""
    for suffix in (".json", ".pdmodel"):
        program_file = path.with_name(path.name + suffix)
        if path.name and program_file.is_file():
            return program_file
    raise ConvertError("there is no such file or folder", where=str(path), hint=f"expected {_KINDS}")


def _of_file(path: Path) -> Found:
    if path.stat().st_size == 0:
        raise ConvertError("the file is empty", where=str(path), hint="copy or export the model again")
    if path.suffix == ".pdiparams" or path.name in ("params", "__params__"):
        raise ConvertError("these are weights without their program", where=str(path),
                           hint="name the program beside them (inference.json, .pdmodel, __model__) or the folder")
    with path.open("rb") as stream:
        start = stream.read(64).lstrip()
    if start[:1] not in (b"{", b"["):
        refuse_foreign(path)
    if path.suffix == ".json" or start[:1] in (b"{", b"["):
        found = _of_json(path)
        if found is None:
            raise ConvertError("this JSON is not a model", where=str(path), hint=f"expected {_KINDS}")
        return found
    return Found("program", path)


def _of_json(path: Path) -> Found | None:
    data = pir.load_json(path)
    if pir.is_pir(data):
        return Found("pir", path, data)
    if bundle.is_bundle(data):
        return Found("bundle", path, data)
    if paddlejs.is_package(data):
        return Found("paddlejs", path, data)
    if isinstance(data, dict) and "modelTopology" in data:
        raise ConvertError("this is a TensorFlow.js model", where=str(path), hint=f"expected {_KINDS}")
    if isinstance(data, dict) and "base_code" in data:
        raise ConvertError(f"the magic of a Paddle 3 program is \"pir\", this file says {data['base_code']!r}",
                           where=str(path), hint="the file is damaged, or from another tool; export the model again")
    return None


def _in_folder(folder: Path) -> Found:
    """Bundles and packages by model.json; else Paddle 3, Paddle 2, fluid, in this order."""
    model = folder / "model.json"
    names = [model] if model.is_file() else []
    names += sorted(file for file in folder.glob("*.json") if file != model)
    found = [known for known in map(_json_or_none, names) if known is not None]
    for kind in ("bundle", "paddlejs", "pir"):
        chosen = _only([known for known in found if known.kind == kind], folder)
        if chosen is not None:
            return chosen
    programs = [Found("program", file) for file in sorted(folder.glob("*.pdmodel"))]
    programs = programs or [Found("program", folder / "__model__")] * (folder / "__model__").is_file()
    chosen = _only(programs, folder)
    if chosen is None:
        what, hint = in_folder_instead(folder) or ("there is no model in this folder", f"expected {_KINDS}")
        raise ConvertError(what, where=str(folder), hint=hint)
    return _of_file(chosen.path)


def _json_or_none(path: Path) -> Found | None:
    """A folder may hold other JSON, damaged or not; only a file with a model's name must be sound."""
    if path.name in ("model.json", "inference.json"):
        return _of_file(path)
    try:
        return _of_json(path)
    except ConvertError:
        return None


def _only(found: list[Found], folder: Path) -> Found | None:
    """The one model of a kind, or the one with a usual name among several."""
    usual = [known for known in found if known.path.stem in _PLAIN_STEMS]
    if len(found) > 1 and len(usual) != 1:
        names = ", ".join(known.path.name for known in found)
        raise ConvertError(f"there are several models in this folder: {names}", where=str(folder),
                           hint="name the file instead of the folder")
    return (usual or found or [None])[0]


def model_name(path: Path) -> str:
    """The file's stem, or the folder's name where the stem says nothing."""
    return path.resolve().parent.name if path.stem in _PLAIN_STEMS else path.stem


def _digest(found: Found, params_path: Path | None, graph: Graph) -> str:
    """SHA-256 over the program's bytes and every weight that the graph holds, by name."""
    digest = hashlib.sha256(found.path.read_bytes())
    for name in sorted(name for name, value in graph.values.items() if value.is_constant):
        data = graph.values[name].data
        assert data is not None
        digest.update(name.encode("utf-8", "backslashreplace"))
        digest.update(np.ascontiguousarray(data).reshape(-1))
    return digest.hexdigest()
