"""Static files under content-hash URLs, compressed once and kept in memory.

`/static/<tree>/pages/home.js` never changes (a year, immutable): `<tree>` is a hash over every deployed file, so a
relative import inside a module stays inside one consistent version. `/static/pages/home.js` is the same file,
revalidated on every use, for people who embed the runtime under a stable address.
"""

import gzip
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import brotli
from flask import Response, request

from webapp.link import Linker
from webapp.minify import smaller
from webapp.squeeze import squeezer

YEAR_S = 365 * 24 * 3600
IMMUTABLE = f"public, max-age={YEAR_S}, immutable"
REVALIDATE = "public, max-age=0, must-revalidate"

# What is deployed, and as what. A file whose ending is not here (.c, .h, .py, .md) does not exist for visitors.
MIME = {
    ".css": "text/css; charset=utf-8",
    ".dat": "application/octet-stream",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
}
COMPRESSIBLE = {".css", ".js", ".json", ".svg", ".txt", ".wasm", ".webmanifest"}
SLOW_COMPRESSION_BYTES = 1 << 20
WEIGHTS = ".dat"

# What starts together is linked: into the module that pages import, what they need until their worker answers; into
# another, what runs a model, with the families of operators that most models have. The worker's own module only names
# others, and says `serve`.
ENTRY, ON_PAGES = "runtime/index.js", ("runtime/worker_client.js",)
LOCAL, WORKER = "runtime/local.js", "runtime/worker.js"
FAMILIES = ("conv", "pool", "matmul", "unary", "binary", "softmax", "layout", "resize")
IN_WORKERS = tuple(f"runtime/ops/{family}/{part}.js" for family in FAMILIES for part in ("index", "wasm"))
PRIVATE_NAMES = {"package.json"}


def deployed(path: Path) -> bool:
    """Whether a file below static/ is for visitors: a known ending, not hidden, not a test, not a tool's."""
    return (
        path.suffix in MIME
        and path.name not in PRIVATE_NAMES
        and not path.name.endswith((".test.js", ".d.ts"))
        and not any(part.startswith((".", "__")) for part in path.parts)
    )


def walk(root: Path) -> Iterator[tuple[str, Path]]:
    """Every deployed file as (path with slashes relative to root, path), sorted by the former."""
    found = (path for path in root.rglob("*") if path.is_file() and deployed(path.relative_to(root)))
    yield from sorted((path.relative_to(root).as_posix(), path) for path in found)


def choose_encoding() -> str:
    """The smallest encoding that the visitor of the request in hand accepts: br, gzip or identity."""
    accepted = request.accept_encodings
    best = max(("br", "gzip"), key=lambda name: accepted[name])
    return best if accepted[best] else "identity"


def compress(plain: bytes, encoding: str) -> bytes:
    """`br` or `gzip` at the best level; large files one step below, where brotli is a hundred times faster."""
    if encoding == "gzip":
        return gzip.compress(plain, 9, mtime=0)
    return brotli.compress(plain, quality=11 if len(plain) <= SLOW_COMPRESSION_BYTES else 6)


def modules(contents: dict[str, bytes]) -> tuple[dict[str, bytes], frozenset[str]]:
    """Modules as visitors get them: linked, and of each only the code; comments (a third of it) stay in the source.

    And the names of those that are in another one now, to which they only point.
    """
    sources = {name: content.decode() for name, content in contents.items() if name.endswith(".js")}
    signs: frozenset[str] = frozenset()
    if ENTRY in sources:
        pages = Linker(sources, ENTRY, ON_PAGES)
        sources = pages.linked()
        workers = Linker(sources, LOCAL, IN_WORKERS, but=(WORKER,), known=(ENTRY,))
        sources, signs = workers.linked(), frozenset(pages.members + workers.members) - {ENTRY, LOCAL}
    return {name: smaller(source).encode() for name, source in sources.items()}, signs


@dataclass
class Asset:
    """One file, with its content hash and its compressed bodies (made on first use)."""

    path: Path
    sha256: str
    bytes: int
    plain: bytes | None = field(default=None, repr=False)  # None: not worth keeping, read when asked for
    bodies: dict[str, bytes] = field(default_factory=dict, repr=False)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def compressible(self) -> bool:
        """Text and WebAssembly shrink; pictures do not, and weights little: see squeeze.py."""
        return self.path.suffix in COMPRESSIBLE

    def content(self) -> bytes:
        """The file as it is; a weight file has 4 MiB at most, so there is nothing to stream."""
        return self.path.read_bytes() if self.plain is None else self.plain

    def body(self, encoding: str) -> bytes:
        """The compressed body (`br` or `gzip`), made at the best level once per process."""
        with self.lock:
            if encoding not in self.bodies:
                self.bodies[encoding] = compress(self.content(), encoding)
            return self.bodies[encoding]

    def chosen(self) -> tuple[str, bytes]:
        """Encoding and body for the request in hand; of weights the compressed body is sent once there is one."""
        encoding = choose_encoding() if self.compressible else "identity"
        if encoding != "identity":
            return encoding, self.body(encoding)
        # A visitor who has the plain file shall be told that it is still the one.
        known = request.if_none_match.contains(f"{self.sha256[:32]}-identity")
        if self.path.suffix == WEIGHTS and request.accept_encodings["br"] and not known:
            squeezed = squeezer.body(self.sha256, self.content)
            if squeezed is not None:
                return "br", squeezed
        return "identity", self.content()

    def respond(self, cache_control: str) -> Response:
        """The file for the request in hand: encoding negotiated, 304 when the visitor already has it."""
        encoding, body = self.chosen()
        response = Response(body)
        if encoding != "identity":
            response.headers["Content-Encoding"] = encoding
        response.headers["Content-Type"] = MIME[self.path.suffix]
        response.headers["Cache-Control"] = cache_control
        response.set_etag(f"{self.sha256[:32]}-{encoding}")
        if self.compressible or self.path.suffix == WEIGHTS:
            response.vary.add("Accept-Encoding")
        return response.make_conditional(request)


@dataclass(frozen=True)
class Tree:
    """All files of static/ at one moment. `version` names this exact content; `signs` only point to another file."""

    version: str
    files: dict[str, Asset]
    signature: tuple
    signs: frozenset[str]


class Assets:
    """The static tree.

    With `reload` it is looked at again on each use, so that an edited file gets a new address, and modules are served
    as they are, so that a debugger shows what was written.
    """

    def __init__(self, root: Path, *, reload: bool = False) -> None:
        self.root = root
        self.reload = reload
        self.tree = self.read()

    def signature(self) -> tuple:
        """Cheap to compute, and different when a file was edited, added or removed."""
        stats = ((name, path.stat()) for name, path in walk(self.root))
        return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)

    def read(self) -> Tree:
        """Hash every file."""
        signature = self.signature()
        paths, files, signs = dict(walk(self.root)), {}, frozenset()
        contents = {name: path.read_bytes() for name, path in paths.items()}
        if not self.reload:
            linked, signs = modules(contents)
            contents |= linked
        for name, content in contents.items():
            asset = Asset(paths[name], hashlib.sha256(content).hexdigest(), len(content))
            asset.plain = content if asset.compressible else None
            files[name] = asset
        listing = "\n".join(f"{name} {asset.sha256}" for name, asset in files.items())
        return Tree(hashlib.sha256(listing.encode()).hexdigest()[:16], files, signature, signs)

    def current(self) -> Tree:
        """The tree to answer from."""
        if self.reload and self.signature() != self.tree.signature:
            self.tree = self.read()
        return self.tree

    def url(self, name: str) -> str:
        """The immutable address of a file, or of a folder when `name` ends with a slash.

        Raises KeyError when there is no such file: a template that names one is wrong.
        """
        tree = self.current()
        known = name in tree.files or (name.endswith("/") and any(file.startswith(name) for file in tree.files))
        if not known:
            raise KeyError(f"static/{name} does not exist or is not deployed")
        return f"/static/{tree.version}/{name}"

    def find(self, path: str) -> tuple[Asset, str] | None:
        """The asset behind `/static/<path>` and its Cache-Control; None when there is none (or no longer)."""
        tree = self.current()
        first, _, rest = path.partition("/")
        if first == tree.version and rest in tree.files:
            return tree.files[rest], IMMUTABLE
        return (tree.files[path], REVALIDATE) if path in tree.files else None

    def warm(self) -> None:
        """Make every compressed body now, so that no visitor waits for it."""
        for asset in self.current().files.values():
            if asset.compressible:
                for encoding in ("br", "gzip"):
                    asset.body(encoding)
