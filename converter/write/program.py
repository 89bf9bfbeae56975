"""Graph -> a Paddle 2 program (.pdmodel + .pdiparams), for the tools that read nothing else: Paddle Lite's optimiser
and paddle2onnx. Fused operators are taken apart again: those tools have fusions of their own."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import ConvertError
from converter.graph import Graph, Node, Value
from converter.ops.spec import REGISTRY
from converter.schema import paddle as schema

_FEED, _FETCH = 9, 10
_VERSION = 2_004_000
_INT, _FLOAT, _STRING, _INTS, _FLOATS, _BOOLEAN, _LONG, _LONGS = 0, 1, 2, 3, 4, 6, 9, 11
_FLAT = {"relu", "relu6", "sigmoid", "tanh", "silu", "mish", "gelu", "swish", "hard_swish", "hard_sigmoid",
         "leaky_relu", "clip"}
_PARAMETERS = {"relu6": ("threshold",), "swish": ("beta",), "hard_sigmoid": ("slope", "offset"),
               "leaky_relu": ("alpha",), "clip": ("min", "max")}

# Where Paddle calls the outputs otherwise than Out; "*" takes all that are left.
_OUTPUTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("conv2d", "conv2d_transpose", "depthwise_conv2d"), ("Output",)),
    **dict.fromkeys(("batch_norm", "layer_norm", "instance_norm", "group_norm"), ("Y",)),
    "prior_box": ("Boxes", "Variances"), "anchor_generator": ("Anchors", "Variances"), "box_coder": ("OutputBox",),
    "yolo_box": ("Boxes", "Scores"), "multiclass_nms3": ("Out", "Index", "NmsRoisNum"),
    "matrix_nms": ("Out", "Index", "RoisNum"), "rnn": ("Out", "*State"), "top_k_v2": ("Out", "Indices"),
    "argsort": ("Out", "Indices"), "grid_sampler": ("Output",), "take_along_axis": ("Result",),
    "put_along_axis": ("Result",), "stack": ("Y",), "masked_select": ("Y",)}
# What it computes besides and nobody reads, but its kernels want to write.
_UNREAD: dict[str, tuple[str, ...]] = {
    "layer_norm": ("Mean", "Variance"), "group_norm": ("Mean", "Variance"),
    "instance_norm": ("SavedMean", "SavedVariance"), "batch_norm": ("SavedMean", "SavedVariance"),
    "rnn": ("Reserve", "DropoutState"),
    **dict.fromkeys(("reshape2", "transpose2", "squeeze2", "unsqueeze2", "flatten2", "flatten_contiguous_range"),
                    ("XShape",))}
# What Paddle's operator wants besides: attributes that say nothing here.
_BESIDE: dict[str, dict[str, Any]] = {
    "batch_norm": {"is_test": True, "use_global_stats": False, "momentum": 0.9},
    "rnn": {"is_test": True, "dropout_prob": 0.0, "seed": 0, "input_size": 0},
    "relu6": {}, "dropout": {"is_test": True},
    **dict.fromkeys(("reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_all",
                     "reduce_any"), {"in_dtype": -1, "out_dtype": -1}),
    **{f"{name}_interp_v2": {"interp_method": name, "out_d": -1} for name in ("nearest", "bilinear", "bicubic")}}
_LISTS_OF_LONGS = {("fill_constant", "shape")}
_LONGS_ALONE = {("arg_max", "axis"), ("arg_min", "axis")}
_FLOAT_LISTS = {"scale", "min_sizes", "max_sizes", "aspect_ratios", "variances", "variance", "anchor_sizes", "stride"}
_DTYPES = ("dtype", "out_dtype", "in_dtype")


def write(graph: Graph, folder: Path, name: str = "model", mul: bool = False) -> tuple[Path, Path]:
    """Write NAME.pdmodel and NAME.pdiparams; returns both paths.

    Names of inputs and outputs stay; sizes that are not known are -1. mul: products with constant matrices under Paddle
    1's name, as Paddle Lite must see them to quantise them: of a matmul_v2 it loses the scale. Raises ConvertError
    where an operator has no counterpart in Paddle 2.
    """
    program = _Program(graph, mul)
    for node in graph.nodes:
        program.node(node)
    desc = program.finish()
    paths = folder / f"{name}.pdmodel", folder / f"{name}.pdiparams"
    paths[0].write_bytes(desc.SerializeToString(deterministic=True))
    paths[1].write_bytes(b"".join(tensor_bytes(program.weights[key]) for key in sorted(program.weights)))
    return paths


def tensor_bytes(array: np.ndarray) -> bytes:
    """A tensor as Paddle streams it."""
    desc = schema.message("TensorDesc")(data_type=schema.dtype_number(array.dtype.name), dims=array.shape)
    head = desc.SerializeToString()
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return struct.pack("<IQIi", 0, 0, 0, len(head)) + head + data


class _Program:
    """A ProgramDesc under construction."""

    def __init__(self, graph: Graph, mul: bool) -> None:
        self.graph, self.mul, self.weights = graph, mul, {}
        self.desc = schema.message("ProgramDesc")()
        self.desc.version.version = _VERSION
        self.block = self.desc.blocks.add(idx=0, parent_idx=-1)
        self.taken = set(graph.values)
        for name, kind in (("feed", _FEED), ("fetch", _FETCH)):
            self.block.vars.add(name=name.encode(), persistable=True).type.type = kind
        used = {name for node in graph.nodes for name in (*node.input_names(), *node.output_names())}
        for value in graph.values.values():
            if value.name in used or value.name in graph.inputs or value.name in graph.outputs:
                self.variable(value)
        for column, name in enumerate(graph.inputs):
            self.operator("feed", {"X": ["feed"]}, {"Out": [name]}, {"col": column})

    def finish(self) -> Any:
        for column, name in enumerate(self.graph.outputs):
            self.operator("fetch", {"X": [name]}, {"Out": ["fetch"]}, {"col": column})
        return self.desc

    def variable(self, value: Value) -> None:
        var = self.block.vars.add(name=value.name.encode("utf-8", "surrogatepass"), persistable=value.is_constant)
        var.type.type = schema.DENSE_TENSOR
        tensor = var.type.lod_tensor.tensor
        tensor.data_type = schema.dtype_number("float32" if value.dtype == "float16" else value.dtype)
        tensor.dims.extend(size if isinstance(size, int) else -1 for size in value.shape)
        if value.data is not None:
            self.weights[value.name] = value.data.astype(np.float32) if value.dtype == "float16" else value.data

    def temporary(self, base: str, like: str, dtype: str = "") -> str:
        """A fresh value with the shape and dtype of another."""
        name, count = f"{base}.part", 0
        while name in self.taken:
            name, count = f"{base}.part{count}", count + 1
        self.taken.add(name)
        model = self.graph.values[like]
        self.variable(Value(name, model.shape, dtype or model.dtype))
        return name

    def operator(self, kind: str, inputs: dict[str, list[str]], outputs: dict[str, list[str]],
                 attrs: dict[str, Any]) -> None:
        op = self.block.ops.add(type=kind)
        for target, slots in ((op.inputs, inputs), (op.outputs, outputs)):
            for slot, names in slots.items():
                target.add(parameter=slot, arguments=[name.encode("utf-8", "surrogatepass") for name in names])
        for name, value in attrs.items():
            _attribute(op.attrs.add(name=name), kind, name, value)

    def node(self, node: Node) -> None:
        if node.blocks:
            raise ConvertError("control flow cannot be written as a Paddle 2 program here", where=node.where)
        splitter = _SPLIT.get(node.type, _as_it_is)
        splitter(self, node)

    def plain(self, kind: str, node: Node, inputs: dict[str, list[str]], names: list[str],
              attrs: dict[str, Any]) -> None:
        """One Paddle operator that gives `names`."""
        outputs, slots, rest = {}, _OUTPUTS.get(kind, ("*Out",)), list(names)
        for slot in slots:
            outputs[slot.lstrip("*")] = rest if slot.startswith("*") else [rest.pop(0)] if rest else []
        outputs |= {slot: [self.temporary(f"{names[0]}.{slot}", names[0])] for slot in _UNREAD.get(kind, ())}
        if kind == "batch_norm":  # running statistics, written where they are read
            outputs |= {"MeanOut": inputs["Mean"], "VarianceOut": inputs["Variance"]}
        self.operator(kind, {slot: given for slot, given in inputs.items() if given}, outputs,
                      attrs | _BESIDE.get(kind, {}))

    def activated(self, node: Node, write: Callable[[str], None]) -> None:
        """write(name) computes the value; the node's activation, if any, follows."""
        kind = node.attrs.get("fuse_activation", "")
        alpha, beta = node.attrs.get("fuse_alpha", 0.0), node.attrs.get("fuse_beta", 0.0)
        if kind == "silu":  # by its older name, which Paddle Lite knows
            kind, alpha = "swish", 1.0
        if not kind:
            write(node.out)
            return
        if kind not in _FLAT:
            raise ConvertError(f"'{kind}' is no fused activation", where=node.where)
        inner = self.temporary(node.out, node.out)
        write(inner)
        attrs = dict(REGISTRY[kind].attrs)
        attrs |= dict(zip(_PARAMETERS.get(kind, ()), (float(alpha), float(beta)), strict=False))
        self.plain(kind, node, {"X": [inner]}, [node.out], attrs)


def _as_it_is(program: _Program, node: Node) -> None:
    attrs = {name: value for name, value in node.attrs.items() if not name.startswith("fuse_")}
    if node.type == "fill_constant":
        attrs["str_value"] = repr(attrs["value"])
    if node.type in ("slice", "strided_slice"):
        attrs["infer_flags"] = [1] * len(attrs["axes"])
    if node.type == "cast":
        attrs["in_dtype"] = program.graph.values[node.input("X")].dtype
    if node.type == "assign_value":
        attrs = _assigned(attrs)
    program.activated(node, lambda name: program.plain(
        node.type, node, node.inputs, [name, *node.outputs["Out"][1:]], attrs))


def _assigned(attrs: dict[str, Any]) -> dict[str, Any]:
    field = {"float32": "fp32_values", "int32": "int32_values", "int64": "int64_values", "bool": "bool_values"}
    if attrs["dtype"] not in field:
        raise ConvertError(f"assign_value of {attrs['dtype']} cannot be written as a Paddle 2 program")
    return {"shape": attrs["shape"], "dtype": attrs["dtype"], field[attrs["dtype"]]: attrs["values"]}


def _conv(program: _Program, node: Node) -> None:
    """The convolution, its bias, what is added to it, its activation."""
    attrs = {name: value for name, value in node.attrs.items() if not name.startswith("fuse_")}
    w = program.graph.values[node.input("Filter")]
    depthwise = node.type == "conv2d" and attrs["groups"] > 1 and w.shape[1] == 1
    inputs = {"Input": [node.input("Input")], "Filter": [w.name]}
    adds = [(node.input("Bias"), 3 if attrs["data_format"] == "NHWC" else 1), (node.input("ResidualData"), -1)]
    adds = [(name, axis) for name, axis in adds if name is not None]

    def write(last: str) -> None:
        names = [program.temporary(node.out, node.out) for _ in adds] + [last]
        program.plain("depthwise_conv2d" if depthwise else node.type, node, inputs, [names[0]], attrs)
        for (added, axis), before, name in zip(adds, names, names[1:], strict=False):
            program.plain("elementwise_add", node, {"X": [before], "Y": [added]}, [name], {"axis": axis})

    program.activated(node, write)


def _fc(program: _Program, node: Node) -> None:
    k, bias = node.attrs["in_num_col_dims"], node.input("Bias")
    rank = len(program.graph.values[node.input("Input")].shape)
    inputs = {"X": [node.input("Input")], "Y": [node.input("W")]}

    def write(last: str) -> None:
        name = program.temporary(node.out, node.out) if bias is not None else last
        if k == rank - 1 and not program.mul:
            program.plain("matmul_v2", node, inputs, [name], {"trans_x": False, "trans_y": False})
        else:
            program.plain("mul", node, inputs, [name], {"x_num_col_dims": k, "y_num_col_dims": 1})
        if bias is not None:
            program.plain("elementwise_add", node, {"X": [name], "Y": [bias]}, [last], {"axis": -1})

    program.activated(node, write)


def _shape(program: _Program, node: Node) -> None:
    """Paddle 2 gives int32; a cast follows where the graph wants int64."""
    wide = node.attrs["out_dtype"] != "int32"
    name = program.temporary(node.out, node.out, "int32") if wide else node.out
    program.plain("shape", node, node.inputs, [name], {})
    if wide:
        dtypes = {"in_dtype": "int32", "out_dtype": node.attrs["out_dtype"]}
        program.plain("cast", node, {"X": [name]}, [node.out], dtypes)


def _refused(program: _Program, node: Node) -> None:
    raise ConvertError(f"{node.type} has no counterpart in Paddle 2", where=node.where)


def _matmul(program: _Program, node: Node) -> None:
    x, y = (program.graph.values[node.inputs[slot][0]] for slot in ("X", "Y"))
    turned = node.attrs["trans_x"] or node.attrs["trans_y"]
    if not program.mul or y.data is None or y.data.ndim != 2 or turned or len(x.shape) < 2:
        _as_it_is(program, node)
        return
    program.plain("mul", node, node.inputs, node.outputs["Out"],
                  {"x_num_col_dims": len(x.shape) - 1, "y_num_col_dims": 1})


def _silu(program: _Program, node: Node) -> None:
    """By its older name, which Paddle Lite knows."""
    program.plain("swish", node, node.inputs, node.outputs["Out"], {"beta": 1.0})


_SPLIT: dict[str, Callable[[_Program, Node], None]] = {
    "conv2d": _conv, "conv2d_transpose": _conv, "fc": _fc, "shape": _shape, "silu": _silu,
    "matmul_v2": _matmul,
    **dict.fromkeys(("unique", "lstm", "gru", "ctc_align", "crf_decoding", "deformable_columns", "write_to_array",
                     "generate_proposals_v2", "distribute_fpn_proposals", "collect_fpn_proposals", "roi_pool", "nms"),
                    _refused),
    **dict.fromkeys((name for name in REGISTRY if name.endswith(("_int8", "quantize_linear"))), _refused)}


def _attribute(attr: Any, kind: str, name: str, value: Any) -> None:
    """Fill in an attribute; its type is the one that Paddle declares."""
    if name in _DTYPES and isinstance(value, str):
        value = schema.dtype_number(value)
    if isinstance(value, (list, tuple)):
        if (kind, name) in _LISTS_OF_LONGS or name == "int64_values":
            attr.type = _LONGS
            attr.longs.extend(int(item) for item in value)
        elif name in _FLOAT_LISTS or name == "fp32_values":
            attr.type = _FLOATS
            attr.floats.extend(float(item) for item in value)
        else:
            attr.type = _INTS
            attr.ints.extend(int(item) for item in value)
    elif isinstance(value, bool):
        attr.type, attr.b = _BOOLEAN, value
    elif isinstance(value, str):
        attr.type, attr.s = _STRING, value.encode()
    elif (kind, name) in _LONGS_ALONE:
        attr.type, attr.l = _LONG, int(value)
    elif isinstance(value, float) or isinstance(REGISTRY[kind].attrs.get(name) if kind in REGISTRY else None, float):
        attr.type, attr.f = _FLOAT, float(value)
    else:
        attr.type, attr.i = _INT, int(value)
