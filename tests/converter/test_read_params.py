"""Weights: read back exactly, and every kind of damage is named before anything is allocated."""

import struct

import numpy as np
import pytest
from programs import tensor_bytes, write_combined

from converter.errors import ConvertError
from converter.graph import Value
from converter.read import params
from converter.schema import paddle as proto

ARRAYS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([7, -1], np.int64),
          "c": np.array([True, False]), "d": np.float32(2.5).reshape(())}  # fmt: skip
DECLARED = {name: Value(name, array.shape, str(array.dtype)) for name, array in ARRAYS.items()}


def test_combined_is_sorted_by_name(tmp_path):
    write_combined(tmp_path / "w", ARRAYS)
    found = params.read_combined(tmp_path / "w", DECLARED)
    assert sorted(found) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array), name


def test_lod_levels_are_skipped(tmp_path):
    plain = tensor_bytes(ARRAYS["a"])
    (tmp_path / "w").write_bytes(plain[:4] + struct.pack("<QQ", 1, 8) + b"\0" * 8 + plain[12:])
    assert params.read_combined(tmp_path / "w", {"a": DECLARED["a"]})["a"].tolist() == [7, -1]


def test_every_truncation_is_an_error(tmp_path):
    write_combined(tmp_path / "w", ARRAYS)
    whole = (tmp_path / "w").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "w").write_bytes(whole[:length])
        with pytest.raises(ConvertError, match="damaged or incomplete"):
            params.read_combined(tmp_path / "w", DECLARED)


def test_bytes_left_over(tmp_path):
    write_combined(tmp_path / "w", ARRAYS)
    (tmp_path / "w").write_bytes((tmp_path / "w").read_bytes() + b"xyz")
    with pytest.raises(ConvertError, match="3 bytes are left after the last of 4 parameters"):
        params.read_combined(tmp_path / "w", DECLARED)


def desc(dims, dtype=5):
    return proto.message("TensorDesc")(data_type=dtype, dims=dims).SerializeToString()


@pytest.mark.parametrize("head, message", [
    (struct.pack("<I", 0x04034B50) + b"\0" * 40, "not a Paddle tensor"),
    (struct.pack("<IQ", 0, 1 << 60) + b"\0" * 40, "LoD levels cannot be right"),
    (struct.pack("<IQQ", 0, 1, 1 << 62) + b"\0" * 40, "end early"),
    (struct.pack("<IQI", 0, 0, 9) + b"\0" * 40, "unknown inner version"),
    (struct.pack("<IQIi", 0, 0, 0, -5) + b"\0" * 40, "descriptor of -5 bytes"),
    (struct.pack("<IQIi", 0, 0, 0, 1 << 30) + b"\0" * 40, "descriptor of 1073741824 bytes"),
    (struct.pack("<IQIi", 0, 0, 0, 5) + b"\xff" * 5, "protobuf cannot be parsed"),
    (struct.pack("<IQIi", 0, 0, 0, len(desc([2, -3]))) + desc([2, -3]), r"shape \[2, -3\] cannot be right"),
    (struct.pack("<IQIi", 0, 0, 0, len(desc([3, 2]))) + desc([3, 2]), "belong to another program"),
    (struct.pack("<IQIi", 0, 0, 0, len(desc([2, 3], 22))) + desc([2, 3], 22), "bfloat16 are not supported"),
])  # fmt: skip
def test_damaged_headers(tmp_path, head, message):
    (tmp_path / "w").write_bytes(head)
    with pytest.raises(ConvertError, match=message):
        params.read_combined(tmp_path / "w", {"b": DECLARED["b"]})


def test_absurd_size_is_refused_before_it_is_allocated(tmp_path):
    huge = (1 << 20, 1 << 20, 1 << 20)
    head = desc(huge)
    (tmp_path / "w").write_bytes(struct.pack("<IQIi", 0, 0, 0, len(head)) + head)
    with pytest.raises(ConvertError, match="needs 4611686018427387904 bytes, 0 are left"):
        params.read_combined(tmp_path / "w", {"h": Value("h", huge)})


def test_one_file_per_parameter(tmp_path):
    for name, array in ARRAYS.items():
        (tmp_path / name).write_bytes(tensor_bytes(array))
    assert np.array_equal(params.read_separate(tmp_path, DECLARED)["b"], ARRAYS["b"])
    (tmp_path / "b").unlink()
    (tmp_path / "c").unlink()
    with pytest.raises(ConvertError, match="2 of 4 parameters have no file: b, c"):
        params.read_separate(tmp_path, DECLARED)


def test_a_file_with_more_than_its_parameter(tmp_path):
    (tmp_path / "a").write_bytes(tensor_bytes(ARRAYS["a"]) + b"!")
    with pytest.raises(ConvertError, match="1 bytes are left after parameter 'a'"):
        params.read_separate(tmp_path, {"a": DECLARED["a"]})


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "."])
def test_names_cannot_leave_the_folder(tmp_path, name):
    (tmp_path / "model").mkdir()
    (tmp_path / "secret").write_bytes(tensor_bytes(ARRAYS["a"]))
    with pytest.raises(ConvertError, match="leads out of the model's folder"):
        params.read_separate(tmp_path / "model", {name: Value(name, (2,), "int64")})
