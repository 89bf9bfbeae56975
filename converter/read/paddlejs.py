"""An old Paddle.js package (model.json + chunk_N.dat) -> RawProgram.

Read here and not in canonical.py: vars as an object or a list, operators out of order, early fused types
("conv2d-elementwise_add-leaky_relu" with "sub-attrs"), activations in fuse_opt or act_type, several outputs
joined by `connect`, a detector's last step in postOps, and reductions over one `axis`. What is missing takes
Paddle's default, not the old runtime's.
"""

from __future__ import annotations

import heapq
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import ConvertError, refusing
from converter.graph import Value
from converter.read.raw import RawOp, RawProgram, contained, feed_shape, text, texts

_CHUNK = re.compile(r"chunk_(\d{1,6})\.dat")
_MAX_RANK = 16
_AGAIN = "convert the original model instead, or download the package again"
_SKIPPED_OUTPUTS = ("XShape", "SavedMean", "SavedVariance", "MeanOut", "VarianceOut", "Mask")


def is_package(data: Any) -> bool:
    """Whether parsed JSON is an old package; ours carries "format"."""
    return isinstance(data, dict) and "format" not in data and "ops" in data and "vars" in data


def read(path: Path, data: dict[str, Any]) -> RawProgram:
    """Translate parsed JSON and read the chunks beside it."""
    program = RawProgram(where=str(path), source={"format": "paddlejs"})
    with refusing("the package is malformed", str(path), _AGAIN):
        weights = _variables(data["vars"], program)
        _post_inputs(data.get("postOps") or [], program)
        ops = [part for index, op in enumerate([*data["ops"], *(data.get("postOps") or [])])
               for part in _operators(op, index)]
        _feeds(ops, data.get("feedShape"), program)
        program.ops = _ordered(ops, set(weights), str(path))
        program.params = _chunks(path, weights, data.get("chunkNum"))
    return program


def _variables(entries: Any, program: RawProgram) -> dict[str, Value]:
    """Declare the weights (returned) and keep the declared shapes; those of results are not trusted."""
    listed = entries.items() if isinstance(entries, dict) else ((entry["name"], entry) for entry in entries)
    weights = {}
    for key, entry in listed:
        name = str(entry.get("name", key))
        shape = tuple(int(size) for size in entry.get("shape") or ())
        if entry.get("persistable"):
            if len(shape) > _MAX_RANK or any(size < 0 for size in shape):
                raise ConvertError(f"the shape {list(shape)} cannot be right", where=name, hint=_AGAIN)
            weights[name] = Value(name, shape)
        program.values[name] = Value(name, shape)
    return weights


def _post_inputs(ops: list[dict[str, Any]], program: RawProgram) -> None:
    """Declare what only postOps give a shape: the detector's last step is read by the rank of its scores."""
    for op in ops:
        for said in op["inputs"].values():
            if isinstance(said, dict) and said.get("shape"):
                name = text(said["name"])
                program.values.setdefault(name, Value(name, tuple(int(size) for size in said["shape"])))


def _chunks(path: Path, weights: dict[str, Value], count: Any) -> dict[str, np.ndarray]:
    """Cut the joined chunks into weights, sorted by name; float32 throughout."""
    folder = path.parent
    found = sorted((int(match[1]), contained(file, path)) for file in folder.iterdir()
                   if (match := _CHUNK.fullmatch(file.name)))
    needed = sum(math.prod(value.shape) for value in weights.values()) * 4
    if not weights:
        return {}
    numbers = [number for number, _ in found]
    if not found or numbers[0] > 1 or numbers != list(range(numbers[0], numbers[0] + len(found))) \
            or (count and int(count) != len(found)):
        raise ConvertError(f"chunks are missing: found {[file.name for _, file in found]}"
                           + (f", the package says {count}" if count else ""), where=str(folder),
                           hint="copy all chunk_N.dat files beside model.json")
    size = sum(file.stat().st_size for _, file in found)
    if size != needed:
        raise ConvertError(f"the chunks hold {size} bytes, the {len(weights)} weights need {needed}", where=str(folder),
                           hint="the package is incomplete, or its converter cut a weight of more than four "
                                "dimensions or lost the last number; " + _AGAIN)
    data = np.frombuffer(b"".join(file.read_bytes() for _, file in found), "<f4").astype(np.float32, copy=False)
    params, at = {}, 0
    for name in sorted(weights):
        elements = math.prod(weights[name].shape)
        params[name] = data[at:at + elements].reshape(weights[name].shape)
        at += elements
    return params


def _operators(op: dict[str, Any], index: int) -> list[RawOp]:
    """One entry → one operator, or a chain where the entry is fused."""
    type, inputs = str(op["type"]), {slot: _names(said) for slot, said in op["inputs"].items() if said}
    outputs = {slot: _names(said) for slot, said in op["outputs"].items() if slot not in _SKIPPED_OUTPUTS and said}
    result = [name for names in outputs.values() for name in names]
    where = f"{type} ({result[0] if result else index})"
    if type == "feed":
        return [RawOp("feed", {}, outputs, {"col": index}, where)]
    if type == "fetch":
        return [RawOp("fetch", inputs, {}, {"col": index}, where)]
    types = type.split("-")
    attrs = [dict(part) for part in op["sub-attrs"]] if "sub-attrs" in op else [dict(op.get("attrs") or {})]
    if len(attrs) != len(types):
        raise ConvertError(f"fuses {len(types)} operators but has {len(attrs)} sets of attributes", where=where,
                           hint=_AGAIN)
    for part, settings in zip(types, attrs, strict=True):
        if part.startswith("reduce_") and "axis" in settings:
            _name_axes(settings)
    steps = list(zip(types, attrs, strict=True)) + _activations(attrs[-1], where)
    if len(steps) == 1:
        return [RawOp(type, inputs, outputs, attrs[0], where)]
    return _chain(steps, inputs, outputs, where)


def _names(said: Any) -> list[str]:
    """A slot's tensors: a list of names, or in postOps one {name, shape}."""
    return texts([said["name"]] if isinstance(said, dict) else said)


def _name_axes(attrs: dict[str, Any]) -> None:
    """A reduction of the old runtime takes one `axis`; Paddle's list in `dim` goes first where both stand."""
    axis = attrs.pop("axis")
    attrs.setdefault("dim", axis if isinstance(axis, list) else [axis])


def _activations(attrs: dict[str, Any], where: str) -> list[tuple[str, dict[str, Any]]]:
    """Take the activation that the old optimiser put into an operator: fuse_opt {type: attributes} or act_type."""
    fused = attrs.pop("fuse_opt", None) or {}
    lite = attrs.pop("act_type", None)
    if lite and not fused:
        fused = {lite: {}}
        if lite == "hard_swish":
            fused[lite] = {name: attrs[f"hard_swish_{name}"] for name in ("offset", "scale", "threshold")
                           if f"hard_swish_{name}" in attrs}
        elif lite == "relu6" and "fuse_brelu_threshold" in attrs:
            fused[lite] = {"threshold": attrs["fuse_brelu_threshold"]}
        elif lite == "leaky_relu" and "leaky_relu_alpha" in attrs:
            fused[lite] = {"alpha": attrs["leaky_relu_alpha"]}
    for name in [name for name in attrs if name.startswith(("hard_swish_", "leaky_relu_alpha", "with_act"))]:
        del attrs[name]
    if len(fused) > 1:
        raise ConvertError(f"carries {len(fused)} fused operators {sorted(fused)} whose order is lost", where=where,
                           hint=_AGAIN)
    if fused:
        attrs.pop("fuse_relu", None)  # said twice: Lite sets both
        attrs.pop("fuse_brelu", None)
    return [(str(type), dict(settings or {})) for type, settings in fused.items()]


def _chain(steps: list[tuple[str, dict[str, Any]]], inputs: dict[str, list[str]], outputs: dict[str, list[str]],
           where: str) -> list[RawOp]:
    """The first step reads the entry's inputs; an elementwise step reads the running value and the next Y."""
    later = inputs.pop("Y", []) if not steps[0][0].startswith(("elementwise_", "matmul", "mul")) else []
    last = next(iter(outputs.values()))[0]
    chain, current = [], ""
    for position, (type, attrs) in enumerate(steps):
        out = last if position == len(steps) - 1 else f"{last}.{type}.{position}"
        reads = dict(inputs) if position == 0 else {"X": [current]}
        if position and type.startswith("elementwise_"):
            if not later:
                raise ConvertError(f"the fused {type} has no second input", where=where, hint=_AGAIN)
            reads["Y"] = [later.pop(0)]
        chain.append(RawOp(type, reads, {"Out": [out]}, attrs, f"{type} in {where}"))
        current = out
    if later:
        raise ConvertError(f"no fused operator reads {later}", where=where, hint=_AGAIN)
    return chain


def _feeds(ops: list[RawOp], feed: Any, program: RawProgram) -> None:
    """Shapes of the inputs: declared, else feedShape with a batch of one, else open."""
    for op in ops:
        if op.type != "feed":
            continue
        name = op.outputs["Out"][0]
        known = program.values.get(name)
        shape: tuple = known.shape if known is not None else ()
        if not shape and feed:
            shape = (1, int(feed["fc"]), int(feed["fh"]), int(feed["fw"]))
        if shape:
            shape = (1,) * (4 - len(shape)) + tuple(shape)  # the batch was often left out
        program.values[name] = Value(name, feed_shape(name, list(shape) or [-1] * 4))


def _ordered(ops: list[RawOp], weights: set[str], where: str) -> list[RawOp]:
    """Operators after what they read (early packages list them out of order); `connect` becomes its inputs.

    Where a detector's last step stands in the package, what it finds is the result, not what it is computed from.
    """
    joined = {op.outputs["Out"][0]: op.inputs["X"] for op in ops if op.type == "connect"}
    found = [op for op in ops if op.type.startswith("multiclass_nms") and "Out" in op.outputs]
    if found:
        ops = [op for op in ops if op.type != "fetch"] + [
            RawOp("fetch", {"X": [op.outputs["Out"][0]]}, {}, {"col": col}, op.where) for col, op in enumerate(found)]
    waiting = []
    for op in ops:
        if op.type == "fetch" and op.inputs["X"][0] in joined:
            col = op.attrs["col"]
            names = joined[op.inputs["X"][0]]
            waiting += [RawOp("fetch", {"X": [name]}, {}, {"col": col + i}, op.where) for i, name in enumerate(names)]
        elif op.type != "connect":
            waiting.append(op)
    return _sorted(waiting, weights, where)


def _sorted(waiting: list[RawOp], ready: set[str], where: str) -> list[RawOp]:
    """In the order given where that works, each operator as soon as all it reads is there."""
    missing = {id(op): {name for names in op.inputs.values() for name in names} - ready for op in waiting}
    readers: dict[str, list[int]] = {}
    for position, op in enumerate(waiting):
        for name in missing[id(op)]:
            readers.setdefault(name, []).append(position)
    due = [position for position, op in enumerate(waiting) if not missing[id(op)]]
    ordered = []
    while due:
        op = waiting[heapq.heappop(due)]
        ordered.append(op)
        for name in {name for names in op.outputs.values() for name in names}:
            for position in readers.pop(name, []):
                left = missing[id(waiting[position])]
                left.discard(name)
                if not left:
                    heapq.heappush(due, position)
    if len(ordered) < len(waiting):
        made = {name for op in waiting for names in op.outputs.values() for name in names}
        needed = set(readers)
        raise ConvertError(f"nothing computes {sorted(needed - made)[:5] or sorted(needed)[:5]}", where=where,
                           hint=_AGAIN)
    return ordered
