"""The house guards itself: who may import whom, what may be in the repository, that what is written is true."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from webapp.settings import markdown_table

REPO = Path(__file__).resolve().parent.parent
MAX_LINES = 500
CODE = {".py", ".js", ".c", ".h", ".css", ".html"}
TEXT = CODE | {".md", ".toml", ".json", ".yml", ".yaml", ".txt", ".svg", ""}
WRITTEN_BY_PROGRAMS = ("tests/cases/", "static/models/", "package-lock.json")


def repository_files() -> list[str]:
    """Every file that is, or would be, in the repository, as paths with slashes."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(name for name in listed if (REPO / name).is_file())


FILES = repository_files()


def below(folder: str, *endings: str) -> list[str]:
    """The repository's files under a folder with one of the endings."""
    return [name for name in FILES if name.startswith(folder) and name.endswith(endings)]


def read(name: str) -> str:
    return (REPO / name).read_text(encoding="utf-8")


# ---- Python: who may import whom ----

# A package of the converter -> what else of the converter it may import, besides itself and `errors`.
CONVERTER_MAY = {
    "schema": set(),
    "graph": set(),
    "ops": {"graph"},
    "read": {"graph", "ops", "schema"},
    "passes": {"graph", "ops"},
    "write": {"graph", "ops", "schema", "trial"},  # a bundle keeps one of the inputs that it was tried on
    "quantise": {"graph", "ops"},
}
HEAVY = ("paddle", "paddle2onnx", "onnx", "onnxruntime", "tensorrt", "ray")


def module_of(name: str) -> str:
    """`converter/read/pir.py` -> `converter.read.pir`."""
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports_of(name: str) -> Iterator[tuple[str, bool]]:
    """Every imported module (absolute) of a Python file, and whether the import is inside a function."""
    tree = ast.parse(read(name), name)
    lazy = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    }
    package = module_of(name).split(".")
    if not name.endswith("/__init__.py"):
        package = package[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in lazy
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{module}.{alias.name}", id(node) in lazy


def test_converter_packages_import_only_what_they_may():
    wrong = []
    for package, allowed in CONVERTER_MAY.items():
        for name in below(f"converter/{package}/", ".py"):
            for module, _ in imports_of(name):
                parts = module.split(".")
                inside = parts[0] == "converter" and len(parts) > 1
                if inside and parts[1] not in allowed | {package, "errors"}:
                    wrong.append(f"{name} imports {module}")
    assert not wrong


def test_converter_and_webapp_meet_only_in_files_and_in_picture():
    wrong = [
        f"{name} imports {m}"
        for name in below("webapp/", ".py")
        for m, _ in imports_of(name)
        if m.startswith("converter")
    ]
    wrong += [
        f"{name} imports {m}"
        for name in below("converter/", ".py")
        for m, _ in imports_of(name)
        if m.startswith(("webapp", "flask"))
    ]
    assert not wrong


def test_the_shared_package_knows_neither_side():
    known = {"numpy", "picture", "math", "typing", "__future__"}
    found = {module.split(".")[0] for name in below("picture/", ".py") for module, _ in imports_of(name)}
    assert found <= known


def test_the_package_for_tensorrt_knows_neither_side():
    found = {module.split(".")[0] for name in below("trt/", ".py") for module, _ in imports_of(name)}
    assert not found & {"webapp", "converter", "flask"}


def test_errors_of_the_converter_import_nothing_of_it():
    assert not [module for module, _ in imports_of("converter/errors.py") if module.startswith("converter")]


def test_batcher_and_engines_know_no_flask():
    names = below("webapp/engines/", ".py") + [name for name in FILES if name == "webapp/batcher.py"]
    assert not [f"{name} imports {m}" for name in names for m, _ in imports_of(name) if m.split(".")[0] == "flask"]


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_library_is_imported_lazily_and_in_one_file(library: str):
    found = [
        (name, lazy)
        for folder in ("converter/", "webapp/", "trt/")
        for name in below(folder, ".py")
        for module, lazy in imports_of(name)
        if module.split(".")[0] == library
    ]
    assert all(lazy for _, lazy in found), found
    for folder in ("converter/", "webapp/", "trt/"):  # the two may not import each other
        assert len({name for name, _ in found if name.startswith(folder)}) <= 1, found


# ---- JavaScript: who may import whom ----

JS_IMPORT = re.compile(r"""(?:^|[\s;}])(?:import|export)\b[^'"();]*?\bfrom\s*['"]([^'"]+)['"]"""
                       r"""|(?:^|[\s;}])import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]""", re.M)  # fmt: skip
NODE_ONLY = {"static/runtime/run_node.js", "static/runtime/source_node.js", "static/runtime/stream_node.js"}

# Files (a prefix, the longest that fits counts) -> prefixes of static/ that they may import.
JS_MAY = {
    "pages/": ("pages/", "media/", "runtime/index.js", "runtime/choose.js", "runtime/errors.js"),
    "pages/lab/": (
        "pages/lab/", "pages/badge.js",
        "runtime/index.js", "runtime/choose.js", "runtime/errors.js", "runtime/measure.js",
    ),
    "pages/scanner/vision/": ("pages/scanner/vision/",),
    "pages/attention/vision/": ("pages/attention/vision/",),
    "media/": ("media/", "runtime/errors.js"),
    "runtime/": ("runtime/", "media/"),
    "runtime/errors.js": (),
    "runtime/tensor.js": ("runtime/errors.js",),
    "runtime/ops/": ("runtime/ops/", "runtime/tensor.js", "runtime/errors.js"),
    "runtime/plan": ("runtime/plan", "runtime/ops/", "runtime/tensor.js", "runtime/errors.js"),
    "runtime/backends/": ("runtime/backends/{self}", "runtime/wasm/", "runtime/tensor.js", "runtime/errors.js"),
    "service_worker.js": (),
}


def without_comments(source: str) -> str:
    """JavaScript or CSS without its comments (strings with // keep what follows a colon, as in an address)."""
    return re.sub(r"/\*.*?\*/|(?<![:'\"`\\/])//[^\n]*", "", source, flags=re.S)


def js_imports(source: str) -> list[tuple[str, bool]]:
    """What a module imports, as written, and whether by a literal `import()`, hence only when it is reached."""
    found = JS_IMPORT.findall(without_comments(source))
    return [(named or bare or dynamic, bool(dynamic)) for named, bare, dynamic in found]


def resolved(name: str, target: str) -> str:
    """A relative import of `name` as a path in the repository."""
    return ((REPO / name).parent / target).resolve().relative_to(REPO).as_posix()


def test_js_imports_are_found():
    source = """
        import {
          a,
        } from './a.js';
        export { b } from "./b.js";  // from './no.js'
        /** @type {import('./no.js').No} */
        const c = await import('./c.js');
        import './d.js';
    """
    assert js_imports(source) == [("./a.js", False), ("./b.js", False), ("./c.js", True), ("./d.js", False)]


@pytest.mark.parametrize("name", below("static/", ".js"))
def test_script_imports_only_what_it_may(name: str):
    inside = name.removeprefix("static/")
    rule = max((prefix for prefix in JS_MAY if inside.startswith(prefix)), key=len, default=None)
    assert rule is not None, f"no rule says what static/{inside} may import"
    own = "/".join([*inside.split("/")[2:3]])
    allowed = tuple(prefix.replace("{self}", own.removesuffix(".js").split("_")[0]) for prefix in JS_MAY[rule])
    for target, when_reached in js_imports(read(name)):
        if target.startswith("node:"):
            assert when_reached or name in NODE_ONLY, f"{name} is loaded by pages and imports {target}"
            continue
        assert target.startswith(("./", "../")), f"{name} imports {target}: only relative paths work in a page"
        path = resolved(name, target)
        assert (REPO / path).is_file(), f"{name} imports {target}, which is not there"
        assert path.removeprefix("static/").startswith(allowed), f"{name} may not import {target}"


def test_kernels_include_only_the_shared_vocabulary():
    headers = {Path(name).name for name in below("static/runtime/wasm/", ".h")}
    for name in below("static/runtime/ops/", ".c"):
        for included in re.findall(r"^\s*#\s*include\s*[<\"]([^>\"]+)", read(name), re.M):
            assert Path(included).name in headers, f"{name} includes {included}"


# ---- what may be in the repository ----

# Words are put together here, so that a search for them finds none.
UNFINISHED = re.compile(
    r"\b(?:" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "raise NotImplemented" + "Error"]) + r")\b"
)
MACHINE_PATH = re.compile(r"(?<![\w./:-])/(?:work|root|tmp|home|opt|Users)/[\w.-]+")
REGISTRY = re.compile("registry" + r"\.npmjs|" + "py" + r"pi\.org|python" + r"hosted\.org")
ADDRESS = re.compile(r"(?:https?|wss?):?//([\w.-]+)|[\"'(=]//([\w-]+\.[\w.-]+)")
HARMLESS_HOSTS = {"www.w3.org", "localhost", "127.0.0.1"}  # the first is the name of a namespace, never fetched


def texts() -> list[str]:
    """Text files written by people, this one aside."""
    here = Path(__file__).relative_to(REPO).as_posix()
    return [n for n in FILES if Path(n).suffix in TEXT and not n.startswith(WRITTEN_BY_PROGRAMS) and n != here]


def test_nothing_is_left_unfinished():
    assert not [f"{name}: {m.group()}" for name in texts() for m in UNFINISHED.finditer(read(name))]


def test_no_path_of_one_machine():
    assert not [f"{name}: {m.group()}" for name in texts() for m in MACHINE_PATH.finditer(read(name))]


def test_no_registry_host():
    assert not [
        f"{name}: {m.group()}" for name in [*texts(), "package-lock.json"] for m in REGISTRY.finditer(read(name))
    ]


def test_no_binary_but_pictures_and_weights():
    allowed = {".png", ".jpg", ".webp", ".dat", ".onnx"}
    binaries = [
        name for name in FILES if b"\0" in (REPO / name).read_bytes()[:8192] and Path(name).suffix not in allowed
    ]
    assert not binaries


@pytest.mark.parametrize("name", [n for n in FILES if Path(n).suffix in CODE and not n.startswith(WRITTEN_BY_PROGRAMS)])
def test_no_file_grows_too_long(name: str):
    assert len(read(name).splitlines()) <= MAX_LINES


def test_pages_name_no_other_host():
    wrong = []
    for name in below("static/", ".js", ".css", ".html", ".svg", ".json") + below("templates/", ".html"):
        source = without_comments(read(name)) if name.endswith((".js", ".css")) else read(name)
        hosts = {first or second for first, second in ADDRESS.findall(source)} - HARMLESS_HOSTS
        wrong += [f"{name}: {host}" for host in sorted(hosts)]
    assert not wrong


# ---- what is written down is true ----


def test_the_service_worker_keeps_every_script_a_page_can_load():
    from webapp import create_app
    from webapp.pages import NOT_OFFLINE

    kept = {entry["name"] for entry in create_app().test_client().get("/assets.json").json["files"]}
    scripts = {n.removeprefix("static/") for n in below("static/", ".js", ".css")}
    assert {n for n in scripts - kept if not n.startswith(NOT_OFFLINE)} == {"service_worker.js"}


def test_the_readme_lists_the_settings_as_they_are():
    assert markdown_table() in read("README.md"), "paste the output of: python -m webapp.settings"


def test_files_and_commands_in_the_readme_exist():
    readme = read("README.md")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", readme):
        assert (REPO / target).exists(), f"README links to {target}"
    goals = set(re.findall(r"^([a-z]+):", read("Makefile"), re.M))
    assert set(re.findall(r"\bmake ([a-z]+)", readme)) <= goals


def test_build_tools_are_pinned_alike():
    project = read("pyproject.toml")
    for pin in re.search(r"BUILD_TOOLS := (.*)", read("Makefile")).group(1).replace('"', "").split():
        assert project.count(f'"{pin}"') == 2, f"{pin} is not the pin of the build and of the dev extra"
