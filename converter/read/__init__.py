"""Reading: find out what a path holds and turn it into a Graph."""

from converter.read.find import read, read_program

__all__ = ["read", "read_program"]
