"""An engine's numbers against a reference's: how far off, as a share of the reference's range."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trt.errors import TrtError

# What is accepted unless someone says otherwise, of the largest error. Where a network ends in a steep sigmoid, half
# precision alone moves single pixels on an edge by a tenth of the range; who may live with that names the typical one.
MEASURES = ("largest", "typical")
TOLERANCES = {"fp32": 1e-3, "fp16": 1e-2, "int8": 1e-2}


@dataclass(frozen=True)
class Errors:
    """Of one output, each over the range of the reference: the largest error and the root of the mean square."""

    largest: float
    typical: float

    @property
    def text(self) -> str:
        return f"largest {self.largest:.2e}, typical {self.typical:.2e} of the range"


def compare(found: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> dict[str, Errors]:
    """Errors by output. Raises TrtError (out_of_tolerance) where an output is missing, of another shape, not finite."""
    errors = {}
    for name, wanted in reference.items():
        if name not in found:
            raise TrtError("out_of_tolerance", f"there is no output {name!r}, only {sorted(found)}")
        mine = np.asarray(found[name])
        if mine.shape != wanted.shape:
            raise TrtError("out_of_tolerance", f"output {name!r} is {mine.shape}, the reference's is {wanted.shape}")
        if not np.isfinite(mine.astype(np.float64)).all():
            raise TrtError("out_of_tolerance", f"output {name!r} is not finite")
        exact = wanted.astype(np.float64)
        off = np.abs(mine.astype(np.float64) - exact)
        span = max(float(exact.max() - exact.min()), 1e-6) if exact.size else 1.0
        errors[name] = Errors(float(off.max(initial=0)) / span, float(np.sqrt(np.mean(off**2))) / span)
    return errors


def require(errors: Mapping[str, Errors], tolerance: float, measure: str = "largest") -> None:
    """Raise TrtError (out_of_tolerance) naming every output whose error (`measure`) is above `tolerance`."""
    wrong = [f"{name!r} {found.text}" for name, found in errors.items() if not getattr(found, measure) <= tolerance]
    if wrong:
        raise TrtError("out_of_tolerance", f"above the tolerance of {tolerance:g}: {'; '.join(wrong)}")
