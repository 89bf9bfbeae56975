"""@op: an operator declared once. Its body is the oracle, the constant folder and the contract."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from converter.errors import ConvertError
from converter.graph import Graph, Node

REQUIRED = object()
"""Marks an attribute that Paddle gives no default."""
BLOCK = object()
"""Marks an attribute that is a graph: the body of control flow."""


@dataclass(frozen=True)
class Spec:
    """inputs: slot → "one" | "optional" | "many" | "optional many". attrs: name → Paddle's default, or REQUIRED."""

    type: str
    inputs: dict[str, str]
    attrs: dict[str, Any]
    evaluate: Callable[..., Any]
    variadic_out: bool = False


REGISTRY: dict[str, Spec] = {}

_KINDS = {"?": "optional", "*": "many", "?*": "optional many", "": "one"}


def op(type: str, inputs: str = "", variadic_out: bool = False, **attrs: Any) -> Callable:
    """Declare an operator.

    inputs: slots in order, "X Y? Z* W?*": "?" optional (None when absent), "*" many (a list, empty when absent).
    The body takes the inputs as arrays in slot order, then the attributes by name,
    and returns the array of Out (a list of them where `variadic_out`).
    """
    slots = {}
    for word in inputs.split():
        slot = word.rstrip("?*")
        slots[slot] = _KINDS[word[len(slot):]]

    def declare(body: Callable) -> Callable:
        if type in REGISTRY:
            raise ValueError(f"operator {type} is declared twice")
        REGISTRY[type] = Spec(type, slots, attrs, body, variadic_out)
        return body

    return declare


def complete(node: Node) -> None:
    """Fill in defaults; raise ConvertError for an unknown operator, slot or attribute, or a missing one."""
    spec = REGISTRY.get(node.type)
    if spec is None:
        raise ConvertError("this operator is not supported", where=node.where)
    unknown = sorted(set(node.attrs) - set(spec.attrs)) + sorted(set(node.inputs) - set(spec.inputs))
    if unknown:
        raise ConvertError(f"unknown attributes or inputs {unknown}", where=node.where)
    for name, default in spec.attrs.items():
        if default is BLOCK:
            if not isinstance(node.attrs.get(name), Graph):
                raise ConvertError(f"attribute '{name}' is no graph", where=node.where)
        elif name not in node.attrs:
            if default is REQUIRED:
                raise ConvertError(f"attribute '{name}' is missing", where=node.where)
            node.attrs[name] = copy.copy(default)
        else:
            node.attrs[name] = _fitting(node.attrs[name], default, f"{node.where}, attribute '{name}'")
    for slot, kind in spec.inputs.items():
        if not kind.startswith("optional") and not node.inputs.get(slot):
            raise ConvertError(f"input '{slot}' is missing", where=node.where)


_MAX_INT = 2**63
_PLAIN = (bool, int, float, str)


def _fitting(value: Any, default: Any, where: str) -> Any:
    """The value where it is of its default's kind; 0 and 1 serve as booleans. ConvertError where it is not."""
    items = value if isinstance(value, (list, tuple)) else [value]
    if not all(isinstance(item, _PLAIN) for item in items):
        raise ConvertError(f"holds a {type(next(i for i in items if not isinstance(i, _PLAIN))).__name__}", where=where)
    if any(isinstance(item, int) and not -_MAX_INT <= item < _MAX_INT for item in items):
        raise ConvertError("holds a whole number beyond 64 bits", where=where)
    if isinstance(default, bool):
        if value not in (0, 1) or isinstance(value, (list, tuple)):
            raise ConvertError(f"is {_shown(value)} where a boolean is expected", where=where)
        return bool(value)
    kind = next((kind for kind in ((int, float), str, (list, tuple)) if isinstance(default, kind)), object)
    if not isinstance(value, kind) or (isinstance(default, int) and isinstance(value, float) and value % 1 != 0):
        raise ConvertError(f"is {_shown(value)} where something like {default!r} is expected", where=where)
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
