"""The one error a user of the converter sees: what, where, what next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ConvertError(Exception):
    """A model that cannot be read, converted or run.

    what: one sentence on what is wrong. where: file, operator or variable.
    hint: what to try next.
    """

    def __init__(self, what: str, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, where, hint
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.what if not self.where else f"{self.where}: {self.what}"
        return text if not self.hint else f"{text}\n  → {self.hint}"


MALFORMED = (KeyError, TypeError, IndexError, AttributeError, ValueError, ArithmeticError, StopIteration,
             RecursionError)
"""What code raises that meets another structure than the one a sound file has."""


@contextmanager
def refusing(what: str, where: str, hint: str) -> Iterator[None]:
    """Turn what damaged data can raise into a ConvertError that keeps the cause."""
    try:
        yield
    except MALFORMED as error:
        shown = str(error)[:200]
        raise ConvertError(f"{what}: {type(error).__name__}: {shown}", where=where, hint=hint) from error
