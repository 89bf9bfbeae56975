"""How templates write sizes and tensors."""

from collections.abc import Mapping
from typing import Any

from flask import Flask


def filesize(count: int) -> str:
    """Bytes the way people read them: `812 bytes`, `15 KB`, `1.2 MB` (decimal units, as in a download)."""
    if count < 1000:
        return f"{count} byte{'' if count == 1 else 's'}"
    if count < 999_500:
        return f"{round(count / 1000)} KB"
    size, unit = (count / 1e6, "MB") if count < 999_500_000 else (count / 1e9, "GB")
    return f"{size:.1f} {unit}" if size < 99.95 else f"{round(size)} {unit}"


def tensor(entry: Mapping[str, Any]) -> str:
    """`x: float32[?, 3, 224, 224]`; a dimension that is known only at run time is a question mark."""
    sizes = ", ".join(str(size) if isinstance(size, int) and size >= 0 else "?" for size in entry["shape"])
    return f"{entry['name']}: {entry['dtype']}[{sizes}]"


def install(app: Flask) -> None:
    """Offer both as template filters."""
    app.jinja_env.filters["filesize"] = filesize
    app.jinja_env.filters["tensor"] = tensor
