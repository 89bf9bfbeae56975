"""What can run a model, and the order in which it is tried. Nothing here knows Flask."""

from webapp.engines import onnx, remote
from webapp.engines.base import Engine, EngineError, Load, Options, RunError

ENGINES: dict[str, Load] = {"onnx": onnx.load, "remote": remote.load}

__all__ = ["ENGINES", "Engine", "EngineError", "Load", "Options", "RunError"]
