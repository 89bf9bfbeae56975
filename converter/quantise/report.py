"""What a quantisation chose, and how far it is from float32: plain data for a report."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Layer:
    """One layer with weights. precision: int8 (of 7 bits, or with weights of 12), or float (or with weights of 8 bits).

    error: of its result alone, with everything before it in float32, as a share of that result's own deviation.
    effect: of this layer alone on the model's answer, in the same measure. None where it was not measured.
    """

    name: str
    kind: str
    precision: str
    reason: str
    weights: int
    error: float | None = None
    effect: float | None = None


@dataclass
class Tensor:
    """One tensor between layers: the range seen, the range chosen and by which method, and what each method erred."""

    name: str
    seen: tuple[float, float]
    chosen: tuple[float, float]
    method: str
    errors: dict[str, float] = field(default_factory=dict)


@dataclass
class QuantReport:
    """error: of the model's answer on calibration inputs, root mean square over the answer's deviation; agreement: on
    how many of them the first class is the same, where answers are classes ([N, classes])."""

    inputs: int
    layers: list[Layer] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    error: float = 0.0
    agreement: float = 0.0
    budget: float = 0.0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
