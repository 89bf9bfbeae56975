"""Canonical cases computed by Paddle: legacy operators appended to a program, fused forms composed of several."""

from __future__ import annotations

import os
import warnings
from typing import Any

# The canonical form is the legacy one; Paddle reads this flag when it is imported.
os.environ["FLAGS_enable_pir_api"] = "0"  # noqa: SIM112
warnings.filterwarnings("ignore", module="paddle")

import numpy as np  # noqa: E402
import paddle  # noqa: E402

from . import integers  # noqa: E402
from .case import Case  # noqa: E402

paddle.enable_static()

PADDLE_DTYPE = {"bool": 0, "int16": 1, "int32": 2, "int64": 3, "float16": 4, "float32": 5, "float64": 6, "uint8": 20,
                "int8": 21}
OUT_SLOT = {"conv2d": "Output", "conv2d_transpose": "Output", "batch_norm": "Y", "layer_norm": "Y",
            "instance_norm": "Y", "group_norm": "Y", "stack": "Y", "grid_sampler": "Output", "box_coder": "OutputBox",
            "masked_select": "Y", "take_along_axis": "Result", "put_along_axis": "Result", "gru": "Hidden",
            "ctc_align": "Output", "crf_decoding": "ViterbiPath", "deformable_conv": "Output",
            "deformable_conv_v1": "Output", "conv3d": "Output", "conv3d_transpose": "Output", "unfold": "Y",
            "fold": "Y", "affine_grid": "Output", "quantize_linear": "Y", "nms": "KeepBoxesIdxs"}
SEVERAL = {"rnn": ("Out", "State"), "lstm": ("Hidden", "Cell"), "top_k_v2": ("Out", "Indices"),
          "argsort": ("Out", "Indices"),
           "prior_box": ("Boxes", "Variances"), "anchor_generator": ("Anchors", "Variances"),
           "yolo_box": ("Boxes", "Scores"), "multiclass_nms3": ("Out", "Index", "NmsRoisNum"),
           "generate_proposals_v2": ("RpnRois", "RpnRoiProbs", "RpnRoisNum"),
           "distribute_fpn_proposals": ("RestoreIndex", "MultiFpnRois", "MultiLevelRoIsNum"),
           "collect_fpn_proposals": ("FpnRois", "RoisNum"),
           "matrix_nms": ("Out", "Index", "RoisNum"), "unique": ("Out", "Indices", "Index", "Counts")}
"""Operators whose outputs are one of each slot, the last slot taking the rest."""
EXTRA_OUTPUTS = {
    "rnn": ["DropoutState", "Reserve"], "lstm": ["BatchGate", "BatchCellPreAct"],
    "gru": ["BatchGate", "BatchResetHiddenPrev", "BatchHidden"],
    "reshape2": ["XShape"], "transpose2": ["XShape"], "squeeze2": ["XShape"], "unsqueeze2": ["XShape"],
    "flatten2": ["XShape"], "flatten_contiguous_range": ["XShape"], "layer_norm": ["Mean", "Variance"],
    "instance_norm": ["SavedMean", "SavedVariance"], "group_norm": ["Mean", "Variance"],
    "roi_pool": ["Argmax"], "batch_norm": ["SavedMean", "SavedVariance"], "max_pool2d_with_index": ["Mask"],
}
SEQUENCES = {"lstm": "Input", "gru": "Input", "ctc_align": "Input", "crf_decoding": "Emission"}
"""The input whose rows are one sequence."""
LEGACY_SLOTS = {"atan2": {"X": "X1", "Y": "X2"}}
"""Input slots that the legacy operator calls otherwise."""
EXTRA_ATTRS: dict[str, dict[str, Any]] = {
    "batch_norm": {"is_test": True},
    "lstm": {"is_test": True}, "gru": {"is_test": True},
    "rnn": {"is_test": True, "dropout_prob": 0.0, "input_size": 0, "seed": 0},
    "nearest_interp_v2": {"interp_method": "nearest"},
    "lookup_table_v2": {"padding_idx": -1},
    "put_along_axis": {"Include_self": True},
    "bilinear_interp_v2": {"interp_method": "bilinear"},
    "bicubic_interp_v2": {"interp_method": "bicubic"},
    "unique": {"return_index": True, "return_inverse": True, "return_counts": True, "is_sorted": True},
}
FUSED_ATTRS = {
    "relu": lambda a, b: {}, "sigmoid": lambda a, b: {}, "tanh": lambda a, b: {}, "silu": lambda a, b: {},
    "mish": lambda a, b: {}, "gelu": lambda a, b: {"approximate": False},
    "relu6": lambda a, b: {"threshold": a}, "leaky_relu": lambda a, b: {"alpha": a},
    "swish": lambda a, b: {"beta": a}, "clip": lambda a, b: {"min": a, "max": b},
    "hard_swish": lambda a, b: {"threshold": 6.0, "scale": 6.0, "offset": 3.0},
    "hard_sigmoid": lambda a, b: {"slope": a, "offset": b},
}


def run_op(type: str, inputs: dict[str, list[np.ndarray]], attrs: dict[str, Any], count: int = 1) -> list[np.ndarray]:
    """One legacy operator in a program of its own."""
    program = paddle.static.Program()
    with paddle.static.program_guard(program, paddle.static.Program()):
        block = program.global_block()
        feed, slots = {}, {}
        for slot, arrays in inputs.items():
            slot = LEGACY_SLOTS.get(type, {}).get(slot, slot)
            names = [f"{slot}_{i}" for i in range(len(arrays))]
            feed.update(zip(names, arrays, strict=True))
            slots[slot] = [block.create_var(name=name, shape=array.shape, dtype=str(array.dtype), is_data=True,
                                            stop_gradient=True) for name, array in zip(names, arrays, strict=True)]
        results = [block.create_var(name=f"out_{i}") for i in range(count)]
        *each, last = SEVERAL.get(type, (OUT_SLOT.get(type, "Out"),))
        outputs = {slot: [result] for slot, result in zip(each, results, strict=False)} | {last: results[len(each):]}
        if type == "distribute_fpn_proposals":
            half = len(results) // 2 + 1
            outputs = {each[0]: results[:1], each[1]: results[1:half], last: results[half:]}
        outputs.update({slot: [block.create_var(name=f"extra_{slot}")] for slot in EXTRA_OUTPUTS.get(type, [])})
        if type == "batch_norm":            # both are updated in place while training
            outputs.update(MeanOut=slots["Mean"], VarianceOut=slots["Variance"])
        if type in SEQUENCES:
            name = f"{SEQUENCES[type]}_0"
            feed[name] = paddle.base.create_lod_tensor(feed[name], [[len(feed[name])]], paddle.CPUPlace())
        block.append_op(type=type, inputs=slots, outputs=outputs, attrs={**attrs, **EXTRA_ATTRS.get(type, {})})
    executor = paddle.static.Executor(paddle.CPUPlace())
    return [np.array(made) for made in executor.run(program, feed=feed, fetch_list=results, return_numpy=False)]


def legacy_attrs(type: str, attrs: dict[str, Any]) -> dict[str, Any]:
    """Canonical attributes as the legacy operator spells them."""
    attrs = {name: value for name, value in attrs.items() if not name.startswith("fuse_")}
    if type == "cast":
        return {"out_dtype": PADDLE_DTYPE[attrs["out_dtype"]], "in_dtype": -1}
    if type == "assign_value":
        return {**attrs, "dtype": PADDLE_DTYPE[attrs["dtype"]]}
    if type == "shape":
        return {}
    if type == "repeat_interleave":
        return {"Repeats": attrs["repeats"], "dim": attrs["dim"]}
    if "dtype" in attrs:
        attrs["dtype"] = PADDLE_DTYPE[attrs["dtype"]]
    return attrs


def activate(x: np.ndarray, attrs: dict[str, Any]) -> np.ndarray:
    name = attrs.get("fuse_activation", "")
    if not name:
        return x
    own = FUSED_ATTRS[name](attrs["fuse_alpha"], attrs["fuse_beta"])
    out = COMPOSED[name](x, own) if name in COMPOSED else None
    return run_op(name, {"X": [x]}, own)[0] if out is None else out


def add(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    return run_op("elementwise_add", {"X": [x], "Y": [y]}, {"axis": axis})[0]


def unary(type: str, x: np.ndarray, **attrs: Any) -> np.ndarray:
    return run_op(type, {"X": [x]}, attrs)[0]


def swish(x: np.ndarray, attrs: dict[str, Any]) -> np.ndarray | None:
    """Paddle 3 takes beta for 1; fluid did not."""
    if attrs["beta"] == 1.0:
        return None
    gate = unary("sigmoid", unary("scale", x, scale=attrs["beta"], bias=0.0, bias_after_scale=True))
    return run_op("elementwise_mul", {"X": [x], "Y": [gate]}, {"axis": -1})[0]


def hard_swish(x: np.ndarray, attrs: dict[str, Any]) -> np.ndarray | None:
    """Paddle 3 takes threshold, scale and offset for 6, 6 and 3; fluid did not."""
    if (attrs["threshold"], attrs["scale"], attrs["offset"]) == (6.0, 6.0, 3.0):
        return None
    gate = unary("clip", unary("scale", x, scale=1.0, bias=attrs["offset"], bias_after_scale=True),
                 min=0.0, max=attrs["threshold"])
    product = run_op("elementwise_mul", {"X": [x], "Y": [gate]}, {"axis": -1})[0]
    return unary("scale", product, scale=1 / attrs["scale"], bias=0.0, bias_after_scale=True)


def relu6(x: np.ndarray, attrs: dict[str, Any]) -> np.ndarray | None:
    """Paddle 3 takes the threshold for 6; fluid did not."""
    return None if attrs["threshold"] == 6.0 else unary("clip", x, min=0.0, max=attrs["threshold"])


def pool2d(x: np.ndarray, attrs: dict[str, Any]) -> np.ndarray | None:
    """Paddle 3's pool2d forgets that a max is adaptive; the operator that also returns indices does not."""
    if not attrs["adaptive"] or attrs["pooling_type"] != "max":
        return None
    return run_op("max_pool2d_with_index", {"X": [x]}, {"ksize": attrs["ksize"], "strides": [1, 1],
                                                        "paddings": [0, 0], "adaptive": True})[0]


def deformable_columns(inputs: dict[str, list[np.ndarray]], attrs: dict[str, Any]) -> np.ndarray:
    """What a deformable convolution reads: one whose filters pick a pixel each."""
    (kh, kw), channels = attrs["kernel"], inputs["Input"][0].shape[1]
    picks = np.tile(np.eye(kh * kw, dtype=np.float32).reshape(-1, 1, kh, kw), (channels, 1, 1, 1))
    moves = {name: attrs[name] for name in ("strides", "paddings", "dilations", "deformable_groups")}
    type = "deformable_conv" if "Mask" in inputs else "deformable_conv_v1"
    return run_op(type, {**inputs, "Filter": [picks]}, {**moves, "groups": channels, "im2col_step": 1})[0]


def written_to_list(x: np.ndarray, i: np.ndarray, array: np.ndarray) -> np.ndarray:
    """A list of these elements, one more written, then all of them stacked."""
    program = paddle.static.Program()
    with paddle.static.program_guard(program, paddle.static.Program()):
        made = paddle.tensor.create_array(str(x.dtype))
        for at, element in [*enumerate(array), (int(i.reshape(-1)[0]), x)]:
            paddle.tensor.array_write(paddle.assign(element), paddle.full([1], at, "int64"), made)
        out, _ = paddle.tensor.manipulation.tensor_array_to_tensor(made, axis=0, use_stack=True)
    return np.array(paddle.static.Executor(paddle.CPUPlace()).run(program, fetch_list=[out])[0])


COMPOSED = {"swish": swish, "hard_swish": hard_swish, "relu6": relu6, "pool2d": pool2d}
"""Operators that Paddle 3 computes wrongly for some attributes: another way to the answer, or None."""


def expected(case: Case) -> list[np.ndarray]:
    """What Paddle makes of a case; bias, residual and activation of fused forms are operators of their own."""
    if case.op in integers.INTEGERS:
        return integers.expected(case.op, case.attrs, case.inputs)
    inputs, attrs = dict(case.inputs), legacy_attrs(case.op, case.attrs)
    if case.op in ("conv2d", "conv2d_transpose", "fc"):
        bias, residual = inputs.pop("Bias", None), inputs.pop("ResidualData", None)
        if case.op == "fc":
            k = attrs["in_num_col_dims"]
            out = run_op("mul", {"X": inputs["Input"], "Y": inputs["W"]}, {"x_num_col_dims": k, "y_num_col_dims": 1})[0]
        else:
            out = run_op(case.op, inputs, attrs)[0]
        last = case.op == "fc" or attrs["data_format"] == "NHWC"
        out = out if bias is None else add(out, bias[0], -1 if last else 1)
        out = out if residual is None else add(out, residual[0], -1)
        return [activate(out, case.attrs)]
    if case.op in ("slice", "strided_slice"):               # -1: this axis comes from a tensor
        attrs["infer_flags"] = [-1 if "StartsTensor" in inputs else 1] * len(attrs["axes"])
    if case.op == "split" and attrs["axis"] < 0:            # only the newer interface takes a negative one
        attrs["axis"] += inputs["X"][0].ndim
    if attrs.get("Axis", 0) < 0:
        attrs["Axis"] += inputs["Input"][0].ndim
    if case.op == "pad3d" and inputs["X"][0].ndim == 4:     # Paddle pads 5-D only: a depth of one
        depth = 1 if attrs["data_format"] == "NHWC" else 2
        x = np.expand_dims(inputs["X"][0], depth)
        attrs["data_format"] = "NDHWC" if depth == 1 else "NCDHW"
        return [np.squeeze(run_op("pad3d", {"X": [x]}, attrs)[0], depth)]
    if case.op == "write_to_array":
        return [written_to_list(*(arrays[0] for arrays in inputs.values()))]
    if case.op == "deformable_columns":
        return [deformable_columns(inputs, attrs)]
    if case.op in COMPOSED and (out := COMPOSED[case.op](inputs["X"][0], attrs)) is not None:
        return [out]
    outs = run_op(case.op, inputs, attrs, case.outputs)
    return [activate(outs[0], case.attrs)] if case.attrs.get("fuse_activation") else outs
