"""fc and matmul_v2."""

from .case import Case, rand


def fc(name, x, n, bias=True, k=1, **attrs):
    depth = x[0].size if k else x.size
    for size in x.shape[1:k]:
        depth //= size
    inputs = {"Input": [x], "W": [rand(depth, n)]}
    if bias:
        inputs["Bias"] = [rand(n)]
    return Case(f"fc_{name}", "fc", inputs, {"in_num_col_dims": k, **attrs}, list(inputs)[1:])


def matmul(name, x, y, const=(), **attrs):
    return Case(f"matmul_v2_{name}", "matmul_v2", {"X": [x], "Y": [y]}, attrs, list(const))


ACTIVATIONS = [("relu", 0.0, 0.0), ("relu6", 6.0, 0.0), ("sigmoid", 0.0, 0.0), ("tanh", 0.0, 0.0),
               ("leaky_relu", 0.1, 0.0), ("hard_swish", 0.0, 0.0), ("hard_sigmoid", 0.2, 0.5), ("swish", 1.0, 0.0),
               ("gelu", 0.0, 0.0), ("silu", 0.0, 0.0), ("mish", 0.0, 0.0), ("clip", -1.0, 1.0)]
CASES = [
    *(fc(f"m{m}_k{k}_n{n}", rand(m, k), n) for m, k, n in
      [(1, 1, 1), (1, 8, 5), (2, 13, 9), (3, 7, 17), (5, 3, 3), (1, 33, 10), (7, 16, 8), (9, 5, 1)]),
    fc("m6_k129_n65", rand(6, 129), 65),
    fc("no_bias", rand(3, 5), 7, bias=False),
    fc("flattens", rand(2, 3, 2, 2), 5),
    fc("two_leading", rand(2, 3, 5), 7, k=2),
    fc("three_leading", rand(2, 3, 2, 5), 4, k=3),
    *(fc(f"{act}", rand(3, 5), 7, fuse_activation=act, fuse_alpha=a, fuse_beta=b) for act, a, b in ACTIVATIONS),
    matmul("2d", rand(3, 5), rand(5, 7)),
    matmul("odd_9_17_13", rand(9, 17), rand(17, 13)),
    matmul("trans_x", rand(5, 3), rand(5, 7), trans_x=True),
    matmul("trans_y", rand(3, 5), rand(7, 5), trans_y=True),
    matmul("trans_both", rand(5, 3), rand(7, 5), trans_x=True, trans_y=True),
    matmul("batched", rand(2, 3, 5), rand(2, 5, 4)),
    matmul("batched_trans_y", rand(2, 3, 4, 5), rand(2, 3, 7, 5), trans_y=True),
    matmul("batched_trans_x", rand(2, 3, 5, 4), rand(2, 3, 5, 3), trans_x=True),
    matmul("broadcast_y_2d", rand(2, 3, 4, 5), rand(5, 7)),
    matmul("broadcast_x_2d", rand(4, 5), rand(3, 5, 7)),
    matmul("broadcast_batches", rand(2, 1, 3, 5), rand(1, 3, 5, 4)),
    matmul("broadcast_y_2d_trans", rand(2, 4, 5), rand(7, 5), trans_y=True),
    matmul("constant_3d_y", rand(2, 4, 5), rand(2, 5, 3), ["Y"]),
    matmul("vectors", rand(5), rand(5)),
    matmul("vector_matrix", rand(5), rand(5, 3)),
    matmul("matrix_vector", rand(3, 5), rand(5)),
    matmul("batched_vector", rand(2, 3, 5), rand(5)),
    matmul("rank_5", rand(2, 1, 2, 3, 4), rand(3, 1, 4, 2)),
    matmul("m13_k33_n20", rand(13, 33), rand(33, 20)),
    matmul("ones", rand(1, 1), rand(1, 1)),
]
