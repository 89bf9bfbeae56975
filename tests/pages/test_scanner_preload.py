"""The template preloads just the modules that scanner.js imports as it is served, at any depth."""

import posixpath
import re

from webapp import create_app

IMPORT = re.compile(r"""(?:^|[;}\s])(?:import|export)\b[^;'"()]*?'(\.[^']+)'""")


def imported(files: dict, module: str, seen: set[str]) -> set[str]:
    """The module and everything it imports statically."""
    if module not in seen:
        seen.add(module)
        for name in IMPORT.findall(files[module].content().decode()):
            imported(files, posixpath.normpath(posixpath.join(posixpath.dirname(module), name)), seen)
    return seen


def test_every_module_of_the_start_is_preloaded():
    app = create_app()
    html = app.test_client().get("/scanner").get_data(as_text=True)
    preloaded = re.findall(r'<link rel="modulepreload" href="/static/[0-9a-f]+/([^"]+)">', html)
    start = "pages/scanner/scanner.js"
    needed = imported(app.extensions["inpage_assets"].current().files, start, set()) - {start}
    assert sorted(preloaded) == sorted(needed)
