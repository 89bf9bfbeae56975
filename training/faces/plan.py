"""Networks as lists of steps, written once and built twice: in PyTorch to train, in Paddle to ship (twin.py).

A step names its inputs; `Plan` keeps channel counts and refuses what does not fit. Only what the runtime does
cheaply is offered: convolution with batch norm and activation, addition, nearest upsampling, global mean, fully
connected layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Step:
    """op: conv, add, up, mean, flat, linear. args are the layer's numbers; norm and act belong to conv and linear."""

    name: str
    op: str
    inputs: tuple[str, ...]
    args: tuple[int, ...] = ()  # conv: in, out, kernel, stride, groups; linear: in, out
    norm: bool = False
    act: str = ""  # "", relu, hard_swish, sigmoid


@dataclass
class Plan:
    """`outputs` maps a result's public name to a step."""

    steps: list[Step] = field(default_factory=list)
    channels: dict[str, int] = field(default_factory=lambda: {"image": 3})
    outputs: dict[str, str] = field(default_factory=dict)

    def _append(self, step: Step, channels: int) -> str:
        if step.name in self.channels:
            raise ValueError(f"two steps are called {step.name}")
        self.steps.append(step)
        self.channels[step.name] = channels
        return step.name

    def conv(
        self,
        name: str,
        x: str,
        out: int,
        kernel: int = 1,
        stride: int = 1,
        act: str = "relu",
        depthwise: bool = False,
        norm: bool = True,
    ) -> str:
        width = self.channels[x]
        args = (width, out, kernel, stride, width if depthwise else 1)
        return self._append(Step(name, "conv", (x,), args, norm, act), out)

    def depth(self, name: str, x: str, kernel: int = 3, stride: int = 1, act: str = "") -> str:
        return self.conv(name, x, self.channels[x], kernel, stride, act, depthwise=True)

    def separable(self, name: str, x: str, out: int, kernel: int = 3, stride: int = 1, act: str = "relu") -> str:
        """Depthwise, then pointwise; a skip where shapes allow."""
        y = self.conv(f"{name}_p", self.depth(f"{name}_d", x, kernel, stride), out, act=act)
        return self.add(f"{name}_s", x, y) if stride == 1 and out == self.channels[x] else y

    def inverted(self, name: str, x: str, wide: int, out: int, kernel: int, stride: int, act: str) -> str:
        """Sandler 2018: expand, depthwise, project."""
        y = self.depth(f"{name}_d", self.conv(f"{name}_e", x, wide, act=act), kernel, stride, act)
        y = self.conv(f"{name}_p", y, out, act="")
        return self.add(f"{name}_s", x, y) if stride == 1 and out == self.channels[x] else y

    def add(self, name: str, a: str, b: str) -> str:
        if self.channels[a] != self.channels[b]:
            raise ValueError(f"{name} adds {self.channels[a]} channels to {self.channels[b]}")
        return self._append(Step(name, "add", (a, b)), self.channels[a])

    def up(self, name: str, x: str) -> str:
        return self._append(Step(name, "up", (x,)), self.channels[x])

    def mean(self, name: str, x: str) -> str:
        return self._append(Step(name, "mean", (x,)), self.channels[x])

    def flat(self, name: str, x: str, cells: int) -> str:
        return self._append(Step(name, "flat", (x,)), self.channels[x] * cells)

    def linear(self, name: str, x: str, out: int, act: str = "") -> str:
        return self._append(Step(name, "linear", (x,), (self.channels[x], out), False, act), out)

    def parameters(self) -> int:
        """Numbers in the shipped model, batch norms folded."""
        total = 0
        for step in self.steps:
            if step.op == "conv":
                i, o, kernel, _, groups = step.args
                total += o * (i // groups) * kernel * kernel + o
            elif step.op == "linear":
                total += step.args[0] * step.args[1] + step.args[1]
        return total

    def multiply_adds(self, height: int, width: int) -> int:
        """Of one picture of this size."""
        size, total = {"image": (height, width)}, 0
        for step in self.steps:
            h, w = size[step.inputs[0]]
            if step.op == "conv":
                i, o, kernel, stride, groups = step.args
                h, w = -(-h // stride), -(-w // stride)
                total += h * w * o * (i // groups) * kernel * kernel
            elif step.op == "linear":
                total += step.args[0] * step.args[1]
            elif step.op == "up":
                h, w = 2 * h, 2 * w
            elif step.op in ("mean", "flat"):
                h, w = 1, 1
            size[step.name] = (h, w)
        return total
