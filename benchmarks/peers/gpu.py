"""This runtime beside ONNX Runtime Web, TF.js and Paddle.js on WebGPU and WebGL, interleaved in one page.

    python -m benchmarks.peers.gpu [--pack FOLDER] [--runs 60] [--net NAME]... [--flags "--use-angle=vulkan …"]

With --pack the page goes into FOLDER/page.tar.gz, with host.py beside it, which shows it on a host that has a GPU,
Python and Chromium, and neither network nor this repository: below 50 MB, since weights are cut to four bits behind
the first, the same for every engine. Without it the page is shown here; the default flags are those of a GPU that is
really the CPU.
"""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.host import show
from benchmarks.peers.prepare import HERE, MODELS, NETS, REPO, prepare
from tests.conftest import chromium_path
from tests.runtime.gpu_kit import GPU_FLAGS
from webapp.assets import Assets

GPU_NETS = ("mobilenet_v2", "mobilenet_v3_small", "db_256", "db_640")
BUNDLES = {"db_640": "db_256"}  # one bundle takes any size
KEPT = np.uint32(0xFFF80000)
NPM = (
    "onnxruntime-web/dist/ort.webgpu.min.mjs", "onnxruntime-web/dist/ort.webgl.min.mjs",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.mjs",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm",
    "@tensorflow/tfjs-core/dist/tf-core.min.js", "@tensorflow/tfjs-converter/dist/tf-converter.min.js",
    "@tensorflow/tfjs-backend-cpu/dist/tf-backend-cpu.min.js",
    "@tensorflow/tfjs-backend-webgl/dist/tf-backend-webgl.min.js",
    "@tensorflow/tfjs-backend-webgpu/dist/tf-backend-webgpu.min.js", "@paddlejs/paddlejs-core/lib/index.js",
    "@paddlejs/paddlejs-backend-webgl/lib/index.js",
)  # fmt: skip
ENGINES: tuple[dict[str, str], ...] = (
    {"engine": "inpage", "backend": "wasm"},  # the others' answers are compared with the first one's
    {"engine": "inpage", "backend": "auto"}, {"engine": "inpage", "backend": "auto", "all": "1"},
    {"engine": "inpage", "backend": "webgpu"}, {"engine": "ort", "backend": "webgpu"},
    {"engine": "tfjs", "backend": "webgpu"}, {"engine": "inpage", "backend": "webgl"},
    {"engine": "ort", "backend": "webgl"}, {"engine": "tfjs", "backend": "webgl"},
    {"engine": "paddlejs", "backend": "webgl"}, {"engine": "paddlejs", "backend": "webgl", "packed": "1"},
    {"engine": "inpage", "backend": "webgpu", "precision": "float16"},
    {"engine": "inpage", "backend": "webgl", "precision": "float16"},
    {"engine": "tfjs", "backend": "webgl", "precision": "float16"},
)  # fmt: skip


def cut(numbers: np.ndarray) -> np.ndarray:
    """float32 with four bits of fraction: random weights then take a quarter of the room when packed."""
    return (np.ascontiguousarray(numbers, np.float32).view(np.uint32) & KEPT).view(np.float32)


def cut_bundle(source: Path, out: Path) -> None:
    """Our bundle with such weights, and Paddle.js's package, which lies in its files the same way."""
    out.mkdir(parents=True)
    model = json.loads((source / "model.json").read_text())
    kept = sorted((v for v in model["vars"].values() if v["persistable"]), key=lambda v: v["name"])
    chunks = sorted(source.glob("chunk_*.dat"), key=lambda path: int(path.stem.split("_")[1]))
    payload = bytearray(b"".join(path.read_bytes() for path in chunks))
    at = 0
    for var in kept:
        kind = np.dtype(var.get("dtype") or "float32")
        end = at + int(np.prod(var["shape"])) * kind.itemsize
        if kind == np.float32 and var["shape"]:
            payload[at:end] = cut(np.frombuffer(bytes(payload[at:end]), np.float32)).tobytes()
        at = end
    if at != len(payload):
        raise SystemExit(f"{source}: {len(payload)} bytes of weights, and {at} that are declared")
    start = 0
    for i, path in enumerate(chunks):
        piece = bytes(payload[start : start + path.stat().st_size])
        start += len(piece)
        (out / path.name).write_bytes(piece)
        if model.get("chunks"):
            model["chunks"][i]["sha256"] = hashlib.sha256(piece).hexdigest()
    (out / "model.json").write_text(json.dumps(model))


def cut_onnx(source: Path, out: Path) -> None:
    """model.onnx with such weights."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(source))
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.dims:
            tensor.CopyFrom(numpy_helper.from_array(cut(numpy_helper.to_array(tensor)), tensor.name))
    onnx.save(model, str(out))


def cut_tfjs(source: Path, out: Path) -> None:
    """TF.js's graph model with such weights."""
    out.mkdir(parents=True)
    shutil.copy(source / "model.json", out)
    (group,) = json.loads((source / "model.json").read_text())["weightsManifest"]
    payload, at = bytearray(b"".join((source / path).read_bytes() for path in group["paths"])), 0
    for weight in group["weights"]:
        end = at + int(np.prod(weight["shape"], dtype=int)) * np.dtype(weight["dtype"]).itemsize
        if weight["dtype"] == "float32" and weight["shape"]:  # numbers alone are part of what operators are made of
            payload[at:end] = cut(np.frombuffer(bytes(payload[at:end]), np.float32)).tobytes()
        at = end
    for path in group["paths"]:
        size = (source / path).stat().st_size
        (out / path).write_bytes(bytes(payload[:size]))
        del payload[:size]


def paddlejs_package(name: str, shape: list[int], out: Path) -> bool:
    """The package for the original Paddle.js; whether our converter can make one of this net."""
    import paddle

    from benchmarks.peers import nets
    from converter import ConvertError, convert

    net = nets.NETS[name]
    spec = [paddle.static.InputSpec(shape, "float32", "x")]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            convert(nets.build(net), Path(scratch) / "package", target="paddlejs2", input_spec=spec, verify=False)
        except ConvertError as error:
            print(f"Paddle.js without {name}: {error}", file=sys.stderr)
            return False
        cut_bundle(Path(scratch) / "package", out)
    return True


def fill(folder: Path, names: list[str], runs: int) -> None:
    """The page and everything it fetches, at the addresses that the pages of the comparison use."""
    for name, asset in Assets(REPO / "static").current().files.items():  # as visitors of this product's pages get them
        if name.startswith(("runtime/", "media/")):
            (folder / "static" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "static" / name).write_bytes(asset.plain or asset.path.read_bytes())
    shutil.copytree(HERE / "pages", folder / "bench" / "pages")
    for file in NPM:
        (folder / "bench" / "npm" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "node_modules" / file, folder / "bench" / "npm" / file)
    wishes: list[dict[str, Any]] = []
    engines = [dict(engine) for engine in ENGINES]
    for name in names:
        net = json.loads((NETS / name / "net.json").read_text())
        own = BUNDLES.get(name, name)
        target = folder / "bench" / "nets" / name
        target.mkdir(parents=True)
        if not (folder / "models" / own).exists():
            cut_bundle(MODELS / own, folder / "models" / own)
        cut_onnx(NETS / name / "model.onnx", target / "model.onnx")
        if (NETS / name / "tfjs").is_dir():
            cut_tfjs(NETS / name / "tfjs", target / "tfjs")
        paddlejs_package(name, net["shape"], target / "paddlejs")
        wishes.append({"net": name, "bundle": own, "shape": ",".join(map(str, net["shape"]))})
    where = {"runtime": "/static/runtime/index.js"} | {name: f"/models/{name}/" for name in names}
    page = folder / "bench" / "pages" / "run.html"
    page.write_text(page.read_text().replace("__WHERE__", json.dumps(where)))
    (folder / "wish.json").write_text(json.dumps({"runs": runs, "nets": wishes, "engines": engines}))
    script = "<script type=module src=/bench/pages/gpu.js></script>"
    (folder / "index.html").write_text(f"<!doctype html><meta charset=utf-8><link rel=icon href=data:,>{script}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--net", action="append", choices=GPU_NETS)
    parser.add_argument("--limit", type=float, default=540)
    parser.add_argument("--kept", action="store_true", help="take the nets as they were made last")
    parser.add_argument("--flags", default=os.environ.get("GPU_FLAGS", shlex.join(GPU_FLAGS)))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="inpage-gpu-") as scratch:
        page = Path(scratch) / "page"
        if not given.kept:
            prepare(given.net or list(GPU_NETS))
        fill(page, given.net or list(GPU_NETS), given.runs)
        if not given.pack:
            os.environ["CHROME"] = chromium_path()
            return 0 if show(page, shlex.split(given.flags), given.limit) else 1
        given.pack.mkdir(parents=True, exist_ok=True)
        with tarfile.open(given.pack / "page.tar.gz", "w:gz", compresslevel=6) as packed:
            packed.add(page, arcname=".")
        shutil.copy(HERE / "host.py", given.pack)
    print(f"{(given.pack / 'page.tar.gz').stat().st_size / 1e6:.1f} MB in {given.pack}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
