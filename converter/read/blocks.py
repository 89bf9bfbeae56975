"""Control flow of Paddle 2 programs, whose blocks write to variables of the program around them, as blocks that take
and give values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converter.errors import ConvertError
from converter.read.raw import MAX_DEPTH, RawBlock, RawOp, RawProgram

_BLOCK, _BLOCKS = 8, 10
_BOOKKEEPING = ("StepScopes", "Scope")
Translate = Callable[[Any, int, str], RawOp]


def operators(desc: Any, index: int, where: str, program: RawProgram, translate: Translate,
              around: tuple[int, ...] = (), seen: set[int] | None = None) -> list[RawOp]:
    """The operators of block `index`, those of control flow with the blocks inside them as attributes."""
    seen = set() if seen is None else seen
    if not 0 <= index < len(desc.blocks) or index in seen or len(around) > MAX_DEPTH:
        raise ConvertError(f"an operator runs block {index}, which does not exist, is another's or lies too deep",
                           where=where, hint="the file is damaged; export the model again")
    seen.add(index)
    ops = [RawOp("create_array", {}, {"Out": [name]}, {}, f"the list {name}")
           for name in _own(desc.blocks[index]) if name in program.arrays]
    for position, op in enumerate(desc.blocks[index].ops):
        inner = [attr for attr in op.attrs if attr.type in (_BLOCK, _BLOCKS)]
        raw = translate(op, position, where)
        if raw.type == "write_to_array":    # what it writes to keeps the other elements
            raw.inputs["Array"] = list(raw.outputs.get("Out", []))
        if inner:
            if raw.type not in ("while", "conditional_block") or inner[0].type != _BLOCK:
                raise ConvertError(f"this kind of control flow is not supported: {raw.type}", where=where,
                                   hint="export the model without it")
            body = operators(desc, inner[0].block_idx, where, program, translate, (*around, index), seen)
            raw = _functional(raw, body, _own(desc.blocks[inner[0].block_idx]), program)
        ops.append(raw)
    return ops


def _own(block: Any) -> dict[str, None]:
    """The variables that a block declares, in order."""
    return dict.fromkeys(var.name.decode("utf-8", "backslashreplace") for var in block.vars)


def _functional(raw: RawOp, body: list[RawOp], own: dict[str, None], program: RawProgram) -> RawOp:
    """What the block writes of the program around it is what it gives; a loop also takes it."""
    written = [name for op in body for slot, names in op.outputs.items() if slot not in _BOOKKEEPING for name in names]
    given = [name for name in dict.fromkeys(written) if name not in own and name in program.values]
    condition = raw.inputs.get("Condition" if raw.type == "while" else "Cond") or []
    if len(condition) != 1:
        raise ConvertError(f"has {len(condition)} conditions, not one", where=raw.where)
    if raw.type == "while":
        return RawOp("while", {"Condition": condition, "X": given}, {"Out": given},
                     {"body": RawBlock(given, body, [*condition, *given])}, raw.where)
    if not raw.attrs.get("is_scalar_condition", False):
        raise ConvertError("runs where its input has elements, which is not supported", where=raw.where)
    return RawOp("if", {"Condition": condition}, {"Out": given},
                 {"then": RawBlock([], body, given), "otherwise": RawBlock([], [], given, optional=True)}, raw.where)
