"""Small sound models of every kind, as files in memory: what the fuzzers damage."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converter import convert
from tests.converter.programs import Legacy, Pir, small_legacy, small_pir, tensor_bytes
from tests.converter.test_control import legacy_loop, pir_loop
from tests.converter.test_read_array import legacy_list, pir_list

SHARED = Path(__file__).resolve().parents[3] / "shared" / "models"
MAX_REAL_BYTES = 3 << 20
"""A real model above this would be tried too seldom to be worth its time."""
_YAML = """
Global: {model_name: seed}
PreProcess:
  transform_ops:
  - DecodeImage: {img_mode: BGR, channel_first: false}
  - DetResizeForTest: {limit_side_len: 960, limit_type: max}
  - NormalizeImage: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], scale: 1./255., order: hwc}
  - ToCHWImage: null
  - KeepKeys: {keep_keys: [image, shape]}
PostProcess: {name: CTCLabelDecode, character_dict: ["a", "b", "c"]}
"""


@dataclass(frozen=True)
class Seed:
    """files: name → content. changed: names that are damaged, the rest only lies beside them."""

    name: str
    files: dict[str, bytes]
    changed: tuple[str, ...]
    real: bool = False

    def lay(self, folder: Path) -> Path:
        folder.mkdir(parents=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
        return folder


def seeds(real: bool = True) -> list[Seed]:
    """The made ones, and the smaller real ones where ../shared is beside the repository."""
    with tempfile.TemporaryDirectory(prefix="inpage-seeds-") as made:
        found = _made(Path(made))
    return found + (_real() if real and SHARED.is_dir() else [])


def _made(folder: Path) -> list[Seed]:
    found = [
        _of_folder("pir", small_pir().save(folder / "pir")),
        _of_folder("pir_v1", small_pir(1).save(folder / "pir_v1")),
        _of_folder("pir_shapes", shapes_pir().save(folder / "pir_shapes")),
        _of_folder("legacy", small_legacy().save(folder / "legacy")),
        _of_folder("legacy_layers", layers_legacy().save(folder / "legacy_layers")),
        _of_folder("legacy_loop", legacy_loop().save(folder / "legacy_loop")),
        _of_folder("pir_loop", pir_loop().save(folder / "pir_loop")),
        _of_folder("legacy_list", legacy_list().save(folder / "legacy_list")),
        _of_folder("pir_list", pir_list().save(folder / "pir_list")),
        _fluid(),
        paddlejs(),
    ]
    for kind in ("pir", "legacy_layers", "pir_loop"):
        convert(folder / kind, folder / f"bundle_{kind}", verify=False)
        found.append(_of_folder(f"bundle_{kind}", folder / f"bundle_{kind}"))
    yaml = found[0].files | {"inference.yml": _YAML.encode(),
                             "preprocess.json": b'{"mean": [0.5, 0.5, 0.5], "resize": "fit", "size": [8, 8]}'}
    found.append(Seed("metadata", yaml, ("inference.yml", "preprocess.json")))
    return found


def _of_folder(name: str, folder: Path) -> Seed:
    files = {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}
    return Seed(name, files, tuple(files))


def shapes_pir() -> Pir:
    """What makes readers and passes think: shapes from tensors, vectors, slices, resizing."""
    p, rng = Pir(), np.random.default_rng(3)
    x = p.data("x", [-1, 4, -1, -1])
    table = p.param("table", rng.standard_normal((4, 5)).astype(np.float32))
    size = p.op("shape64", [x], [4], "int64")
    rows = p.op("slice", [size, p.ints(0), p.ints(1)], [], "int64", axes=[0], infer_flags=[1], decrease_axis=[0])
    batch = p.op("reshape", [rows, p.ints(1)], [1], "int64")
    parts = p.add("0.combine", [batch, p.ints(-1), p.ints(4)], [_vector(p, 3)], {})
    wanted = p.op("concat", [parts, p.full(0, "int32")], [3], "int64")
    flat = p.op("reshape", [x, wanted], [-1, -1, 4])
    y = p.op("matmul", [flat, table], [-1, -1, 5], transpose_x=False, transpose_y=False)
    y = p.op("softmax", [p.op("transpose", [y], [-1, 5, -1], perm=[0, 2, 1])], [-1, 5, -1], axis=1)
    halves = p.vector("1.split", [y, p.ints(2, 3), p.full(1, "int32")], [[-1, 2, -1], [-1, 3, -1]])
    first = p.add("0.slice", [halves], [p.result([-1, 2, -1])], {"index": 0})
    p.fetch(p.op("scale", [first, p.full(2.0)], [-1, 2, -1], bias=0.5, bias_after_scale=True), "out")
    p.fetch(p.op("mean", [y], [-1, 5], axis={"#": "1.a_intarray", "D": [2]}, keepdim=False), "mean")
    return p


def _vector(p: Pir, count: int) -> dict:
    p.count += 1
    return {"%": p.count, "TT": {"#": "0.t_vec", "D": [p.type([1], "int64")] * count}}


def layers_legacy() -> Legacy:
    """A small classifier: convolution, pooling, activation, a residual sum, fully connected, softmax."""
    p, rng = Legacy(), np.random.default_rng(5)
    for name, shape in (("w1", (4, 3, 3, 3)), ("w2", (4, 1, 3, 3)), ("fc.w", (4, 6)), ("fc.b", (6,)), ("b1", (4,))):
        p.param(name, rng.standard_normal(shape).astype(np.float32))
    p.feed("image", [-1, 3, 16, 16])
    for name in ("c1", "a1", "r1", "p1", "c2", "s2", "g", "f", "fb", "out"):
        p.var(name, [-1])
    p.op("conv2d", {"Input": ["image"], "Filter": ["w1"]}, {"Output": ["c1"]}, strides=[2, 2], paddings=[1, 1],
         dilations=[1, 1], groups=1, data_format="NCHW", padding_algorithm="EXPLICIT")
    p.op("elementwise_add", {"X": ["c1"], "Y": ["b1"]}, {"Out": ["a1"]}, axis=1)
    p.op("hard_swish", {"X": ["a1"]}, {"Out": ["r1"]}, threshold=6.0, scale=6.0, offset=3.0)
    p.op("depthwise_conv2d", {"Input": ["r1"], "Filter": ["w2"]}, {"Output": ["c2"]}, strides=[1, 1],
         paddings=[1, 1], dilations=[1, 1], groups=4)
    p.op("elementwise_add", {"X": ["r1"], "Y": ["c2"]}, {"Out": ["s2"]}, axis=-1)
    p.op("pool2d", {"X": ["s2"]}, {"Out": ["g"]}, pooling_type="avg", ksize=[1, 1], strides=[1, 1], paddings=[0, 0],
         global_pooling=True, adaptive=False, exclusive=True, ceil_mode=False)
    p.op("mul", {"X": ["g"], "Y": ["fc.w"]}, {"Out": ["f"]}, x_num_col_dims=1, y_num_col_dims=1)
    p.op("elementwise_add", {"X": ["f"], "Y": ["fc.b"]}, {"Out": ["fb"]}, axis=-1)
    p.op("softmax", {"X": ["fb"]}, {"Out": ["out"]}, axis=-1)
    p.fetch("out")
    return p


def _fluid() -> Seed:
    p = small_legacy()
    files = {"__model__": p.desc.SerializeToString(), **{name: tensor_bytes(data) for name, data in p.params.items()}}
    return Seed("fluid", files, tuple(files))


def paddlejs() -> Seed:
    """A package of the old Paddle.js converter."""
    rng = np.random.default_rng(9)
    weights = {"b": rng.standard_normal((4,)), "w": rng.standard_normal((4, 3, 3, 3))}
    model = {
        "chunkNum": 1, "dataLayout": "nchw", "feedShape": {"fc": 3, "fh": 8, "fw": 8},
        "vars": {name: {"name": name, "shape": list(data.shape), "persistable": True}
                 for name, data in weights.items()} | {"y": {"name": "y", "shape": [1, 4, 8, 8]}},
        "ops": [
            {"type": "feed", "inputs": {"X": ["feed"]}, "outputs": {"Out": ["image"]}, "attrs": {}},
            {"type": "conv2d-elementwise_add-leaky_relu", "inputs": {"Input": ["image"], "Filter": ["w"], "Y": ["b"]},
             "outputs": {"Out": ["y"]},
             "sub-attrs": [{"strides": [1, 1], "paddings": [1, 1], "dilations": [1, 1], "groups": 1}, {"axis": 1},
                           {"alpha": 0.1}]},
            {"type": "softmax", "inputs": {"X": ["y"]}, "outputs": {"Out": ["z"]}, "attrs": {"axis": 1}},
            {"type": "connect", "inputs": {"X": ["y", "z"]}, "outputs": {"Out": ["connect_result"]}, "attrs": {}},
            {"type": "fetch", "inputs": {"X": ["connect_result"]}, "outputs": {"Out": ["fetch"]}, "attrs": {}},
        ],
    }
    chunk = b"".join(weights[name].astype("<f4").tobytes() for name in sorted(weights))
    files = {"model.json": json.dumps(model).encode(), "chunk_1.dat": chunk}
    return Seed("paddlejs", files, tuple(files))


def _real() -> list[Seed]:
    found = []
    for folder in sorted(SHARED.iterdir()):
        files = [file for file in folder.glob("*") if file.is_file() and file.name not in ("meta.json", "ref.npz")]
        if files and sum(file.stat().st_size for file in files) <= MAX_REAL_BYTES:
            programs = [file.name for file in files if file.suffix in (".json", ".pdmodel") or file.name == "__model__"]
            found.append(Seed(folder.name, {file.name: file.read_bytes() for file in files}, tuple(programs), True))
    return found


def repaired(files: dict[str, bytes]) -> dict[str, bytes]:
    """A bundle whose chunk sizes and hashes say what the chunks hold, so that damage gets past that check."""
    try:
        model = json.loads(files["model.json"])
        for chunk in model["chunks"]:
            data = files[chunk["file"]]
            chunk.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return files
    return files | {"model.json": json.dumps(model).encode("utf-8", "surrogatepass")}
