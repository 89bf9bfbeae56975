"""What is tried, in this order, until an engine's numbers are within the tolerance: never a worse one silently."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trt import calibrate, mixed
from trt.adapt import adapted
from trt.errors import TrtError
from trt.produce import Proof, invented, produce
from trt.quantise import Feeds
from trt.recipe import Recipe

# And the share of the tolerance that rounding may take up as ONNX Runtime tells it; on an H200, which adds up in half
# precision too, it took 1.4 to 3.1 times that.
HALF = (("fp16", 0.35), ("fp16", 0.25), ("fp32", 1.0))
WAYS = {"fp32": HALF[-1:], "fp16": HALF, "int8": (("int8", 0.35), *HALF)}


@dataclass(frozen=True)
class Given:
    """What engines are made from.

    rows: what int8 is calibrated with; `table`: where that is kept. float32: the nodes that half precision leaves alone
    where they are known; else they are looked for.
    """

    onnx: bytes
    proof: Proof
    rows: Callable[[], Iterator[Feeds]] | None = None
    table: Path | None = None
    float32: tuple[str, ...] | None = None
    timing: Path | None = None


def within(given: Given, recipe: Recipe, path: Path, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Build, prove and keep what was asked for, or what comes closest to it; says which. Raises TrtError."""
    proof = given.proof
    if proof.known is None:
        shapes = {name: sizes.usual for name, sizes in recipe.shapes.items()}
        proof = replace(proof, known=invented(given.onnx, shapes))
    refused: list[str] = []
    tried: set[tuple[str, tuple[str, ...]]] = set()
    for precision, share in WAYS[recipe.precision]:
        tell({"stage": "adapting", "steps": 0, "seconds": 0.0})
        now = replace(recipe, precision=precision)
        float32 = () if precision == "fp32" else left_alone(given, proof, share)
        if (precision, float32) in tried:
            continue
        tried.add((precision, float32))
        try:
            onnx = adapted(given.onnx, now, given.rows, proof.tolerance, proof.measure, float32)
            calibrator = None
            if precision == "int8" and given.rows is not None:
                calibrator = calibrate.entropy(given.rows, now, given.table)
            done = produce(onnx, now, path, proof, float32=float32,
                           calibrator=calibrator, timing=given.timing, tell=tell)  # fmt: skip
        except TrtError as error:
            if error.kind != "out_of_tolerance":
                raise
            refused.append(f"{precision}, {len(float32)} nodes in float32: {error}")
            continue
        return {**done, "precision": precision, "inFloat32": len(float32), "refused": refused}
    raise TrtError("out_of_tolerance", "; ".join(refused))


def left_alone(given: Given, proof: Proof, share: float) -> tuple[str, ...]:
    """The nodes to compute in float32; none where that cannot be found out here: then the engine's numbers decide."""
    if given.float32 is not None or proof.known is None:
        return given.float32 or ()
    try:
        return tuple(mixed.in_float32(given.onnx, proof.known[0], share * proof.tolerance, proof.measure))
    except TrtError as error:
        if error.kind != "not_installed":
            raise
        return ()
