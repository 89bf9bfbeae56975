"""Paddle models -> bundles that run inside a web page."""

from converter.convert import VERSION as __version__
from converter.convert import Report, convert
from converter.errors import ConvertError

__all__ = ["ConvertError", "Report", "__version__", "convert"]
