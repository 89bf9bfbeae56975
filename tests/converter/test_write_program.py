"""Our graph as a Paddle 2 program: read back it is the same model, and Paddle itself runs it."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from programs import small_pir
from test_ops_cases import CASES, array, error_of
from test_write_onnx_cases import graph_of

from converter import with_paddle
from converter.convert import optimise
from converter.errors import ConvertError
from converter.graph import Graph, Node, Value
from converter.graph.text import parse
from converter.ops import complete, evaluate
from converter.passes import prune, relax
from converter.read import read
from converter.schema import paddle as schema
from converter.trial import samples
from converter.verify import compare, sets_of
from converter.write import program

REFUSED = {"unique", "if", "while", "deformable_columns", "lstm", "gru", "ctc_align", "crf_decoding", "write_to_array",
           "generate_proposals_v2", "distribute_fpn_proposals", "collect_fpn_proposals", "roi_pool", "nms"}
ON_INT8 = ("_int8", "quantize_linear")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_each_operator_is_read_back(case, tmp_path):
    graph, feeds = graph_of(case)
    if case["op"] in REFUSED or case["op"].endswith(ON_INT8):
        with pytest.raises(ConvertError, match="no counterpart in Paddle 2"):
            program.write(graph, tmp_path)
        assert not list(tmp_path.iterdir())
        return
    program.write(graph, tmp_path)
    found = evaluate(read(tmp_path), feeds)
    for name, tensor in zip(graph.outputs, case["outputs"]["Out"], strict=True):
        wanted = array(tensor)
        assert found[name].shape == wanted.shape and found[name].dtype == wanted.dtype
        assert error_of(found[name], wanted) <= max(case["tol"], 1e-6)


def test_fused_operators_are_taken_apart(tmp_path):
    graph = optimise(relax.run(read(small_pir().save(tmp_path / "net"))), "web")
    assert [node.type for node in graph.nodes] == ["conv2d"] and graph.nodes[0].attrs["fuse_activation"]
    program.write(graph, tmp_path)
    assert [node.type for node in read(tmp_path / "model.pdmodel").nodes][:2] == ["conv2d", "leaky_relu"]


def test_names_beyond_ascii_and_half_weights(tmp_path):
    graph = Graph(inputs=["größe"], outputs=["尺寸"])
    graph.add_value(Value("größe", ("n", 2)))
    graph.add_value(Value("尺寸", ("n", 2)))
    graph.constant("w", np.array([1.5, -2], np.float16))
    graph.nodes = [Node("elementwise_mul", {"X": ["größe"], "Y": ["w"]}, {"Out": ["尺寸"]}, {"axis": -1})]
    program.write(graph, tmp_path)
    found = evaluate(read(tmp_path), {"größe": np.ones((3, 2), np.float32)})
    assert found["尺寸"].tolist() == [[1.5, -2]] * 3


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["ppocrv3_det_ch", "g_ppocrv4_mobile_rec", "ppocr_rec_en2_crnn", "paddlejs_humanseg",
                                  "face_blazeface_fluid", "cls_shufflenetv2_x0_25_pir"])  # fmt: skip
def test_paddle_runs_what_was_written_after_our_passes(shared_dir: Path, tmp_path, name):
    graph = relax.run(prune.run(read(shared_dir / "models" / name)))
    feeds = samples(graph)
    expected = evaluate(graph, feeds)
    graph = optimise(graph, "web")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = with_paddle.run(*program.write(graph, tmp_path), feeds)
    sets = sets_of(graph)
    for check in compare(found, expected, "paddle", 1e-4, sets):
        assert check.passed, check


@pytest.mark.parametrize("text", [
    "y: float32[2,3,5] = matmul_v2(X=x, Y=w)",
    "y: float32[2,3,5] = fc(Input=x, W=w, in_num_col_dims=2)",
])
def test_products_are_written_as_paddle_lite_quantises_them(text, tmp_path):
    graph = parse(f"x: float32[2,3,4] = input\nw: float32[4,5] = const\n{text}\nreturn y")
    rng = np.random.default_rng(3)
    graph.values["w"].data = rng.standard_normal((4, 5)).astype(np.float32)
    complete(graph.nodes[0])
    paths = program.write(graph, tmp_path, mul=True)
    kinds = [op.type for op in schema.parse("ProgramDesc", paths[0].read_bytes(), "").blocks[0].ops]
    assert "mul" in kinds and "matmul_v2" not in kinds
    feeds = {"x": rng.standard_normal((2, 3, 4)).astype(np.float32)}
    assert np.allclose(evaluate(read(tmp_path), feeds)["y"], feeds["x"] @ graph.values["w"].data, atol=1e-5)
