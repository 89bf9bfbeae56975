"""Make tests/converter/composed_cases.json from Paddle itself: python tests/make_composed_cases.py

Operators of Paddle that become several canonical ones when a model is read: each in Paddle 2's words with what Paddle
computes. Needs paddlepaddle.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import numpy as np  # noqa: E402
from case_lists.case import Case, rand, tensor, vector  # noqa: E402
from case_lists.paddle_ops import run_op  # noqa: E402

OUT = HERE / "converter" / "composed_cases.json"
SLOTS = {"conv3d": "Output", "conv3d_transpose": "Output", "unfold": "Y", "fold": "Y", "affine_grid": "Output",
         "deformable_conv": "Output", "deformable_conv_v1": "Output", "quantize_linear": "Y"}


def conv(name: str, x: tuple[int, ...], w: tuple[int, ...], op: str = "conv3d", **attrs: Any) -> Case:
    given = {"strides": [1, 1, 1], "paddings": [0, 0, 0], "dilations": [1, 1, 1], "groups": 1,
             "padding_algorithm": "EXPLICIT", "data_format": "NCDHW", **attrs}
    return Case(f"{op}_{name}", op, {"Input": [rand(*x)], "Filter": [rand(*w)]}, given, const=["Filter"])


def pool(name: str, x: tuple[int, ...], kind: str = "max", **attrs: Any) -> Case:
    given = {"pooling_type": kind, "ksize": [2, 2, 2], "strides": [1, 1, 1], "paddings": [0, 0, 0],
             "ceil_mode": False, "exclusive": True, "adaptive": False, "global_pooling": False,
             "padding_algorithm": "EXPLICIT", "data_format": "NCDHW", **attrs}
    return Case(f"pool3d_{name}", "pool3d", {"X": [rand(*x)]}, given)


def resize(name: str, op: str, size: list[int], x: tuple[int, ...], layout: str = "NCHW", corners: bool = False,
           mode: int = 0, scale: list[float] | None = None) -> Case:
    names = {3: ("out_d", "out_h", "out_w"), 1: ("out_w",)}[len(x) - 2]
    sizes = dict(zip(names, size, strict=True)) if not scale else dict.fromkeys(names, -1)
    method = {"trilinear_interp_v2": "trilinear", "nearest_interp_v2": "nearest", "linear_interp_v2": "linear"}[op]
    return Case(f"{op}_{name}", op, {"X": [rand(*x)]}, {
        **sizes, "scale": scale or [], "align_corners": corners, "align_mode": mode, "data_layout": layout,
        "interp_method": method})


def places(name: str, ordered: np.ndarray, values: np.ndarray, **attrs: Any) -> Case:
    given = {"out_int32": False, "right": False, **attrs}
    return Case(f"searchsorted_{name}", "searchsorted", {"SortedSequence": [ordered], "Values": [values]}, given)


STAIRS, STEPS = np.float32([0, 1, 1, 2, 2, 2, 5]), np.float32([-1, 0, 1, 2, 3, 5, 6])
VOLUME = (1, 2, 5, 4, 7)
CASES = [
    conv("plain", VOLUME, (3, 2, 2, 3, 3)), conv("strides", (2, 3, 6, 7, 5), (4, 3, 3, 2, 3), strides=[2, 3, 1]),
    conv("paddings", VOLUME, (3, 2, 3, 3, 1), paddings=[1, 2, 0]),
    conv("six_paddings", VOLUME, (3, 2, 3, 3, 3), paddings=[0, 2, 1, 0, 2, 1]),
    conv("same", (1, 2, 5, 5, 7), (3, 2, 3, 2, 3), padding_algorithm="SAME", strides=[2, 2, 3]),
    conv("valid", VOLUME, (1, 2, 2, 2, 2), padding_algorithm="VALID", paddings=[1, 1, 1]),
    conv("dilations", (1, 2, 7, 7, 9), (2, 2, 3, 2, 3), dilations=[2, 3, 2]),
    conv("groups", (1, 6, 4, 5, 3), (4, 3, 2, 2, 2), groups=2),
    conv("depthwise", (1, 3, 4, 5, 3), (6, 1, 2, 3, 2), groups=3),
    conv("channels_last", (1, 5, 4, 6, 2), (3, 2, 2, 3, 2), data_format="NDHWC", paddings=[1, 0, 1]),
    conv("one_slice", (1, 3, 1, 5, 5), (2, 3, 1, 3, 3)),
    conv("plain", (1, 2, 3, 4, 3), (2, 3, 2, 3, 2), op="conv3d_transpose", output_padding=[], output_size=[]),
    conv("strides", (1, 4, 3, 2, 3), (4, 2, 3, 2, 3), op="conv3d_transpose", strides=[2, 3, 2], paddings=[1, 0, 1],
         output_padding=[1, 2, 0], output_size=[]),
    conv("groups", (2, 4, 2, 3, 3), (4, 2, 2, 2, 3), op="conv3d_transpose", groups=2, dilations=[2, 1, 2],
         output_padding=[], output_size=[]),
    pool("max", (2, 3, 5, 4, 7)), pool("avg", VOLUME, "avg", strides=[2, 1, 2]),
    pool("avg_padded", VOLUME, "avg", paddings=[1, 1, 1], ksize=[3, 2, 3]),
    pool("avg_inclusive", VOLUME, "avg", paddings=[1, 1, 1], ksize=[3, 3, 2], exclusive=False, strides=[2, 2, 2]),
    pool("max_ceil", (1, 2, 6, 5, 7), ceil_mode=True, ksize=[3, 2, 3], strides=[2, 2, 2]),
    pool("avg_same", VOLUME, "avg", padding_algorithm="SAME", strides=[2, 3, 2], ksize=[3, 2, 2]),
    pool("global", VOLUME, "avg", global_pooling=True), pool("adaptive", VOLUME, "avg", adaptive=True, ksize=[2, 3, 4]),
    pool("channels_last", (1, 4, 5, 6, 3), "max", data_format="NDHWC", strides=[2, 2, 1]),
    resize("up", "trilinear_interp_v2", [7, 9, 5], VOLUME),
    resize("corners", "trilinear_interp_v2", [7, 3, 11], VOLUME, corners=True),
    resize("asymmetric", "trilinear_interp_v2", [3, 7, 9], VOLUME, mode=1),
    resize("one_slice", "trilinear_interp_v2", [1, 5, 1], VOLUME),
    resize("scale", "trilinear_interp_v2", [], VOLUME, scale=[1.5, 2.0, 0.5]),
    resize("channels_last", "trilinear_interp_v2", [4, 3, 6], (1, 3, 4, 5, 2), layout="NHWC"),
    resize("volume", "nearest_interp_v2", [7, 9, 5], VOLUME), resize("corners", "nearest_interp_v2", [3, 7, 4], VOLUME,
                                                                     corners=True),
    resize("up", "linear_interp_v2", [11], (2, 3, 5)),
    resize("to_one", "linear_interp_v2", [1], (2, 3, 4)),
    resize("to_one_by_scale", "linear_interp_v2", [], (1, 2, 5), scale=[0.3]),
    Case("unfold", "unfold", {"X": [rand(2, 3, 7, 6)]}, {"kernel_sizes": [2, 3], "strides": [2, 1],
                                                         "paddings": [1, 0, 2, 1], "dilations": [1, 2]}),
    Case("fold", "fold", {"X": [rand(2, 12, 12)]}, {"output_sizes": [4, 5], "kernel_sizes": [2, 2], "strides": [1, 1],
                                                    "paddings": [0, 0, 0, 0], "dilations": [1, 1]}),
    Case("fold_padded", "fold", {"X": [rand(1, 18, 9)]}, {
        "output_sizes": [5, 6], "kernel_sizes": [3, 3], "strides": [2, 2], "paddings": [1, 1, 1, 1],
        "dilations": [1, 1]}),
    *(Case(f"affine_grid_{corners}", "affine_grid", {"Theta": [rand(2, 2, 3)]}, {
        "output_shape": [2, 3, 4, 5], "align_corners": corners, "use_cudnn": False}) for corners in (True, False)),
    Case("deformable_conv", "deformable_conv", {"Input": [rand(1, 4, 6, 7)], "Filter": [rand(6, 2, 3, 2)],
                                                "Offset": [rand(1, 24, 3, 7)], "Mask": [rand(1, 12, 3, 7, low=0)]},
         {"strides": [2, 1], "paddings": [1, 1], "dilations": [1, 2], "groups": 2, "deformable_groups": 2,
          "im2col_step": 1}, const=["Filter"]),
    Case("deformable_conv_v1", "deformable_conv_v1", {"Input": [rand(2, 2, 5, 5)], "Filter": [rand(3, 2, 3, 3)],
                                                      "Offset": [rand(2, 18, 5, 5)]},
         {"strides": [1, 1], "paddings": [1, 1], "dilations": [1, 1], "groups": 1, "deformable_groups": 1,
          "im2col_step": 1}, const=["Filter"]),
    *(Case(f"quantize_linear_{kind}", "quantize_linear", {"X": [rand(2, 3, 5)], "Scale": [np.float32([1.7])],
                                                          "ZeroPoint": [np.zeros(1, np.float32)]},
           {"quant_axis": -1, "bit_length": 8, "round_type": kind, "is_test": True}, const=["Scale", "ZeroPoint"])
      for kind in (0, 1)),
    places("plain", np.sort(rand(7)), np.round(rand(3, 4), 1)), places("right", STAIRS, STEPS, right=True),
    places("left_int32", STAIRS, STEPS, out_int32=True),
    places("rows", np.sort(rand(2, 3, 5)), rand(2, 3, 4)),
    *(Case(f"dist_{p}", "dist", {"X": [rand(2, 3, 4)], "Y": [rand(3, 1, seed="y")]}, {"p": p})
      for p in (0.0, 1.0, 2.0, 3.0)),
    Case("cross", "cross", {"X": [rand(4, 3, 2)], "Y": [rand(4, 3, 2, seed="y")]}, {"dim": 1}),
    Case("cross_first", "cross", {"X": [rand(2, 3, 3)], "Y": [rand(2, 3, 3, seed="y")]}, {"dim": 9}),
    Case("isclose", "isclose", {"Input": [np.float32([1, 2, np.inf, np.inf, np.nan, 100])],
                                "Other": [np.float32([1.01, 2.5, np.inf, 1, np.nan, 101])]},
         {"rtol": "0.02", "atol": "0.001", "equal_nan": False}),
    Case("reverse", "reverse", {"X": [rand(2, 3, 4)]}, {"axis": [0, 2]}),
    Case("kron", "kron", {"X": [rand(2, 3)], "Y": [rand(3, 2)]}),
    Case("kron_of_other_rank", "kron", {"X": [rand(2, 3, 2)], "Y": [rand(4)]}),
    Case("kron_vectors", "kron", {"X": [rand(3)], "Y": [rand(2)]}),
    Case("repeat_interleave_numbers", "repeat_interleave", {
        "X": [rand(2, 4, 3)], "RepeatsTensor": [vector(2, 0, 1, 3, dtype="int64")]}, {"Repeats": 0, "dim": 1}),
]


def main() -> None:
    lines = []
    for case in CASES:
        found = run_op(case.op, case.inputs, case.attrs)
        lines.append(json.dumps({
            "name": case.name, "op": case.op, "slot": SLOTS.get(case.op, "Out"), "const": case.const,
            "inputs": {slot: tensor(arrays[0]) for slot, arrays in case.inputs.items()}, "attrs": case.attrs,
            "output": tensor(found[0])}, separators=(",", ":"), allow_nan=False))
    OUT.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    print(f"{len(lines)} cases, {OUT.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
