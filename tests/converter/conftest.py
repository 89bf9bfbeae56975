"""The stand-in for TensorRT, for the converter's tests."""

from tests.trt.conftest import cudart, gpu  # noqa: F401  (fixtures)
