"""What every reader of a Paddle program produces: its operators under Paddle 2's names, not yet canonical."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import ConvertError
from converter.graph import Dim, Value


@dataclass
class RawOp:
    """One operator as stored. `feed` has Out and attr col, `fetch` X and attr col."""

    type: str
    inputs: dict[str, list[str]] = field(default_factory=dict)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    where: str = ""


MAX_DEPTH = 8
"""Blocks inside blocks; deeper ones no exporter writes."""


@dataclass
class RawBlock:
    """A block inside an operator of control flow: its own variables, and any of the program around it.

    outs: what it hands on, for a loop the condition first. optional: what nothing has written by then may be missing.
    """

    args: list[str] = field(default_factory=list)
    ops: list[RawOp] = field(default_factory=list)
    outs: list[str] = field(default_factory=list)
    optional: bool = False


@dataclass
class RawProgram:
    """Operators in order over variables that may be written more than once."""

    ops: list[RawOp] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    params: dict[str, np.ndarray] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    where: str = ""
    lod: dict[str, int] = field(default_factory=dict)
    """How deep sequences lie in each other in a variable's rows, where they do."""
    arrays: set[str] = field(default_factory=set)
    """Lists of tensors, whose values are one tensor with the elements along the first axis."""


def symbol_maker() -> Callable[[], str]:
    """Fresh symbols "?1", "?2", … for sizes that only the run will tell."""
    count = 0

    def fresh() -> str:
        nonlocal count
        count += 1
        return f"?{count}"

    return fresh


def symbolic(dims: list[int], fresh: Callable[[], str]) -> tuple[Dim, ...]:
    """-1 → a fresh symbol."""
    return tuple(fresh() if size < 0 else int(size) for size in dims)


def feed_shape(name: str, dims: list[int]) -> tuple[Dim, ...]:
    """-1 in axis i of a graph input → the symbol "name.i"."""
    return tuple(f"{name}.{axis}" if size < 0 else int(size) for axis, size in enumerate(dims))


def contained(file: Path, program: Path) -> Path:
    """`file`, unless links lead it out of the program's folder.

    The folder where the program itself really lies counts too: caches keep both as links into one store.
    """
    target = file.resolve()
    if not any(target.is_relative_to(root) for root in (program.parent.resolve(), program.resolve().parent)):
        raise ConvertError("this file is a link that leads out of the model's folder", where=str(file),
                           hint="copy the file itself beside the model; if someone sent you this model, do not use it")
    return file


def text(value: Any) -> str:
    """A name from JSON; TypeError where it is something else."""
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:60]!r} stands where a name is expected")
    return value


def texts(values: Any) -> list[str]:
    if not isinstance(values, list):
        raise TypeError(f"{str(values)[:60]!r} stands where a list of names is expected")
    return [text(value) for value in values]
