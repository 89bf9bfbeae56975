"""Build hook: compiles the kernels to WebAssembly and puts static/ and templates/ into the wheel."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNELS = Path("static", "runtime", "wasm", "kernels.wasm")
NOT_DEPLOYED = {".c", ".h", ".py", ".pyc", ".md"}


class KernelsAndPages(BuildHookInterface):
    """Runs before a wheel or an editable install is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build kernels.wasm in place; for a real wheel, also list every file that goes under webapp/."""
        if self.target_name != "wheel":
            return
        root = Path(self.root)
        subprocess.run([sys.executable, str(root / KERNELS.parent / "build.py")], check=True, cwd=root)
        if not (root / KERNELS).is_file():
            raise FileNotFoundError(f"{KERNELS.parent / 'build.py'} ended well but made no {KERNELS}")
        if version == "standard":
            build_data["force_include"].update(files_for_webapp(root))


def files_for_webapp(root: Path) -> dict[str, str]:
    """What goes into the wheel: path on disk -> path in the wheel."""
    found = (path for name in ("static", "templates") for path in sorted((root / name).rglob("*")))
    return {
        str(path): f"webapp/{path.relative_to(root).as_posix()}"
        for path in found
        if path.is_file() and path.suffix not in NOT_DEPLOYED and "__pycache__" not in path.parts
    }
