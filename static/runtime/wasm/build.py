"""Build the kernels: every C file of static/runtime/ops and static/runtime/wasm by the zig of the `ziglang` wheel.

    python static/runtime/wasm/build.py [--out FILE [--strict]] [--force]

The same sources twice: kernels.wasm uses relaxed SIMD (a multiply-add in one instruction), kernels.strict.wasm does
without; a page fetches the one that its browser can run. Deterministic: the same sources, flags and zig give the same
bytes. Skips the work when the output carries the fingerprint of what it would be built from.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from importlib import metadata, util
from pathlib import Path

WASM = Path(__file__).resolve().parent
RUNTIME = WASM.parent
OUT = WASM / "kernels.wasm"
STRICT_OUT = WASM / "kernels.strict.wasm"

FLAGS = [
    # -Os: what pays is unrolled by hand, and the rest need not be fetched
    "--target=wasm32-freestanding", "-std=c11", "-Os",
    "-msimd128", "-mnontrapping-fptoint", "-mbulk-memory", "-msign-ext", "-matomics", "-ffreestanding",
    "-nostdlib", "-fno-math-errno", "-fno-sanitize=all", "-fvisibility=hidden",
    "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
    # without it each load of a loop has its constant offset added beforehand: an instruction more, and larger kernels
    "-mllvm", "-disable-lsr",
    "-Wl,--no-entry", "-Wl,--import-memory", "-Wl,--shared-memory", "-Wl,--max-memory=2147418112",
    "-Wl,--export-table", "-Wl,--growable-table", "-Wl,--export=__stack_pointer",
    "-Wl,--export=__heap_base", "-Wl,-z,stack-size=65536", "-Wl,--strip-all",
]
RELAXED = "-mrelaxed-simd"
SECTION = b"inpage.sources"


class BuildError(Exception):
    """The kernels cannot be built; the message says what to do."""


def sources() -> list[Path]:
    """All C files and headers, in a fixed order."""
    found = [*RUNTIME.glob("ops/*/*.c"), *WASM.glob("*.c"), *WASM.glob("*.h")]
    return sorted(found, key=lambda path: path.relative_to(RUNTIME).as_posix())


def flags(strict: bool) -> list[str]:
    """What zig is told for one of the two builds."""
    return FLAGS if strict else [*FLAGS, RELAXED]


def fingerprint(strict: bool) -> bytes:
    """SHA-256 over the sources, the flags and the version of zig."""
    digest = hashlib.sha256(repr((zig_version(), flags(strict))).encode())
    for path in sources():
        name, data = path.relative_to(RUNTIME).as_posix().encode(), path.read_bytes()
        digest.update(b"%d %s %d " % (len(name), name, len(data)) + data)
    return digest.digest()


def zig_version() -> str:
    """Version of the ziglang wheel; BuildError where it is not installed."""
    if util.find_spec("ziglang") is None:
        raise BuildError("the kernels are compiled by zig, which is not installed here: pip install ziglang==0.17.1")
    return metadata.version("ziglang")


def is_current(out: Path, mark: bytes) -> bool:
    """Whether `out` was built from sources with this fingerprint: it ends in a custom section that holds it."""
    return out.is_file() and out.read_bytes().endswith(custom_section(mark))


def custom_section(mark: bytes) -> bytes:
    """A WASM custom section of fewer than 128 bytes."""
    body = bytes([len(SECTION)]) + SECTION + mark
    return bytes([0, len(body)]) + body


def build(out: Path, strict: bool = False, force: bool = False) -> bool:
    """Write one build to `out` unless it is current; True where it was built. Raises BuildError."""
    mark = fingerprint(strict)
    if not force and is_current(out, mark):
        return False
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="inpage-wasm-") as folder:
        raw = Path(folder) / "kernels.wasm"
        compile_wasm(raw, Path(folder), strict)
        # The rename makes an interrupted build leave no half file; it needs the target's own file system.
        part = out.with_name(f".{out.name}.{os.getpid()}")
        part.write_bytes(raw.read_bytes() + custom_section(mark))
        part.replace(out)
    return True


def compile_wasm(out: Path, folder: Path, strict: bool) -> None:
    """Run zig; its caches go to one folder per user below the system's temporary one, or to `folder`."""
    files = [path.relative_to(RUNTIME).as_posix() for path in sources() if path.suffix == ".c"]
    cache = Path(os.environ.get("INPAGE_ZIG_CACHE") or cache_folder() or folder / "cache")
    env = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "ziglang", "cc", *flags(strict), "-o", str(out), *files]
    done = subprocess.run(command, cwd=RUNTIME, env=env, capture_output=True, text=True, check=False)
    if done.returncode or not out.is_file():
        raise BuildError(f"zig could not compile the kernels (exit code {done.returncode}):\n{done.stderr.strip()}")


def cache_folder() -> Path | None:
    """A cache that only this user writes; None where there is no such place."""
    folder = Path(tempfile.gettempdir()) / f"inpage-zig-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        mine = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
    except OSError:
        return None
    return folder if mine and os.access(folder, os.W_OK) else None


def main() -> int:
    """Exit code 0 when built or current, 1 when it cannot be built."""
    parser = argparse.ArgumentParser(description="Build the kernels, the computing core of the runtime.")
    parser.add_argument("--out", type=Path, help="write one build here (default: both beside this script)")
    parser.add_argument("--strict", action="store_true", help="with --out: the build without relaxed SIMD")
    parser.add_argument("--force", action="store_true", help="build even when it is current")
    args = parser.parse_args()
    wanted = [(args.out, args.strict)] if args.out else [(OUT, False), (STRICT_OUT, True)]
    try:
        for out, strict in wanted:
            built = build(out, strict, args.force)
            print(f"{out}: {'built' if built else 'up to date'}, {out.stat().st_size} bytes")
    except BuildError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
