"""Models that mean harm: absurd sizes, cycles, twins, links that lead out, bombs. Refused clearly, and soon."""

import json
import time

import numpy as np
import pytest
from programs import Legacy, Pir, small_legacy, small_pir, tensor_bytes

from converter import ConvertError, convert
from converter.read import read
from converter.read.metadata import beside, read_labels
from tests.converter.test_control import pir_loop

WITHIN_S = 10  # of CPU: the machine may be busy


@pytest.fixture(autouse=True)
def soon():
    start = time.process_time()
    yield
    assert time.process_time() - start < WITHIN_S


def refused(path, message, **options):
    out = path.parent / "out"
    with pytest.raises(ConvertError, match=message):
        convert(path, out, verify=False, **options)
    assert not out.exists()


def changed(folder, file, change):
    data = json.loads((folder / file).read_text())
    change(data)
    (folder / file).write_text(json.dumps(data))
    return folder


def operators(data):
    return data["program"]["regions"][0]["blocks"][0]["ops"]


# sizes


@pytest.mark.parametrize("shape", [[2**40, 2**40], [2**62, 2, 2, 2], [10**30], [65536] * 4])
@pytest.mark.parametrize("kind", ["parameter", "input", "result"])
def test_shapes_whose_product_overflows(tmp_path, shape, kind):
    p = Pir()
    x = p.data("x", shape if kind == "input" else [1, 4])
    if kind == "parameter":
        p.params["w"] = np.zeros(4, np.float32)
        out = p.result(shape)
        p.ops.append({"#": "p", "A": [0, 1, 1, "w"], "O": out, "OA": []})
        x = p.op("add", [x, out["%"]], shape)
    p.fetch(p.op("expand", [x, p.ints(*shape)], shape) if kind == "result" else p.op("relu", [x], shape))
    refused(p.save(tmp_path / "m"), "cannot be right|the weights hold|cannot be computed|beyond 64 bits|too large")


def test_a_fill_the_size_of_nothing_on_earth(tmp_path):
    p = Pir()
    x = p.data("x", [1])
    attrs = {"shape": {"#": "1.a_intarray", "D": [2**20, 2**20]}, "value": 1.0,
             "dtype": {"#": "1.a_dtype", "D": "float32"}}
    full = p.add("1.full", [], [p.result([2**20, 2**20])], attrs)
    p.fetch(p.op("add", [x, full], [2**20, 2**20]))
    refused(p.save(tmp_path / "m"), "cannot be right")


def test_gigantic_numbers(tmp_path):
    folder = small_pir().save(tmp_path / "m")
    text = (folder / "inference.json").read_text()
    for number in ("9" * 5000, "1e999", "-1e999", "10" * 300):
        (folder / "inference.json").write_text(text.replace('{"#": "0.a_i32", "D": 1}',
                                                            f'{{"#": "0.a_i32", "D": {number}}}'))
        refused(folder, "not JSON|expected|beyond 64 bits|malformed|cannot be translated")


def test_a_tensor_that_claims_to_be_huge(tmp_path):
    folder = small_legacy().save(tmp_path / "m")
    data = tensor_bytes(np.zeros(1, np.float32))
    (folder / "inference.pdiparams").write_bytes(data.replace(b"\x10\x01", b"\x10\xff\xff\xff\xff\x07"))
    refused(folder, "cannot be right|the program declares|ends? early|is not a Paddle")


# structure


def test_a_cycle(tmp_path):
    p = Legacy()
    p.feed("x", [1, 4])
    for name in ("a", "b"):
        p.var(name, [1, 4])
    p.op("elementwise_add", {"X": ["x"], "Y": ["b"]}, {"Out": ["a"]}, axis=-1)
    p.op("relu", {"X": ["a"]}, {"Out": ["b"]})
    p.fetch("b")
    refused(p.save(tmp_path / "m"), "'b' is read but nothing writes it")


def test_a_cycle_in_a_bundle(tmp_path):
    convert(small_legacy().save(tmp_path / "m"), tmp_path / "b", verify=False)

    def loop(data):
        ops = [op for op in data["ops"] if op["type"] not in ("feed", "fetch")]
        ops[0]["inputs"]["Input"] = list(ops[-1]["outputs"]["Out"])

    refused(changed(tmp_path / "b", "model.json", loop), "read before anything writes it")


def test_a_loop_that_gives_less_than_it_takes(tmp_path):
    convert(pir_loop().save(tmp_path / "m"), tmp_path / "b", verify=False)
    message = "gives . values to a block of . and takes . from .|does not exist"
    refused(changed(tmp_path / "b", "model.json", lambda data: data["blocks"][0]["outputs"].pop()), message)


def test_names_that_stand_twice(tmp_path):
    p = small_pir()
    p.data("x", [1])
    refused(p.save(tmp_path / "inputs"), "stands twice")
    p = small_pir()
    p.ops.insert(0, p.ops[0])
    refused(p.save(tmp_path / "parameters"), "stands twice")
    p = small_pir()
    p.fetch(p.data("z", [1]), "out")
    refused(p.save(tmp_path / "outputs"), "stands twice|twice")
    p = small_pir()
    p.data("conv.w", [1])
    refused(p.save(tmp_path / "input_and_parameter"), "stands twice")


@pytest.mark.parametrize("depth", [200, 900, 100_000])
def test_deep_nesting(tmp_path, depth):
    folder = small_pir().save(tmp_path / "m")
    text = (folder / "inference.json").read_text()
    for before, after in (("[", "]"), ('{"#": "0.a_array", "D": [', "]}")):
        deep = before * depth + after * depth
        (folder / "inference.json").write_text(text.replace('"value": ', f'"value": {deep}, "was": ')
                                               .replace('{"#": "0.a_f64", "D": 0.25}', deep))
        refused(folder, ".")
        (folder / "model.json").write_text(deep)
        refused(folder, ".")
        (folder / "model.json").unlink()


def test_invalid_utf8(tmp_path):
    folder = small_pir().save(tmp_path / "m")
    text = (folder / "inference.json").read_bytes()
    (folder / "inference.json").write_bytes(text.replace(b"leaky_relu", b"leaky\xff\xfe_relu"))
    refused(folder, "this is not JSON")
    legacy = small_legacy()
    legacy.block.ops[0].type = "conv2d"
    folder = legacy.save(tmp_path / "legacy")
    data = (folder / "inference.pdmodel").read_bytes()
    (folder / "inference.pdmodel").write_bytes(data.replace(b"batch_norm", b"batch\xff\xfe\xfdrm"))
    refused(folder, "not supported|cannot be parsed|cannot be translated")


@pytest.mark.parametrize("kind", ["pir", "legacy"])
def test_ten_thousand_operators(tmp_path, kind):
    """A chain that nothing can shorten: seconds, not minutes."""
    count = 10_000
    if kind == "pir":
        p, x = Pir(), None
        x = p.data("x", [-1, 4])
        for _ in range(count):
            x = p.op("tanh", [x], [-1, 4])
        p.fetch(x)
    else:
        p = Legacy()
        p.feed("x", [-1, 4])
        for _ in range(count):  # in place: the same variable is written again and again
            p.op("tanh", {"X": ["x"]}, {"Out": ["x"]})
        p.fetch("x")
    report = convert(p.save(tmp_path / "m"), tmp_path / "out", verify=False)
    assert report.after["tanh"] == count


def test_a_thousand_outputs(tmp_path):
    p = Pir()
    x = p.data("x", [-1, 4])
    for i in range(1000):
        p.fetch(p.op("scale", [x], [-1, 4], scale=1.0 + i, bias=0.5, bias_after_scale=True), f"out{i}")
    convert(p.save(tmp_path / "m"), tmp_path / "out", verify=False)
    assert len(read(tmp_path / "out").outputs) == 1000


# numbers


def test_weights_that_are_not_numbers(tmp_path):
    p = small_legacy()
    p.params["conv.w"][0, 0, 0, 0] = np.nan
    p.params["bn.bias"][1] = np.nan
    refused(p.save(tmp_path / "m"), r"2 weights hold NaN .*: bn.bias, conv.w")


def test_weights_that_become_no_numbers(tmp_path):
    p = small_legacy()
    p.params["bn.var"][:] = -5
    refused(p.save(tmp_path / "m"), r"weights hold NaN")


def test_nan_in_what_no_output_needs_and_infinities_are_let_through(tmp_path):
    p = small_pir()
    p.param("unused", np.full(3, np.nan, np.float32))
    x = p.data("y", [-1, 3])
    p.fetch(p.op("add", [x, p.param("mask", np.array([0, -np.inf, 0], np.float32))], [-1, 3]), "masked")
    convert(p.save(tmp_path / "m"), tmp_path / "out", verify=False)
    assert "unused" not in read(tmp_path / "out").values


# files


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a\0b", "..", "a/../../secret", "."])
def test_parameter_names_that_lead_out(tmp_path, name):
    (tmp_path / "secret").write_bytes(tensor_bytes(np.zeros((4, 3, 3, 3), np.float32)))
    p = small_legacy()
    params = dict(p.params)
    for var in p.block.vars:
        if var.name == b"conv.w":
            var.name = name.encode()
    for inputs in p.block.ops[1].inputs:
        if inputs.arguments[0] == b"conv.w":
            inputs.arguments[0] = name.encode()
    p.params = {}
    folder = p.save(tmp_path / "m", "__model__")
    for known, data in params.items():
        if known != "conv.w":
            (folder / known).write_bytes(tensor_bytes(data))
    refused(folder, "leads out of the model's folder|have no file|malformed")


def test_links_that_lead_out(tmp_path):
    folder = small_pir().save(tmp_path / "pir")
    (folder / "inference.pdiparams").rename(tmp_path / "elsewhere")
    (folder / "inference.pdiparams").symlink_to(tmp_path / "elsewhere")
    refused(folder, "a link that leads out")
    folder = small_legacy().save(tmp_path / "legacy")
    (folder / "inference.pdiparams").rename(tmp_path / "weights")
    (folder / "inference.pdiparams").symlink_to(tmp_path / "weights")
    refused(folder, "a link that leads out")
    convert(small_pir().save(tmp_path / "sound"), tmp_path / "b", verify=False)
    (tmp_path / "b" / "chunk_1.dat").rename(tmp_path / "chunk")
    (tmp_path / "b" / "chunk_1.dat").symlink_to(tmp_path / "chunk")
    refused(tmp_path / "b", "a link that leads out")
    (tmp_path / "labels.yml").write_text("PostProcess: {label_list: [a]}")
    (tmp_path / "sound" / "inference.yml").symlink_to(tmp_path / "labels.yml")
    refused(tmp_path / "sound", "a link that leads out")


def test_links_of_a_cache_are_followed(tmp_path):
    """Model hubs keep files as links from a snapshot into one store of blobs."""
    folder, blobs, snapshot = small_pir().save(tmp_path / "m"), tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(folder.iterdir())):
        (blobs / str(number)).write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    assert convert(snapshot, tmp_path / "out", verify=False)


def test_a_chunk_listed_many_times(tmp_path):
    convert(small_pir().save(tmp_path / "m"), tmp_path / "b", verify=False)
    refused(changed(tmp_path / "b", "model.json", lambda data: data["chunks"].extend(data["chunks"] * 100_000)),
            "chunk 2 is called 'chunk_1.dat'")


# what lies beside


def test_yaml_that_grows(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    (tmp_path / "inference.yml").write_text("\n".join([*lines, "PostProcess: {label_list: *a11}"]))
    with pytest.raises(ConvertError, match="holds more than 1000000 items"):
        beside(tmp_path)
    (tmp_path / "inference.yml").write_text("a: &a [*a]")
    with pytest.raises(ConvertError, match="holds more than"):
        beside(tmp_path)


@pytest.mark.parametrize("text", ["[" * 5000, "a: [", "PreProcess: 3", "!!python/object/apply:os.system [ls]",
                                  "PreProcess: {transform_ops: 7}", "PostProcess: {label_list: [[1], {a: b}]}"])
def test_yaml_that_is_broken(tmp_path, text):
    (tmp_path / "inference.yml").write_text(text)
    if text == "PreProcess: 3":
        assert beside(tmp_path).preprocess is None
        return
    with pytest.raises(ConvertError, match="not YAML|malformed"):
        beside(tmp_path)


def test_yaml_of_a_large_dictionary_is_read_soon(tmp_path):
    characters = "\n".join(f"  - '{chr(0x4E00 + i % 20000)}'" for i in range(40_000))
    (tmp_path / "inference.yml").write_text(f"PostProcess:\n  character_dict:\n{characters}\n", encoding="utf-8")
    assert len(beside(tmp_path).labels) == 40_000


def test_labels_that_are_no_labels(tmp_path):
    (tmp_path / "labels.json").write_text('["a", ["b"]]')
    with pytest.raises(ConvertError, match="these are not labels"):
        read_labels(tmp_path / "labels.json")
    (tmp_path / "labels.json").write_text("[" * 100_000)
    with pytest.raises(ConvertError, match="not JSON"):
        read_labels(tmp_path / "labels.json")
