"""TensorRT: an ONNX model -> an engine on this machine's GPU, checked, cached and run.

Used by the server and by the converter, which share nothing else of this; it imports neither. numpy is all it needs to
run; tensorrt (8.5 to 11) and CUDA's runtime library are looked for on first use.
"""

from trt.build import build
from trt.cache import EngineCache
from trt.check import Errors, compare, require
from trt.errors import TrtError
from trt.recipe import Recipe, Shapes
from trt.runner import Runner

__all__ = ["EngineCache", "Errors", "Recipe", "Runner", "Shapes", "TrtError", "build", "compare", "require"]
