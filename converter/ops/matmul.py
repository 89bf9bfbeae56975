"""Matrix products."""

from __future__ import annotations

import math

import numpy as np

from converter.errors import ConvertError
from converter.ops.spec import op
from converter.ops.unary import FUSABLE, activate


@op("fc", inputs="Input W Bias?", in_num_col_dims=1, **FUSABLE)
def fc(x, w, bias, in_num_col_dims, fuse_activation, fuse_alpha, fuse_beta):
    # x [d0..,dk,..] seen as [prod(d[:k]), K], w [K,N], bias [N] → d[:k] + [N]
    lead = x.shape[:in_num_col_dims]
    if w.ndim != 2 or math.prod(x.shape[in_num_col_dims:]) != w.shape[0]:
        raise ConvertError(f"fc over {in_num_col_dims} leading dimensions does not fit input {list(x.shape)}, "
                           f"weight {list(w.shape)}")
    out = x.reshape(-1, w.shape[0]) @ w
    if bias is not None:
        out = out + bias.reshape(-1)
    return activate(out.reshape(*lead, w.shape[1]), fuse_activation, fuse_alpha, fuse_beta)


@op("matmul_v2", inputs="X Y", trans_x=False, trans_y=False)
def matmul_v2(x, y, trans_x, trans_y):      # [..,M,K] x [..,K,N] → [..,M,N]; 1-D operands as in numpy
    x = np.swapaxes(x, -1, -2) if trans_x and x.ndim > 1 else x
    y = np.swapaxes(y, -1, -2) if trans_y and y.ndim > 1 else y
    return np.matmul(x, y)
