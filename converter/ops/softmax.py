"""softmax and its logarithm."""

from __future__ import annotations

import numpy as np

from converter.ops.spec import op


@op("softmax", inputs="X", axis=-1)
def softmax(x, axis):                       # out: shape of x
    if x.ndim == 0:
        return np.ones_like(x)
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@op("log_softmax", inputs="X", axis=-1)
def log_softmax(x, axis):                   # out: shape of x
    if x.ndim == 0:
        return np.zeros_like(x)
    shifted = x - x.max(axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
