"""Photos with annotated corners: a folder of pictures with a `corners.json` beside them."""

import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

Point = tuple[float, float]
PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class Photo:
    """A picture file, upright size in pixels, and its page's corners in those pixels (None: there is no page)."""

    path: Path
    width: int
    height: int
    corners: list[Point] | None


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height after the EXIF rotation."""
    with Image.open(path) as image:
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return (image.height, image.width) if turned else image.size


def read_photos(folder: Path, annotated_side: int | None = 480) -> list[Photo]:
    """All pictures of a folder with the corners that `corners.json` gives.

    The JSON is `{"corners": {file name: [[x, y] × 4: TL, TR, BR, BL] or null}}`, in pixels of the picture scaled so
    that its longest side is `annotated_side`; of the picture itself when that is None. A picture that is not listed,
    or with null, shows no page.
    """
    listed = folder / "corners.json"
    corners = json.loads(listed.read_text(encoding="utf-8"))["corners"] if listed.exists() else {}
    unknown = sorted(set(corners) - {path.name for path in folder.iterdir()})
    if unknown:
        raise FileNotFoundError(f"corners.json lists pictures that {folder} does not hold: {', '.join(unknown)}")
    photos = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in PICTURES:
            continue
        width, height = upright_size(path)
        scale = max(width, height) / annotated_side if annotated_side else 1.0
        quad = corners.get(path.name)
        photos.append(Photo(path, width, height, quad and [(x * scale, y * scale) for x, y in quad]))
    return photos


def rgba(photo: Photo) -> bytes:
    """The upright pixels, 4 bytes each, row by row."""
    with Image.open(photo.path) as image:
        return ImageOps.exif_transpose(image).convert("RGBA").tobytes()
