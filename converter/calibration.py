"""The inputs that a model is calibrated on: a folder of pictures, or of .npz files with one array per input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

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
            raise ConvertError("there is no such folder to calibrate on", where=str(folder))
        found = sorted(path for path in self.folder.rglob("*") if path.is_file())
        self.files = [path for path in found if path.suffix.lower() == ".npz"] or \
            [path for path in found if path.suffix.lower() in PICTURES]
        if not self.files:
            raise ConvertError("the calibration folder holds neither pictures nor .npz files", where=str(folder),
                               hint=f"put {FEW} to {MOST} typical inputs there")
        if len(self.files) < LEAST:
            raise ConvertError(f"the calibration folder holds {len(self.files)} inputs; ranges from so few would be "
                               "chance", where=str(folder), hint=f"give {FEW} to {MOST} typical inputs")
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
        return [f"calibrated on {count} inputs; {FEW} to {MOST} are better"] if count < FEW else []

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
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise ConvertError(f"cannot be used as a picture: {error}", where=f"calibration input {path.name}",
                               hint="leave this file out") from error

    def _arrays(self, path: Path) -> dict[str, np.ndarray]:
        try:
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise ConvertError("is not an .npz of arrays", where=f"calibration input {path.name}",
                               hint="leave this file out") from error
