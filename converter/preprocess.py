"""The preprocessing of the package `picture`, with the converter's errors."""

from __future__ import annotations

from typing import Any

import numpy as np

import picture
from converter.errors import ConvertError
from picture.preprocess import CHOICES, DEFAULTS

__all__ = ["CHOICES", "DEFAULTS", "apply", "complete"]


def complete(spec: dict[str, Any], input_name: str) -> dict[str, Any]:
    """A checked spec in the bundle's key order; unknown keys and bad values raise ConvertError naming the key."""
    try:
        return picture.complete(spec, input_name)
    except picture.PictureError as error:
        raise ConvertError(error.what, where="preprocess", hint=error.hint) from error


def apply(spec: dict[str, Any], rgba_u8: np.ndarray) -> np.ndarray:
    """rgba_u8 [h, w, 4] (alpha is ignored) -> float32 [1, C, H, W] or [1, H, W, C]."""
    try:
        return picture.apply(spec, rgba_u8)
    except picture.PictureError as error:
        raise ConvertError(error.what, where="preprocess", hint=error.hint) from error
