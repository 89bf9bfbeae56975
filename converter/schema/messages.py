"""Protobuf messages from a table of text: message → "number name type, …", "*" after the type for repeated."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_KIND = descriptor_pb2.FieldDescriptorProto
_SCALARS = {"int32": _KIND.TYPE_INT32, "int64": _KIND.TYPE_INT64, "float": _KIND.TYPE_FLOAT,
            "double": _KIND.TYPE_DOUBLE, "bool": _KIND.TYPE_BOOL, "string": _KIND.TYPE_STRING,
            "bytes": _KIND.TYPE_BYTES}


def classes(package: str, messages: dict[str, str]) -> dict[str, Any]:
    """One message class per name (proto2, so that a field that was never set is not written)."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto2")
    for title, fields in messages.items():
        entry = file.message_type.add(name=title)
        for field in fields.split(","):
            number, label, kind = field.split()
            row = entry.field.add(name=label, number=int(number),
                                  label=_KIND.LABEL_REPEATED if kind.endswith("*") else _KIND.LABEL_OPTIONAL)
            kind = kind.rstrip("*")
            if kind in _SCALARS:
                row.type = _SCALARS[kind]
            else:
                row.type, row.type_name = _KIND.TYPE_MESSAGE, f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {title: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{title}"))
            for title in messages}
