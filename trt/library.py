"""The tensorrt library, imported on first use: its version, its log, and objects whose making can fail."""

import logging
import os
import re
from collections.abc import Callable
from typing import Any

from trt.errors import TrtError

log = logging.getLogger(__name__)

OLDEST = (8, 5)
KEPT_MESSAGES = 5
TIMED = re.compile(r"Computing costs for|Autotuning format combination")  # a layer's candidates are being timed


def tensorrt() -> Any:
    """The module. Raises TrtError: not_installed."""
    # Before CUDA is loaded: its default was to load every kernel of the library, of which a model needs a few.
    os.environ.setdefault("CUDA_MODULE_LOADING", "LAZY")
    try:
        import tensorrt as library
    except ModuleNotFoundError as error:
        raise TrtError(
            "not_installed", f"TensorRT cannot be imported ({error}); install it with: pip install .[tensorrt]"
        ) from error
    except (ImportError, OSError) as error:  # its own libraries are there, and others that they want are not
        raise TrtError("not_installed", f"TensorRT is installed and cannot be loaded ({error})") from error
    found = version(library)
    if found < OLDEST:
        raise TrtError("not_installed", f"TensorRT {library.__version__} is too old; 8.5 or newer is needed")
    return library


def version(library: Any) -> tuple[int, int]:
    """Major and minor number."""
    major, minor = library.__version__.split(".")[:2]
    return int(major), int(minor)


def make_log(library: Any, step: Callable[[], None] = lambda: None) -> Any:
    """A log to give to the library: its errors are kept for our own messages, the rest goes to `logging`.

    `step` is called for every layer that a build begins to time.
    """
    failures = ("INTERNAL_ERROR", "ERROR")

    class Log(library.ILogger):
        """`problems`: the last errors, oldest first."""

        def __init__(self) -> None:
            library.ILogger.__init__(self)
            self.problems: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            name = getattr(severity, "name", str(severity)).split(".")[-1]
            if name == "VERBOSE":
                if TIMED.search(message):
                    step()
                return
            # That there is no GPU is only a warning to the library.
            if name in failures or "CUDA initialization failure" in message:
                self.problems = [*self.problems[1 - KEPT_MESSAGES :], message.strip()]
            # A failure becomes an error of ours, which is logged where it is handled: here it would be said twice.
            log.debug("%s: %s", name.lower(), message)

    return Log()


def because(told: Any) -> str:
    """The library's own last words, as the end of a sentence."""
    return f": {'; '.join(told.problems)}"[:600] if told.problems else ""


def make(library: Any, kind: str, told: Any) -> Any:
    """A Builder or a Runtime. Raises TrtError: no_gpu.

    Without a GPU the library logs `CUDA initialization failure with error: 35`, and then the binding, which got no
    object, raises `TypeError: pybind11::init(): factory function returned nullptr`.
    """
    try:
        made = getattr(library, kind)(told)
    except (TypeError, RuntimeError) as error:
        reason = because(told) or f": {error}"
        raise TrtError("no_gpu", f"TensorRT {library.__version__} finds no GPU{reason}") from error
    if made is None:
        raise TrtError("no_gpu", f"TensorRT {library.__version__} finds no GPU{because(told)}")
    return made
