"""model.onnx beside a bundle: names, open sizes, weights, checks, refusals."""

import json

import numpy as np
import onnx as library
import pytest
from programs import Pir, small_pir

from converter import convert, targets, with_onnxruntime
from converter.__main__ import main
from converter.errors import ConvertError
from converter.graph import Graph, Node, Value
from converter.ops import complete, evaluate
from converter.read.bundle import load_bundle
from converter.run import run
from converter.targets import Options
from converter.write.onnx import DIALECTS, Cannot, write


@pytest.fixture(autouse=True)
def no_web(monkeypatch):
    monkeypatch.setattr("converter.verify.web_problem", lambda: "Node is not installed")


def net(tmp_path):
    """conv, leaky_relu, nearest resize by two, flatten, fc, softmax over open sizes; and a second output."""
    p, rng = Pir(), np.random.default_rng(5)
    x = p.data("x", [-1, 3, -1, -1])
    w = p.param("w", rng.standard_normal((4, 3, 3, 3)).astype(np.float32))
    y = p.op("conv2d", [x, w], [-1, 4, -1, -1], strides=[1, 1], paddings=[1, 1], dilations=[1, 1], groups=1,
             padding_algorithm="EXPLICIT", data_format="NCHW")  # fmt: skip
    y = p.op("leaky_relu", [y], [-1, 4, -1, -1], negative_slope=0.1)
    p.fetch(p.op("softmax", [y], [-1, 4, -1, -1], axis=1), "shares")
    p.fetch(y, "features")
    return p.save(tmp_path / "net")


def test_it_is_sound_and_keeps_names_and_open_sizes(tmp_path):
    report = convert(net(tmp_path), tmp_path / "b", targets=("web", "onnx"))
    assert {check.engine for check in report.checks} == {"numpy", "onnx"} and all(c.passed for c in report.checks)
    model = library.load(tmp_path / "b" / "model.onnx")
    library.checker.check_model(model, full_check=True)
    assert [entry.name for entry in model.graph.input] == ["x"]
    assert [entry.name for entry in model.graph.output] == ["shares", "features"]
    sizes = [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert sizes == ["x.0", 3, "x.2", "x.3"]
    for shape in ((2, 3, 8, 8), (1, 3, 5, 17)):
        feeds = {"x": np.random.default_rng(1).standard_normal(shape).astype(np.float32)}
        wanted = evaluate(load_bundle(tmp_path / "b"), feeds)
        for name, array in run(tmp_path / "b", feeds, "onnx").items():
            np.testing.assert_allclose(array, wanted[name], rtol=1e-5, atol=1e-5)


def test_model_json_names_it_and_the_same_model_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        convert(net(tmp_path), tmp_path / name, targets=("web", "onnx"), verify=False)
    first, second = ((tmp_path / name / "model.onnx").read_bytes() for name in ("a", "b"))
    assert first == second
    entry = json.loads((tmp_path / "a" / "model.json").read_text())["onnx"]
    assert entry["bytes"] == len(first) and entry["file"] == "model.onnx" and entry["opset"] == 17


def weights_of(path):
    return {entry.name: library.numpy_helper.to_array(entry) for entry in library.load(path).graph.initializer}


def test_half_weights_are_those_of_the_chunks_in_either_dialect(tmp_path):
    bundles = {}
    for opset in (13, 17):
        convert(net(tmp_path), tmp_path / str(opset), targets=("web", "onnx"), precision="float16",
                options=Options(opset=opset))
        bundles[opset] = weights_of(tmp_path / str(opset) / "model.onnx")
    stored = next(v.data for v in load_bundle(tmp_path / "13").values.values() if v.data is not None)
    plain = bundles[13]["w"]
    assert plain.dtype == np.float32 and np.array_equal(plain, stored.astype(np.float32))
    assert bundles[17]["w.half"].dtype == np.float16 and np.array_equal(bundles[17]["w.half"], stored)


def test_weights_of_one_byte_are_those_of_the_chunks(tmp_path):
    p, rng = Pir(), np.random.default_rng(5)
    w = p.param("w", (rng.standard_normal((64, 32)) * np.geomspace(0.01, 10, 32)).astype(np.float32))
    p.fetch(p.op("matmul", [p.data("x", [-1, 64]), w], [-1, 32], transpose_x=False, transpose_y=False))
    for opset in (13, 17):
        convert(p.save(tmp_path / "net"), tmp_path / str(opset), targets=("onnx",), precision="int8-weights",
                options=Options(opset=opset))  # fmt: skip
    small, plain = (weights_of(tmp_path / opset / "model.onnx") for opset in ("17", "13"))
    assert small["w.int8"].dtype == np.int8 and small["w.scale"].shape == (1, 32) and "w" not in small
    np.testing.assert_array_equal(plain["w"], small["w.int8"] * small["w.scale"])
    x = {"x": rng.standard_normal((4, 64)).astype(np.float32)}
    for opset in ("13", "17"):
        (found,), (wanted,) = (run(tmp_path / opset, x, engine).values() for engine in ("onnx", "numpy"))
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dialect, weights", [("onnx", np.int8), ("tensorrt", np.float32)])
def test_between_int8_tensors_weights_have_nodes_too(tmp_path, dialect, weights):
    """x → Q → DQ → fc → Q → DQ: ONNX Runtime multiplies integers there, and TensorRT 8 may."""
    rng = np.random.default_rng(1)
    graph = Graph(inputs=["x"], outputs=["y"])
    for name, width, dtype in (("x", 64, "float32"), ("xq", 64, "int8"), ("xr", 64, "float32"), ("f", 32, "float32"),
                               ("fq", 32, "int8"), ("y", 32, "float32")):  # fmt: skip
        graph.add_value(Value(name, ("n", width), dtype))
    graph.constant("w", rng.standard_normal((64, 32)).astype(np.float32))
    graph.nodes = [
        Node("quantize_linear", {"X": ["x"]}, {"Out": ["xq"]}, {"inverse_scale": 32.0}),
        Node("dequantize_linear", {"X": ["xq"]}, {"Out": ["xr"]}, {"scale": 1 / 32}),
        Node("fc", {"Input": ["xr"], "W": ["w"]}, {"Out": ["f"]}, {}),
        Node("quantize_linear", {"X": ["f"]}, {"Out": ["fq"]}, {"inverse_scale": 4.0, "low": 0, "high": 127}),
        Node("dequantize_linear", {"X": ["fq"]}, {"Out": ["y"]}, {"scale": 0.25})]  # fmt: skip
    for node in graph.nodes:
        complete(node)
    write(graph, tmp_path / "model.onnx", DIALECTS[dialect], "int8")
    model = library.load(tmp_path / "model.onnx")
    library.checker.check_model(model, full_check=True)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("DequantizeLinear") == 3 and kinds.count("QuantizeLinear") == (2 if dialect == "onnx" else 3)
    assert max(weights_of(tmp_path / "model.onnx").values(), key=np.size).dtype == weights
    x = {"x": rng.standard_normal((5, 64)).astype(np.float32)}
    found = with_onnxruntime.run(with_onnxruntime.load(tmp_path / "model.onnx"), x)["y"]
    wanted = evaluate(graph, x)["y"]
    assert found.min() == 0 and np.abs(found - wanted).max() <= 0.25 + 0.02 * np.ptp(wanted)


@pytest.mark.parametrize("left", [0.0, 1e-6])
def test_a_bias_is_not_cut_where_a_row_has_next_to_no_weights(tmp_path, left):
    """ONNX Runtime makes whole numbers of biases, in units of the row's scale."""
    graph = Graph(inputs=["x"], outputs=["y"])
    for name, width, dtype in (("x", 1, "float32"), ("xq", 1, "int8"), ("xr", 1, "float32"), ("c", 2, "float32"),
                               ("cq", 2, "int8"), ("y", 2, "float32")):  # fmt: skip
        graph.add_value(Value(name, (1, width, 2, 2), dtype))
    graph.constant("w", np.array([0.5, left], np.float32).reshape(2, 1, 1, 1))
    graph.constant("b", np.array([0.5, 0.75], np.float32))
    graph.nodes = [
        Node("quantize_linear", {"X": ["x"]}, {"Out": ["xq"]}, {"inverse_scale": 64.0}),
        Node("dequantize_linear", {"X": ["xq"]}, {"Out": ["xr"]}, {"scale": 1 / 64}),
        Node("conv2d", {"Input": ["xr"], "Filter": ["w"], "Bias": ["b"]}, {"Out": ["c"]}, {}),
        Node("quantize_linear", {"X": ["c"]}, {"Out": ["cq"]}, {"inverse_scale": 64.0}),
        Node("dequantize_linear", {"X": ["cq"]}, {"Out": ["y"]}, {"scale": 1 / 64})]  # fmt: skip
    for node in graph.nodes:
        complete(node)
    write(graph, tmp_path / "model.onnx", precision="int8")
    x = {"x": np.full((1, 1, 2, 2), 0.25, np.float32)}
    found = with_onnxruntime.run(with_onnxruntime.load(tmp_path / "model.onnx"), x)["y"]
    np.testing.assert_allclose(found[0, :, 0, 0], [0.625, 0.75], atol=0.02)


def test_with_int8_what_is_long_is_kept_in_half_precision(tmp_path):
    """Scales that half precision cannot hold get a factor; what a node would make longer stays as it is."""
    rng = np.random.default_rng(2)
    graph = Graph(inputs=["x"], outputs=["y"])
    for name, width in (("x", 64), ("a", 96), ("y", 4)):
        graph.add_value(Value(name, ("n", width), "float32"))
    graph.constant("v", (rng.standard_normal((64, 96)) * np.geomspace(1e-6, 1e-2, 96)).astype(np.float32))
    graph.constant("b", np.geomspace(1e-6, 1e-2, 96).astype(np.float32))
    graph.constant("w", (rng.standard_normal((96, 4)) * 1e3).astype(np.float32))
    graph.constant("c", np.arange(4, dtype=np.float32))
    graph.nodes = [Node("fc", {"Input": ["x"], "W": ["v"], "Bias": ["b"]}, {"Out": ["a"]}, {}),
                   Node("fc", {"Input": ["a"], "W": ["w"], "Bias": ["c"]}, {"Out": ["y"]}, {})]  # fmt: skip
    for node in graph.nodes:
        complete(node)
    graph.meta["rounded"] = {"v": (1, None)}
    write(graph, tmp_path / "model.onnx", precision="int8")
    library.checker.check_model(library.load(tmp_path / "model.onnx"), full_check=True)
    kinds = {data.dtype.name for data in weights_of(tmp_path / "model.onnx").values() if data.size >= 96}
    assert kinds == {"int8", "float16"}
    x = {"x": rng.standard_normal((5, 64)).astype(np.float32)}
    found = with_onnxruntime.run(with_onnxruntime.load(tmp_path / "model.onnx"), x)["y"]
    wanted = evaluate(graph, x)["y"]
    assert np.abs(found - wanted).max() <= 0.01 * np.ptp(wanted)


@pytest.mark.parametrize("top, cuts", [(6.0, 0), (12.0, 1)])
def test_rounding_that_cuts_as_much_needs_no_activation_before_it(tmp_path, top, cuts):
    """relu6 before int8 that stands for 0 … 6 does nothing; before 0 … 12 it does."""
    graph = Graph(inputs=["x"], outputs=["y"])
    for name, dtype in (("x", "float32"), ("a", "float32"), ("q", "int8"), ("y", "float32")):
        graph.add_value(Value(name, ("n", 4), dtype))
    graph.nodes = [
        Node("relu6", {"X": ["x"]}, {"Out": ["a"]}, {}),
        Node("quantize_linear", {"X": ["a"]}, {"Out": ["q"]}, {"inverse_scale": 255 / top, "zero_point": -128}),
        Node("dequantize_linear", {"X": ["q"]}, {"Out": ["y"]}, {"scale": top / 255, "zero_point": -128})]  # fmt: skip
    for node in graph.nodes:
        complete(node)
    write(graph, tmp_path / "model.onnx", DIALECTS["onnx"], "int8")
    model = library.load(tmp_path / "model.onnx")
    assert [node.op_type for node in model.graph.node] == ["Clip"] * cuts + ["QuantizeLinear", "DequantizeLinear"]
    assert (model.graph.input[0].name, model.graph.output[0].name) == ("x", "y")
    x = {"x": np.array([[-3, 0.5, 5.9, 40]], np.float32)}
    found = with_onnxruntime.run(with_onnxruntime.load(tmp_path / "model.onnx"), x)["y"]
    np.testing.assert_allclose(found, evaluate(graph, x)["y"], atol=1e-5)


def test_an_answer_beyond_the_tolerance_leaves_no_bundle(tmp_path, monkeypatch):
    true_run = with_onnxruntime.run
    monkeypatch.setattr(with_onnxruntime, "run", lambda session, feeds: {
        name: array * 1.5 for name, array in true_run(session, feeds).items()})  # fmt: skip
    with pytest.raises(ConvertError, match=r"does not compute what the model computes.*\n.*onnx"):
        convert(net(tmp_path), tmp_path / "b", targets=("web", "onnx"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net"]


def test_without_onnx_runtime_nothing_unchecked_is_handed_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(with_onnxruntime.importlib.util, "find_spec", lambda name: None)
    assert main([str(net(tmp_path)), "-o", str(tmp_path / "b"), "--targets", "web,onnx"]) == 1
    said = capsys.readouterr().err
    assert "model.onnx cannot be checked: ONNX Runtime is not installed (pip install .[onnx])" in said
    assert not (tmp_path / "b").exists()
    assert main([str(net(tmp_path)), "-o", str(tmp_path / "b"), "--targets", "onnx", "--no-verify", "--quiet"]) == 0
    assert (tmp_path / "b" / "model.onnx").is_file()


def test_what_cannot_be_written_is_refused_by_name(tmp_path):
    p = Pir()
    x = p.data("x", [-1, 4])
    p.fetch(p.op("cumprod", [x], [-1, 4], dim=1, exclusive=False, reverse=False))
    with pytest.raises(Cannot, match="cumprod has no form in ONNX"):
        convert(p.save(tmp_path / "net"), tmp_path / "b", targets=("web", "onnx"), verify=False)
    assert not (tmp_path / "b").exists()


def test_run_with_the_onnx_engine(tmp_path, capsys):
    convert(small_pir().save(tmp_path / "net"), tmp_path / "b", verify=False)
    np.savez(tmp_path / "in.npz", x=np.ones((1, 3, 6, 6), np.float32))
    command = ["run", str(tmp_path / "b"), "--input", str(tmp_path / "in.npz"), "--output", str(tmp_path / "out.npz"),
               "--engine", "onnx"]  # fmt: skip
    assert main(command) == 1
    assert "there is no such file" in capsys.readouterr().err
    convert(small_pir().save(tmp_path / "net"), tmp_path / "b", targets=("onnx",), verify=False)
    assert main(command) == 0


@pytest.mark.parametrize("given, said", [("web,tflite", "'tflite' is none of web"), ("", "'' is none of")])
def test_unknown_targets(tmp_path, capsys, given, said):
    assert main([str(tmp_path), "-o", str(tmp_path / "b"), "--targets", given]) == 2
    assert said in capsys.readouterr().err


def test_a_package_for_the_original_runtime_stands_alone(tmp_path):
    with pytest.raises(ConvertError, match="a package of its own"):
        convert(net(tmp_path), tmp_path / "b", target="paddlejs2", targets=("web", "onnx"),
                input_shapes={"x": (1, 3, 8, 8)})  # fmt: skip


def test_the_dialect_follows_the_target():
    assert targets.Wanted(("onnx",)).dialect.opset == 17 and targets.Wanted(("onnx", "tensorrt")).dialect.opset == 13
    assert targets.Wanted(("onnx",), Options(opset=13)).dialect.compact is False
