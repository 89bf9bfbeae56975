"""Graph <-> text such as "y = relu(x)": the dump of `inspect`, and how tests and passes write graphs down.

One statement per line (or between ";"), "#" starts a comment:

    x: float32[N,3,H,W] = input             a graph input; sizes are integers or symbols
    w: float32[8,3,3,3] = const             numbers from `constants`, else seeded by the name
    k: int64[2] = const [1, 2]              numbers written out
    y = conv2d(Input=x, Filter=w, strides=[1, 1])
    z: float32[N,8,?1,?2] = relu(y)         the type of an output may be given
    a, b = split(X=z, axis=1, num=2)        many outputs in slot Out
    h, State=s = rnn(...)                   outputs in other slots
    return a, b

A bare word is a value, a literal an attribute: 1, 1.5, "text", true, false, none, inf, nan, [lists].
Values without a slot stand in X, then Y. Names with other characters are written between backquotes.
"""

from __future__ import annotations

import math
import re
import zlib
from typing import Any

import numpy as np

from converter.errors import ConvertError
from converter.graph.ir import DTYPES, Dim, Graph, Node, Value

_WORD = r"[A-Za-z_][\w./@\-]*"
_TOKEN = re.compile(
    r"(?P<space>[ \t\r]+|#[^\n]*)|(?P<end>[\n;])|(?P<quoted>`[^`\n]+`)|(?P<string>\"(?:[^\"\\\n]|\\.)*\")"
    rf"|(?P<number>-?(?:inf\b|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+))|(?P<word>{_WORD}|\?\w*)|(?P<mark>[=:,()\[\]])")
_LITERALS = {"true": True, "false": False, "none": None, "inf": math.inf, "nan": math.nan}
_KEYWORDS = {*_LITERALS, "return", "input", "const"}
_POSITIONAL = ("X", "Y")
_SHOWN_ELEMENTS = 16
"""A constant with more elements is dumped by its type alone."""


class _Name(str):
    """A value's name, to tell it from the text of a string attribute."""


def parse(text: str, constants: dict[str, np.ndarray] | None = None, free_inputs: bool = False) -> Graph:
    """Read a graph; see the grammar above.

    constants: name → array for values declared `= const`. free_inputs: a name that nothing declares is
    a graph input (patterns); otherwise it is an error. Raises ConvertError naming the line.
    """
    reader = _Reader(text, constants or {})
    reader.run()
    if free_inputs:
        reader.declare_free()
    reader.graph.check()
    return reader.graph


def dump(graph: Graph) -> str:
    """The graph as text; parse() reads it back (large constants: from `constants`)."""
    lines = [f"{_typed(graph.values[name])} = input" for name in graph.inputs]
    lines += [_constant_line(value) for value in graph.values.values() if value.is_constant]
    for node in graph.nodes:
        lines.append(node_text(node, graph))
        for name, value in node.attrs.items():
            if isinstance(value, Graph):        # for the eye: parse() reads no control flow
                lines += [f"  {name}: {line}" for line in dump(value).splitlines()]
    lines.append("return " + ", ".join(map(name_text, graph.outputs)))
    return "\n".join(lines) + "\n"


def node_text(node: Node, graph: Graph | None = None) -> str:
    """One node; with `graph`, its outputs carry their types."""
    left = []
    for slot, names in node.outputs.items():
        for name in names:
            shown = _typed(graph.values[name]) if graph else name_text(name)
            left.append(shown if slot == "Out" else f"{slot}={shown}")
    arguments = []
    for slot, names in node.inputs.items():
        if names:
            listed = ", ".join(map(name_text, names))
            arguments.append(f"{slot}={listed}" if len(names) == 1 else f"{slot}=[{listed}]")
    arguments += [f"{name}={literal_text(value)}" for name, value in node.attrs.items()]
    return f"{', '.join(left)} = {node.type}({', '.join(arguments)})"


def name_text(name: str) -> str:
    """The name, between backquotes unless it is a plain word."""
    plain = re.fullmatch(_WORD, name) is not None and name not in _KEYWORDS
    return name if plain else f"`{name}`"


def literal_text(value: Any) -> str:
    """An attribute as parse() reads it."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(literal_text, value))}]"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Graph):
        return f"<{len(value.nodes)} operators>"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return repr(value.item() if isinstance(value, np.generic) else value)


def type_text(value: Value) -> str:
    """Dtype and shape: "float32[N,3,?1,?2]"."""
    return f"{value.dtype}[{','.join(map(str, value.shape))}]"


def _typed(value: Value) -> str:
    return f"{name_text(value.name)}: {type_text(value)}"


def _constant_line(value: Value) -> str:
    assert value.data is not None
    shown = f" {literal_text(value.data.ravel().tolist())}" if value.data.size <= _SHOWN_ELEMENTS else ""
    return f"{_typed(value)} = const{shown}"


def _sample(name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Numbers that depend on the name only; floats are roughly normal and never near zero variance."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if dtype.startswith("float"):
        return (rng.standard_normal(shape) * 0.5).astype(dtype)
    return rng.integers(0, 2 if dtype == "bool" else 5, shape).astype(dtype)


class _Reader:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str, constants: dict[str, np.ndarray]) -> None:
        self.constants = constants
        self.graph = Graph()
        self.line = 1
        self.tokens = self._tokens(text)
        self.at = 0
        self.returned = False

    def _tokens(self, text: str) -> list[tuple[str, str, int]]:
        found, at, line = [], 0, 1
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                self.line = line
                raise self._error(f"unexpected character {text[at]!r}")
            kind, word = str(match.lastgroup), match.group()
            if kind != "space":
                found.append((kind, word, line))
            line += word == "\n"
            at = match.end()
        return [*found, ("end", "", line)]

    def _error(self, what: str) -> ConvertError:
        return ConvertError(what, where=f"graph text, line {self.line}")

    def _peek(self) -> tuple[str, str]:
        kind, word, self.line = self.tokens[self.at]
        return kind, word

    def _take(self, mark: str | None = None) -> tuple[str, str]:
        kind, word = self._peek()
        if mark is not None and word != mark:
            raise self._error(f"expected '{mark}', found {word!r}")
        self.at += 1
        return kind, word

    def _accept(self, mark: str) -> bool:
        if self._peek() == ("mark", mark):
            self.at += 1
            return True
        return False

    def run(self) -> None:
        while self.at < len(self.tokens):
            if self._peek()[0] == "end":
                self.at += 1
                continue
            if self._peek() == ("word", "return"):
                self._take()
                self.graph.outputs = self._separated(self._name)
                self.returned = True
            else:
                self._statement()
            if self._peek()[0] != "end":
                raise self._error(f"expected the end of the line, found {self._peek()[1]!r}")
        if not self.returned:
            raise self._error("the text has no 'return'")

    def _separated(self, item: Any) -> list[Any]:
        found = [item()]
        while self._accept(","):
            found.append(item())
        return found

    def _name(self) -> _Name:
        kind, word = self._take()
        if kind == "quoted":
            return _Name(word[1:-1])
        if kind != "word" or word in _KEYWORDS:
            raise self._error(f"expected a name, found {word!r}")
        return _Name(word)

    def _statement(self) -> None:
        targets = self._separated(self._target)
        self._take("=")
        kind, word = self._peek()
        if kind == "word" and word in ("input", "const"):
            self._take()
            for slot, value in targets:
                self._declare(slot, value, word)
            return
        node = Node(str(self._name()))
        self._arguments(node)
        for slot, value in targets:
            node.outputs.setdefault(slot, []).append(value.name)
            self.graph.add_value(value)
        self.graph.nodes.append(node)

    def _declare(self, slot: str, value: Value, kind: str) -> None:
        if slot != "Out":
            raise self._error(f"'{slot}=' has no place before '{kind}'")
        if kind == "input":
            self.graph.inputs.append(value.name)
        else:
            value.data = self._constant(value)
            value.shape, value.dtype = tuple(value.data.shape), str(value.data.dtype)
        self.graph.add_value(value)

    def _constant(self, value: Value) -> np.ndarray:
        if any(isinstance(size, str) for size in value.shape):
            raise self._error(f"the constant {value.name} has a symbolic size")
        shape = tuple(int(size) for size in value.shape)
        if self._accept("["):
            numbers = np.array(self._list(), dtype=value.dtype)
            if numbers.size != math.prod(shape):
                raise self._error(f"{value.name} needs {math.prod(shape)} numbers, got {numbers.size}")
            return numbers.reshape(shape)
        if value.name in self.constants:
            return np.asarray(self.constants[value.name])
        return _sample(value.name, shape, value.dtype)

    def _target(self) -> tuple[str, Value]:
        """[Slot=]name[: type]; the last "=" of a statement is not a slot's, as an operator follows it."""
        name, slot = self._name(), "Out"
        after = self.tokens[self.at:self.at + 3]
        words = [word for _, word, _ in after]
        if words[:1] == ["="] and len(after) == 3 and after[1][0] in ("word", "quoted") and words[2] in (",", "=", ":"):
            self._take("=")
            slot, name = str(name), self._name()
        value = Value(str(name))
        if self._accept(":"):
            value.dtype, value.shape = self._type()
        return slot, value

    def _type(self) -> tuple[str, tuple[Dim, ...]]:
        dtype = self._take()[1]
        if dtype not in DTYPES:
            raise self._error(f"unknown dtype {dtype!r}")
        self._take("[")
        if self._accept("]"):
            return dtype, ()
        shape = tuple(self._separated(self._dim))
        self._take("]")
        return dtype, shape

    def _dim(self) -> Dim:
        kind, word = self._take()
        if kind == "number" and word.isdigit():
            return int(word)
        if kind != "word":
            raise self._error(f"expected a size or a symbol, found {word!r}")
        return word

    def _arguments(self, node: Node) -> None:
        self._take("(")
        if self._accept(")"):
            return
        for position, (key, value) in enumerate(self._separated(self._argument)):
            names = [value] if isinstance(value, _Name) else value
            if isinstance(names, list) and names and all(isinstance(name, _Name) for name in names):
                if key is None and position >= len(_POSITIONAL):
                    raise self._error(f"the input {names[0]} of {node.type} needs a slot name")
                node.inputs[key or _POSITIONAL[position]] = [str(name) for name in names]
            elif key is None:
                raise self._error(f"the attribute {value!r} of {node.type} needs a name")
            else:
                node.attrs[key] = value
        self._take(")")

    def _argument(self) -> tuple[str | None, Any]:
        if self.tokens[self.at + 1][1] == "=":
            key = str(self._name())
            self._take("=")
            return key, self._literal()
        return None, self._literal()

    def _literal(self) -> Any:
        kind, word = self._peek()
        if kind in ("word", "quoted") and word not in _LITERALS:
            return self._name()
        self._take()
        if kind == "number":
            return float(word) if re.search(r"[.eEn]", word) else int(word)
        if kind == "string":
            return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], word[1:-1])
        if word in _LITERALS:
            return _LITERALS[word]
        if word == "[":
            return self._list()
        raise self._error(f"expected a value, found {word!r}")

    def _list(self) -> list[Any]:
        """The rest of a list whose "[" is taken."""
        if self._accept("]"):
            return []
        items = self._separated(self._literal)
        self._take("]")
        return items

    def declare_free(self) -> None:
        """Make graph inputs of the names that are read but never declared, in order of use."""
        for node in self.graph.nodes:
            for name in node.input_names():
                if name not in self.graph.values:
                    self.graph.add_value(Value(name))
                    self.graph.inputs.append(name)
