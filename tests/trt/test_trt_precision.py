"""Within the tolerance or not at all: what stays in float32, and what is built where that does not help."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.trt import kit
from trt import EngineCache, Recipe, Shapes, TrtError, build, check, mixed, quantise
from trt.__main__ import main
from trt.produce import Proof
from trt.reference import by_onnxruntime
from trt.ways import Given, within

SIZES = {"image": Shapes((1, 3, 8, 8), (4, 3, 8, 8), (8, 3, 8, 8))}
FEEDS = {"image": kit.images(6, seed=9)}


def steep(slope: float = 40.0) -> bytes:
    """A model that ends in a steep edge: y = sigmoid(slope * (x - its middle)), x from the small model."""
    model = onnx.load_from_string(kit.small_model())
    graph, middle = model.graph, by_onnxruntime(kit.small_model(), FEEDS)["y"].mean()
    for node in graph.node:
        if node.op_type == "ReduceMean":
            node.output[0] = "mean"
    for name, value in (("slope", slope), ("middle", middle)):
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.float32), name))
    graph.node.extend([helper.make_node("Sub", ["mean", "middle"], ["off"]),
                       helper.make_node("Mul", ["off", "slope"], ["steep"]),
                       helper.make_node("Sigmoid", ["steep"], ["y"])])  # fmt: skip
    return model.SerializeToString()


def error_of(model: bytes, half: list[str]) -> float:
    found = by_onnxruntime(mixed.Model(model).rounded(half), FEEDS)
    return check.compare(found, by_onnxruntime(model, FEEDS))["y"].largest


def head_of(path: Path) -> dict:
    plan = EngineCache(path.parent).load(path)
    assert plan is not None
    return json.loads(plan.partition(b"\n")[0])


def recipe(precision: str) -> Recipe:
    return Recipe(precision, SIZES)


def test_what_half_precision_costs_is_known_before():
    model = steep()
    everything = [name for part in mixed.Model(model).parts for name in part]
    assert everything == ["a", "b", "c", "mean", "off", "steep", "y"]
    whole = error_of(model, everything)
    assert error_of(model, []) == 0 < error_of(model, ["a"]) < 1 and whole > 0
    assert mixed.in_float32(model, FEEDS, whole * 1.01) == [], "all of it may be in half precision"
    left = mixed.in_float32(model, FEEDS, whole / 3)
    assert 0 < len(left) < len(everything)
    assert error_of(model, [name for name in everything if name not in left]) <= whole / 3
    assert mixed.in_float32(model, FEEDS, 0.0) != []


def test_numbers_too_large_for_16_bits_stay_in_float32():
    model = kit.small_model(factor=1e6)
    left = mixed.in_float32(model, FEEDS, 1e-2)
    assert {"a", "b"} <= set(left)


def test_the_builder_is_told_layer_by_layer(gpu):
    plan = build(kit.small_model(), recipe("fp16"), float32=["b", "y"])
    head = json.loads(plan.partition(b"\n")[0])
    # The layer that nobody named belongs to the one after it; the whole numbers in front have no precision to keep.
    assert head["exact"] == ["b", "(Unnamed Layer* 1) [Shuffle]_output", "y"]
    assert "PREFER_PRECISION_CONSTRAINTS" in head["flags"]
    for precision in ("fp32", "fp16"):
        plan = build(kit.small_model(), recipe(precision), float32=["b"] if precision == "fp32" else [])
        head = json.loads(plan.partition(b"\n")[0])
        assert head["exact"] == [] and "PREFER_PRECISION_CONSTRAINTS" not in head["flags"]


def test_the_rest_stays_in_half_where_flags_are_gone():
    halved = onnx.load_from_string(quantise.halved(kit.small_model(), ["c", "y"]))
    weights = {entry.name: entry.data_type for entry in halved.graph.initializer}
    assert weights["w0"] == onnx.TensorProto.FLOAT16 and weights["w1"] == onnx.TensorProto.FLOAT


def test_a_steep_model_gets_an_engine_within_the_tolerance(gpu, tmp_path: Path):
    gpu("FAKE_TRT_ROUNDS", "1")
    model, path = steep(), tmp_path / "e.engine"
    everything = [name for part in mixed.Model(model).parts for name in part]
    tolerance, known = error_of(model, everything) / 2, (FEEDS, by_onnxruntime(model, FEEDS))
    done = within(Given(model, Proof(tolerance, known)), recipe("fp16"), path, lambda event: None)
    assert done["precision"] == "fp16" and 0 < done["inFloat32"] < len(everything) and done["refused"] == []
    assert done["errors"]["y"]["largest"] <= tolerance and head_of(path)["exact"] != []
    # Typical errors are smaller than the largest: everything may be in half precision for theirs.
    done = within(Given(model, Proof(2 * tolerance, known, "typical")), recipe("fp16"), path, lambda event: None)
    assert done["precision"] == "fp16" and done["inFloat32"] == 0


def test_where_that_does_not_help_it_is_float32_and_says_why(gpu, tmp_path: Path):
    gpu("FAKE_TRT_ROUNDS", "1")
    model, path, events = steep(), tmp_path / "e.engine", []
    given = Given(model, Proof(1e-7, (FEEDS, by_onnxruntime(model, FEEDS))), float32=("b",))
    done = within(given, recipe("fp16"), path, events.append)
    assert done["precision"] == "fp32" and head_of(path)["flags"] == []
    assert len(done["refused"]) == 1 and done["refused"][0].startswith("fp16, 1 nodes in float32: above the tolerance")
    assert [event["stage"] for event in events].count("adapting") == 3
    gpu("FAKE_TRT_OFF", "1")
    with pytest.raises(TrtError, match="fp16, .*; fp32, ") as error:
        within(given, recipe("fp16"), tmp_path / "f.engine", events.append)
    assert error.value.kind == "out_of_tolerance" and not (tmp_path / "f.engine").exists()


def test_int8_that_is_too_coarse_becomes_fp16(gpu, tmp_path: Path):
    gpu("FAKE_TRT_COARSE", "30")
    model, path = kit.small_model(), tmp_path / "e.engine"
    given = Given(model, Proof(1e-2), lambda: iter([FEEDS] * 4))
    done = within(given, recipe("int8"), path, lambda event: None)
    assert done["precision"] == "fp16" and done["refused"][0].startswith("int8, 0 nodes")
    assert head_of(path)["flags"] == ["FP16"]


def test_the_list_is_made_once_and_given(gpu, tmp_path: Path):
    gpu("FAKE_TRT_ROUNDS", "1")
    model, known = tmp_path / "model.onnx", by_onnxruntime(steep(), FEEDS)
    model.write_bytes(steep())
    np.savez(tmp_path / "ref.npz", **{"in:image": FEEDS["image"], "out:y": known["y"]})
    everything = [name for part in mixed.Model(steep()).parts for name in part]
    tolerance = error_of(steep(), everything) / 3
    assert main(["halve", str(model), "-o", str(tmp_path / "list.json"), "--reference", str(tmp_path / "ref.npz"),
                 "--tolerance", str(tolerance)]) == 0  # fmt: skip
    names = json.loads((tmp_path / "list.json").read_text())
    assert main(["build", str(model), "-o", str(tmp_path / "e.engine"), "--shape", "image=1x3x8x8,4x3x8x8,8x3x8x8",
                 "--reference", str(tmp_path / "ref.npz"), "--float32", str(tmp_path / "list.json"),
                 "--tolerance", "9"]) == 0  # fmt: skip
    assert {*names} <= {*head_of(tmp_path / "e.engine")["exact"]} != set()
