"""Small Paddle programs written by hand: PIR JSON, ProgramDesc, weights. No Paddle needed."""

import json
import struct
from pathlib import Path

import numpy as np

from converter.schema import paddle as proto

PIR_DTYPES = {"float32": "0.t_f32", "float64": "0.t_f64", "int32": "0.t_i32", "int64": "0.t_i64", "bool": "0.t_bool",
              "uint8": "0.t_ui8", "bfloat16": "0.t_bf16"}  # fmt: skip


def tensor_bytes(array: np.ndarray, dtype_number: int | None = None) -> bytes:
    """A tensor as Paddle streams it."""
    number = proto.dtype_number(str(array.dtype)) if dtype_number is None else dtype_number
    desc = proto.message("TensorDesc")(data_type=number, dims=array.shape).SerializeToString()
    return struct.pack("<IQIi", 0, 0, 0, len(desc)) + desc + array.tobytes()


def write_combined(path: Path, params: dict[str, np.ndarray]) -> None:
    path.write_bytes(b"".join(tensor_bytes(params[name]) for name in sorted(params)))


class Pir:
    """Builds inference.json: `x = p.data("x", [-1, 3]); p.fetch(p.op("relu", [x], shape=[-1, 3]))`."""

    def __init__(self, version: int = 4) -> None:
        self.version, self.ops, self.params, self.count = version, [], {}, 0

    def type(self, shape, dtype="float32"):
        return {"#": "0.t_dtensor", "D": [{"#": PIR_DTYPES[dtype]}, list(shape), "NCHW", [], 0]}

    def result(self, shape, dtype="float32"):
        self.count += 1
        return {"%": self.count, "TT": self.type(shape, dtype)}

    def attribute(self, value):
        """Floats as version 4 stores them (f64), or as version 1 did (f32)."""
        if isinstance(value, dict):
            return value
        if isinstance(value, list):
            return {"#": "0.a_array", "D": [self.attribute(item) for item in value]}
        kind = {bool: "bool", int: "i32", str: "str", float: "f64" if self.version >= 4 else "f32"}[type(value)]
        return {"#": f"0.a_{kind}", "D": value}

    def add(self, name, inputs, outputs, attrs):
        named = [{"N": key, "AT": self.attribute(value)} for key, value in attrs.items()]
        self.ops.append({"#": name, "I": [{"%": id} for id in inputs], "O": outputs, "A": named, "OA": []})
        return outputs[0]["%"]

    def param(self, name, data):
        self.params[name] = data
        out = self.result(data.shape, str(data.dtype))
        self.ops.append({"#": "p", "A": [0, 1, 1, name], "O": out, "OA": []})
        return out["%"]

    def data(self, name, shape, dtype="float32"):
        return self.add("1.data", [], [self.result(shape, dtype)], {"name": name})

    def op(self, name, inputs, shape=(), dtype="float32", **attrs):
        return self.add(f"1.{name}", inputs, [self.result(shape, dtype)], attrs)

    def ints(self, *values):
        wide = [{"#": "0.a_i64", "D": value} for value in values]
        return self.op("full_int_array", [], [len(values)], "int64", value={"#": "0.a_array", "D": wide})

    def full(self, value, dtype="float32"):
        """A scalar; a dict is the stored attribute itself."""
        stored = value if isinstance(value, dict) else {"#": "0.a_f64", "D": float(value)}
        attrs = {"shape": {"#": "1.a_intarray", "D": [1]}, "value": stored, "dtype": {"#": "1.a_dtype", "D": dtype}}
        return self.add("1.full", [], [self.result([1], dtype)], attrs)

    def vector(self, name, inputs, shapes, **attrs):
        """An operator whose result is a vector of tensors."""
        self.count += 1
        out = {"%": self.count, "TT": {"#": "0.t_vec", "D": [self.type(shape) for shape in shapes]}}
        return self.add(name, inputs, [out], attrs)

    def fetch(self, id, name="out"):
        column = sum(op["#"] == "1.fetch" for op in self.ops)
        self.add("1.fetch", [id], [self.result([])], {"name": name, "col": column})

    def json(self):
        block = {"#": "b", "args": [], "ops": self.ops}
        return {"base_code": {"magic": "pir", "trainable": True, "version": self.version},
                "program": {"regions": [{"#": "r", "blocks": [block]}]}}  # fmt: skip

    def save(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "inference.json").write_text(json.dumps(self.json()))
        if self.params:
            write_combined(folder / "inference.pdiparams", self.params)
        return folder


class Legacy:
    """Builds a ProgramDesc: `p.feed("x", [-1, 3]); p.op("relu", {"X": ["x"]}, {"Out": ["y"]}); p.fetch("y")`."""

    def __init__(self) -> None:
        self.desc = proto.message("ProgramDesc")()
        self.desc.version.version = 2_004_000
        self.block = self.desc.blocks.add(idx=0, parent_idx=-1)
        self.params: dict[str, np.ndarray] = {}

    def var(self, name, shape=(), dtype="float32", persistable=False):
        var = self.block.vars.add(name=name.encode(), persistable=persistable)
        var.type.type = proto.DENSE_TENSOR
        var.type.lod_tensor.tensor.data_type = proto.dtype_number(dtype)
        var.type.lod_tensor.tensor.dims.extend(shape)

    def param(self, name, data):
        self.params[name] = data
        self.var(name, data.shape, str(data.dtype), persistable=True)

    def op(self, kind, inputs, outputs, **attrs):
        op = self.block.ops.add(type=kind)
        for target, slots in ((op.inputs, inputs), (op.outputs, outputs)):
            for slot, names in slots.items():
                target.add(parameter=slot, arguments=[name.encode() for name in names])
        for name, value in attrs.items():
            self._attribute(op.attrs.add(name=name), value)

    @staticmethod
    def _attribute(attr, value):
        if isinstance(value, bool):
            attr.type, attr.b = 6, value
        elif isinstance(value, int):
            attr.type, attr.i = 0, value
        elif isinstance(value, float):
            attr.type, attr.f = 1, value
        elif isinstance(value, str):
            attr.type, attr.s = 2, value.encode()
        elif value and isinstance(value[0], float):
            attr.type = 4
            attr.floats.extend(value)
        else:
            attr.type = 3
            attr.ints.extend(value)

    def feed(self, name, shape, dtype="float32"):
        self.var(name, shape, dtype)
        self.op("feed", {"X": ["feed"]}, {"Out": [name]}, col=0)

    def fetch(self, name):
        column = sum(op.type == "fetch" for op in self.block.ops)
        self.op("fetch", {"X": [name]}, {"Out": ["fetch"]}, col=column)

    def save(self, folder: Path, name: str = "inference.pdmodel") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(self.desc.SerializeToString())
        if self.params:
            write_combined((folder / name).with_suffix(".pdiparams"), self.params)
        return folder


def small_pir(version: int = 4) -> Pir:
    """x [N,3,H,W] → conv 3×3 → leaky_relu → out."""
    p, rng = Pir(version), np.random.default_rng(7)
    w = p.param("conv.w", rng.standard_normal((4, 3, 3, 3)).astype(np.float32))
    x = p.data("x", [-1, 3, -1, -1])
    y = p.op("conv2d", [x, w], [-1, 4, -1, -1], strides=[1, 1], paddings=[1, 1], padding_algorithm="EXPLICIT",
             dilations=[1, 1], groups=1, data_format="NCHW")  # fmt: skip
    p.fetch(p.op("leaky_relu", [y], [-1, 4, -1, -1], negative_slope=0.25), "out")
    return p


def small_legacy() -> Legacy:
    """x [N,3,8,8] → conv 3×3 → batch_norm → relu in place → y."""
    p, rng = Legacy(), np.random.default_rng(7)
    p.param("conv.w", rng.standard_normal((4, 3, 3, 3)).astype(np.float32))
    for name in ("scale", "bias", "mean", "var"):
        p.param(f"bn.{name}", rng.uniform(0.5, 1.5, 4).astype(np.float32))
    p.feed("x", [-1, 3, 8, 8])
    for name in ("c", "y"):
        p.var(name, [-1, 4, 8, 8])
    p.op("conv2d", {"Input": ["x"], "Filter": ["conv.w"]}, {"Output": ["c"]}, strides=[1, 1], paddings=[1, 1],
         dilations=[1, 1], groups=1, use_cudnn=True)  # fmt: skip
    norm = {"X": ["c"], "Scale": ["bn.scale"], "Bias": ["bn.bias"], "Mean": ["bn.mean"], "Variance": ["bn.var"]}
    p.op("batch_norm", norm, {"Y": ["y"], "MeanOut": ["bn.mean"], "VarianceOut": ["bn.var"]}, epsilon=1e-3)
    p.op("relu", {"X": ["y"]}, {"Out": ["y"]})
    p.fetch("y")
    return p
