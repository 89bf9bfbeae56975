"""Output shapes and dtypes of detectors and of what picks by value."""

from __future__ import annotations

from converter.ops.detect import priors_per_cell
from converter.ops.infer_rules import rule
from converter.ops.shapes import axis_of

DTYPES = {
    "prior_box": ("float32", "float32"), "anchor_generator": ("float32", "float32"), "box_coder": ("float32",),
    "yolo_box": ("float32", "float32"), "roi_align": ("float32",), "multiclass_nms": ("float32",),
    "multiclass_nms3": ("float32", "int32", "int32"), "matrix_nms": ("float32", "int32", "int32"),
    "where_index": ("int64",), "generate_proposals_v2": ("float32", "float32", "int32"),
    "collect_fpn_proposals": ("float32", "int32"), "roi_pool": ("float32",), "nms": ("int64",),
}
"""The dtypes of the outputs, where neither an input nor an attribute says them."""


@rule("prior_box")
def prior_box(sizes, node, shapes):
    shape = (*shapes["Input"][0][2:], priors_per_cell(node.attrs), 4)
    return [shape, shape]


@rule("anchor_generator")
def anchor_generator(sizes, node, shapes):
    shape = (*shapes["Input"][0][2:], len(node.attrs["anchor_sizes"]) * len(node.attrs["aspect_ratios"]), 4)
    return [shape, shape]


@rule("box_coder")
def box_coder(sizes, node, shapes):
    target, prior = shapes["TargetBox"][0], shapes["PriorBox"][0]
    if node.attrs["code_type"] == "encode_center_size":
        return [(target[0], prior[0], 4)]
    along = target[1 - node.attrs["axis"]]
    if isinstance(along, int) and isinstance(prior[0], int) and along != prior[0]:
        raise ValueError(f"{prior[0]} priors do not fit offsets {list(target)}")
    return [target]


@rule("yolo_box")
def yolo_box(sizes, node, shapes):
    batch, channels, rows, columns = shapes["X"][0]
    a, anchors = node.attrs, len(node.attrs["anchors"]) // 2
    wanted = anchors * (a["class_num"] + (6 if a["iou_aware"] else 5))
    if isinstance(channels, int) and channels != wanted:
        raise ValueError(f"{channels} channels where {wanted} are expected")
    count = sizes.product([anchors, rows, columns])
    return [(batch, count, 4), (batch, count, a["class_num"])]


@rule("roi_align")
def roi_align(sizes, node, shapes):
    return [(shapes["ROIs"][0][0], shapes["X"][0][1], node.attrs["pooled_height"], node.attrs["pooled_width"])]


@rule("roi_pool")
def roi_pool(sizes, node, shapes):
    return roi_align(sizes, node, shapes)


@rule("generate_proposals_v2")
def generate_proposals(sizes, node, shapes):
    count = sizes.symbol()
    return [(count, 4), (count, 1), shapes["Scores"][0][:1]]


@rule("distribute_fpn_proposals")
def distribute_fpn_proposals(sizes, node, shapes):
    levels = (len(node.outputs["Out"]) - 1) // 2
    return [(shapes["FpnRois"][0][0], 1), *((sizes.symbol(), 4) for _ in range(levels)),
            *shapes["RoisNum"] * levels]


@rule("collect_fpn_proposals")
def collect_fpn_proposals(sizes, node, shapes):
    return [(sizes.symbol(), 4), shapes["MultiLevelRoIsNum"][0]]


@rule("multiclass_nms")
def multiclass_nms(sizes, node, shapes):
    return [(sizes.symbol(), sizes.symbol())]       # one column where nothing is left, else six


@rule("multiclass_nms3", "matrix_nms")
def nms(sizes, node, shapes):
    count = sizes.symbol()
    given = shapes.get("RoisNum")
    pictures = given[0][0] if given and len(shapes["Scores"][0]) == 2 else shapes["Scores"][0][0]
    return [(count, 6), (count, 1), (pictures,)]


@rule("where_index")
def where_index(sizes, node, shapes):
    return [(sizes.symbol(), len(shapes["Condition"][0]))]


@rule("masked_select", "nms")
def masked_select(sizes, node, shapes):
    return [(sizes.symbol(),)]


@rule("unique")
def unique(sizes, node, shapes):
    x, axis, count = shapes["X"][0], node.attrs["axis"], sizes.symbol()
    if not axis:
        return [(count,), (count,), (sizes.product(list(x)),), (count,)]
    at = axis_of(axis[0], len(x))
    return [(*x[:at], count, *x[at + 1:]), (count,), (x[at],), (count,)]
