"""Bundles: the layout, the same bytes every time, whole or not at all, and damage found when read back."""

import hashlib
import json

import numpy as np
import pytest

from converter.errors import ConvertError
from converter.graph.text import dump, parse
from converter.ops import complete, evaluate
from converter.read.bundle import load_bundle
from converter.write import web
from converter.write.staged import staged

NET = """
x: float32[N,3,4,4] = input
w: float32[8,3,1,1] = const
b: float32[8] = const
big: float32[8,300,500] = const
y: float32[N,8,4,4] = conv2d(Input=x, Filter=w, Bias=b)
k: float32[8,1,1] = reduce_sum(big, dim=[1, 2], keep_dim=true)
z: float32[N,8,4,4] = elementwise_add(y, k)
out: float32[N,8,4,4] = clip(z, min=-1.5, max=inf)
return out
"""


def graph(text=NET):
    found = parse(text)
    for node in found.nodes:
        complete(node)
    found.meta = {"name": "net", "source": {"format": "text"}, "labels": ["a", "é"]}
    return found


def write(folder, net=None, **options):
    with staged(folder) as part:
        web.write(net or graph(), part, **options)
    return folder


def test_layout(tmp_path):
    folder = write(tmp_path / "b", version="1.2")
    data = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert data["format"] == "paddle-inpage" and data["formatVersion"] == 1 and data["converter"] == {"version": "1.2"}
    assert [op["type"] for op in data["ops"]] == ["feed", "conv2d", "reduce_sum", "elementwise_add", "clip", "fetch"]
    assert data["ops"][0] == {"type": "feed", "inputs": {"X": ["feed"]}, "outputs": {"Out": ["x"]}, "attrs": {"col": 0}}
    assert data["ops"][4]["attrs"] == {"max": "inf", "min": -1.5}
    assert data["inputs"] == [{"name": "x", "shape": ["N", 3, 4, 4], "dtype": "float32"}]
    assert data["vars"]["x"] == {"name": "x", "shape": [-1, 3, 4, 4], "dtype": "float32", "persistable": False}
    assert list(data["vars"]) == sorted(data["vars"]) and data["labels"] == ["a", "é"]


def test_weights_are_concatenated_by_name_and_cut_every_4_mib(tmp_path):
    folder, net = write(tmp_path / "b"), graph()
    data = json.loads((folder / "model.json").read_text())
    expected = b"".join(net.values[name].data.tobytes() for name in ("b", "big", "w"))
    assert [chunk["bytes"] for chunk in data["chunks"]] == [4 << 20, len(expected) - (4 << 20)]
    parts = [(folder / chunk["file"]).read_bytes() for chunk in data["chunks"]]
    assert b"".join(parts) == expected and data["chunkNum"] == 2
    assert [hashlib.sha256(part).hexdigest() for part in parts] == [chunk["sha256"] for chunk in data["chunks"]]


def test_same_graph_same_bytes(tmp_path):
    files = [sorted((f.name, f.read_bytes()) for f in write(tmp_path / name).iterdir()) for name in "ab"]
    assert files[0] == files[1]


def test_reads_back_the_same_graph(tmp_path):
    net, again = graph(), load_bundle(write(tmp_path / "b"))
    assert again.nodes == net.nodes and again.inputs == net.inputs and again.meta["labels"] == ["a", "é"]
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32)
    assert np.array_equal(evaluate(again, {"x": x})["out"], evaluate(net, {"x": x})["out"])


def test_a_bundle_of_a_bundle_is_the_same(tmp_path):
    first = write(tmp_path / "a")
    second = write(tmp_path / "b", load_bundle(first))
    assert (first / "model.json").read_bytes() == (second / "model.json").read_bytes()


def test_float16_keeps_vectors_and_what_does_not_fit(tmp_path):
    text = """
    x: float32[4,4] = input
    m: float32[4,4] = const
    row: float32[1,4] = const
    large: float32[2,2] = const [1, 2, 3, 1e6]
    tiny: float32[2,2] = const [1e-9, 2e-9, 3e-9, 4e-9]
    odd: float32[2,2] = const [1, inf, 2, 3]
    a = elementwise_mul(x, m); b = elementwise_add(a, row)
    c = elementwise_mul(large, tiny); d = elementwise_mul(c, odd)
    return b, d"""
    again = load_bundle(write(tmp_path / "b", graph(text), precision="float16"))
    kinds = {name: value.dtype for name, value in again.values.items() if value.is_constant}
    assert kinds == {"m": "float16", "row": "float32", "large": "float32", "tiny": "float32", "odd": "float32"}
    assert again.meta["precision"] == "float16"
    assert np.allclose(again.values["m"].data, graph(text).values["m"].data, rtol=1e-3)


def test_float64_and_int16_become_what_the_runtime_has(tmp_path):
    text = "a: float64[2] = const [1, 2]\nb: int16[2] = const [3, 4]\nx: float32[2] = input\n" \
           "y = elementwise_add(x, a)\nz = cast(b, out_dtype=\"float64\")\nreturn y, z"  # fmt: skip
    again = load_bundle(write(tmp_path / "b", graph(text)))
    assert again.values["a"].dtype == "float32" and again.values["b"].dtype == "int32"
    assert again.nodes[1].attrs["out_dtype"] == "float32"


def test_float64_out_of_range_is_refused(tmp_path):
    text = "a: float64[1] = const [1e300]\nx: float32[1] = input\ny = elementwise_add(x, a)\nreturn y"
    with pytest.raises(ConvertError, match="beyond the range of float32"):
        write(tmp_path / "b", graph(text))
    assert list(tmp_path.iterdir()) == []


# whole or not at all


@pytest.mark.parametrize("error", [ConvertError("no"), KeyboardInterrupt(), RuntimeError("no")])
def test_nothing_is_left_when_the_work_fails(tmp_path, error):
    with pytest.raises(type(error)), staged(tmp_path / "new" / "deep" / "b") as part:
        (part / "model.json").write_text("{}")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_old_bundle_survives_a_failure_and_is_replaced_by_success(tmp_path):
    folder = write(tmp_path / "b")
    before = (folder / "model.json").read_bytes()
    with pytest.raises(ConvertError), staged(folder) as part:
        (part / "model.json").write_text("{}")
        raise ConvertError("no")
    assert (folder / "model.json").read_bytes() == before
    write(folder, precision="float16")
    assert (folder / "model.json").read_bytes() != before
    assert [child.name for child in tmp_path.iterdir()] == ["b"]


def test_the_old_bundle_comes_back_when_publishing_fails(tmp_path, monkeypatch):
    folder = write(tmp_path / "b")
    before = (folder / "model.json").read_bytes()
    rename = type(folder).rename

    def fail(self, target):
        if self.suffix == ".part":
            raise OSError("disk is gone")
        return rename(self, target)

    monkeypatch.setattr(type(folder), "rename", fail)
    with pytest.raises(OSError, match="disk is gone"):
        write(folder, precision="float16")
    assert (folder / "model.json").read_bytes() == before
    assert [child.name for child in tmp_path.iterdir()] == ["b"]


def test_other_folders_and_files_are_left_alone(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"x")
    with pytest.raises(ConvertError, match="not a bundle; it is left alone"):
        write(tmp_path / "photos")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(ConvertError, match="a file stands where"):
        write(tmp_path / "file")
    assert (tmp_path / "photos" / "one.jpg").exists()


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "b").mkdir()
    assert load_bundle(write(tmp_path / "b")).outputs == ["out"]


# damage


def change_json(folder, change):
    data = json.loads((folder / "model.json").read_text())
    change(data)
    (folder / "model.json").write_text(json.dumps(data))


def test_a_flipped_bit_a_short_and_a_missing_chunk(tmp_path):
    folder = write(tmp_path / "b")
    chunk = folder / "chunk_2.dat"
    whole = bytearray(chunk.read_bytes())
    whole[1000] ^= 1
    chunk.write_bytes(whole)
    with pytest.raises(ConvertError, match="chunk_2.dat: is damaged: its SHA-256 does not match"):
        load_bundle(folder)
    chunk.write_bytes(whole[:-1])
    with pytest.raises(ConvertError, match="bytes instead of"):
        load_bundle(folder)
    chunk.unlink()
    with pytest.raises(ConvertError, match="this chunk is missing"):
        load_bundle(folder)


@pytest.mark.parametrize("change, message", [
    (lambda d: d["chunks"][0].update(file="../../etc/passwd"), "instead of .chunk_1.dat."),
    (lambda d: d["chunks"][0].update(file="chunk_1.dat/../x"), "instead of .chunk_1.dat."),
    (lambda d: d.update(formatVersion=2), "bundle version 2 is not supported"),
    (lambda d: d["vars"]["b"].update(shape=[9]), "the weights need"),
    (lambda d: d["vars"]["b"].update(dtype="float8"), "dtype 'float8' is not supported"),
    (lambda d: d.pop("ops"), "malformed: KeyError"),
    (lambda d: d["ops"].pop(1), "read before anything writes it"),
    (lambda d: d.update(format="other"), "this is not a bundle"),
])  # fmt: skip
def test_a_model_json_that_was_tampered_with(tmp_path, change, message):
    folder = write(tmp_path / "b")
    change_json(folder, change)
    with pytest.raises(ConvertError, match=message):
        load_bundle(folder)


def test_dump_of_a_bundle_reads(tmp_path):
    assert "conv2d(Input=x" in dump(load_bundle(write(tmp_path / "b")))


def int8_graph():
    net = graph("""
        x: float32[1,64] = input
        w: float32[64,32] = const
        y: float32[1,32] = fc(x, w)
        return y""".replace("fc(x, w)", "fc(Input=x, W=w)"))
    rng = np.random.default_rng(3)
    net.values["w"].data = (rng.standard_normal((64, 32)) * np.linspace(0.1, 5, 32)).astype(np.float32)
    return net


def test_int8_weights_have_a_scale_per_output_and_are_widened_when_read(tmp_path):
    net, folder = int8_graph(), tmp_path / "b"
    write(folder, net, precision="int8-weights")
    assert (folder / "chunk_1.dat").stat().st_size == 64 * 32 + 32 * 4
    entry = json.loads((folder / "model.json").read_text())["vars"]["w"]
    assert (entry["dtype"], entry["scale"], entry["axis"]) == ("int8", "w@scale", 1)
    read, original = load_bundle(folder).values["w"], int8_graph().values["w"].data
    assert read.dtype == "float32" and read.data.dtype == np.float32
    assert np.all(np.sqrt(((read.data - original) ** 2).mean(0)) <= np.abs(original).max(0) / 127 / np.sqrt(12) * 1.2)


@pytest.mark.parametrize("change", [{"axis": 2}, {"axis": 0}, {"axis": "1"}, {"scale": "x"}, {"scale": "w"}])
def test_scales_that_do_not_fit_are_refused(tmp_path, change):
    file = write(tmp_path / "b", int8_graph(), precision="int8-weights") / "model.json"
    document = json.loads(file.read_text())
    document["vars"]["w"] |= change
    file.write_text(json.dumps(document))
    with pytest.raises(ConvertError):
        load_bundle(tmp_path / "b")
