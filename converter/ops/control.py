"""Control flow: graphs inside operators, run as often as the data says."""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.graph import Graph
from converter.ops.run import compute
from converter.ops.spec import BLOCK, op

MAX_STEPS = 100_000
"""A loop that is longer is taken for one that does not end."""


def truth(condition: np.ndarray) -> bool:
    if condition.size != 1:
        raise ConvertError(f"a condition is one element, not {list(condition.shape)}")
    return bool(condition.reshape(-1)[0])


@op("while", inputs="Condition X*", variadic_out=True, body=BLOCK)
def loop(condition: np.ndarray, x: list[np.ndarray], body: Graph) -> list[np.ndarray]:
    # While Condition holds: body(X) → the next Condition and the next values of the first len(Out) of X.
    count, steps = len(body.outputs) - 1, 0
    carried, rest = x[:count], x[count:]
    while truth(condition):
        if steps == MAX_STEPS:
            raise ConvertError(f"the loop did not end within {MAX_STEPS} steps")
        condition, *carried = compute(body, [*carried, *rest])
        steps += 1
    return list(carried)


@op("if", inputs="Condition X*", variadic_out=True, then=BLOCK, otherwise=BLOCK)
def choose(condition: np.ndarray, x: list[np.ndarray], then: Graph, otherwise: Graph) -> list[np.ndarray]:
    # then(X) where Condition holds, else otherwise(X)
    return compute(then if truth(condition) else otherwise, x)


@op("write_to_array", inputs="X I Array")
def write_to_array(x: np.ndarray, i: np.ndarray, array: np.ndarray) -> np.ndarray:
    # Array [n, *X] (without elements any shape) with X at place I, or behind the last → [n or n + 1, *X]
    at, length = int(i.reshape(-1)[0]), len(array)
    if not 0 <= at <= length:
        raise ConvertError(f"place {at} is outside a list of {length} elements")
    if at == 0 and length <= 1:
        return x[None].copy()
    if array.shape[1:] != x.shape:
        raise ConvertError(f"an element {list(x.shape)} differs from the list's, {list(array.shape[1:])}")
    return np.concatenate([array[:at], x[None], array[at + 1:]])
