"""Paddle 3 programs (PIR as JSON, versions 1 to 4) -> RawProgram.

Later versions store some attributes wider (f64 for f32, i64 for i32: patches 0, 2 and 4 of Paddle)
and some as inputs; both forms are read by the same code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import ConvertError, refusing
from converter.graph import Value
from converter.read import params
from converter.read.pir_ops import Row, row
from converter.read.raw import (
    MAX_DEPTH,
    RawBlock,
    RawOp,
    RawProgram,
    contained,
    feed_shape,
    symbol_maker,
    symbolic,
    text,
)

MAX_VERSION = 4
_DTYPES = {"0.t_bool": "bool", "0.t_f16": "float16", "0.t_f32": "float32", "0.t_f64": "float64", "0.t_i8": "int8",
           "0.t_ui8": "uint8", "0.t_i16": "int16", "0.t_i32": "int32", "0.t_i64": "int64"}
_DIALECTS = {"0": "builtin", "1": "pd_op", "2": "cf", "3": "custom_op", "4": "dist_op"}
_ARRAY = "1.t_dense_tensor_array"
_NON_FINITE = {"INF": float("inf"), "-INF": float("-inf"), "NAN": float("nan")}
_AGAIN = "the file is damaged, or from a newer Paddle; export the model again"


def is_pir(data: Any) -> bool:
    """Whether parsed JSON is a Paddle 3 program."""
    base = data.get("base_code") if isinstance(data, dict) else None
    return isinstance(base, dict) and base.get("magic") == "pir"


def read(path: Path, data: dict[str, Any], params_path: Path | None = None) -> RawProgram:
    """Translate parsed JSON and read the weights beside it."""
    version = data["base_code"].get("version")
    if not isinstance(version, int) or not 0 <= version <= MAX_VERSION:
        raise ConvertError(f"PIR version {version!r} is not supported (0 to {MAX_VERSION} are)", where=str(path),
                           hint="export the model with Paddle 3.0 to 3.3")
    reader = _Reader(str(path), version)
    with refusing("the program is malformed", str(path), _AGAIN):
        blocks = [block for region in data["program"]["regions"] for block in region["blocks"]]
        if len(blocks) != 1:
            raise ConvertError(f"the program has {len(blocks)} blocks, one is expected", where=str(path), hint=_AGAIN)
        ops = list(blocks[0]["ops"])
    for index, op in enumerate(ops):
        with refusing(f"the program is malformed at operator {index}", str(path), _AGAIN):
            reader.operator(op, index)
    program = reader.program
    if reader.declared:
        program.params = _weights(path, params_path, reader.declared)
    return program


def _weights(path: Path, params_path: Path | None, declared: dict[str, Value]) -> dict[str, np.ndarray]:
    chosen = params_path or contained(path.with_suffix(".pdiparams"), path)
    if not chosen.is_file():
        raise ConvertError(f"the weights {chosen.name} are missing: {len(declared)} parameters", where=str(path.parent),
                           hint="copy the .pdiparams file beside the program, or name it: --params FILE")
    return params.read_combined(chosen, declared)


class _Reader:
    """One pass over the operators. A value id stands for one name, or for several where it is a vector."""

    def __init__(self, where: str, version: int) -> None:
        self.program = RawProgram(where=where, source={"format": "pir", "version": version})
        self.where, self.index, self.feeds, self.depth = where, 0, 0, 0
        self.names: dict[int, list[str]] = {0: []}
        self.declared: dict[str, Value] = {}
        self.fresh = symbol_maker()

    def operator(self, op: dict[str, Any], index: int) -> None:
        self.index = index
        if op["#"] == "p":
            self._parameter(op)
            return
        dialect, _, name = op["#"].partition(".")
        kind = f"{_DIALECTS.get(dialect, dialect)}.{name}"
        inputs = [self._operand(item) for item in op["I"]]
        attrs = {item["N"]: self._attribute(item["AT"]) for item in op["A"]}
        if kind in ("pd_op.data", "pd_op.feed"):
            self._data(op, attrs)
        elif kind == "pd_op.fetch":
            self._fetch(inputs[0][0], attrs)
        elif kind == "builtin.combine":
            self.names[op["O"][0]["%"]] = [name for names in inputs for name in names]
        elif kind == "builtin.split":
            for output, source in zip(op["O"], inputs[0], strict=True):
                self.names[output["%"]] = [source]
        elif kind == "builtin.slice":
            self.names[op["O"][0]["%"]] = [inputs[0][int(attrs["index"])]]
        elif kind in ("builtin.shadow_output", "builtin.set_parameter"):
            return
        elif kind in ("pd_op.while", "pd_op.if"):
            self._control(name, op, inputs)
        else:
            self._compute(kind, name if kind.startswith("pd_op.") else kind, op, inputs, attrs)

    def _control(self, name: str, op: dict[str, Any], inputs: list[list[str]]) -> None:
        """while: the condition, then the values it carries. if: the condition."""
        parts = [self._block(block) for region in op["regions"] for block in region["blocks"]]
        titles = ("body",) if name == "while" else ("then", "otherwise")
        outputs = [made for output in op["O"] for made in self._result(output, name)]
        slots = {"Condition": inputs[0]}
        if name == "while":
            slots["X"] = [value for values in inputs[1:] for value in values]
        filled = self._filled(parts)            # where they stand: results of every way through the operator
        outputs += filled
        for part in parts:
            part.outs += filled
        if name == "while":
            slots["X"] += filled
            parts[0].args += filled
        self.program.ops.append(RawOp(name, slots, {"Out": outputs}, dict(zip(titles, parts, strict=True)),
                                      f"pd_op.{name} ({', '.join(outputs[:1])})"))

    def _block(self, block: dict[str, Any]) -> RawBlock:
        """A block inside an operator; the ids of its arguments hold in it alone."""
        around, before, made = self.program.ops, dict(self.names), RawBlock()
        self.program.ops, self.depth = made.ops, self.depth + 1
        if self.depth > MAX_DEPTH:
            raise ConvertError(f"control flow lies more than {MAX_DEPTH} deep", where=self.where)
        for arg in block["args"]:
            made.args += self._result({"%": arg["#"], "TT": arg["TT"]}, f"block_{len(self.program.values)}_arg")
        for op in block["ops"]:
            if op["#"] == "2.yield":
                made.outs = [name for item in op["I"] for name in self._operand(item)]
            else:
                self.operator(op, self.index)
        self.program.ops, self.names, self.depth = around, before, self.depth - 1
        return made

    def _filled(self, parts: list[RawBlock]) -> list[str]:
        """Lists of the program around that these blocks write to, those that blocks inside them do included."""
        own = {name for part in parts for op in part.ops if op.type == "create_array" for name in op.outputs["Out"]}
        written = [name for part in parts for op in part.ops for name in op.outputs.get("Out", [])]
        return [name for name in dict.fromkeys(written) if name in self.program.arrays and name not in own]

    def _parameter(self, op: dict[str, Any]) -> None:
        outputs = op["O"] if isinstance(op["O"], list) else [op["O"]]
        name = op["A"][3]
        if not isinstance(name, str) or name in self.program.values:
            raise ConvertError(f"the parameter {name!r} is unnamed or stands twice", where=self.where, hint=_AGAIN)
        dtype, dims = self._tensor(outputs[0]["TT"], name)
        self.names[outputs[0]["%"]] = [name]
        self.program.values[name] = Value(name, tuple(dims), dtype)
        if all(op.get("OA", ())[:1]):       # what does not persist is scratch memory of training, and in no file
            self.declared[name] = self.program.values[name]

    def _data(self, op: dict[str, Any], attrs: dict[str, Any]) -> None:
        name = text(attrs["name"])
        if name in self.program.values:
            raise ConvertError(f"the input name '{name}' stands twice", where=self.where, hint=_AGAIN)
        dtype, dims = self._tensor(op["O"][0]["TT"], name)
        self.program.values[name] = Value(name, feed_shape(name, dims), dtype)
        self.names[op["O"][0]["%"]] = [name]
        self.program.ops.append(RawOp("feed", {}, {"Out": [name]}, {"col": self.feeds}, f"data ({name})"))
        self.feeds += 1

    def _fetch(self, source: str, attrs: dict[str, Any]) -> None:
        """The fetch carries the public name; "assign" gives it to the value."""
        public, program = str(attrs.get("name") or source), self.program
        if public != source:
            if public in program.values:
                raise ConvertError(f"the output name '{public}' stands twice", where=self.where)
            known = program.values[source]
            program.values[public] = Value(public, known.shape, known.dtype)
            program.ops.append(RawOp("assign", {"X": [source]}, {"Out": [public]}, {}, f"fetch ({public})"))
        column = int(attrs.get("col") or 0)
        program.ops.append(RawOp("fetch", {"X": [public]}, {}, {"col": column}, f"fetch ({public})"))

    def _operand(self, item: dict[str, Any]) -> list[str]:
        if item["%"] not in self.names:
            raise ConvertError(f"value {item['%']} is read before anything writes it", where=self.where, hint=_AGAIN)
        return self.names[item["%"]]

    def _compute(self, kind: str, name: str, op: dict[str, Any], inputs: list[list[str]],
                 attrs: dict[str, Any]) -> None:
        attrs.pop("struct_name", None)
        known = row(name) or Row(kind, tuple(f"X{i}" for i in range(len(inputs))), {}, ())
        outputs: dict[str, list[str]] = {}
        for position, output in enumerate(op["O"]):
            slot = known.outputs[position] if position < len(known.outputs) else f"Out{position}" if position else "Out"
            if known.type == "write_to_array":      # in place: its result is the list that it takes
                self.names[output["%"]] = inputs[0]
            outputs[slot] = inputs[0] if known.type == "write_to_array" else self._result(output, name)
        titles = (*known.inputs, *(f"Input{i}" for i in range(len(known.inputs), len(inputs))))
        slots = {slot: names for slot, names in zip(titles, inputs, strict=False) if names and slot != "Discarded"}
        renamed = {known.attrs.get(key, key): value for key, value in attrs.items() if key != "place"}
        if name == "full_int_array":
            renamed["shape"] = [len(renamed["values"])]
            renamed["dtype"] = renamed.get("dtype") or "int64"
        first = next((names[0] for names in outputs.values() if names), f"operator {self.index}")
        self.program.ops.append(RawOp(known.type, slots, outputs, renamed, f"{kind} ({first})"))

    def _result(self, output: dict[str, Any], op_name: str) -> list[str]:
        """Names "conv2d_284", or "split_355.0", "split_355.1", … for a vector."""
        type, id = output["TT"], output["%"]
        base = f"{op_name.removesuffix('_')}_{id}"
        parts = [type] if type.get("#") != "0.t_vec" else type["D"]
        names = [base] if type.get("#") != "0.t_vec" else [f"{base}.{i}" for i in range(len(parts))]
        if type.get("#") == "NULL":
            names, parts = [], []
        for name, part in zip(names, parts, strict=True):
            while name in self.program.values:
                raise ConvertError(f"the name '{name}' stands twice", where=self.where)
            dtype, dims = self._tensor(part, name)
            self.program.values[name] = Value(name, symbolic(dims, self.fresh), dtype)
            if part["#"] == _ARRAY:
                self.program.arrays.add(name)
        self.names[id] = names
        return names

    def _tensor(self, type: dict[str, Any], name: str) -> tuple[str, list[int]]:
        """Dtype and sizes. An unsupported dtype keeps its Paddle name: only an error if it is used."""
        if type.get("#") not in ("0.t_dtensor", _ARRAY):
            raise ConvertError(f"'{name}' is of type {type.get('#')}, not a dense tensor", where=self.where)
        kind, sizes = type["D"][0]["#"], [int(size) for size in type["D"][1]]
        return _DTYPES.get(kind, kind), [-1, *sizes] if type["#"] == _ARRAY else sizes

    def _attribute(self, attr: dict[str, Any]) -> Any:
        kind, data = attr["#"], attr.get("D")
        if kind == "0.a_array":
            return [self._attribute(item) for item in data]
        if "VD" in attr:
            return _NON_FINITE[attr["VD"].upper()]
        if kind == "1.a_scalar":
            return data[1]
        if kind == "1.a_dtype":
            return data if data in _DTYPES.values() else None if data.upper().startswith("UNDEFINED") else str(data)
        return data


def load_json(path: Path) -> Any:
    """Parse a file; ConvertError where it is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:  # also a whole number of thousands of digits
        raise ConvertError(f"this is not JSON: {error}", where=str(path),
                           hint="the file is damaged or incomplete; export or download it again") from error
