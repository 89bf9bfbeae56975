"""The corner network in PyTorch; `PLAN` is shared with its Paddle twin (twin.py).

Picture [N,3,256,256] -> heatmaps [N,4,72,72] (TL, TR, BR, BL) and presence [N,1]; logits while training,
probabilities in the twin. The stem pads by 16 pixels more than usual on every side, so that the maps cover the
picture plus a margin of 16/256 and corners slightly outside the frame have a cell. Inverted residuals
(Sandler 2018, Howard 2019) down to stride 32, then a light top-down path to stride 4 (Lin 2017).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

SIDE = 256  # input pixels a side
PAD = 16  # extra padding of the stem: the margin
GRID = (SIDE + 2 * PAD) // 4  # heatmap cells a side
STEM = 16
# (name, kernel, expanded channels, output channels, stride, activation); a skip where shapes allow
PLAN = (
    ("b1", 3, 48, 24, 2, "relu"),
    ("b2", 3, 72, 24, 1, "relu"),
    ("b3", 5, 72, 40, 2, "hard_swish"),
    ("b4", 5, 144, 40, 1, "hard_swish"),
    ("b5", 5, 144, 40, 1, "hard_swish"),
    ("b6", 5, 192, 64, 2, "hard_swish"),
    ("b7", 5, 224, 64, 1, "hard_swish"),
    ("b8", 5, 224, 64, 1, "hard_swish"),
    ("b9", 5, 224, 64, 1, "hard_swish"),
    ("b10", 5, 320, 96, 2, "hard_swish"),
    ("b11", 5, 368, 96, 1, "hard_swish"),
    ("b12", 5, 368, 96, 1, "hard_swish"),
)
TAPS = {"b2": 24, "b5": 40, "b9": 64, "b12": 96}  # stride 4, 8, 16, 32
WIDTH = 56  # channels of the top-down path
HIDDEN = 48  # presence head


class Unit(nn.Sequential):
    """conv + batch norm + activation."""

    def __init__(
        self, i: int, o: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: str = "", pad: int = 0
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(i, o, kernel, stride, kernel // 2 + pad, groups=groups, bias=False),
            nn.BatchNorm2d(o),
        ]
        if act:
            layers.append(nn.ReLU() if act == "relu" else nn.Hardswish())
        super().__init__(*layers)


class Inverted(nn.Module):
    def __init__(self, i: int, kernel: int, wide: int, o: int, stride: int, act: str) -> None:
        super().__init__()
        self.expand = Unit(i, wide, act=act)
        self.depth = Unit(wide, wide, kernel, stride, wide, act)
        self.reduce = Unit(wide, o)
        self.skip = stride == 1 and i == o

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.reduce(self.depth(self.expand(x)))
        return x + y if self.skip else y


class Smooth(nn.Module):
    """Depthwise 5×5, then pointwise."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depth = Unit(width, width, 5, 1, width, "hard_swish")
        self.point = Unit(width, width, act="hard_swish")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.point(self.depth(x))


class Corners(nn.Module):
    """forward gives logits: heatmaps, presence and, for training only, mask and edge maps at stride 4."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Unit(3, STEM, 3, 2, act="hard_swish", pad=PAD)
        channels = STEM
        self.body = nn.ModuleDict()
        for name, kernel, wide, out, stride, act in PLAN:
            self.body[name] = Inverted(channels, kernel, wide, out, stride, act)
            channels = out
        self.lateral = nn.ModuleDict({name: Unit(width, WIDTH) for name, width in TAPS.items()})
        self.smooth = nn.ModuleDict({name: Smooth(WIDTH) for name in TAPS if name != "b12"})
        self.last = Smooth(WIDTH)
        self.maps = nn.Conv2d(WIDTH, 4, 1)
        self.hidden = nn.Linear(channels, HIDDEN)
        self.presence = nn.Linear(HIDDEN, 1)
        self.extra = nn.Conv2d(WIDTH, 2, 1)
        nn.init.constant_(self.maps.bias, -5.0)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, taps = self.stem(image), {}
        for name, block in self.body.items():
            x = block(x)
            if name in TAPS:
                taps[name] = x
        present = self.presence(F.hardswish(self.hidden(x.mean((2, 3)))))
        y = self.lateral["b12"](x)
        for name in ("b9", "b5", "b2"):
            up = F.interpolate(y, scale_factor=2, mode="nearest")
            y = self.smooth[name](self.lateral[name](taps[name]) + up)
        y = self.last(y)
        return self.maps(y), present, self.extra(y)


def inference_parameters(model: Corners) -> int:
    """Numbers in the shipped model, batch norms folded."""
    total = 0
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            total += module.weight.numel() + module.out_channels
        elif isinstance(module, nn.Linear):
            total += module.weight.numel() + module.out_features
    return total - sum(p.numel() for p in model.extra.parameters())


def multiply_adds(model: Corners) -> int:
    """Multiply-adds of one picture, convolutions only."""
    total = 0

    def count(module: nn.Conv2d, _: object, output: torch.Tensor) -> None:
        nonlocal total
        total += output[0].numel() * module.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, SIDE, SIDE))
    for hook in hooks:
        hook.remove()
    return total
