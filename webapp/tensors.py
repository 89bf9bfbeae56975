"""Tensors as the Open Inference Protocol writes them: JSON, with the binary tensor data extension. No Flask here."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

# The protocol's name, the bundle's (numpy's) name.
DTYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
NAMES = {numpy_name: name for name, numpy_name in DTYPES.items()}
MAX_RANK = 8
MAX_TENSORS = 64
MAX_ID = 200
KINDS = {"f": "if", "i": "iu", "u": "iu", "b": "b"}  # wanted kind -> kinds of number that JSON may hold for it
UNSUPPORTED = ("sequence_id", "shared_memory_region", "classification")  # each would change what the answer means


class TensorError(ValueError):
    """A request or an answer that is not what the protocol says; the message says what and which tensor."""


@dataclass
class InferRequest:
    """A checked request. `outputs`: what is wanted, and whether in binary form."""

    feeds: dict[str, np.ndarray]
    outputs: dict[str, bool]
    id: str = ""
    timeout_us: int | None = None
    place: Any = None  # where the feeds lie, if that is memory of the engine (see engines/rows.py)


@dataclass
class Body:
    """JSON and the bytes behind it, consumed tensor by tensor."""

    json: dict[str, Any]
    rest: memoryview = field(repr=False)

    def take(self, count: int, name: str) -> memoryview:
        """The next `count` bytes."""
        if count > len(self.rest):
            raise TensorError(f"tensor {name!r} needs {count} bytes of binary data; {len(self.rest)} are left")
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken


def refuse_constant(text: str) -> NoReturn:
    """JSON knows no NaN and no Infinity; Python's reader would take them."""
    raise TensorError(f"{text} is not JSON; send such numbers as binary data")


def split(content: bytes | memoryview, header_length: str | None) -> Body:
    """Cut a body into its JSON and its binary part, as Inference-Header-Content-Length says."""
    length = len(content)
    if header_length is not None:
        if not header_length.isascii() or not header_length.isdecimal() or len(header_length) > 12:
            raise TensorError(f"Inference-Header-Content-Length is {header_length[:40]!r}, not a number of bytes")
        length = int(header_length)
        if length > len(content):
            raise TensorError(f"Inference-Header-Content-Length is {length}; the body has {len(content)} bytes")
    try:
        parsed = json.loads(bytes(content[:length]), parse_constant=refuse_constant)
    except TensorError:
        raise
    except (ValueError, RecursionError) as error:
        raise TensorError(f"the body's JSON cannot be read ({str(error)[:100]})") from error
    if not isinstance(parsed, dict):
        raise TensorError("the body's JSON is not an object")
    return Body(parsed, memoryview(content)[length:])


def objects(parsed: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of objects with different names, such as "inputs"."""
    found = parsed.get(key, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found) or len(found) > MAX_TENSORS:
        raise TensorError(f'"{key}" is not a list of at most {MAX_TENSORS} objects')
    names = [item.get("name") for item in found]
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise TensorError(f'"{key}" needs a different "name" in each object')
    return found


def parameters(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The "parameters" of an object; those that this server cannot honour are refused, not ignored."""
    found = item.get("parameters", {})
    if not isinstance(found, dict):
        raise TensorError(f'"parameters" of {where} is not an object')
    unsupported = [name for name in UNSUPPORTED if found.get(name)]
    if unsupported:
        raise TensorError(f"{where} asks for {', '.join(unsupported)}, which this server does not offer")
    return found


def flag(found: Mapping[str, Any], name: str, default: bool) -> bool:
    """A parameter that is true or false."""
    value = found.get(name, default)
    if not isinstance(value, bool):
        raise TensorError(f'parameter "{name}" is neither true nor false')
    return value


def is_count(value: Any) -> bool:
    """Whether a JSON value is a whole number of 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def checked_shape(item: Mapping[str, Any], max_dimension: int) -> list[int]:
    """The shape of a tensor on its way in: 1 to max_dimension along each of at most 8 axes."""
    shape = item.get("shape")
    fits = isinstance(shape, list) and len(shape) <= MAX_RANK and all(is_count(size) and size > 0 for size in shape)
    if not fits:
        raise TensorError(f"the shape of {item['name']!r} is not a list of at most {MAX_RANK} sizes of 1 or more")
    if max(shape, default=0) > max_dimension:
        raise TensorError(f"the shape of {item['name']!r} is above {max_dimension} along an axis")
    return shape


def check_declared(item: Mapping[str, Any], shape: Sequence[int], entry: Mapping[str, Any], sizes: dict) -> None:
    """Compare a tensor with what model.json declares; `sizes` holds what each named dimension was so far."""
    name, declared = item["name"], entry["shape"]
    wanted = NAMES.get(entry["dtype"], entry["dtype"])
    if item.get("datatype") != wanted:
        raise TensorError(f"{name!r} is {str(item.get('datatype'))[:20]!r}; the model takes {wanted}")
    matches = len(shape) == len(declared)
    for size, mine in zip(shape, declared, strict=False):
        if isinstance(mine, int) and mine >= 0:
            matches = matches and size == mine
        elif isinstance(mine, str) and not mine.startswith("?"):
            matches = matches and sizes.setdefault(mine, size) == size
    if not matches:
        raise TensorError(f"{name!r} has the shape {list(shape)}; the model takes {list(declared)}")


def from_json(data: Any, shape: Sequence[int], dtype: np.dtype, name: str) -> np.ndarray:
    """Numbers in a JSON list, flat or nested as the shape."""
    try:
        found = np.array(data) if isinstance(data, list) else None
    except ValueError as error:
        raise TensorError(f"the data of {name!r} is not a list of numbers of one shape") from error
    if found is None or found.dtype.kind not in KINDS[dtype.kind]:
        raise TensorError(f"the data of {name!r} is not a list of {NAMES[dtype.name]} numbers")
    if found.size != math.prod(shape) or found.ndim != 1 and list(found.shape) != list(shape):
        raise TensorError(f"the data of {name!r} has the shape {list(found.shape)}, not {list(shape)}")
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if int(found.min()) < limits.min or int(found.max()) > limits.max:
            raise TensorError(f"the data of {name!r} has numbers outside {NAMES[dtype.name]}")
    with np.errstate(over="ignore"):
        converted = found.astype(dtype).reshape(shape)
    if dtype.kind == "f" and not np.isfinite(converted).all():
        raise TensorError(f"the data of {name!r} has numbers outside {NAMES[dtype.name]}")
    return converted


def from_binary(data: memoryview, shape: Sequence[int], dtype: np.dtype, name: str) -> np.ndarray:
    """Little-endian numbers, row-major."""
    if dtype.kind == "b":
        raw = np.frombuffer(data, np.uint8)
        if raw.size and raw.max() > 1:
            raise TensorError(f"the data of {name!r} has bytes other than 0 and 1")
        return raw.astype(bool).reshape(shape)
    found = np.frombuffer(data, dtype.newbyteorder("<"))
    usable = found.flags.aligned and found.dtype.isnative
    return (found if usable else found.astype(dtype)).reshape(shape)  # a copy starts at an aligned address


def read_tensor(item: Mapping[str, Any], shape: Sequence[int], body: Body) -> np.ndarray:
    """One tensor of a request or an answer. Sizes are compared before anything is allocated."""
    name, kind = item["name"], item.get("datatype")
    if not isinstance(kind, str) or kind not in DTYPES:
        raise TensorError(f"{name!r} has the datatype {str(kind)[:20]!r}; known are {', '.join(DTYPES)}")
    dtype = np.dtype(DTYPES[kind])
    size = parameters(item, repr(name)).get("binary_data_size")
    if size is None:
        return from_json(item.get("data"), shape, dtype, name)
    needed = math.prod(shape) * dtype.itemsize
    if "data" in item or not is_count(size) or size != needed:
        raise TensorError(f"{name!r} says {str(size)[:20]} bytes of binary data; its shape and datatype need {needed}")
    return from_binary(body.take(size, name), shape, dtype, name)


def read_request(content: bytes | memoryview, header_length: str | None, inputs: Sequence[Mapping[str, Any]],
                 outputs: Sequence[Mapping[str, Any]], max_dimension: int) -> InferRequest:  # fmt: skip
    """Check a request against the model's declared inputs and outputs. Raises TensorError."""
    body = split(content, header_length)
    given, wanted = objects(body.json, "inputs"), objects(body.json, "outputs")
    declared = {entry["name"]: entry for entry in inputs}
    if {item["name"] for item in given} != set(declared):
        raise TensorError(f"the inputs are {[i['name'][:40] for i in given]}; the model takes {sorted(declared)}")
    sizes: dict[str, int] = {}
    shapes = [checked_shape(item, max_dimension) for item in given]
    for item, shape in zip(given, shapes, strict=True):
        check_declared(item, shape, declared[item["name"]], sizes)
    feeds = {item["name"]: read_tensor(item, shape, body) for item, shape in zip(given, shapes, strict=True)}
    if len(body.rest):
        raise TensorError(f"{len(body.rest)} bytes follow the last tensor")
    general = parameters(body.json, "the request")
    binary = flag(general, "binary_data_output", False)
    known = [entry["name"] for entry in outputs]
    unknown = [item["name"][:40] for item in wanted if item["name"] not in known]
    if unknown:
        raise TensorError(f"the model has no output {unknown}; it has {known}")
    asked = {item["name"]: flag(parameters(item, "an output"), "binary_data", binary) for item in wanted}
    return InferRequest(feeds, asked or dict.fromkeys(known, binary), request_id(body.json), timeout_us(general))


@dataclass(frozen=True)
class Layout:
    """A request's JSON, understood: where each tensor of the binary part is. Clients send the same one all the time."""

    length: int  # of the whole body
    tensors: tuple[tuple[str, np.dtype, tuple[int, ...], int, int], ...]  # name, type, shape, first byte, byte behind
    outputs: dict[str, bool]
    timeout_us: int | None

    @classmethod
    def of(cls, asked: InferRequest, header: int, length: int) -> "Layout | None":
        """Of a request that was read; None where its JSON alone does not say everything."""
        found, at = [], header
        for name, array in asked.feeds.items():
            found.append((name, array.dtype, array.shape, at, at + array.nbytes))
            at += array.nbytes
        plain = at == length and not asked.id and all(array.dtype.kind != "b" for array in asked.feeds.values())
        return cls(length, tuple(found), asked.outputs, asked.timeout_us) if plain else None

    def read(self, content: memoryview) -> InferRequest:
        """A request with the same JSON and as many bytes behind it."""
        feeds = {name: from_binary(content[a:b], shape, dtype, name) for name, dtype, shape, a, b in self.tensors}
        return InferRequest(feeds, self.outputs, "", self.timeout_us)


def request_id(parsed: Mapping[str, Any]) -> str:
    """The request's own id, given back with the answer."""
    found = parsed.get("id", "")
    if not isinstance(found, str) or len(found) > MAX_ID:
        raise TensorError(f'"id" is not a text of at most {MAX_ID} characters')
    return found


def timeout_us(found: Mapping[str, Any]) -> int | None:
    """The parameter `timeout`, in microseconds as Triton counts it."""
    value = found.get("timeout")
    if value is None:
        return None
    if not is_count(value) or value == 0:
        raise TensorError('parameter "timeout" is not a number of microseconds')
    return value


def describe(name: str, array: np.ndarray) -> dict[str, Any]:
    """Name, datatype and shape."""
    return {"name": name, "datatype": NAMES[array.dtype.name], "shape": list(array.shape)}


def write_response(head: dict[str, Any], results: Mapping[str, np.ndarray], wanted: Mapping[str, bool]
                   ) -> tuple[bytes, int | None]:  # fmt: skip
    """The answer's body, and the length of its JSON where binary data follows (else None).

    Raises TensorError when JSON is asked for and an output holds a number that JSON cannot.
    """
    entries, blobs = [], []
    for name, binary in wanted.items():
        array, entry = results[name], describe(name, results[name])
        if binary:
            blob = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
            entry["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        elif array.dtype.kind == "f" and not np.isfinite(array).all():
            raise TensorError(f"output {name!r} has numbers that JSON cannot hold; ask for binary data")
        else:
            entry["data"] = array.ravel().tolist()
        entries.append(entry)
    text = json.dumps({**head, "outputs": entries}, separators=(",", ":"), allow_nan=False).encode()
    return b"".join([text, *blobs]), len(text) if blobs else None


def binary_request(feeds: Mapping[str, np.ndarray], outputs: Sequence[str]) -> tuple[bytes, dict[str, str]]:
    """A request for another server: body and headers."""
    entries, blobs = [], []
    for name, array in feeds.items():
        blobs.append(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
        entries.append({**describe(name, array), "parameters": {"binary_data_size": len(blobs[-1])}})
    wanted = [{"name": name, "parameters": {"binary_data": True}} for name in outputs]
    text = json.dumps({"inputs": entries, "outputs": wanted}).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))}
    return b"".join([text, *blobs]), headers


def read_binary_response(content: bytes, header_length: str | None) -> dict[str, np.ndarray]:
    """Another server's answer. Raises TensorError."""
    body = split(content, header_length)
    results = {}
    for item in objects(body.json, "outputs"):
        shape = item.get("shape")
        if not isinstance(shape, list) or len(shape) > MAX_RANK or not all(is_count(size) for size in shape):
            raise TensorError(f"the shape of {item['name']!r} is not a list of sizes")
        results[item["name"]] = read_tensor(item, shape, body)
    return results
