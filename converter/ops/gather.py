"""Picking by index."""

from __future__ import annotations

import numpy as np

from converter.errors import ConvertError
from converter.ops.spec import op


@op("gather", inputs="X Index", axis=0)
def gather(x, index, axis):                 # index [K], [K,1] or [] → x with that axis replaced
    index = index.reshape(-1) if index.ndim == 2 else index
    if index.size and (index.min() < -x.shape[axis] or index.max() >= x.shape[axis]):
        raise ConvertError(f"gather index outside 0..{x.shape[axis] - 1}")
    return np.take(x, index, axis)
