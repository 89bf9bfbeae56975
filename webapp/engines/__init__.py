"""What can run a model, and the order in which it is tried. Nothing here knows Flask."""

from webapp.engines import onnx, paddle, remote, tensorrt
from webapp.engines.base import Engine, EngineError, Load, Options, Pending, RunError

ENGINES: dict[str, Load] = {
    "tensorrt": tensorrt.load,
    "onnx": onnx.load,
    "paddle": paddle.load,
    "remote": remote.load,
}

__all__ = ["ENGINES", "Engine", "EngineError", "Load", "Options", "Pending", "RunError"]
