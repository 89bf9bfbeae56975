"""Tensors on the wire: JSON and binary, taken when sound, refused in words when not, never allocated before."""

import json

import numpy as np
import pytest

from webapp.tensors import (
    DTYPES,
    Layout,
    TensorError,
    binary_request,
    read_binary_response,
    read_request,
    write_response,
)

INPUTS = [{"name": "x", "shape": ["n", 3], "dtype": "float32"}]
OUTPUTS = [{"name": "y", "shape": ["n", 3], "dtype": "float32"}, {"name": "z", "shape": [1], "dtype": "int64"}]


def body(**changes) -> dict:
    entry = {"name": "x", "datatype": "FP32", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6.5]}
    return {"inputs": [{**entry, **changes.pop("entry", {})}], **changes}


def read(content, header=None, inputs=INPUTS):
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_request(raw, header, inputs, OUTPUTS, max_dimension=1000)


def test_flat_and_nested_json():
    flat = read(body())
    nested = read(body(entry={"data": [[1, 2, 3], [4, 5, 6.5]]}))
    assert flat.feeds["x"].dtype == np.float32
    np.testing.assert_array_equal(flat.feeds["x"], np.array([[1, 2, 3], [4, 5, 6.5]], np.float32))
    np.testing.assert_array_equal(flat.feeds["x"], nested.feeds["x"])
    assert flat.outputs == {"y": False, "z": False} and flat.id == "" and flat.timeout_us is None


@pytest.mark.parametrize("name", DTYPES)
def test_every_datatype_survives_both_ways(name: str):
    dtype = np.dtype(DTYPES[name])
    array = (np.arange(6) % 2).astype(dtype).reshape(2, 3)
    sent, headers = binary_request({"x": array}, ["y"])
    inputs = [{"name": "x", "shape": ["n", 3], "dtype": dtype.name}]
    asked = read(sent, headers["Inference-Header-Content-Length"], inputs)
    np.testing.assert_array_equal(asked.feeds["x"], array)
    assert asked.feeds["x"].dtype == dtype and asked.outputs == {"y": True}
    content, length = write_response({}, {"x": array}, {"x": True})
    back = read_binary_response(content, str(length))["x"]
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, array)
    text, length = write_response({}, {"x": array}, {"x": False})
    assert length is None
    np.testing.assert_array_equal(read_binary_response(text, None)["x"], array)


def test_json_and_binary_outputs_side_by_side():
    results = {"y": np.array([[0.1, 2, 3]], np.float32), "z": np.array([7])}
    content, length = write_response({"model_name": "m"}, results, {"z": False, "y": True})
    answer = json.loads(content[:length])
    assert [entry["name"] for entry in answer["outputs"]] == ["z", "y"]
    assert answer["outputs"][0]["data"] == [7] and answer["outputs"][1]["parameters"] == {"binary_data_size": 12}
    np.testing.assert_array_equal(np.frombuffer(content[length:], "<f4"), results["y"][0])


def test_what_is_wanted_in_which_form():
    wanted = [{"name": "z"}, {"name": "y", "parameters": {"binary_data": False}}]
    asked = read(body(outputs=wanted, parameters={"binary_data_output": True, "timeout": 5000}, id="42"))
    assert asked.outputs == {"z": True, "y": False} and asked.timeout_us == 5000 and asked.id == "42"


def test_numbers_that_json_cannot_hold_are_refused_not_bent():
    results = {"y": np.array([np.nan, 1], np.float32)}
    with pytest.raises(TensorError, match="ask for binary"):
        write_response({}, results, {"y": False})
    content, length = write_response({}, results, {"y": True})
    assert np.isnan(read_binary_response(content, str(length))["y"][0])


HUGE = 10**30
REFUSED = {
    "not JSON": (b"{", "cannot be read"),
    "not UTF-8": (b"\xff\xfe{}", "cannot be read"),
    "deep": (b"[" * 200_000, "cannot be read"),
    "a list": ([], "not an object"),
    "NaN": (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [NaN, 1, 1]}]}', "not JSON"),
    "no inputs": ({}, "the model takes ['x']"),
    "inputs no list": ({"inputs": 3}, "not a list"),
    "input no object": ({"inputs": [3]}, "not a list"),
    "unnamed input": (body(entry={"name": 3}), 'different "name"'),
    "same input twice": ({"inputs": body()["inputs"] * 2}, 'different "name"'),
    "another input": (body(entry={"name": "w"}), "the model takes ['x']"),
    "no datatype": (body(entry={"datatype": None}), "the model takes FP32"),
    "other datatype": (body(entry={"datatype": "FP64"}), "the model takes FP32"),
    "BYTES": (body(entry={"datatype": "BYTES"}), "the model takes FP32"),
    "no shape": (body(entry={"shape": None}), "not a list"),
    "negative size": (body(entry={"shape": [-2, 3]}), "sizes of 1 or more"),
    "zero size": (body(entry={"shape": [0, 3], "data": []}), "sizes of 1 or more"),
    "true as size": (body(entry={"shape": [True, 3]}), "sizes of 1 or more"),
    "broken size": (body(entry={"shape": [2.0, 3]}), "sizes of 1 or more"),
    "huge size": (body(entry={"shape": [HUGE, 3]}), "above 1000"),
    "many axes": (body(entry={"shape": [1] * 9}), "at most 8"),
    "other rank": (body(entry={"shape": [6]}), "the model takes ['n', 3]"),
    "other size": (body(entry={"shape": [3, 2]}), "the model takes ['n', 3]"),
    "too few numbers": (body(entry={"data": [1, 2]}), "has the shape [2]"),
    "other nesting": (body(entry={"data": [[1, 2], [3, 4], [5, 6]]}), "has the shape [3, 2]"),
    "ragged": (body(entry={"data": [[1, 2, 3], [4]]}), "one shape"),
    "texts": (body(entry={"data": ["1"] * 6}), "FP32 numbers"),
    "nulls": (body(entry={"data": [None] * 6}), "FP32 numbers"),
    "objects": (body(entry={"data": [{}] * 6}), "FP32 numbers"),
    "truths": (body(entry={"data": [True] * 6}), "FP32 numbers"),
    "a number": (body(entry={"data": 5}), "FP32 numbers"),
    "no data": (body(entry={"data": None}), "FP32 numbers"),
    "too large for FP32": (body(entry={"data": [1e39] * 6}), "outside FP32"),
    "unknown output": (body(outputs=[{"name": "w"}]), "no output ['w']"),
    "parameters no object": (body(parameters=[]), "not an object"),
    "classification": (body(outputs=[{"name": "y", "parameters": {"classification": 3}}]), "classification"),
    "shared memory": (body(entry={"parameters": {"shared_memory_region": "r"}}), "shared_memory_region"),
    "sequence": (body(parameters={"sequence_id": 4}), "sequence_id"),
    "odd flag": (body(parameters={"binary_data_output": 1}), "neither true nor false"),
    "odd timeout": (body(parameters={"timeout": -1}), "microseconds"),
    "odd id": (body(id=5), '"id"'),
    "long id": (body(id="x" * 201), '"id"'),
    "bytes that did not come": (body(entry={"data": None, "parameters": {"binary_data_size": 24}}), "says 24"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_words(case: str):
    content, words = REFUSED[case]
    with pytest.raises(TensorError) as error:
        read(content)
    assert words in str(error.value) and len(str(error.value)) < 500


def binary(size, extra=b"", **entry):
    item = {"name": "x", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": size}, **entry}
    text = json.dumps({"inputs": [item]}).encode()
    return text + bytes(24) + extra, str(len(text))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (binary(20), "need 24"),
        (binary(-1), "need 24"),
        (binary(HUGE), "need 24"),
        (binary("24"), "need 24"),
        (binary(24, data=[1]), "says 24"),
        (binary(24, extra=b"x"), "1 bytes follow"),
        ((binary(24)[0][:-1], binary(24)[1]), "23 are left"),
        ((b"{}", "3"), "the body has 2 bytes"),
        ((b"{}", "-1"), "not a number of bytes"),
        ((b"{}", "1e3"), "not a number of bytes"),
        ((b"{}", "9" * 400), "not a number of bytes"),
        ((b"{}", "²"), "not a number of bytes"),
    ],
)
def test_binary_that_does_not_add_up_is_refused(content, words: str):
    with pytest.raises(TensorError, match=words.replace("(", r"\(")):
        read(*content)


def test_a_shape_is_compared_before_memory_is_taken():
    item = {"name": "x", "datatype": "FP32", "shape": [1000] * 8, "parameters": {"binary_data_size": 4 * 1000**8}}
    text = json.dumps({"inputs": [item]}).encode()
    with pytest.raises(TensorError, match="needs 4000"):
        read(text, str(len(text)), [{"name": "x", "shape": ["?"] * 8, "dtype": "float32"}])


def test_the_same_symbol_is_the_same_size():
    inputs = [{"name": name, "shape": ["n"], "dtype": "float32"} for name in "ab"]
    sizes = {"a": 2, "b": 3}
    items = [{"name": n, "datatype": "FP32", "shape": [size], "data": [0] * size} for n, size in sizes.items()]
    with pytest.raises(TensorError, match="'b' has the shape"):
        read({"inputs": items}, inputs=inputs)
    items[1] |= {"shape": [2], "data": [0, 0]}
    assert read({"inputs": items}, inputs=inputs).feeds["b"].shape == (2,)


def test_integers_outside_their_type_are_refused():
    inputs = [{"name": "x", "shape": [1], "dtype": "uint8"}]
    for number, sound in ((255, True), (256, False), (-1, False), (2**70, False), (1.5, False)):
        entry = {"name": "x", "datatype": "UINT8", "shape": [1], "data": [number]}
        if sound:
            assert read({"inputs": [entry]}, inputs=inputs).feeds["x"] == [number]
        else:
            with pytest.raises(TensorError, match="UINT8"):
                read({"inputs": [entry]}, inputs=inputs)


def binary(array: np.ndarray, **more) -> tuple[bytes, str]:
    """A request in binary, and the length of its JSON."""
    entry = {"name": "x", "datatype": "FP32", "shape": list(array.shape),
             "parameters": {"binary_data_size": array.nbytes}}  # fmt: skip
    text = json.dumps({"inputs": [entry], **more}).encode()
    return text + array.tobytes(), str(len(text))


def test_the_same_json_with_other_numbers_needs_no_second_look():
    parameters = {"timeout": 7000, "binary_data_output": True}
    one, header = binary(np.arange(6, dtype=np.float32).reshape(2, 3), parameters=parameters)
    layout = Layout.of(read(one, header), int(header), len(one))
    two, _ = binary(np.full((2, 3), 9, np.float32), parameters=parameters)
    mine, theirs = layout.read(memoryview(two)), read(two, header)
    np.testing.assert_array_equal(mine.feeds["x"], theirs.feeds["x"])
    assert mine.feeds["x"].dtype == np.float32 and mine.feeds["x"].flags.aligned
    assert (mine.outputs, mine.id, mine.timeout_us) == (theirs.outputs, "", 7000)


def test_only_json_that_says_everything_is_remembered():
    array = np.ones((2, 3), np.float32)
    named, header = binary(array, id="mine")
    assert Layout.of(read(named, header), int(header), len(named)) is None, "each answer says its own id"
    text = json.dumps(body()).encode()
    assert Layout.of(read(text), len(text), len(text)) is None, "the numbers are in it"
    flags = [{"name": "x", "shape": ["n", 3], "dtype": "bool"}]
    entry = {"name": "x", "datatype": "BOOL", "shape": [1, 3], "parameters": {"binary_data_size": 3}}
    head = json.dumps({"inputs": [entry]}).encode()
    asked = read(head + bytes([0, 1, 1]), str(len(head)), flags)
    assert Layout.of(asked, len(head), len(head) + 3) is None, "its bytes have to be looked at"
