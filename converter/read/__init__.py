"""Reading: find out what a path holds and turn it into a Graph."""

from converter.read.find import find, read

__all__ = ["find", "read"]
