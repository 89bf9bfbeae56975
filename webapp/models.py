"""The bundles on disk: found, checked, described. Nothing here runs a model.

A bundle is a folder with model.json and chunk_N.dat. Names and file names that visitors may ask for come from what was
found on disk, never the other way round.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webapp.assets import Asset

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
CHUNK = re.compile(r"chunk_[1-9][0-9]{0,5}\.dat")
MAX_MODEL_JSON_BYTES = 64 << 20
HASH_BLOCK_BYTES = 1 << 20


class BundleError(ValueError):
    """A folder that cannot be served as a bundle; the message says why, in one sentence."""


@dataclass(frozen=True)
class Bundle:
    """One folder, sound or not. `problem` is empty for a sound bundle; then `files` and the rest are filled."""

    name: str
    folder: Path
    problem: str = ""
    version: str = ""  # hash of model.json, which itself holds the hash of every chunk
    bytes: int = 0
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    labels: int = 0
    operators: int = 0
    operator_types: list[str] = field(default_factory=list)
    precision: str = ""
    files: dict[str, Asset] = field(default_factory=dict, repr=False)

    @property
    def url(self) -> str:
        """The stable address to give to `load()`."""
        return f"/models/{self.name}/"

    @property
    def immutable_url(self) -> str:
        """The address of exactly this content."""
        return f"/models/{self.name}/{self.version}/"

    def describe(self) -> dict[str, Any]:
        """What the gallery and `/api/models` say about it."""
        if self.problem:
            return {"name": self.name, "ready": False, "problem": self.problem}
        return {
            "name": self.name,
            "ready": True,
            "url": self.url,
            "immutableUrl": self.immutable_url,
            "bytes": self.bytes,
            "precision": self.precision,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "labels": self.labels,
            "operators": self.operators,
            "operatorTypes": self.operator_types,
        }


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def read_model_json(path: Path) -> dict[str, Any]:
    """model.json as a dictionary of this format; BundleError when it is something else."""
    size = path.stat().st_size
    if size > MAX_MODEL_JSON_BYTES:
        raise BundleError(f"model.json is {size} bytes; the limit is {MAX_MODEL_JSON_BYTES}")
    try:
        model = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BundleError(f"model.json is not valid JSON ({error})") from error
    if not isinstance(model, dict):
        raise BundleError("model.json is not a JSON object")
    if model.get("format") != "paddle-inpage":
        raise BundleError("model.json was not written by this converter; convert the model with python -m converter")
    if model.get("formatVersion") != 1:
        raise BundleError(f"model.json has format version {model.get('formatVersion')!r}; this server reads version 1")
    return model


def check_chunks(model: dict[str, Any], folder: Path) -> dict[str, Asset]:
    """The bundle's weight files, each compared with its size and hash in model.json."""
    chunks = model.get("chunks")
    if not isinstance(chunks, list) or not all(isinstance(chunk, dict) for chunk in chunks):
        raise BundleError("model.json has no list of chunks")
    files = {}
    for chunk in chunks:
        name, size, sha256 = chunk.get("file"), chunk.get("bytes"), chunk.get("sha256")
        if not isinstance(name, str) or not CHUNK.fullmatch(name):
            raise BundleError(f"model.json names a weight file {name!r}; only chunk_N.dat is allowed")
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{name} is missing")
        if path.stat().st_size != size:
            raise BundleError(f"{name} has {path.stat().st_size} bytes; model.json says {size}")
        if sha256_of(path) != sha256:
            raise BundleError(f"{name} is damaged: its SHA-256 is not the one in model.json")
        files[name] = Asset(path, str(sha256), path.stat().st_size)
    return files


def tensors(model: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """`inputs` or `outputs` of model.json: name, shape and dtype of each."""
    entries = model.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BundleError(f"model.json has no list of {key}")
    for entry in entries:
        shape = entry.get("shape")
        if not isinstance(entry.get("name"), str) or not isinstance(entry.get("dtype"), str):
            raise BundleError(f"model.json has an entry in {key} without name or dtype")
        if not isinstance(shape, list) or not all(isinstance(size, int | str) for size in shape):
            raise BundleError(f"model.json has no shape for {entry['name']!r} in {key}")
    return [{"name": entry["name"], "shape": entry["shape"], "dtype": entry["dtype"]} for entry in entries]


def read_bundle(folder: Path) -> Bundle:
    """Check a folder and describe it; BundleError says what is wrong with it."""
    model = read_model_json(folder / "model.json")
    chunks = check_chunks(model, folder)
    ops = model.get("ops")
    if not isinstance(ops, list) or not all(isinstance(op, dict) and isinstance(op.get("type"), str) for op in ops):
        raise BundleError("model.json has no list of operators")
    kinds = [op["type"] for op in ops if op["type"] not in ("feed", "fetch")]
    labels = model.get("labels")
    path = folder / "model.json"
    main = Asset(path, sha256_of(path), path.stat().st_size)
    return Bundle(
        name=folder.name,
        folder=folder,
        version=main.sha256[:16],
        bytes=main.bytes + sum(chunk.bytes for chunk in chunks.values()),
        inputs=tensors(model, "inputs"),
        outputs=tensors(model, "outputs"),
        labels=len(labels) if isinstance(labels, list) else 0,
        operators=len(kinds),
        operator_types=sorted(set(kinds)),
        precision=str(model.get("precision", "float32")),
        files={"model.json": main, **chunks},
    )


class Models:
    """The bundles of several folders. A folder holds bundles, or is one itself; earlier folders win a name."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders
        self.known: dict[Path, tuple[tuple, Bundle]] = {}

    def candidates(self) -> list[Path]:
        """Every folder that claims to be a bundle, in order."""
        found = []
        for folder in self.folders:
            if (folder / "model.json").is_file():
                found.append(folder)
            elif folder.is_dir():
                found += sorted(sub for sub in folder.iterdir() if (sub / "model.json").is_file())
        return found

    def check(self, folder: Path) -> Bundle:
        """The bundle in `folder`; hashed again only when a file changed."""
        signature = tuple(sorted((p.name, p.stat().st_mtime_ns, p.stat().st_size) for p in folder.iterdir()))
        known = self.known.get(folder)
        if known is None or known[0] != signature:
            try:
                if not NAME.fullmatch(folder.name):
                    raise BundleError("the folder's name may hold only letters, digits, dot, dash and underscore")
                bundle = read_bundle(folder)
            except (BundleError, OSError) as error:
                bundle = Bundle(folder.name, folder, problem=str(error))
            self.known[folder] = known = (signature, bundle)
        return known[1]

    def all(self) -> list[Bundle]:
        """Every bundle, the damaged ones with their reason, and folders that are not there."""
        bundles: dict[str, Bundle] = {}
        problems = [
            Bundle(folder.name, folder, problem="the configured folder does not exist")
            for folder in self.folders
            if not folder.is_dir()
        ]
        for folder in self.candidates():
            bundle = self.check(folder)
            if bundle.problem:
                problems.append(bundle)
            elif bundle.name in bundles:
                problems.append(Bundle(bundle.name, folder, problem="another folder already has a model of this name"))
            else:
                bundles[bundle.name] = bundle
        return [*bundles.values(), *problems]

    def get(self, name: str) -> Bundle | None:
        """The sound bundle of that name."""
        return next((bundle for bundle in self.all() if bundle.name == name and not bundle.problem), None)
