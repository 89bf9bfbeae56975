"""One bundle on disk: checked, described. Nothing here runs a model.

A bundle is a folder with model.json and chunk_N.dat, and model.onnx (or the original program) where the server is to
run it too.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import picture
from webapp.assets import Asset

CHUNK = re.compile(r"chunk_[1-9][0-9]{0,5}\.dat")
CHECK = "check.dat"
PROGRAMS = ("inference.json", "inference.pdmodel")  # the original program, either generation; the first counts
WEIGHTS = "inference.pdiparams"
MAX_MODEL_JSON_BYTES = 64 << 20
HASH_BLOCK_BYTES = 1 << 20


class BundleError(ValueError):
    """A folder that cannot be served as a bundle; the message says why, in one sentence."""


class NoPictures(Exception):
    """The model does not take a picture; the message is the reason."""


@dataclass(frozen=True)
class Bundle:
    """One folder, sound or not. `problem` is empty for a sound bundle; then `files` and the rest are filled."""

    name: str
    folder: Path
    problem: str = ""
    number: int = 1  # its version, where a model has several
    version: str = ""  # hash of model.json, which itself holds the hash of every chunk
    bytes: int = 0
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    labels: int = 0
    operators: int = 0
    operator_types: list[str] = field(default_factory=list)
    precision: str = ""
    preprocess: dict[str, Any] | None = None
    onnx_sha256: str = ""  # of model.onnx; empty when there is none, or none that can be used
    onnx_problem: str = ""
    program_sha256: str = ""  # of the original Paddle program and its weights, where they lie in the bundle too
    files: dict[str, Asset] = field(default_factory=dict, repr=False)

    @property
    def pages_only(self) -> bool:
        """Sound, and without anything that this server could run; nothing is wrong with it."""
        return not (self.problem or self.onnx_sha256 or self.onnx_problem or self.program_sha256)

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
            return {"name": self.name, "number": self.number, "ready": False, "problem": self.problem}
        return {
            "name": self.name,
            "number": self.number,
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
    for chunk in chunks:
        name = chunk.get("file")
        if not isinstance(name, str) or not CHUNK.fullmatch(name):
            raise BundleError(f"model.json names a weight file {name!r}; only chunk_N.dat is allowed")
    return {chunk["file"]: check_file(folder, chunk["file"], chunk) for chunk in chunks}


def check_vector(model: dict[str, Any], folder: Path) -> dict[str, Asset]:
    """The file that pages try a GPU's half precision on, where the bundle has one."""
    entry = model.get("check")
    named = isinstance(entry, dict) and entry.get("file") == CHECK
    return {CHECK: check_file(folder, CHECK, entry)} if named else {}


def check_file(folder: Path, name: str, entry: dict[str, Any]) -> Asset:
    """A file of the bundle, compared with its size and hash in an entry of model.json."""
    path = folder / name
    if not path.is_file():
        raise BundleError(f"{name} is missing")
    if path.stat().st_size != entry.get("bytes"):
        raise BundleError(f"{name} has {path.stat().st_size} bytes; model.json says {entry.get('bytes')}")
    if sha256_of(path) != entry.get("sha256"):
        raise BundleError(f"{name} is damaged: its SHA-256 is not the one in model.json")
    return Asset(path, str(entry["sha256"]), path.stat().st_size)


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


def read_onnx(model: dict[str, Any], folder: Path) -> tuple[str, str]:
    """The SHA-256 of model.onnx, and what is wrong with it; without a sound one the bundle still works in pages."""
    path, declared = folder / "model.onnx", model.get("onnx")
    wanted = declared.get("sha256") if isinstance(declared, dict) else None
    if not path.is_file():
        return "", "model.onnx is missing, though model.json names it" if wanted else ""
    found = sha256_of(path)
    if wanted is not None and wanted != found:
        return "", "model.onnx is damaged: its SHA-256 is not the one in model.json"
    return found, ""


def read_program(folder: Path) -> str:
    """One SHA-256 over the original program and its weights; empty where not both are there."""
    for name in PROGRAMS:
        if (folder / name).is_file() and (folder / WEIGHTS).is_file():
            both = sha256_of(folder / name) + sha256_of(folder / WEIGHTS)
            return hashlib.sha256(both.encode()).hexdigest()
    return ""


def read_bundle(folder: Path, name: str, number: int) -> Bundle:
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
    onnx_sha256, onnx_problem = read_onnx(model, folder)
    preprocess = model.get("preprocess")
    return Bundle(
        name=name,
        folder=folder,
        number=number,
        version=main.sha256[:16],
        bytes=main.bytes + sum(chunk.bytes for chunk in chunks.values()),
        inputs=tensors(model, "inputs"),
        outputs=tensors(model, "outputs"),
        labels=len(labels) if isinstance(labels, list) else 0,
        operators=len(kinds),
        operator_types=sorted(set(kinds)),
        precision=str(model.get("precision", "float32")),
        preprocess=preprocess if isinstance(preprocess, dict) else None,
        onnx_sha256=onnx_sha256,
        onnx_problem=onnx_problem,
        program_sha256=read_program(folder),
        files={"model.json": main, **chunks, **check_vector(model, folder)},
    )


def picture_spec(bundle: Bundle) -> dict[str, Any]:
    """The bundle's preprocessing, checked. Raises NoPictures when there is none that can be used."""
    if bundle.preprocess is None:
        raise NoPictures("the bundle does not say how a picture becomes its input")
    spec = dict(bundle.preprocess)
    try:
        checked = picture.complete(spec, str(spec.pop("input", "")))
    except picture.PictureError as error:
        raise NoPictures(f"the bundle's preprocessing cannot be used: {error}") from error
    if [checked["input"]] != [entry["name"] for entry in bundle.inputs]:
        raise NoPictures("the model takes something besides one picture")
    return checked
