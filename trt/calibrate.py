"""What int8 is calibrated with: samples from a folder, and TensorRT's entropy calibrator with its table on disk."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import picture
from trt.cache import write_whole
from trt.cuda import Pair, cuda
from trt.errors import TrtError
from trt.recipe import Recipe

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
Feeds = dict[str, np.ndarray]


def samples(folder: Path, spec: Mapping[str, Any] | None = None) -> Iterator[Feeds]:
    """Single rows, by input name, from the pictures and .npz files of a folder (or from one .npz), in order of names.

    spec: how a picture becomes the input, as in a bundle's `preprocess`. In a .npz each input is an array of rows.
    Raises TrtError: invalid.
    """
    files = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    for path in files:
        if path.suffix == ".npz":
            yield from rows_in(path)
        elif path.suffix.lower() in PICTURES:
            if spec is None:
                raise TrtError("invalid", f"{path.name} is a picture; name the model.json that says how to prepare it")
            yield {spec["input"]: picture.apply(dict(spec), decoded(path))}


def rows_in(path: Path) -> Iterator[Feeds]:
    """The rows of a .npz."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name.removeprefix("in:"): archive[name] for name in archive.files if not name.startswith("out:")}
    except (OSError, ValueError) as error:
        raise TrtError("invalid", f"{path.name} cannot be read ({error})") from error
    for row in range(min((len(array) for array in arrays.values()), default=0)):
        yield {name: array[row : row + 1] for name, array in arrays.items()}


def decoded(path: Path) -> np.ndarray:
    """uint8 [h, w, 4]. Raises TrtError: not_installed, invalid."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise TrtError("not_installed", "pictures are read with Pillow: pip install pillow") from error
    try:
        with Image.open(path) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGBA"))
    except (OSError, ValueError) as error:
        raise TrtError("invalid", f"{path.name} cannot be read ({error})") from error


def batches(rows: Iterator[Feeds], recipe: Recipe) -> Iterator[Feeds]:
    """Whole batches of the recipe's usual size; what is left over at the end is dropped. Raises TrtError: invalid."""
    waiting: list[Feeds] = []
    size = min(shapes.usual[0] for shapes in recipe.shapes.values())
    for row in rows:
        for name, shapes in recipe.shapes.items():
            if name not in row or row[name].shape[1:] != shapes.usual[1:]:
                found = row[name].shape if name in row else "missing"
                raise TrtError("invalid", f"a sample of {name!r} is {found}; {shapes.usual[1:]} is what is calibrated")
        waiting.append(row)
        if len(waiting) == size:
            yield {name: np.ascontiguousarray(np.concatenate([r[name] for r in waiting])) for name in recipe.shapes}
            waiting = []


def entropy(rows: Callable[[], Iterator[Feeds]], recipe: Recipe, table: Path | None = None) -> Callable[[Any], Any]:
    """What `build` takes as its calibrator. `table`: read when it is there, else written: then `rows` are not run."""

    def make(trt: Any) -> Any:
        class Calibrator(trt.IInt8EntropyCalibrator2):
            """Feeds the builder; an error here must not cross the library, so it is kept for afterwards."""

            def __init__(self) -> None:
                trt.IInt8EntropyCalibrator2.__init__(self)
                self.source = batches(rows(), recipe)
                self.memory: dict[str, Pair] = {}
                self.fed = 0
                self.problem: TrtError | None = None

            def get_batch_size(self) -> int:
                return min(shapes.usual[0] for shapes in recipe.shapes.values())

            def get_batch(self, names: list[str]) -> list[int] | None:
                try:
                    found = next(self.source, None)
                    if found is None:
                        return None
                    self.fed += 1
                    return [self.placed(name, found[name]) for name in names]
                except TrtError as error:
                    self.problem = error
                    return None

            def placed(self, name: str, array: np.ndarray) -> int:
                if name not in self.memory:
                    self.memory[name] = Pair(cuda(), array.nbytes, array.dtype)
                pair = self.memory[name]
                np.copyto(pair.host, array.reshape(-1), casting="no")
                api = pair.cuda
                api.check(api.cudaMemcpy(pair.device_at, pair.host_at, array.nbytes, 1), "copy to the GPU")
                return pair.device_at

            def read_calibration_cache(self) -> bytes | None:
                try:
                    return table.read_bytes() if table else None
                except OSError:
                    return None  # calibrated anew, and written then

            def write_calibration_cache(self, content: Any) -> None:
                if table:
                    try:
                        write_whole(table, bytes(content))
                    except TrtError as error:
                        self.problem = error

            def close(self) -> None:
                for pair in self.memory.values():
                    pair.close()

        return Calibrator()

    return make
