"""The only file that imports Paddle, and only when called: exporting a Layer, and Paddle's own answer."""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import ConvertError


def installed() -> bool:
    return importlib.util.find_spec("paddle") is not None


def _paddle() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Paddle's own, about compilers that nothing here needs
            import paddle
    except ImportError as error:
        raise ConvertError("this needs Paddle",
                           hint="pip install 'paddle-inpage[paddle]', or name a saved model") from error
    return paddle


@contextmanager
def exported(layer: Any, input_spec: Any) -> Iterator[Path]:
    """A paddle.nn.Layer as a folder with inference.json and inference.pdiparams; gone after the block."""
    paddle = _paddle()
    if not isinstance(layer, paddle.nn.Layer):
        raise ConvertError(f"expected a path or a paddle.nn.Layer, got {type(layer).__name__}")
    if not input_spec:
        raise ConvertError("a Layer needs its input_spec", where=type(layer).__name__,
                           hint="input_spec=[paddle.static.InputSpec([None, 3, 224, 224], 'float32', name='image')]")
    training = layer.training
    layer.eval()
    with tempfile.TemporaryDirectory(prefix="inpage-export-") as folder:
        try:
            paddle.jit.save(layer, str(Path(folder) / "inference"), input_spec=input_spec)
        except Exception as error:  # the export runs the caller's forward(): anything can come
            raise ConvertError(f"Paddle cannot export this Layer: {error}", where=type(layer).__name__) from error
        finally:
            if training:
                layer.train()
        yield Path(folder)


def version() -> str:
    return str(_paddle().__version__)


def run(program: Path, params: Path | None, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Paddle Inference on the CPU, float32, no optimisation: outputs by name."""
    inference = _paddle().inference
    try:
        # A model without weights has no file of them; one of many files is named by its folder.
        named = params or program.suffix in (".json", ".pdmodel")
        config = inference.Config(str(program), str(params or "")) if named else inference.Config(str(program.parent))
        config.disable_gpu()
        config.disable_glog_info()
        config.disable_mkldnn()  # its converter refuses attributes that Paddle itself writes
        config.switch_ir_optim(False)
        config.set_cpu_math_library_num_threads(1)
        predictor = inference.create_predictor(config)
        for name in predictor.get_input_names():
            predictor.get_input_handle(name).copy_from_cpu(feeds[name])
        predictor.run()
        return {name: predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()}
    except (RuntimeError, ValueError, OSError) as error:
        raise ConvertError(f"Paddle cannot run this model: {error}", where=str(program)) from error
