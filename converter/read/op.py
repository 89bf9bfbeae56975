"""One operator on its way from Paddle's words to canonical ones: what its handler takes from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from converter.errors import ConvertError
from converter.graph.ir import DTYPES
from converter.read.raw import RawOp

if TYPE_CHECKING:
    from converter.read.canonical import Builder

PRIMARY = ("Out", "Output", "Y")
"""Names of the main output slot, in order of preference."""


def computed(dtype: str) -> str:
    """The element type that takes another's place: programs of half precision are computed in float32. Their weights
    stay as they are, and are widened when loaded."""
    return "float32" if dtype == "float16" else dtype


class Op:
    """A raw operator whose inputs are names of the graph; handlers take attributes out of `attrs`."""

    def __init__(self, raw: RawOp, inputs: dict[str, list[str]], builder: Builder) -> None:
        self.type, self.where, self.outputs = raw.type, raw.where, raw.outputs
        self.inputs, self.builder, self.raw = inputs, builder, raw
        self.attrs = {name: computed(value) if isinstance(value, str) else value for name, value in raw.attrs.items()}

    def attr(self, name: str, default: Any = None) -> Any:
        """Take an attribute; what no handler takes is reported."""
        value = self.attrs.pop(name, None)
        return default if value is None else value

    def dtype(self, name: str = "dtype", default: str = "float32") -> str:
        """Take an attribute that names an element type."""
        value = self.attr(name) or default
        if value not in DTYPES:
            raise self.error(f"the element type {str(value)[:40]!r} is not known")
        return value

    def skip(self, *names: str) -> None:
        """Take attributes that mean nothing for this operator."""
        for name in names:
            self.attrs.pop(name, None)

    def one(self, slot: str) -> str:
        """The one input of a slot that must be there."""
        names = self.inputs.get(slot) or []
        if len(names) != 1:
            raise self.error(f"input '{slot}' must be one tensor, got {len(names)}")
        return names[0]

    def maybe(self, slot: str) -> list[str]:
        """The input of an optional slot as a list of at most one name."""
        return self.inputs.get(slot, [])[:1]

    def constant(self, slot: str) -> np.ndarray | None:
        """The numbers of a slot when all its tensors are constant (joined), else None."""
        arrays = [self.builder.data_of(name) for name in self.inputs.get(slot, [])]
        known = [array.ravel() for array in arrays if array is not None]
        return np.concatenate(known) if known and len(known) == len(arrays) else None

    def constant_attr(self, slot: str, name: str, default: Any = None) -> Any:
        """A list attribute that a constant tensor input overrides; None where the tensor is computed."""
        if self.inputs.get(slot):
            self.attrs.pop(name, None)
            data = self.constant(slot)
            return None if data is None else data.tolist()
        value = self.attr(name, default)
        return list(value) if isinstance(value, (list, tuple)) else [value]

    def need(self, values: list | None, what: str) -> list:
        """The values of constant_attr where a computed tensor cannot be represented."""
        if values is None:
            raise self.error(f"{what} is computed by the program; only constants are supported")
        return values

    @property
    def out_names(self) -> list[str]:
        for slot in PRIMARY:
            if self.outputs.get(slot):
                return self.outputs[slot]
        raise self.error("has no output")

    def error(self, what: str) -> ConvertError:
        return ConvertError(what, where=self.where)
