"""What goes into a model and what comes out, for people: arrays or a picture in, the answer in words out."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from converter import preprocess
from converter.errors import ConvertError

BEST = 5
MAX_PIXELS = 100_000_000


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz by name; a prefix "in:" is left off, keys "out:…" are left out."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise ConvertError(f"this is not an .npz of arrays: {error}", where=str(path)) from error
    return {name.removeprefix("in:"): array for name, array in arrays.items() if not name.startswith("out:")}


def load_picture(path: Path, spec: dict[str, Any] | None) -> dict[str, np.ndarray]:
    """A picture as the bundle's input, prepared as its model.json says (preprocess)."""
    if not spec:
        raise ConvertError("the bundle does not say how a picture becomes its input", where=str(path),
                           hint="convert with preprocess options, or give an .npz of arrays")
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ConvertError(f"{picture.width} × {picture.height} pixels are too many", where=str(path))
            rgba = np.asarray(ImageOps.exif_transpose(picture).convert("RGBA"))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise ConvertError(f"this picture cannot be read: {error}", where=str(path)) from error
    rest = dict(spec)
    name = str(rest.pop("input"))
    return {name: preprocess.apply(preprocess.complete(rest, name), rgba)}


def describe(outputs: dict[str, np.ndarray], labels: list[str] | None = None) -> list[str]:
    """Each output: its shape, then the largest elements where it is a row per picture, else its range."""
    lines = []
    for name, array in outputs.items():
        lines.append(f"{name}: {array.dtype}{list(array.shape)}")
        if array.size == 0:
            lines.append("  nothing")
        elif array.ndim == 2 and array.dtype.kind == "f" and array.shape[1] > 1 and len(array) <= BEST:
            lines += [line for row in array for line in _best(row, labels)]
        else:
            values = array.astype(np.float64)
            lines.append(f"  {values.min():.6g} to {values.max():.6g}, mean {values.mean():.6g}")
    return lines


def _best(row: np.ndarray, labels: list[str] | None) -> list[str]:
    named = labels if labels is not None and len(labels) == len(row) else None
    order = np.argsort(-row, kind="stable")[:BEST]
    return ["  " + ", ".join(f"{named[at] if named else at} {row[at]:.4g}" for at in order)]


def times_text(times_ms: list[float]) -> str:
    """The first run apart: it also loads, plans and allocates."""
    later = sorted(times_ms[1:] or times_ms)
    middle, most = later[len(later) // 2], later[min(len(later) - 1, int(len(later) * 0.9))]
    return (f"{len(times_ms)} runs: {middle:.2f} ms in the middle, {later[0]:.2f} at best, nine of ten below "
            f"{most:.2f}; the first took {times_ms[0]:.2f}")
