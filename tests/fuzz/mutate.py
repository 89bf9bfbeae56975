"""Damage to files: bytes at random, and changes that keep JSON and protobuf parsable so that deeper code is reached."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import EncodeError

from converter.errors import ConvertError
from converter.schema import paddle as proto

NUMBERS = [0, -1, 1, 2, 3, 7, 16, 255, 65536, 2**31 - 1, 2**31, -(2**31), 2**32, 2**63 - 1, -(2**63), 2**64, 10**18,
           10**400, 0.5, -0.0, 1e-300, 1e38, 1e308, float("inf"), float("-inf"), float("nan")]
STRINGS = ["", "zz", "x", "out", "float32", "float64", "int64", "bool", "../../etc/passwd", "/etc/passwd", "a\0b", "..",
           "\ud800", "é" * 300, "A" * 70000, "NCHW", "NHWC", "SAME", "nan", "INF", "-1", "1e999", "__proto__",
           "relu", "conv2d", "while", "feed", "fetch", "chunk_1.dat", "9" * 5000]
MAX_BYTES = 8 << 20


def mutate(data: bytes, name: str, rng: random.Random) -> bytes:
    """One to four changes, in the file's own grammar more often than not."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        data = _once(data, name, rng)[:MAX_BYTES]
    return data


def _once(data: bytes, name: str, rng: random.Random) -> bytes:
    if rng.random() < 0.8:
        if name.endswith(".json"):
            return change_json(data, rng)
        if name.endswith((".pdmodel", "__model__")):
            return change_program(data, rng)
    return change_bytes(data, rng)


def change_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, cut, repeat, insert or move bytes; headers are hit as often as all the rest."""
    if not data:
        return rng.randbytes(rng.randrange(64))
    at = rng.randrange(min(len(data), 64) if rng.random() < 0.5 else len(data))
    length = min(rng.choice((1, 2, 4, 8, 64, 1024)), len(data) - at)
    kind = rng.randrange(8)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]
    if kind == 1:
        return data[:at] + rng.randbytes(length) + data[at + length:]
    if kind == 2:
        number = rng.choice([n for n in NUMBERS if isinstance(n, int)]) % 2**64
        packed = struct.pack("<Q", number)[:rng.choice((1, 2, 4, 8))]
        return data[:at] + packed + data[at + len(packed):]
    if kind == 3:
        return data[:at] + data[at + length:]
    if kind == 4:
        return data[:at]
    if kind == 5:
        return data[:at] + data[at:at + length] * rng.choice((2, 3, 50)) + data[at + length:]
    if kind == 6:
        text = rng.choice(STRINGS).encode("utf-8", "surrogatepass")
        return data[:at] + text + data[at:]
    other = rng.randrange(len(data))
    return data[:at] + data[other:other + length] + data[at + length:]


# JSON


def change_json(data: bytes, rng: random.Random) -> bytes:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return change_bytes(data, rng)
    places = list(_places(document))
    if not places:
        return change_bytes(data, rng)
    parent, key = rng.choice(places)
    kind = rng.randrange(8)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, list):
        parent.insert(rng.randrange(len(parent) + 1), parent[key])
    elif kind == 2:
        other, place = rng.choice(places)
        parent[key], other[place] = other[place], parent[key]
    elif kind == 3:
        other, place = rng.choice(places)
        parent[key] = json.loads(json.dumps(other[place]))
    elif kind == 4 and isinstance(parent, dict):
        parent[rng.choice(STRINGS)] = parent.pop(key)
    elif kind == 5:
        parent[key] = _nested(rng)
    elif kind == 6 and isinstance(parent[key], (int, float)):
        parent[key] = rng.choice(NUMBERS)
    else:
        parent[key] = rng.choice([*NUMBERS, *STRINGS, None, True, False, [], {}])
    try:
        return json.dumps(document).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):  # the swap made it cyclic
        return change_bytes(data, rng)


def _nested(rng: random.Random) -> Any:
    value: Any = rng.choice(NUMBERS)
    for _ in range(rng.choice((1, 2, 60, 300))):
        value = [value] if rng.random() < 0.5 else {"D": value, "#": "0.a_array"}
    return value


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """(parent, key) of every value."""
    waiting = [document]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            yield node, key
            waiting.append(node[key])


# protobuf


def change_program(data: bytes, rng: random.Random) -> bytes:
    try:
        program: Any = proto.parse("ProgramDesc", data, "seed")
    except ConvertError:
        return change_bytes(data, rng)
    message: Any = program
    while True:  # walk down at random; deeper is likelier than stopping
        inner = [field for field in message.DESCRIPTOR.fields if field.message_type and _children(message, field)]
        if not inner or message is not program and rng.random() < 0.3:
            break
        field = rng.choice(inner)
        message = rng.choice(_children(message, field))
        if rng.random() < 0.1:
            _change_field(program if rng.random() < 0.1 else message, rng)
    _change_field(message, rng)
    try:
        return program.SerializeToString()
    except EncodeError:  # some releases of protobuf refuse to write what they let one build, such as deep nesting
        return change_bytes(data, rng)


def _repeated(field: Any) -> bool:
    """Whichever way this protobuf says it."""
    return field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def _children(message: Any, field: Any) -> list[Any]:
    if _repeated(field):
        return list(getattr(message, field.name))
    return [getattr(message, field.name)] if message.HasField(field.name) else []


def _change_field(message: Any, rng: random.Random) -> None:
    field = rng.choice(message.DESCRIPTOR.fields)
    kind = rng.randrange(6)
    if _repeated(field):
        values = list(getattr(message, field.name))
        if kind == 0:
            rng.shuffle(values)
        elif kind == 1 and values:
            values.pop(rng.randrange(len(values)))
        elif kind == 2 and values:
            values += [rng.choice(values)] * rng.choice((1, 2, 30))
        elif kind > 2 and not field.message_type:
            values.insert(rng.randrange(len(values) + 1), _scalar(field, rng))
        copies = [_copied(value) for value in values]
        message.ClearField(field.name)
        getattr(message, field.name).extend(copies)
    elif kind == 0:
        message.ClearField(field.name)
    elif not field.message_type:
        setattr(message, field.name, _scalar(field, rng))


def _copied(value: Any) -> Any:
    if not hasattr(value, "CopyFrom"):
        return value
    copy = type(value)()
    copy.CopyFrom(value)
    return copy


def _scalar(field: Any, rng: random.Random) -> Any:
    kinds = {field.CPPTYPE_INT32: 32, field.CPPTYPE_INT64: 64}
    if field.cpp_type in kinds:
        bits = kinds[field.cpp_type]
        wrapped = rng.choice([n for n in NUMBERS if isinstance(n, int)]) % 2**bits
        return wrapped - 2**bits if wrapped >= 2 ** (bits - 1) else wrapped
    if field.cpp_type == field.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return float(rng.choice([n for n in NUMBERS if not isinstance(n, int) or abs(n) < 2**64]))
    text = rng.choice(STRINGS)
    if field.type == field.TYPE_BYTES:
        return text.encode("utf-8", "surrogatepass") if rng.random() < 0.9 else rng.randbytes(9)
    return text.encode("utf-8", "replace").decode()
