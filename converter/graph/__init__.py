"""The graph: values, nodes and their order. Imports nothing of the converter but its errors."""

from converter.graph.ir import Dim, Graph, Node, Shape, Value

__all__ = ["Dim", "Graph", "Node", "Shape", "Value"]
