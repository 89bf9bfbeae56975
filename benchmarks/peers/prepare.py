"""What the comparison needs, made once and kept in benchmarks/.cache: peers, nets, every engine's form of them.

    python -m benchmarks.peers.prepare [NET ...]

Paddle -> our bundle, with float32 and with float16 weights, and model.onnx by our converter; from that, in a Python
environment of its own (two gigabytes the first time), model.tflite and TF.js's graph model by onnx2tf and tensorflowjs.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.site import CACHE, HERE, REPO, compress_peers
from converter import convert
from converter.ops import evaluate
from converter.read.bundle import load_bundle

NETS = CACHE / "nets"
MODELS = CACHE / "models"
TF = CACHE / "tf"
TF_WHEELS = ("onnx2tf==1.29.24",)
TF_WHEELS_ALONE = ("tensorflowjs==4.22.0", "tensorflow-hub==0.16.1")  # their requirements ask for what is not needed
TF_LIMIT_S = 900
PADDLE = (
    "mobilenet_v2", "mobilenet_v3_small", "pplcnet_x1_0", "db_256", "db_320", "db_640", "crnn", "svtr", "picodet_s_192",
)  # fmt: skip
"""As in nets.py, which takes Paddle's time to import."""
EMBEDDED = {
    "document_corners": (1, 3, 256, 256), "face_detector": (1, 3, 320, 320), "face_head": (1, 3, 112, 112),
    "upper_body": (1, 3, 96, 96),
}  # fmt: skip
INPUT_SEED = 99


def install_peers() -> None:
    """The peers at the versions of package-lock.json."""
    lock, done = HERE / "package-lock.json", HERE / "node_modules" / "installed"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if done.is_file() and done.read_text() == wanted:
        return
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=HERE, check=True)
    done.write_text(wanted)


def tf_python() -> Path | None:
    """The Python that has TensorFlow; None, said once, where it cannot be installed."""
    python, done = TF / "bin" / "python", TF / "installed"
    wanted = " ".join(TF_WHEELS + TF_WHEELS_ALONE)
    if done.is_file() and done.read_text() == wanted:
        return python
    print("Installing TensorFlow's converters for TF.js and LiteRT.js; two gigabytes, some minutes.", flush=True)
    venv.create(TF, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    try:
        subprocess.run([*pip, *TF_WHEELS], check=True)
        subprocess.run([*pip, "--no-deps", *TF_WHEELS_ALONE], check=True)
    except subprocess.CalledProcessError as error:
        print(f"TF.js and LiteRT.js are left out: {error}", file=sys.stderr)
        return None
    done.write_text(wanted)
    return python


def state_of_sources() -> str:
    """A hash of what the bundles are made by: with another one they are made again."""
    files = [HERE / "nets.py", *sorted((REPO / "converter").rglob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def fixed(source: Path, out: Path, shape: tuple[int, ...]) -> None:
    """model.onnx with the sizes written in, which other engines can make use of."""
    import onnx

    model = onnx.load(str(source))
    for place, size in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        place.dim_value = size
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    onnx.save(onnx.shape_inference.infer_shapes(model), str(out))


def record(folder: Path, title: str, feed: np.ndarray, outputs: list[np.ndarray]) -> None:
    """The input and the right answers, as the page reads them."""
    feed.tofile(folder / "input.bin")
    np.concatenate([np.ravel(output) for output in outputs]).astype(np.float32).tofile(folder / "reference.bin")
    meta = {"title": title, "shape": list(feed.shape), "outputs": [list(output.shape) for output in outputs]}
    (folder / "net.json").write_text(json.dumps(meta))


def make_net(name: str, folder: Path) -> None:
    """One network from Paddle; the answers are Paddle's own."""
    import paddle

    from benchmarks.peers import nets

    net = nets.NETS[name]
    layer = nets.build(net)
    feed = nets.noise(net.shape, INPUT_SEED)
    answer = layer(paddle.to_tensor(feed)).numpy()
    spec = [paddle.static.InputSpec(list(net.shape), "float32", "x")]
    convert(layer, MODELS / name, targets=("web", "onnx"), input_spec=spec, verify=False)
    convert(layer, MODELS / f"{name}_half", precision="float16", input_spec=spec, verify=False)
    fixed(MODELS / name / "model.onnx", folder / "model.onnx", net.shape)
    record(folder, net.title, feed, [answer])


def make_embedded(name: str, folder: Path) -> None:
    """One of the models in static/models; the answers are the converter's reference in numpy."""
    source, shape = REPO / "static" / "models" / name, EMBEDDED[name]
    graph = load_bundle(source)
    feed = np.random.default_rng(INPUT_SEED).standard_normal(shape).astype(np.float32)
    answers = evaluate(graph, {graph.inputs[0]: feed})
    fixed(source / "model.onnx", folder / "model.onnx", shape)
    record(folder, f"{name}, {'×'.join(map(str, shape[2:]))}", feed, list(answers.values()))


def make_tf(folder: Path, python: Path | None) -> None:
    """TF.js's and LiteRT.js's forms of model.onnx, where it changed."""
    wanted, done = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(), folder / "tf.done"
    if done.is_file() and done.read_text() == wanted:
        return
    for left in ("tfjs", "model.tflite", "tflite.failed", "tfjs.failed"):
        path = folder / left
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if python is None:
        for part in ("tflite", "tfjs"):
            (folder / f"{part}.failed").write_text("TensorFlow's converters cannot be installed here")
        return
    log = folder / "tf.log"
    with log.open("w") as file:
        subprocess.run([str(python), str(HERE / "tf_models.py"), str(folder)], stdout=file, stderr=file,
                       timeout=TF_LIMIT_S, check=False)  # fmt: skip
    done.write_text(wanted)


def all_names() -> list[str]:
    """Every net, in the order of the table."""
    return [*PADDLE, *EMBEDDED]


def prepare(names: list[str]) -> list[dict[str, Any]]:
    """What net.json says of each of these nets, all its files there."""
    install_peers()
    compress_peers()
    python, sources = tf_python(), state_of_sources()
    found = []
    for name in names:
        folder = NETS / name
        folder.mkdir(parents=True, exist_ok=True)
        done, wanted = folder / "made", sources
        if name in EMBEDDED:
            bundle = (REPO / "static" / "models" / name / "model.json").read_bytes()
            wanted = hashlib.sha256(bundle).hexdigest() + sources
        if not (done.is_file() and done.read_text() == wanted):
            print(f"making {name}", flush=True)
            make = make_embedded if name in EMBEDDED else make_net
            make(name, folder)
            done.write_text(wanted)
        make_tf(folder, python)
        found.append({"name": name} | json.loads((folder / "net.json").read_text()))
    return found


def main() -> int:
    os.environ.setdefault("GLOG_minloglevel", "2")
    for net in prepare(sys.argv[1:] or all_names()):
        failed = [f.stem for f in (NETS / net["name"]).glob("*.failed")]
        print(net["name"], net["shape"], f"without {', '.join(failed)}" if failed else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
