"""The template preloads just the modules that scanner.js imports, at any depth."""

import re
from pathlib import Path

from webapp import create_app

IMPORT = re.compile(r"^(?:import|export)\s[^;]*?from '(\.[^']+)'", re.MULTILINE)


def imported(module: Path, seen: set[Path]) -> set[Path]:
    """The module and everything it imports statically."""
    if module not in seen:
        seen.add(module)
        for name in IMPORT.findall(module.read_text(encoding="utf-8")):
            imported((module.parent / name).resolve(), seen)
    return seen


def test_every_module_of_the_start_is_preloaded(repo):
    html = create_app().test_client().get("/scanner").get_data(as_text=True)
    preloaded = re.findall(r'<link rel="modulepreload" href="/static/[0-9a-f]+/([^"]+)">', html)
    start = repo / "static/pages/scanner/scanner.js"
    needed = {path.relative_to(repo / "static").as_posix() for path in imported(start, set()) - {start}}
    assert sorted(preloaded) == sorted(needed)
