"""Picking by value: how much is picked shows at run time."""

from __future__ import annotations

import numpy as np

from converter.ops.spec import op


@op("where_index", inputs="Condition")
def where_index(condition):                 # → positions of what is not zero [K,rank], int64
    return np.argwhere(condition).astype(np.int64)


@op("masked_select", inputs="X Mask")
def masked_select(x, mask):                 # both broadcast → the elements under True [K]
    return np.broadcast_arrays(x, mask)[0][np.broadcast_to(mask, np.broadcast_shapes(x.shape, mask.shape))]


@op("unique", inputs="X", variadic_out=True, axis=[], dtype="int64")
def unique(x, axis, dtype):
    # → sorted values (slices along the axis), where each stands first, which of them each element is, how often
    made = np.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=axis[0] if axis else None)
    return [made[0], *(part.reshape(-1).astype(dtype) for part in made[1:])]
