"""The bundles on disk: found, checked, described. Nothing here runs a model.

A bundle is a folder with model.json and chunk_N.dat, and model.onnx (or the original program) where the server is to
run it too. A model has one
bundle, or several versions side by side: NAME/1, NAME/2 and so on; a bundle without such a number is version 1. Names
and file names that visitors may ask for come from what was found on disk, never the other way round.
"""

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import picture
from webapp.assets import Asset

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
NUMBER = re.compile(r"[1-9][0-9]{0,8}")
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


class Models:
    """The bundles of several folders. A folder holds models, or is one itself; earlier folders win a name."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders
        self.known: dict[Path, tuple[tuple, Bundle]] = {}
        self.reading = threading.Lock()  # a new bundle is hashed by who sees it first; the others wait for that

    def candidates(self) -> list[tuple[Path, str, int]]:
        """Every folder that claims to be a bundle, in order, with the model's name and the version's number."""
        found = []
        for folder in self.folders:
            if own := versions_in(folder):
                found += own
            elif folder.is_dir():
                found += [version for sub in sorted(folder.iterdir()) for version in versions_in(sub)]
        return found

    def check(self, folder: Path, name: str, number: int) -> Bundle:
        """The bundle in `folder`; hashed again only when a file changed."""
        try:
            signature = signature_of(folder)
            known = self.known.get(folder)
            if known is not None and known[0] == signature:
                return known[1]
            with self.reading:
                known = self.known.get(folder)
                if known is None or known[0] != signature:
                    known = self.known[folder] = (signature, self.read(folder, name, number))
                return known[1]
        except OSError as error:  # a file went away while it was read: look again next time
            return Bundle(name, folder, problem=f"a file cannot be read ({error.strerror})", number=number)

    def read(self, folder: Path, name: str, number: int) -> Bundle:
        """The bundle in `folder`, hashed; or what is wrong with it. Raises OSError."""
        try:
            if not NAME.fullmatch(name):
                raise BundleError("the folder's name may hold only letters, digits, dot, dash and underscore")
            return read_bundle(folder, name, number)
        except BundleError as error:
            return Bundle(name, folder, problem=str(error), number=number)

    def found(self) -> list[Bundle]:
        """Every version of every model, sound or not, each name and number once."""
        bundles: dict[tuple[str, int], Bundle] = {}
        owners: dict[str, Path] = {}
        candidates = self.candidates()
        for folder, name, number in candidates:
            place = model_folder(folder, name)
            if owners.setdefault(name, place) == place:
                bundles.setdefault((name, number), self.check(folder, name, number))
        for folder in set(self.known) - {folder for folder, _, _ in candidates}:
            self.known.pop(folder, None)
        return list(bundles.values())

    def all(self) -> list[Bundle]:
        """The newest sound version of every model, then what cannot be used, each with its reason."""
        found = self.found()
        newest: dict[str, Bundle] = {}
        for bundle in sorted(found, key=lambda bundle: bundle.number):
            if not bundle.problem:
                newest[bundle.name] = bundle
        problems = [
            Bundle(folder.name, folder, problem="the configured folder does not exist")
            for folder in self.folders
            if not folder.is_dir()
        ]
        problems += [bundle for bundle in found if bundle.problem]
        taken = {bundle.folder for bundle in found}
        problems += [
            Bundle(name, folder, problem="another folder already has a model of this name", number=number)
            for folder, name, number in self.candidates()
            if folder not in taken
        ]
        order = dict.fromkeys(bundle.name for bundle in found)
        return [*(newest[name] for name in order if name in newest), *problems]

    def versions(self, name: str) -> list[Bundle]:
        """The sound versions of that name, newest first."""
        sound = [bundle for bundle in self.found() if bundle.name == name and not bundle.problem]
        return sorted(sound, key=lambda bundle: -bundle.number)


def signature_of(folder: Path) -> tuple:
    """What changes when a file in it does. Raises OSError."""
    about = [(path.name, path.stat()) for path in folder.iterdir()]
    return tuple(sorted((name, found.st_mtime_ns, found.st_size) for name, found in about))


def versions_in(folder: Path) -> list[tuple[Path, str, int]]:
    """The bundles of one model's folder: the folder itself as version 1, and its numbered folders."""
    if not folder.is_dir():
        return []
    bare = (folder / "model.json").is_file()
    found = [(folder, folder.name, 1)] if bare else []
    numbered = sorted((sub for sub in folder.iterdir() if NUMBER.fullmatch(sub.name)), key=lambda sub: int(sub.name))
    return found + [
        (sub, folder.name, int(sub.name))
        for sub in numbered
        if (sub / "model.json").is_file() and not (bare and sub.name == "1")
    ]


def model_folder(folder: Path, name: str) -> Path:
    """The folder of a model, given that of one of its versions."""
    return folder.parent if NUMBER.fullmatch(folder.name) and folder.parent.name == name else folder
