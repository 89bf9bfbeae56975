"""What an engine is built to be: its precision and the sizes it takes."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trt.errors import TrtError

PRECISIONS = ("fp32", "fp16", "int8")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Shapes:
    """The smallest, the usual and the largest shape of an input."""

    smallest: Shape
    usual: Shape
    largest: Shape

    def __post_init__(self) -> None:
        ranks = {len(self.smallest), len(self.usual), len(self.largest)}
        ordered = all(0 < a <= b <= c for a, b, c in zip(self.smallest, self.usual, self.largest, strict=False))
        if len(ranks) != 1 or not ordered:
            raise TrtError("invalid", f"sizes must grow: {self.smallest}, {self.usual}, {self.largest}")

    def hold(self, shape: Sequence[int]) -> bool:
        """Whether a shape is within them."""
        return len(shape) == len(self.largest) and all(
            low <= size <= high for low, size, high in zip(self.smallest, shape, self.largest, strict=True)
        )

    @classmethod
    def batches(cls, rest: Sequence[int], usual: int, largest: int) -> "Shapes":
        """1 to `largest` rows of the shape `rest`."""
        return cls((1, *rest), (usual, *rest), (largest, *rest))


@dataclass(frozen=True)
class Recipe:
    """`shapes`: by input name. `quick`: a short build that times convolutions' own kernels only."""

    precision: str
    shapes: Mapping[str, Shapes]
    quick: bool = False
    workspace_mb: int = 1024
    calibration: str = ""  # a digest of what int8 is calibrated with
    held_to: str = ""  # the tolerance, and of which error

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise TrtError("invalid", f"the precision is one of {', '.join(PRECISIONS)}, not {self.precision!r}")
        if not self.shapes:
            raise TrtError("invalid", "a recipe needs the shapes of the inputs")

    def words(self) -> str:
        """A short text that two recipes share only if they are the same."""
        shapes = {name: [s.smallest, s.usual, s.largest] for name, s in sorted(self.shapes.items())}
        whole = json.dumps([self.precision, shapes, self.quick, self.workspace_mb, self.calibration, self.held_to])
        return f"{self.precision}-{hashlib.sha256(whole.encode()).hexdigest()[:12]}"


def read_shapes(text: str) -> tuple[str, Shapes]:
    """`image=1x3x256x256,8x3x256x256,32x3x256x256` -> the input's name and its sizes; one shape alone is fixed."""
    name, _, rest = text.partition("=")
    parts = rest.split(",")
    sound = all(re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", part) for part in parts)
    if not name or len(parts) not in (1, 3) or not sound:
        raise TrtError("invalid", f"{text!r} is not NAME=SHAPE or NAME=SMALLEST,USUAL,LARGEST, shapes as in 1x3x32x32")
    shapes = [tuple(map(int, part.split("x"))) for part in parts]
    return name, Shapes(*(shapes * 3 if len(shapes) == 1 else shapes))
