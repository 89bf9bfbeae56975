"""The model as this TensorRT wants it: from 11 on precision is no flag, it is in the model's own types."""

from collections.abc import Callable, Collection, Iterator
from itertools import islice

import numpy as np

from trt import library, quantise
from trt.build import weakly_typed
from trt.errors import TrtError
from trt.quantise import Feeds
from trt.recipe import Recipe

HELD, USED = 12, 48  # rows to measure with, rows to calibrate with at most
SHARE = 0.8  # of the tolerance that Q/DQ nodes may use up; the engine rounds once more


def adapted(onnx: bytes, recipe: Recipe, rows: Callable[[], Iterator[Feeds]] | None, tolerance: float,
            measure: str = "largest", float32: Collection[str] = ()) -> bytes:
    """The model itself where flags and calibrators do it; else in half precision, or with Q/DQ nodes.

    rows: what int8 is calibrated with. float32: nodes that half precision leaves as they are. Raises TrtError.
    """  # fmt: skip
    trt = library.tensorrt()
    if weakly_typed(trt) and (recipe.precision != "int8" or hasattr(trt, "IInt8EntropyCalibrator2")):
        return onnx
    if recipe.precision == "fp16":
        return quantise.halved(onnx, float32)
    if recipe.precision == "fp32" or quantise.has_integers(onnx):
        return onnx
    if rows is None:
        raise TrtError("invalid", "int8 needs pictures to calibrate with, or a model with Q/DQ nodes")
    found = list(islice(rows(), HELD + USED))
    held, used = found[: len(found) // 3][:HELD], found[len(found) // 3 :]
    if not held:
        raise TrtError("invalid", f"{len(found)} samples are too few to calibrate with")
    trial = {name: np.concatenate([row[name] for row in held]) for name in held[0]}
    return quantise.plan(onnx, used, trial, SHARE * tolerance, measure)[0]
