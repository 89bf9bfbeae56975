"""Where the files that are not Python live: inside the package once installed, beside it in a checkout."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """The folder `static` or `templates`.

    Raises FileNotFoundError when neither place has it, which means a broken installation.
    """
    for candidate in (PACKAGE / name, PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no {name!r} folder in {PACKAGE} nor beside it; reinstall paddle-inpage")
