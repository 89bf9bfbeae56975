"""Every operator that the ONNX writer knows, in ONNX Runtime against what Paddle computed (tests/cases)."""

from pathlib import Path

import numpy as np
import pytest
from test_ops_cases import CASES, array, error_of

from converter import with_onnxruntime
from converter.graph import Graph, Node, Value
from converter.ops import REGISTRY
from converter.write import onnx

# Without a form in ONNX, or of a form in smaller steps that nobody has needed: refused by name.
NOT_WRITTEN = {"anchor_generator", "atan2", "cumprod", "if", "linspace", "matrix_nms", "roi_align", "set_value",
               "temporal_shift", "unique", "while", "write_to_array",
               # the second stage of detectors
               "generate_proposals_v2", "distribute_fpn_proposals", "collect_fpn_proposals", "roi_pool", "nms",
               # over sequences of fluid
               "lstm", "gru", "ctc_align", "crf_decoding",
               "deformable_columns",
               # the browser's own int8; ONNX gets Q/DQ
               "conv2d_int8", "fc_int8", "add_int8", "mul_int8",
               "max_pool_int8", "mean_int8", "resize_int8"}  # fmt: skip
REASONS = ("several pictures", "tightens", "of their own per class", "encode", "divided otherwise", "does not fit",
           "one pixel", "that adds", "put_along_axis", "operator set", "of a part", "of a scalar")  # fmt: skip
FLOAT32 = 1e-5
"""The reference was computed in float32 too, in another order."""


def graph_of(case: dict) -> tuple[Graph, dict[str, np.ndarray]]:
    """A graph of one operator, and its feeds."""
    graph, feeds, inputs = Graph(), {}, {}
    for slot, tensors in case["inputs"].items():
        inputs[slot] = [f"{slot}.{i}" for i in range(len(tensors))]
        for name, data in zip(inputs[slot], map(array, tensors), strict=True):
            constant = slot in case["const"]
            graph.add_value(Value(name, data.shape, str(data.dtype), data if constant else None))
            if not constant:
                feeds[name] = data
    graph.inputs = list(feeds)
    for i, tensor in enumerate(case["outputs"]["Out"]):
        graph.outputs.append(graph.add_value(Value(f"out.{i}", tuple(tensor["shape"]), tensor["dtype"])).name)
    graph.nodes = [Node(case["op"], inputs, {"Out": list(graph.outputs)}, dict(case["attrs"]))]
    return graph, feeds


def test_every_operator_is_written_or_named_here():
    assert set(REGISTRY) - set(onnx.RULES) == NOT_WRITTEN
    assert set(onnx.RULES) <= set(REGISTRY)


@pytest.mark.parametrize("dialect", onnx.DIALECTS)
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_in_onnx_runtime_it_computes_what_paddle_computes(case, dialect, tmp_path: Path):
    graph, feeds = graph_of(case)
    try:
        onnx.write(graph, tmp_path / "model.onnx", onnx.DIALECTS[dialect])
    except onnx.Cannot as error:
        assert case["op"] in NOT_WRITTEN or any(reason in str(error) for reason in REASONS), error
        assert not (tmp_path / "model.onnx").exists()
        return
    found = with_onnxruntime.run(with_onnxruntime.load(tmp_path / "model.onnx"), feeds)
    for name, tensor in zip(graph.outputs, case["outputs"]["Out"], strict=True):
        wanted = array(tensor)
        assert found[name].shape == wanted.shape and found[name].dtype == wanted.dtype
        if case["op"] == "quantize_linear":  # ONNX divides by the scale: a half may fall to the other side
            assert np.abs(found[name].astype(int) - wanted).max() <= 1 and (found[name] == wanted).mean() > 0.75
            continue
        assert error_of(found[name], wanted) <= max(4 * case["tol"], FLOAT32)
