"""RawProgram -> Graph: one name per write, canonical operators, everything unsupported named at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from converter import ops  # noqa: F401  (fills the registry)
from converter.errors import ConvertError
from converter.graph import Dim, Graph, Node, Value
from converter.ops.run import evaluate_node
from converter.ops.spec import REGISTRY, complete
from converter.read.op import PRIMARY, Op, computed
from converter.read.raw import RawOp, RawProgram

# Attributes that steer training, devices, quantisation tools or debugging and never change a result.
_NO_EFFECT = """
    op_role op_role_var op_namescope op_callstack op_device with_quant_attr is_test use_cudnn use_mkldnn
    use_quantizer mkldnn_data_type exhaustive_search workspace_size_MB force_fp32_output use_addto struct_name
    Scale_in Scale_in_eltwise Scale_out Scale_weights Scale_x Scale_y scale_x scale_y scale_out
    x_data_format y_data_format fuse_relu_before_depthwise_conv op_type is_training place stop_gradient
    persistable Scale_data Shift_data shift_in quantization_type skip_quant name_scope use_onednn onednn_data_type
    __with_quant_attr__ fused_output_scale trainable_statistics momentum use_global_stats
"""
IGNORED = frozenset(_NO_EFFECT.split())

_MAX_CONSTANT = 1 << 16
"""A fill that is larger stays an operator: it would only make the bundle bigger."""
_MAX_ELEMENTS = 1 << 31
_MAX_FOLDED = 64
"""Elements of tensors that are computed while reading."""


class Builder:
    """The graph under construction, the current name of every variable, and the problems met."""

    def __init__(self, raw: RawProgram, handlers: dict[str, Callable[[Builder, Op], None]]) -> None:
        self.raw, self.handlers = raw, handlers
        self.graph = Graph()
        self.current: dict[str, str] = {}
        self.pending: dict[str, np.ndarray] = dict(raw.params)
        self.dropped: dict[str, str] = {}
        self.unsupported: dict[str, tuple[int, str]] = {}
        self.faults: list[str] = []
        self.fetches: list[tuple[int, str]] = []
        self.feeds: list[tuple[int, str]] = []
        self.last_write = {name: index for index, op in enumerate(raw.ops)
                           for names in op.outputs.values() for name in names}
        self.index = 0
        self.counts: dict[str, int] = {}
        self.renames: dict[str, str] = {}

    # reading

    def run(self) -> None:
        for index, raw in enumerate(self.raw.ops):
            self.index = index
            if raw.type in ("feed", "fetch") and not (raw.outputs.get("Out") if raw.type == "feed" else
                                                      raw.inputs.get("X")):
                raise ConvertError(f"a {raw.type} names no variable", where=self.raw.where)
            if raw.type == "feed":
                self._feed(raw)
            elif raw.type == "fetch":
                self.fetches.append((int(raw.attrs.get("col") or 0), raw.inputs["X"][0]))
            else:
                self._operator(raw)
        self.graph.inputs = [name for _, name in sorted(self.feeds, key=lambda feed: feed[0])]
        for _, name in sorted(self.fetches, key=lambda fetch: fetch[0]):
            self._fetch(name)
        self._apply_renames()

    def _feed(self, raw: RawOp) -> None:
        name = raw.outputs["Out"][0]
        declared = self.raw.values.get(name)
        if declared is None:
            raise ConvertError("the program does not declare this input", where=name)
        self.graph.add_value(Value(name, declared.shape, computed(declared.dtype)))
        self.current[name] = name
        self.feeds.append((int(raw.attrs.get("col") or 0), name))

    def _operator(self, raw: RawOp) -> None:
        try:
            op = Op(raw, {slot: [self._resolve(name, raw) for name in names]
                          for slot, names in raw.inputs.items() if names}, self)
            handler = self.handlers.get(raw.type, passthrough)
            handler(self, op)
            left = sorted(set(op.attrs) - IGNORED)
            if left:
                raise op.error(f"attributes {left} are not known")
        except (ConvertError, TypeError, ValueError, IndexError, KeyError, OverflowError) as error:
            self.faults.append(str(error) if isinstance(error, ConvertError) else
                               f"{raw.where}: malformed ({type(error).__name__}: {error})")
            for names in raw.outputs.values():  # declare them, so that what follows is not blamed
                for name in names:
                    if name not in self.current or self.current[name] not in self.graph.values:
                        self.write(name)

    def _resolve(self, name: str, raw: RawOp) -> str:
        if name in self.dropped:
            raise ConvertError(f"reads '{name}', an output of {self.dropped[name]} that is not supported",
                               where=raw.where)
        if name in self.current:
            return self.current[name]
        if name in self.pending:
            return name
        raise ConvertError(f"'{name}' is read but nothing writes it", where=raw.where,
                           hint="a weight is missing, or the program is damaged")

    # writing

    def data_of(self, name: str) -> np.ndarray | None:
        return self.pending[name] if name in self.pending else self.graph.data_of(name)

    def use(self, name: str) -> str:
        """Make sure that a name an operator reads stands in the graph."""
        if name in self.pending and name not in self.graph.values:
            data = self.pending[name]
            self.graph.add_value(Value(name, tuple(data.shape), str(data.dtype), data))
        return name

    def shape_of(self, name: str) -> tuple[Dim, ...]:
        data = self.data_of(name)
        return tuple(data.shape) if data is not None else self.graph.values[name].shape

    def dtype_of(self, name: str) -> str:
        data = self.data_of(name)
        found = str(data.dtype) if data is not None else self.graph.values[name].dtype
        return computed(found)

    def write(self, raw_name: str) -> str:
        """A graph name for one write of a variable; the last write keeps the variable's own name."""
        declared = self.raw.values.get(raw_name) or Value(raw_name)
        taken = raw_name in self.graph.values or raw_name in self.pending
        name = raw_name
        if taken or self.last_write.get(raw_name) != self.index:
            name = self._fresh(raw_name)
        self.graph.add_value(Value(name, declared.shape, computed(declared.dtype)))
        self.current[raw_name] = name
        return name

    def temporary(self, base: str, shape: tuple[Dim, ...], dtype: str) -> str:
        """A new value inside the translation of one operator."""
        return self.graph.add_value(Value(self._fresh(base), shape, dtype)).name

    def _fresh(self, base: str) -> str:
        count = self.counts.get(base, 0) + 1  # a variable may be written ten thousand times
        while (name := f"{base}.{count}") in self.graph.values or name in self.raw.values or name in self.pending:
            count += 1
        self.counts[base] = count
        return name

    def hold(self, base: str, data: np.ndarray) -> str:
        """A constant made by the translation; enters the graph when an operator reads it."""
        name = base if base not in self.pending and base not in self.graph.values else self._fresh(base)
        self.pending[name] = data
        return name

    def alias(self, raw_name: str, name: str) -> None:
        """The variable is another one's value: no operator."""
        self.current[raw_name] = name

    def emit(self, op: Op, type: str, inputs: dict[str, list[str]], attrs: dict[str, Any],
             out: list[str] | None = None) -> Node:
        """Add a node that writes the raw operator's main output, or `out` (graph names made by temporary)."""
        for slot, names in op.outputs.items():
            if out is None and names is not op.out_names:
                self.dropped.update(dict.fromkeys(names, f"{op.where}, slot {slot},"))
        names = [self.write(name) for name in op.out_names] if out is None else out
        for name in () if out is not None else op.out_names:
            self.dropped.pop(name, None)
        node = Node(type, {slot: [self.use(name) for name in given] for slot, given in inputs.items() if given},
                    {"Out": names}, attrs)
        return self.add(node)

    def add(self, node: Node) -> Node:
        self.graph.nodes.append(node)
        if node.type in REGISTRY:
            complete(node)
            self._fold(node)
        else:
            count, first = self.unsupported.get(node.type, (0, node.where))
            self.unsupported[node.type] = (count + 1, first)
        return node

    def _fold(self, node: Node) -> None:
        """Compute whole numbers that depend on constants alone: axes, sizes and paddings are often spelt so."""
        names = set(node.input_names())
        known = {name: data for name in names if (data := self.data_of(name)) is not None
                 and data.dtype.kind in "ib" and data.size <= _MAX_FOLDED}
        if not names or len(known) < len(names) or len(node.outputs["Out"]) != 1 or node.blocks:
            return
        made = np.asarray(evaluate_node(node, known)[node.out])
        if made.dtype.kind in "ib" and made.size <= _MAX_FOLDED:
            self.graph.nodes.pop()
            del self.graph.values[node.out]
            self.pending[node.out] = made

    def constant_out(self, op: Op, data: np.ndarray) -> None:
        """The operator's output is known now."""
        name = op.out_names[0]
        last = self.last_write.get(name) == self.index  # only then may the constant have the variable's own name
        self.alias(name, self.hold(name if last else self._fresh(name), data))

    def may_hold(self, shape: list[int], op: Op) -> bool:
        """Whether a filled tensor of this shape becomes a constant; absurd sizes are refused."""
        if any(size < 0 for size in shape):
            return False
        elements = int(np.prod([int(size) for size in shape], dtype=object)) if shape else 1
        if elements > _MAX_ELEMENTS:
            raise op.error(f"fills a tensor of shape {shape}, which cannot be right")
        return elements <= _MAX_CONSTANT

    def _fetch(self, raw_name: str) -> None:
        """Give an output its public name."""
        if raw_name not in self.current and raw_name not in self.pending:
            raise ConvertError(f"the output '{raw_name}' is not computed by the program", where=self.raw.where)
        name = self.current.get(raw_name, raw_name)
        name = self.renames.get(name, name)
        data = self.data_of(name)
        if data is not None and data.dtype.kind in "ib":
            self._state(raw_name, data)
        elif name == raw_name and name not in self.graph.outputs:
            self.use(name)
            self.graph.outputs.append(name)
        elif name != raw_name:
            value = self.graph.values[self.use(name)]
            public = raw_name if raw_name not in self.graph.values else self._fresh(raw_name)
            if not value.is_constant and name not in {*self.graph.inputs, *self.graph.outputs}:
                self._rename(name, public)
                self.graph.outputs.append(public)
                return
            self.graph.add_value(Value(public, value.shape, value.dtype))
            self.add(Node("scale", {"X": [name]}, {"Out": [public]},
                          {"scale": 1.0, "bias": 0.0, "bias_after_scale": True}))
            self.graph.outputs.append(public)

    def _state(self, public: str, data: np.ndarray) -> None:
        """An output that is known already: an operator states it, since a constant is no result."""
        if public in self.graph.values:
            self._rename(public, self._fresh(public))
        self.pending.pop(public, None)
        self.graph.add_value(Value(public, data.shape, str(data.dtype)))
        self.add(Node("assign_value", {}, {"Out": [public]},
                      {"shape": list(data.shape), "dtype": str(data.dtype), "values": data.ravel().tolist()}))
        self.graph.outputs.append(public)

    def _rename(self, old: str, new: str) -> None:
        """The value now; the operators that name it all at once, when every output has its name."""
        value = self.graph.values.pop(old)
        value.name = new
        self.graph.add_value(value)
        self.renames[old] = new

    def _apply_renames(self) -> None:
        if not self.renames:
            return
        for node in self.graph.nodes:
            for names in (*node.inputs.values(), *node.outputs.values()):
                names[:] = [self.renames.get(name, name) for name in names]
        self.current = {raw: self.renames.get(name, name) for raw, name in self.current.items()}


def passthrough(builder: Builder, op: Op) -> None:
    """An operator that is canonical as it stands, or that nothing here knows: all attributes, all outputs."""
    spec = REGISTRY.get(op.type)
    kept = {name: op.attrs[name] for name in list(op.attrs)
            if (spec is not None and name in spec.attrs) or name not in IGNORED}
    op.skip(*list(op.attrs))
    if spec is not None:
        builder.emit(op, op.type, op.inputs, kept)
        return
    main = next((slot for slot in PRIMARY if op.outputs.get(slot)), None)
    slots = {"Out" if slot == main else slot: [builder.write(name) for name in names]
             for slot, names in op.outputs.items()}
    inputs = {slot: [builder.use(name) for name in names] for slot, names in op.inputs.items()}
    builder.add(Node(op.type, inputs, slots, kept))


def build(raw: RawProgram, handlers: dict[str, Callable], strict: bool = True) -> Graph:
    """Translate a program. strict: refuse, naming everything, where anything is unsupported;
    otherwise such operators stay in the graph as they are, and meta["unsupported"] names them."""
    builder = Builder(raw, handlers)
    builder.run()
    graph = builder.graph
    if not graph.outputs:
        raise ConvertError("the program has no outputs", where=raw.where,
                           hint="export it with paddle.jit.save or save_inference_model")
    problems = [f"{type} × {count}, first at {first}" for type, (count, first) in sorted(builder.unsupported.items())]
    problems += builder.faults
    if problems and strict:
        known = f"{len(builder.unsupported)} operator types are not supported" if builder.unsupported else \
            f"{len(builder.faults)} operators cannot be translated"
        raise ConvertError(known + ":\n  " + "\n  ".join(problems), where=raw.where,
                           hint="export the model without them, or convert the part before them")
    graph.meta["source"] = raw.source
    if problems:
        graph.meta["unsupported"] = problems
    else:
        graph.check()
    return graph
