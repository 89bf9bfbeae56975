"""The network in Paddle, for inference only: the same plan, weights carried over from PyTorch.

The auxiliary maps are left out and the sigmoids are in: heatmaps [N,4,72,72] and presence [N,1] are
probabilities.
"""

from __future__ import annotations

import numpy as np
import paddle
import torch
from paddle import nn

from training.document_corners.network import HIDDEN, PAD, PLAN, STEM, TAPS, WIDTH, Corners

ACTS = {"relu": nn.ReLU, "hard_swish": nn.Hardswish}


def unit(
    i: int, o: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: str = "", pad: int = 0
) -> nn.Sequential:
    conv = nn.Conv2D(i, o, kernel, stride, kernel // 2 + pad, groups=groups, bias_attr=False)
    return nn.Sequential(conv, nn.BatchNorm2D(o), *([ACTS[act]()] if act else []))


class Inverted(nn.Layer):
    def __init__(self, i: int, kernel: int, wide: int, o: int, stride: int, act: str) -> None:
        super().__init__()
        self.expand = unit(i, wide, act=act)
        self.depth = unit(wide, wide, kernel, stride, wide, act)
        self.reduce = unit(wide, o)
        self.skip = stride == 1 and i == o

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = self.reduce(self.depth(self.expand(x)))
        return x + y if self.skip else y


class Smooth(nn.Layer):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.depth = unit(width, width, 5, 1, width, "hard_swish")
        self.point = unit(width, width, act="hard_swish")

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.point(self.depth(x))


class PaddleCorners(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.stem = unit(3, STEM, 3, 2, act="hard_swish", pad=PAD)
        channels, body = STEM, {}
        for name, kernel, wide, out, stride, act in PLAN:
            body[name] = Inverted(channels, kernel, wide, out, stride, act)
            channels = out
        self.body = nn.LayerDict(body)
        self.lateral = nn.LayerDict({name: unit(width, WIDTH) for name, width in TAPS.items()})
        self.smooth = nn.LayerDict({name: Smooth(WIDTH) for name in TAPS if name != "b12"})
        self.last = Smooth(WIDTH)
        self.maps = nn.Conv2D(WIDTH, 4, 1)
        self.hidden = nn.Linear(channels, HIDDEN)
        self.presence = nn.Linear(HIDDEN, 1)
        self.pool, self.act = nn.AdaptiveAvgPool2D(1), nn.Hardswish()
        self.up = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, image: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        x, taps = self.stem(image), {}
        for name, block in self.body.items():
            x = block(x)
            if name in TAPS:
                taps[name] = x
        present = self.presence(self.act(self.hidden(paddle.flatten(self.pool(x), 1))))
        y = self.lateral["b12"](x)
        for name in ("b9", "b5", "b2"):
            y = self.smooth[name](self.lateral[name](taps[name]) + self.up(y))
        return nn.functional.sigmoid(self.maps(self.last(y))), nn.functional.sigmoid(present)


def carried_over(model: Corners) -> PaddleCorners:
    """The twin with the weights of a PyTorch network; every one of its parameters must be found there."""
    theirs = model.state_dict()
    twin = PaddleCorners()
    state = {}
    for name, value in twin.state_dict().items():
        source = name.replace("._mean", ".running_mean").replace("._variance", ".running_var")
        array = theirs[source].detach().cpu().numpy()
        array = array.T if source in ("hidden.weight", "presence.weight") else array  # Paddle keeps [in, out]
        if list(array.shape) != list(value.shape):
            raise ValueError(f"{name}: PyTorch has shape {list(array.shape)}, Paddle {list(value.shape)}")
        state[name] = np.ascontiguousarray(array)
    twin.set_state_dict(state)
    twin.eval()
    return twin


def worst_difference(model: Corners, twin: PaddleCorners, images: np.ndarray) -> float:
    """Largest absolute difference of the probabilities of both networks on images [n,3,256,256]."""
    with torch.no_grad():
        maps, present, _ = model.eval()(torch.from_numpy(images))
    with paddle.no_grad():
        heat, there = twin(paddle.to_tensor(images))
    pairs = ((maps.sigmoid().numpy(), heat.numpy()), (present.sigmoid().numpy(), there.numpy()))
    return max(float(np.abs(a - b).max()) for a, b in pairs)
