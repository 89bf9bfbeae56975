"""The package as people install it: archive, wheel, another folder, another process."""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

START_S = 60


def run(*command: str | Path, **options) -> None:
    """Run a command; on failure its output is the message."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def archive(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive."""
    out = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", out, cwd=repo)
    (made,) = out.glob("*.tar.gz")
    return made


@pytest.fixture(scope="module")
def wheel(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive alone."""
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", out, archive, cwd=out)
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with only this package in it; what it depends on comes from the running interpreter."""
    target = tmp_path_factory.mktemp("site")
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, wheel, cwd=target)
    return target


@pytest.fixture(scope="module")
def environment(installed: Path) -> dict[str, str]:
    """The environment of someone who installed the package."""
    return {**os.environ, "PYTHONPATH": str(installed), "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="module")
def address(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`python -m webapp`, started in an empty folder; afterwards stopped as a system would."""
    command = [sys.executable, "-m", "webapp", "--port", "0"]
    folder = tmp_path_factory.mktemp("elsewhere")
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield wait_for_address(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0, log.read_text()


def wait_for_address(process: subprocess.Popen, log: Path) -> str:
    """The address that the server prints when it is ready."""
    for _ in range(START_S * 10):
        if found := re.search(r"Paddle InPage is at (http://\S+)/ ", log.read_text()):
            return found.group(1)
        try:
            process.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"the server did not start:\n{log.read_text()}")


def get(url: str) -> tuple[bytes, dict[str, str]]:
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.status == 200
        return answer.read(), dict(answer.headers)


def test_archive_holds_what_a_build_needs(archive: Path):
    with tarfile.open(archive) as tar:
        names = {name.split("/", 1)[1] for name in tar.getnames() if "/" in name}
    needed = {"pyproject.toml", "hatch_build.py", "README.md", "static/runtime/wasm/build.py", "templates/base.html"}
    assert needed <= names
    assert any(name.endswith("kernel.c") for name in names)
    assert not [name for name in names if name.endswith((".wasm", ".pyc")) or name.startswith("tests/")]


def test_wheel_holds_the_kernels_and_no_sources_of_them(wheel: Path, repo: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "webapp/static/runtime/wasm/kernels.wasm" in names
    assert not [name for name in names if name.endswith((".c", ".h", ".pyc")) or "/wasm/build.py" in name]
    scripts = {f"webapp/{p.relative_to(repo).as_posix()}" for p in (repo / "static").rglob("*.js")}
    pages = {f"webapp/templates/{p.name}" for p in (repo / "templates").iterdir()}
    assert scripts | pages <= names


@pytest.mark.parametrize("path", ["/", "/scanner", "/offline", "/static/runtime/index.js", "/service-worker.js"])
def test_pages_are_served_from_another_folder(address: str, path: str):
    body, headers = get(address + path)
    assert len(body) > 100
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"


def test_kernels_are_served(address: str):
    body, headers = get(f"{address}/static/runtime/wasm/kernels.wasm")
    assert body[:4] == b"\0asm" and headers["Content-Type"] == "application/wasm"


def test_every_file_kept_for_offline_use_is_served(address: str):
    listed = json.loads(get(f"{address}/assets.json")[0])["files"]
    assert len(listed) > 50
    for entry in listed:
        assert len(get(address + entry["url"])[0]) == entry["bytes"]


def test_it_is_the_installed_package_that_runs(environment: dict[str, str], installed: Path, tmp_path: Path):
    code = "import webapp, converter; print(webapp.__file__); print(converter.__file__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert all(Path(line).is_relative_to(installed) for line in done.stdout.split())


def test_the_converter_runs_too(environment: dict[str, str], tmp_path: Path):
    run(sys.executable, "-m", "converter", "--help", cwd=tmp_path, env=environment)


def test_a_taken_port_ends_the_command(environment: dict[str, str], address: str, tmp_path: Path):
    command = [sys.executable, "-m", "webapp", "--port", address.rpartition(":")[2]]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "cannot listen on" in done.stderr and "Traceback" not in done.stderr
