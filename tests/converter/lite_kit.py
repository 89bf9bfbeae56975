"""A stand-in for Paddle Lite at the boundary of its processes: an optimiser that packs the program, a Python package
that runs it with our own operators. It knows targets as the real one does: a file for another machine answers NaN."""

import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]

_OPT = """\
import json, sys, zipfile
given = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
if given.get("valid_targets") not in ("arm", "x86", "opencl,arm"):
    sys.exit("Wrong target found, please check the command flag 'valid_targets'")
with zipfile.ZipFile(given["optimize_out"] + ".nb", "w") as nb:
    nb.write(given["model_file"], "model.pdmodel")
    nb.write(given["param_file"], "model.pdiparams")
    nb.writestr("options.json", json.dumps(given))
"""

_LITE = """\
import json, platform, tempfile, zipfile
import numpy as np
from converter.ops import evaluate
from converter.read import read


class MobileConfig:
    def set_model_from_file(self, path):
        self.path = path


class Tensor:
    def from_numpy(self, array):
        self.array = array

    def numpy(self):
        return self.array


class Predictor:
    def __init__(self, path):
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as nb:
            nb.extractall(folder)
            self.graph = read(folder)
            self.target = json.loads(nb.read("options.json"))["valid_targets"]
        self.inputs = [Tensor() for _ in self.graph.inputs]

    def get_input_names(self):
        return self.graph.inputs

    def get_output_names(self):
        return self.graph.outputs

    def get_input(self, index):
        return self.inputs[index]

    def run(self):
        fed = {name: tensor.array for name, tensor in zip(self.graph.inputs, self.inputs)}
        found = list(evaluate(self.graph, fed).values())
        here = {"x86_64": "x86", "aarch64": "arm"}.get(platform.machine())
        self.outputs = found if self.target == here else [np.full_like(array, np.nan) for array in found]

    def get_output(self, index):
        tensor = Tensor()
        tensor.array = self.outputs[index]
        return tensor


def create_paddle_predictor(config):
    return Predictor(config.path)
"""


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def fake_tools(folder: Path, opt: str = _OPT) -> Path:
    """bin/paddle_lite_opt with a bin/python beside it that has paddlelite; returns the optimiser."""
    package = folder / "site" / "paddlelite"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "lite.py").write_text(_LITE)
    script(folder / "bin" / "python", f'#!/bin/sh\nPYTHONPATH="{package.parent}:{REPO}" exec "{sys.executable}" "$@"\n')
    return script(folder / "bin" / "paddle_lite_opt", f"#!{sys.executable}\n{opt}")
