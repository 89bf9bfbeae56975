"""The inputs that a model is calibrated on: a folder of pictures, or of .npz files with one array per input."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from converter import preprocess as pictures
from converter.errors import ConvertError
from converter.graph import Graph
from converter.ops.run import check_feeds
from converter.run import conform

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
LEAST, FEW, MOST = 8, 100, 500


class Inputs(Sequence[dict[str, np.ndarray]]):
    """Feeds for a graph, made when they are asked for. Raises ConvertError for a folder that cannot serve, and from
    [i] for a file that cannot."""

    def __init__(self, folder: str | Path, graph: Graph) -> None:
        self.folder, self.graph = Path(folder), graph
        if not self.folder.is_dir():
            what = "this is a file, not a folder" if self.folder.exists() else "there is no such folder"
            raise ConvertError(f"{what} to calibrate on", where=str(folder))
        found = sorted(path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        shown = [path for path in found if path.suffix.lower() in PICTURES]
        self.files = [path for path in found if path.suffix.lower() == ".npz"] or shown
        self.left_out = len(shown) if self.files != shown else 0
        if not self.files:
            raise ConvertError("the calibration folder holds neither pictures nor .npz files", where=str(folder),
                               hint=f"put {FEW} to {MOST} typical inputs there")
        if len(self.files) < LEAST:
            count = "one input" if len(self.files) == 1 else f"{len(self.files)} inputs"
            raise ConvertError(f"the calibration folder holds {count}; ranges from so few would be chance",
                               where=str(folder), hint=f"give {FEW} to {MOST} typical inputs")
        self.spec = graph.meta.get("preprocess")
        if self.files[0].suffix.lower() != ".npz":
            self._check_spec()
        self.files = self.files[::max(1, -(-len(self.files) // MOST))]

    def _check_spec(self) -> None:
        if self.spec is None and "picture" not in self.graph.meta:
            raise ConvertError("the model does not say how pictures become inputs", where=str(self.folder),
                               hint="give --size, --mean, --std and the like, or calibrate on .npz files")
        if len(self.graph.inputs) != 1:
            raise ConvertError(f"pictures alone do not make the inputs {self.graph.inputs}", where=str(self.folder),
                               hint="calibrate on .npz files with one array per input")

    @property
    def notes(self) -> list[str]:
        count = len(self.files)
        few = [f"calibrated on {count} inputs; {FEW} to {MOST} are better"] if count < FEW else []
        return few + ([f"{self.left_out} pictures beside the .npz files were left out"] if self.left_out else [])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:  # type: ignore[override]
        path = self.files[index]
        feeds = self._arrays(path) if path.suffix.lower() == ".npz" else self._picture(path)
        try:
            feeds = conform(self.graph, feeds)
            check_feeds(self.graph, feeds)
        except ConvertError as error:
            raise ConvertError(error.what, where=f"calibration input {path.name}", hint=error.hint) from error
        bad = [name for name, array in feeds.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]
        if any(array.size == 0 for array in feeds.values()):
            raise ConvertError("is empty", where=f"calibration input {path.name}", hint="leave this file out")
        if bad:
            raise ConvertError(f"holds NaN or infinity in {', '.join(bad)}", where=f"calibration input {path.name}",
                               hint="leave this file out")
        return feeds

    def _picture(self, path: Path) -> dict[str, np.ndarray]:
        try:
            with Image.open(path) as image:
                rgba = np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
            if self.spec is None:           # preparing is baked into the graph
                return {self.graph.meta["picture"]: np.ascontiguousarray(rgba[None, :, :, :3])}
            return {self.spec["input"]: pictures.apply(self.spec, rgba)}
        except UnidentifiedImageError as error:
            raise ConvertError("is no picture that can be read", where=f"calibration input {path.name}",
                               hint="leave this file out") from error
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ConvertError(f"cannot be used as a picture: {error}", where=f"calibration input {path.name}",
                               hint="leave this file out") from error

    def _arrays(self, path: Path) -> dict[str, np.ndarray]:
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ConvertError("is not an .npz of arrays", where=f"calibration input {path.name}",
                               hint="leave this file out") from error
