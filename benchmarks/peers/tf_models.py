"""model.onnx -> model.tflite for LiteRT.js, a graph model for TF.js; in an environment of its own, see prepare.py.

    python tf_models.py FOLDER [--int8]

FOLDER holds model.onnx with fixed sizes; model.tflite and tfjs/model.json appear beside it, or NAME.failed with the
reason. onnx2tf turns the graph into channels-last TensorFlow, as both engines want it. --int8: only int8.tflite,
float32 outside and whole numbers inside, calibrated with noise.
"""

import base64
import importlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock

os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "TF_USE_LEGACY_KERAS": "1"}
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # or TF.js's model gets fused operators that TF.js does not have

import numpy as np

UNUSED = ("tensorflow_decision_forests", "jax", "jax.experimental")  # for other kinds of models, imported all the same


def to_tensorflow(source: Path, folder: Path, **more: object) -> Path:
    """A SavedModel, and a .tflite beside it."""
    onnx2tf = importlib.import_module("onnx2tf.onnx2tf")
    # Its trial run would fetch pictures from the network; any numbers do.
    onnx2tf.download_test_image_data = lambda: np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32)
    onnx2tf.convert(input_onnx_file_path=str(source), output_folder_path=str(folder), output_signaturedefs=True,
                    copy_onnx_input_output_names_to_tflite=False, non_verbose=True, verbosity="error",
                    **more)  # fmt: skip
    return folder


def to_tfjs(saved: Path, out: Path) -> None:
    """TF.js's graph model, by its own converter."""
    for name in UNUSED:
        sys.modules.setdefault(name, MagicMock())
    conversion = importlib.import_module("tensorflowjs.converters.tf_saved_model_conversion_v2")
    conversion.convert_tf_saved_model(str(saved), str(out))
    free_scalars(out / "model.json")


def free_scalars(path: Path) -> None:
    """Undoes what that converter does wrong: a number added to a convolution becomes its bias, and that is a vector."""
    model = json.loads(path.read_text())
    sizes = {weight["name"]: weight["shape"] for group in model["weightsManifest"] for weight in group["weights"]}
    nodes = model["modelTopology"]["node"]
    bias_alone = [base64.b64encode(b"BiasAdd").decode()]
    for node in list(nodes):
        attrs = node.get("attr", {})
        fused = attrs.get("fused_ops", {}).get("list", {}).get("s")
        if node["op"] == "_FusedConv2D" and fused == bias_alone and sizes.get(node["input"][2]) == []:
            kept = {key: attrs[key] for key in ("T", "strides", "padding", "dilations", "data_format") if key in attrs}
            plain = node["name"] + "/plain"
            nodes.append({"name": plain, "op": "Conv2D", "input": node["input"][:2], "attr": kept})
            node |= {"op": "AddV2", "input": [plain, node["input"][2]], "attr": {"T": attrs["T"]}}
    path.write_text(json.dumps(model))


def main() -> int:
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        saved = Path(name) / "saved"
        if sys.argv[2:] == ["--int8"]:
            to_tensorflow(folder / "model.onnx", saved, output_integer_quantized_tflite=True)
            whole = next(path for path in saved.glob("*_integer_quant.tflite") if "full" not in path.name)
            shutil.copy(whole, folder / "int8.tflite")
            return 0
        try:
            to_tensorflow(folder / "model.onnx", saved)
            shutil.copy(next(saved.glob("*_float32.tflite")), folder / "model.tflite")
        except (Exception, SystemExit) as error:  # whatever the converters throw is the reason to print
            for part in ("tflite", "tfjs"):
                (folder / f"{part}.failed").write_text(f"onnx2tf: {type(error).__name__}: {error}"[:400])
            return 1
        try:
            to_tfjs(saved, Path(name) / "tfjs")
            shutil.copytree(Path(name) / "tfjs", folder / "tfjs")
        except (Exception, SystemExit) as error:  # as above
            (folder / "tfjs.failed").write_text(f"tensorflowjs: {type(error).__name__}: {error}"[:400])
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
