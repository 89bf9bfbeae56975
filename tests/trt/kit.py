"""A GPU for tests: the fake tensorrt and libcudart of `fake/`, for this process and those that it starts."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FAKE = Path(__file__).with_name("fake")
REPO = Path(__file__).resolve().parents[2]
KNOBS = ("FAKE_TRT", "FAKE_TRT_VERSION", "FAKE_TRT_OFF", "FAKE_TRT_ROUNDS", "FAKE_TRT_COARSE", "FAKE_TRT_BUILD_S",
         "FAKE_TRT_RUN_MS", "FAKE_TRT_RUN_FAILS", "FAKE_TRT_LOG", "FAKE_GPUS", "FAKE_GPU_MB",
         "FAKE_GPU_LOST")  # fmt: skip


def compile_cudart(folder: Path) -> Path:
    """The fake libcudart, built by the compiler that also builds the kernels."""
    library = folder / "libcudart.so"
    command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", "-O1", "-o", library, FAKE / "cudart.c"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return library


def environment(cudart: Path) -> dict[str, str]:
    """For a process that is to find this GPU."""
    paths = [str(FAKE), str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"CUDART": str(cudart), "PYTHONPATH": os.pathsep.join(paths)}


def not_freed(cudart: Path) -> int:
    """How many pieces of GPU memory, pinned memory, streams and events this process holds."""
    return ctypes.CDLL(str(cudart)).fake_live()


def small_model(factor: float = 2.0, rows_out: bool = True, opset: int = 13, dtype: int = TensorProto.FLOAT) -> bytes:
    """y[n, 4] = factor * (two 3x3 convolutions of image[n, 3, h, w], averaged); or y[4] without the rows."""
    dice = np.random.default_rng(3)
    weights = [
        numpy_helper.from_array((factor * dice.standard_normal((8, 3, 3, 3))).astype(np.float32), "w0"),
        numpy_helper.from_array(dice.standard_normal((4, 8, 3, 3)).astype(np.float32), "w1"),
    ]
    nodes = [
        helper.make_node("Conv", ["image", "w0"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w1"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("ReduceMean", ["c"], ["y"], axes=[2, 3] if rows_out else [0, 2, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info("image", dtype, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", dtype, ["n", 4] if rows_out else [4])],
        weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def images(rows: int, side: int = 8, seed: int = 1) -> np.ndarray:
    """Seeded input."""
    return np.random.default_rng(seed).standard_normal((rows, 3, side, side)).astype(np.float32)
