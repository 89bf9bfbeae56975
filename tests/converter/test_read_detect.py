"""Detectors as both formats spell them, and what of them is refused."""

import numpy as np
import pytest

from converter.errors import ConvertError
from converter.graph import Graph
from converter.read import read
from tests.converter.programs import Legacy, Pir

NMS = {"score_threshold": 0.25, "nms_top_k": 10, "keep_top_k": 5, "nms_threshold": 0.5, "nms_eta": 1.0,
       "normalized": True, "background_label": -1}


def legacy(tmp_path, kind, inputs, outputs, shapes, fetched, **attrs) -> Graph:
    """One operator; `shapes` of its inputs by variable."""
    p = Legacy()
    for name, shape in shapes.items():
        p.feed(name, shape)
    for names in outputs.values():
        for name in names:
            p.var(name, [-1])
    p.op(kind, inputs, outputs, **attrs)
    for name in fetched:
        p.fetch(name)
    return read(p.save(tmp_path / kind))


BOXES = {"b": [1, 9, 4], "s": [1, 3, 9]}
SLOTS = {"BBoxes": ["b"], "Scores": ["s"]}


@pytest.mark.parametrize(("kind", "outputs", "type", "count"), [
    ("multiclass_nms", {"Out": ["o"]}, "multiclass_nms", 1),
    ("multiclass_nms2", {"Out": ["o"], "Index": ["i"]}, "multiclass_nms3", 3),
    ("multiclass_nms3", {"Index": ["i"], "NmsRoisNum": ["n"], "Out": ["o"]}, "multiclass_nms3", 3),
])
def test_outputs_stand_in_one_order_and_missing_ones_get_names(tmp_path, kind, outputs, type, count):
    graph = legacy(tmp_path, kind, SLOTS, outputs, BOXES, ["o"], **NMS)
    node = graph.nodes[0]
    assert (node.type, node.attrs) == (type, NMS)
    names = node.outputs["Out"]
    assert len(names) == count and names[0] == "o"
    assert names[1:2] == [name for given in outputs.values() for name in given if name == "i"] or count == 1


def test_attributes_get_paddles_defaults(tmp_path):
    graph = legacy(tmp_path, "prior_box", {"Input": ["x"], "Image": ["m"]}, {"Boxes": ["b"], "Variances": ["v"]},
                   {"x": [1, 2, 4, 4], "m": [1, 3, 32, 32]}, ["v", "b"], min_sizes=[8.0])
    assert graph.nodes[0].attrs == {
        "min_sizes": [8.0], "max_sizes": [], "aspect_ratios": [1.0], "variances": [0.1, 0.1, 0.2, 0.2], "flip": False,
        "clip": False, "min_max_aspect_ratios_order": False, "step_w": 0.0, "step_h": 0.0, "offset": 0.5}
    assert graph.nodes[0].outputs == {"Out": ["b", "v"]}


def test_what_depends_on_lod_or_has_no_counterpart_is_refused(tmp_path):
    with pytest.raises(ConvertError, match="without RoisNum depend on LoD"):
        legacy(tmp_path, "multiclass_nms3", SLOTS, {"Out": ["o"]}, {"b": [9, 3, 4], "s": [9, 3]}, ["o"], **NMS)
    with pytest.raises(ConvertError, match="boxes of 8 coordinates are not supported"):
        legacy(tmp_path, "multiclass_nms", SLOTS, {"Out": ["o"]}, {"b": [1, 9, 8], "s": [1, 3, 9]}, ["o"], **NMS)
    with pytest.raises(ConvertError, match="without RoisNum depends on LoD"):
        legacy(tmp_path, "roi_align", {"X": ["x"], "ROIs": ["r"]}, {"Out": ["o"]},
               {"x": [1, 2, 4, 4], "r": [3, 4]}, ["o"])
    with pytest.raises(ConvertError, match="code_type 'corners' with axis 0"):
        legacy(tmp_path, "box_coder", {"PriorBox": ["p"], "TargetBox": ["t"]}, {"OutputBox": ["o"]},
               {"p": [3, 4], "t": [1, 3, 4]}, ["o"], code_type="corners")
    with pytest.raises(ConvertError, match="box_clip × 1"):
        legacy(tmp_path, "box_clip", {"Input": ["p"], "ImInfo": ["i"]}, {"Output": ["o"]}, {"p": [3, 4], "i": [1, 3]},
               ["o"])
    with pytest.raises(ConvertError, match="attribute 'nms_top_k' is missing"):
        legacy(tmp_path, "matrix_nms", SLOTS, {"Out": ["o"]}, BOXES, ["o"], score_threshold=0.1, post_threshold=0.1)


def test_values_in_order_of_appearance_are_refused(tmp_path):
    with pytest.raises(ConvertError, match="only sorted ones"):
        legacy(tmp_path, "unique", {"X": ["x"]}, {"Out": ["o"], "Index": ["i"]}, {"x": [5]}, ["o"], is_sorted=False)
    assert legacy(tmp_path / "s", "unique", {"X": ["x"]}, {"Out": ["o"]}, {"x": [5]}, ["o"],
                  is_sorted=True).nodes[0].attrs == {"axis": [], "dtype": "int64"}


def test_paddle_3_names(tmp_path):
    p = Pir()
    x = p.data("x", [-1, 4])
    at = p.op("nonzero", [x], [-1, 2], "int64")
    mask = p.op("greater_than", [x, p.param("w", np.zeros(4, np.float32))], [-1, 4], "bool")
    p.fetch(at, "at")
    p.fetch(p.op("masked_select", [x, mask], [-1]), "chosen")
    graph = read(p.save(tmp_path / "m"))
    assert [node.type for node in graph.nodes if node.type not in ("scale", "greater_than")] == ["where_index",
                                                                                                 "masked_select"]


def test_the_second_stage_is_read_from_both_formats(tmp_path):
    names = {"MultiFpnRois": ["p2", "p3"], "RestoreIndex": ["where"]}
    graph = legacy(tmp_path, "distribute_fpn_proposals", {"FpnRois": ["b"], "RoisNum": ["n"]}, names,
                   {"b": [-1, 4], "n": [1]}, ["p3", "where"], min_level=2, max_level=3, refer_level=3, refer_scale=40,
                   pixel_offset=False)
    made = graph.nodes[0].outputs["Out"]
    assert made[:3] == ["where", "p2", "p3"] and len(made) == 5     # the numbers per picture that nobody asked for
    p = Pir()
    given = [p.data(name, shape) for name, shape in (("s", [1, 2, 3, 3]), ("d", [1, 8, 3, 3]), ("m", [1, 2]),
                                                     ("a", [3, 3, 2, 4]), ("v", [3, 3, 2, 4]))]
    outs = [p.result(shape) for shape in ([-1, 4], [-1, 1])] + [p.result([1], "int32")]
    p.add("1.generate_proposals", given, outs, {"pre_nms_top_n": 9, "post_nms_top_n": 5, "nms_thresh": 0.5,
                                                "min_size": 0.0, "eta": 1.0, "pixel_offset": False})
    p.fetch(outs[0]["%"], "boxes")
    node = read(p.save(tmp_path / "pir")).nodes[0]
    assert node.type == "generate_proposals_v2"
    assert node.attrs == {"pre_nms_topN": 9, "post_nms_topN": 5, "nms_thresh": 0.5, "min_size": 0.0, "eta": 1.0,
                          "pixel_offset": False}
    with pytest.raises(ConvertError, match="without RoisNum depends on LoD"):
        legacy(tmp_path, "roi_pool", {"X": ["x"], "ROIs": ["b"]}, {"Out": ["o"]}, {"x": [1, 2, 5, 5], "b": [3, 4]},
               ["o"])
