"""Who writes and who reads each value, kept true while a pass edits the graph."""

from __future__ import annotations

import numpy as np

from converter.graph import Graph, Node


class Links:
    """Built once per pass: every question and every edit is constant time, `close` drops what was removed."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producer: dict[str, Node] = graph.producers()
        self.users: dict[str, list[Node]] = graph.consumers()
        self.removed: set[int] = set()

    def only_user(self, name: str) -> Node | None:
        """The one node that reads `name`, once; None where it has others or is a graph output."""
        users = self.users.get(name, [])
        return users[0] if len(users) == 1 and name not in self.graph.outputs else None

    def remove(self, node: Node) -> None:
        """Take a node out; what it wrote must have been taken over or have no readers left."""
        self.removed.add(id(node))
        for name in node.input_names():
            self._drop_use(name, node)
        for name in node.output_names():
            if self.producer.get(name) is node:
                del self.producer[name]

    def set_input(self, node: Node, slot: str, names: list[str]) -> None:
        for name in node.inputs.get(slot, []):
            self._drop_use(name, node)
        node.inputs[slot] = list(names)
        if not names:
            del node.inputs[slot]
        for name in names:
            self.users.setdefault(name, []).append(node)

    def take_output(self, node: Node, follower: Node) -> None:
        """`node` writes what `follower` wrote; `follower` goes."""
        name = follower.out
        self.remove(follower)
        self.producer.pop(node.out, None)
        node.outputs["Out"] = [name]
        self.producer[name] = node

    def redirect(self, old: str, new: str) -> None:
        """Every reader of `old` reads `new`."""
        for node in {id(n): n for n in self.users.pop(old, [])}.values():
            for slot, names in node.inputs.items():
                count = names.count(old)
                node.inputs[slot] = [new if name == old else name for name in names]
                self.users.setdefault(new, []).extend([node] * count)

    def constant(self, base: str, data: np.ndarray) -> str:
        return self.graph.constant(base, data).name

    def close(self) -> Graph:
        """Drop removed nodes; call once at the end."""
        self.graph.nodes = [node for node in self.graph.nodes if id(node) not in self.removed]
        return self.graph

    def _drop_use(self, name: str, node: Node) -> None:
        users = self.users.get(name, [])
        for i, user in enumerate(users):
            if user is node:
                del users[i]
                return
