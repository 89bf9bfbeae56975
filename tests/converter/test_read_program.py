"""Paddle 2 and fluid programs: old variants become canonical, and damage is refused."""

import numpy as np
import pytest
from programs import Legacy, small_legacy, tensor_bytes

from converter.errors import ConvertError
from converter.graph import Graph
from converter.ops import evaluate
from converter.read import read
from converter.schema import paddle as proto


def one_op(tmp_path, kind, shape=(1, 3, 4, 4), inputs=None, out="Out", constants=None, **attrs) -> Graph:
    """A program of one operator on `x`; constants: slot → array."""
    p = Legacy()
    p.feed("x", list(shape))
    slots = dict(inputs or {"X": ["x"]})
    for slot, array in (constants or {}).items():
        p.param(f"{kind}.{slot}", array)
        slots[slot] = [f"{kind}.{slot}"]
    p.var("y", [-1] * len(shape))
    p.op(kind, slots, {out: ["y"]}, **attrs)
    p.fetch("y")
    return read(p.save(tmp_path / "m"))


@pytest.mark.parametrize("layout", ["pdmodel", "fluid combined", "fluid separate"])
def test_the_three_layouts(tmp_path, layout):
    p = small_legacy()
    folder = p.save(tmp_path / "m", "inference.pdmodel" if layout == "pdmodel" else "__model__")
    if layout != "pdmodel":
        (folder / "__model__.pdiparams").rename(folder / "params")
    if layout == "fluid separate":
        (folder / "params").unlink()
        for name, array in p.params.items():
            (folder / name).write_bytes(tensor_bytes(array))
    graph = read(folder)
    assert [node.type for node in graph.nodes] == ["conv2d", "batch_norm", "relu"]
    assert graph.outputs == ["y"] and graph.meta["name"] == "m"
    assert graph.meta["source"]["version"] == 2_004_000
    out = evaluate(graph, {"x": np.ones((2, 3, 8, 8), np.float32)})["y"]
    assert out.shape == (2, 4, 8, 8) and out.min() >= 0 and out.max() > 0


def test_variables_written_twice_get_fresh_names(tmp_path):
    graph = read(small_legacy().save(tmp_path / "m"))
    assert [node.out for node in graph.nodes] == ["c", "y.1", "y"]
    graph.check()


def test_statistics_that_batch_norm_would_update_are_left_alone(tmp_path):
    graph = read(small_legacy().save(tmp_path / "m"))
    assert set(graph.nodes[1].outputs) == {"Out"}
    assert graph.values["bn.mean"].is_constant


def test_depthwise_valid_and_old_layout_names(tmp_path):
    graph = one_op(tmp_path, "depthwise_conv2d", inputs={"Input": ["x"]}, out="Output", strides=[1, 1],
                   paddings=[5, 5], padding_algorithm="VALID", groups=3, dilations=[1, 1], data_format="AnyLayout",
                   constants={"Filter": np.ones((3, 1, 3, 3), np.float32)})  # fmt: skip
    conv = graph.nodes[0]
    assert conv.type == "conv2d" and conv.attrs["padding_algorithm"] == "EXPLICIT"
    assert conv.attrs["paddings"] == [0, 0, 0, 0] and conv.attrs["data_format"] == "NCHW"


def test_fused_relu_switches(tmp_path):
    w = {"Filter": np.ones((3, 1, 3, 3), np.float32)}
    node = one_op(tmp_path, "conv2d", inputs={"Input": ["x"]}, out="Output", groups=3, fuse_relu=True,
                  constants=w).nodes[0]  # fmt: skip
    assert node.attrs["fuse_activation"] == "relu"
    node = one_op(tmp_path / "b", "conv2d", inputs={"Input": ["x"]}, out="Output", groups=3, fuse_brelu=True,
                  fuse_brelu_threshold=4.0, constants=w).nodes[0]  # fmt: skip
    assert (node.attrs["fuse_activation"], node.attrs["fuse_alpha"]) == ("relu6", 4.0)


def test_mul_is_fc_and_matmul_alpha_is_scale(tmp_path):
    y = np.ones((5, 2), np.float32)
    assert [n.type for n in one_op(tmp_path, "mul", (2, 5), constants={"Y": y}).nodes] == ["fc"]
    graph = one_op(tmp_path / "b", "matmul", (2, 5), constants={"Y": y}, alpha=0.5)
    assert [n.type for n in graph.nodes] == ["matmul_v2", "scale"]
    assert evaluate(graph, {"x": np.ones((2, 5), np.float32)})["y"].tolist() == [[2.5, 2.5]] * 2


def test_pad2d_becomes_pad3d(tmp_path):
    node = one_op(tmp_path, "pad2d", paddings=[1, 2, 3, 4], mode="edge", pad_value=0.0).nodes[0]
    assert node.attrs == {"paddings": [3, 4, 1, 2, 0, 0], "mode": "replicate", "value": 0.0, "data_format": "NCHW"}
    node = one_op(tmp_path / "b", "pad", paddings=[0, 0, 0, 0, 1, 2, 3, 4], pad_value=7.0).nodes[0]
    assert node.attrs["paddings"] == [3, 4, 1, 2, 0, 0] and node.attrs["value"] == 7.0
    node = one_op(tmp_path / "c", "pad", paddings=[1, 0, 0, 0, 0, 0, 0, 2], pad_value=7.0).nodes[0]
    assert node.type == "pad" and node.attrs == {"paddings": [1, 0, 0, 0, 0, 0, 0, 2], "pad_value": 7.0}
    with pytest.raises(ConvertError, match="do not fit a tensor of rank 4"):
        one_op(tmp_path / "d", "pad", paddings=[1, 0])


def test_first_generation_resize(tmp_path):
    node = one_op(tmp_path, "nearest_interp", scale=2.0, out_h=-1, out_w=-1, interp_method="nearest").nodes[0]
    assert node.type == "nearest_interp_v2"
    assert node.attrs["scale"] == [2.0, 2.0] and node.attrs["align_corners"] is True
    node = one_op(tmp_path / "b", "bilinear_interp", scale=1.5, out_h=-1, out_w=-1).nodes[0]
    assert (node.attrs["out_h"], node.attrs["out_w"], node.attrs["scale"]) == (6, 6, [])
    with pytest.raises(ConvertError, match="needs a fixed input size"):
        one_op(tmp_path / "c", "bilinear_interp", shape=(1, 3, -1, -1), scale=1.5)


def test_constant_size_tensor_becomes_an_attribute(tmp_path):
    node = one_op(tmp_path, "bilinear_interp_v2", out_h=-1, out_w=-1, align_corners=False, align_mode=0,
                  constants={"OutSize": np.array([7, 9], np.int32)}).nodes[0]  # fmt: skip
    assert (node.attrs["out_h"], node.attrs["out_w"]) == (7, 9) and "OutSize" not in node.inputs


@pytest.mark.parametrize("kind, attrs, canonical, expected", [
    ("relu6", {}, "relu6", {"threshold": 6.0}),
    ("leaky_relu", {}, "leaky_relu", {"alpha": 0.02}),
    ("hard_sigmoid", {}, "hard_sigmoid", {"slope": 0.2, "offset": 0.5}),
    ("brelu", {"t_min": -1.0, "t_max": 1.0}, "clip", {"min": -1.0, "max": 1.0}),
    ("transpose", {"axis": [0, 2, 3, 1]}, "transpose2", {"axis": [0, 2, 3, 1]}),
    ("flatten", {}, "flatten2", {"axis": 1}),
    ("reduce_mean", {"dim": [2, 3], "keep_dim": True}, "reduce_mean",
     {"dim": [2, 3], "keep_dim": True, "reduce_all": False}),
    ("mean", {}, "reduce_mean", {"dim": [0], "keep_dim": False, "reduce_all": True}),
    ("arg_max", {"axis": 1, "dtype": 2}, "arg_max", {"axis": 1, "keepdims": False, "flatten": False, "dtype": "int32"}),
    ("cast", {"in_dtype": 5, "out_dtype": 3}, "cast", {"out_dtype": "int64"}),
    ("expand", {"expand_times": [1, 2, 1, 1]}, "tile", {"repeat_times": [1, 2, 1, 1]}),
    ("dropout", {"dropout_prob": 0.25}, "scale", {"scale": 0.75, "bias": 0.0, "bias_after_scale": True}),
])  # fmt: skip
def test_defaults_and_old_names(tmp_path, kind, attrs, canonical, expected):
    node = one_op(tmp_path, kind, **attrs).nodes[0]
    assert node.type == canonical and node.attrs == expected


def test_filled_constants_and_shape_tensors_fold(tmp_path):
    p = Legacy()
    p.feed("x", [2, 6])
    for name, value in (("a", 3), ("b", -1)):
        p.var(name, [1], "int32")
        p.op("fill_constant", {}, {"Out": [name]}, shape=[1], value=float(value), dtype=2, str_value=str(value))
    p.var("y", [3, 4])
    p.op("reshape2", {"X": ["x"], "ShapeTensor": ["a", "b"]}, {"Out": ["y"], "XShape": ["xs"]}, shape=[-1, -1])
    p.fetch("y")
    graph = read(p.save(tmp_path / "m"))
    assert [node.type for node in graph.nodes] == ["reshape2"]
    assert graph.nodes[0].attrs == {"shape": [3, -1]} and list(graph.nodes[0].inputs) == ["X"]


def test_absurd_fill_is_refused(tmp_path):
    p = Legacy()
    p.var("y", [1])
    p.op("fill_constant", {}, {"Out": ["y"]}, shape=[100000, 100000, 1000], value=0.0, dtype=5)
    p.fetch("y")
    with pytest.raises(ConvertError, match="cannot be right"):
        read(p.save(tmp_path / "m"))


def test_reading_a_dropped_output_is_an_error(tmp_path):
    p = small_legacy()
    p.var("saved", [4])
    p.block.ops[2].outputs.add(parameter="SavedMean", arguments=[b"saved"])
    p.var("z", [4])
    p.op("relu", {"X": ["saved"]}, {"Out": ["z"]})
    p.fetch("z")
    with pytest.raises(ConvertError, match="an output of batch_norm .* that is not supported"):
        read(p.save(tmp_path / "m"))


def test_unknown_attribute_and_missing_weight(tmp_path):
    with pytest.raises(ConvertError, match=r"attributes \['spin'\] are not known"):
        one_op(tmp_path, "relu", spin=2)
    with pytest.raises(ConvertError, match="'ghost' is read but nothing writes it"):
        one_op(tmp_path / "b", "relu", inputs={"X": ["ghost"]})


def test_a_loop_without_a_condition_is_refused(tmp_path):
    p = small_legacy()
    p.desc.blocks.add(idx=1, parent_idx=0)
    op = p.block.ops.add(type="while")
    op.attrs.add(name="sub_block", type=8, block_idx=1)
    with pytest.raises(ConvertError, match="has 0 conditions, not one"):
        read(p.save(tmp_path / "m"))


def test_weights_of_another_program(tmp_path):
    folder = small_legacy().save(tmp_path / "m")
    other = Legacy()
    other.param("conv.w", np.ones((4, 3, 1, 1), np.float32))
    other.save(tmp_path / "o")
    (tmp_path / "o" / "inference.pdiparams").replace(folder / "inference.pdiparams")
    with pytest.raises(ConvertError, match="belong to another program|end early"):
        read(folder)


@pytest.mark.parametrize("data, message", [
    (b"", "the file is empty"),
    (b"\x89PNG\r\n\x1a\n" + b"\0" * 64, "this is a picture"),
    (b"\x0a\xff\xff\xff\xff\x0f", "not a Paddle program"),
    (b"\x08\x01", "it has no operators"),
])  # fmt: skip
def test_files_that_are_no_programs(tmp_path, data, message):
    (tmp_path / "inference.pdmodel").write_bytes(data)
    with pytest.raises(ConvertError, match=message):
        read(tmp_path / "inference.pdmodel")


def test_truncated_programs_never_crash(tmp_path):
    folder = small_legacy().save(tmp_path / "m")
    whole = (folder / "inference.pdmodel").read_bytes()
    for length in range(1, len(whole), 7):
        (folder / "inference.pdmodel").write_bytes(whole[:length])
        with pytest.raises(ConvertError):
            read(folder)


def test_dtypes_both_ways():
    assert proto.dtype_name(proto.dtype_number("int64"), "x") == "int64"
    with pytest.raises(ConvertError, match="complex64"):
        proto.dtype_name(23, "x")


def test_an_attribute_that_variables_hold(tmp_path):
    """An adaptive pooling to the size of another picture."""
    p = Legacy()
    p.feed("x", [1, 2, -1, -1])
    p.feed("like", [1, 3, -1, -1])
    for name, shape, dtype in (("s", [4], "int32"), ("h", [], "int32"), ("w", [1], "int32"), ("y", [1, 2, -1, -1],
                                                                                           "float32")):
        p.var(name, shape, dtype)
    p.op("shape", {"Input": ["like"]}, {"Out": ["s"]})
    p.op("slice", {"Input": ["s"]}, {"Out": ["h"]}, axes=[0], starts=[2], ends=[3], decrease_axis=[0])
    p.op("slice", {"Input": ["s"]}, {"Out": ["w"]}, axes=[0], starts=[3], ends=[4])
    p.op("pool2d", {"X": ["x"]}, {"Out": ["y"]}, pooling_type="avg", adaptive=True, strides=[1, 1], paddings=[0, 0])
    p.block.ops[-1].attrs.add(name="ksize", type=14, vars_name=[b"h", b"w"])
    p.fetch("y")
    x = np.arange(48, dtype=np.float32).reshape(1, 2, 4, 6)
    found = evaluate(read(p.save(tmp_path)), {"x": x, "like": np.zeros((1, 3, 2, 3), np.float32)})["y"]
    np.testing.assert_allclose(found, x.reshape(1, 2, 2, 2, 3, 2).mean((3, 5)))
