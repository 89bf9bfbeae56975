# ruff: noqa: B905 — Paddle traces these functions, and its zip knows no `strict`
"""The networks that are compared, in Paddle, with seeded weights: after PaddleClas, PaddleOCR and PaddleDetection.

Batch norms see some noise first, so that activations keep their range through the depth. Weights are random: no answer
means anything, but every engine has to give the same one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

Shape = tuple[int, ...]
Row = tuple[int, int, int, bool, str, Any]
"""Of MobileNetV3: kernel, expanded channels, channels out, squeeze and excite, activation, stride."""
NOISY_RUNS = 4

LARGE: tuple[Row, ...] = (
    (3, 16, 16, False, "relu", 1), (3, 64, 24, False, "relu", 2), (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2), (5, 120, 40, True, "relu", 1), (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hardswish", 2), (3, 200, 80, False, "hardswish", 1), (3, 184, 80, False, "hardswish", 1),
    (3, 184, 80, False, "hardswish", 1), (3, 480, 112, True, "hardswish", 1), (3, 672, 112, True, "hardswish", 1),
    (5, 672, 160, True, "hardswish", 2), (5, 960, 160, True, "hardswish", 1), (5, 960, 160, True, "hardswish", 1),
)  # fmt: skip
SMALL_FOR_LINES: tuple[Row, ...] = (
    (3, 16, 16, True, "relu", (1, 1)), (3, 72, 24, False, "relu", (2, 1)), (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hardswish", (2, 1)), (5, 240, 40, True, "hardswish", 1), (5, 240, 40, True, "hardswish", 1),
    (5, 120, 48, True, "hardswish", 1), (5, 144, 48, True, "hardswish", 1), (5, 288, 96, True, "hardswish", (2, 1)),
    (5, 576, 96, True, "hardswish", 1), (5, 576, 96, True, "hardswish", 1),
)  # fmt: skip
LCNET = (
    (3, 32, 1, False), (3, 64, 2, False), (3, 64, 1, False), (3, 128, 2, False), (3, 128, 1, False), (3, 256, 2, False),
    *((5, 256, 1, False) for _ in range(5)), (5, 512, 2, True), (5, 512, 1, True),
)  # fmt: skip
"""Of PP-LCNet: kernel, channels out, stride, squeeze and excite."""
LINES = (
    (3, 64, 1, False), (3, 128, 1, False), (3, 128, 1, False), (3, 256, (2, 1), False), (3, 256, 1, False),
    (3, 512, (2, 1), False), *((5, 512, 1, False) for _ in range(5)), (5, 1024, (2, 1), True), (5, 1024, (1, 2), True),
)  # fmt: skip
"""Of MobileNetV1Enhance, PP-OCRv3's body for lines of text: the same columns."""


def eights(channels: float) -> int:
    """The nearest multiple of eight, not much below."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class Conv(nn.Layer):
    """Convolution, batch norm, activation."""

    def __init__(self, c: int, out: int, k: int = 1, stride: Any = 1, groups: int = 1, act: str | None = None) -> None:
        super().__init__()
        self.conv = nn.Conv2D(c, out, k, stride, k // 2, groups=groups, bias_attr=False)
        self.norm = nn.BatchNorm2D(out)
        self.act = act

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = self.norm(self.conv(x))
        return getattr(F, self.act)(y) if self.act else y


class Squeeze(nn.Layer):
    """Squeeze and excite."""

    def __init__(self, c: int, reduction: int = 4) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2D(c, c // reduction, 1), nn.Conv2D(c // reduction, c, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))
        return x * F.hardsigmoid(self.up(y))


class Residual(nn.Layer):
    """MobileNetV3's block."""

    def __init__(self, c: int, row: Row, scale: float, squeeze: bool) -> None:
        super().__init__()
        k, wide, out, excite, act, stride = row
        wide, out = eights(wide * scale), eights(out * scale)
        parts: list[nn.Layer] = [Conv(c, wide, act=act), Conv(wide, wide, k, stride, wide, act)]
        if excite and squeeze:
            parts.append(Squeeze(wide))
        self.body = nn.Sequential(*parts, Conv(wide, out))
        self.adds = stride == 1 and c == out

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return x + self.body(x) if self.adds else self.body(x)


class Separable(nn.Sequential):
    """Depthwise, squeeze and excite, pointwise."""

    def __init__(self, c: int, out: int, k: int, stride: Any, excite: bool, act: str = "hardswish") -> None:
        middle = [Squeeze(c)] if excite else []
        super().__init__(Conv(c, c, k, stride, c, act), *middle, Conv(c, out, act=act))


class LCNet(nn.Layer):
    """PP-LCNet's body; `features` are what each stage of stride 8, 16 and 32 ends with."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        c = eights(16 * scale)
        self.stem = Conv(3, c, 3, 2, act="hardswish")
        self.blocks, self.strides = nn.LayerList(), [stride for _, _, stride, _ in LCNET]
        for k, out, stride, excite in LCNET:
            self.blocks.append(Separable(c, eights(out * scale), k, stride, excite))
            c = eights(out * scale)

    def features(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        found, x = [], self.stem(x)
        for block, stride in zip(self.blocks, self.strides):
            if stride == 2:
                found.append(x)
            x = block(x)
        return [*found[2:], x]


class Classifier(nn.Layer):
    """PP-LCNet x1.0."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.last, self.fc = LCNet(1.0), nn.Conv2D(512, 1280, 1, bias_attr=False), nn.Linear(1280, 1000)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = F.hardswish(self.last(F.adaptive_avg_pool2d(self.body.features(x)[-1], 1)))
        return F.softmax(self.fc(paddle.flatten(y, 1)))


class Side(nn.Layer):
    """A convolution and what squeeze and excite makes of it, added: RSE-FPN's layer."""

    def __init__(self, c: int, out: int, k: int) -> None:
        super().__init__()
        self.conv, self.squeeze = nn.Conv2D(c, out, k, padding=k // 2, bias_attr=False), Squeeze(out)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = self.conv(x)
        return y + self.squeeze(y)


class Detector(nn.Layer):
    """PP-OCRv3's text detector: MobileNetV3-large x0.5 without excitation, RSE-FPN of 96 channels, DB's head."""

    def __init__(self) -> None:
        super().__init__()
        c = 8
        self.stem, self.blocks, taps = Conv(3, c, 3, 2, act="hardswish"), nn.LayerList(), []
        for row in LARGE:
            if row[-1] == 2:
                taps.append(c)
            self.blocks.append(Residual(c, row, 0.5, squeeze=False))
            c = eights(row[2] * 0.5)
        self.last = Conv(c, 480, act="hardswish")
        self.sides = nn.LayerList([Side(tap, 96, 1) for tap in (*taps[1:], 480)])
        self.smooth = nn.LayerList([Side(96, 24, 3) for _ in range(4)])
        self.head = Conv(96, 24, 3, act="relu")
        self.up, self.norm = nn.Conv2DTranspose(24, 24, 2, 2), nn.BatchNorm2D(24)
        self.out = nn.Conv2DTranspose(24, 1, 2, 2)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        found, x = [], self.stem(x)
        for block, row in zip(self.blocks, LARGE):
            if row[-1] == 2:
                found.append(x)
            x = block(x)
        sides = [side(t) for side, t in zip(self.sides, [*found[1:], self.last(x)])]
        for i in (2, 1, 0):
            sides[i] = sides[i] + F.interpolate(sides[i + 1], scale_factor=2)
        smooth = [layer(t) for layer, t in zip(self.smooth, sides)]
        grown = [F.interpolate(t, scale_factor=2**i) if i else t for i, t in enumerate(smooth)]
        y = self.head(paddle.concat(grown[::-1], 1))
        return F.sigmoid(self.out(F.relu(self.norm(self.up(y)))))


class CRNN(nn.Layer):
    """PP-OCR's first recogniser: MobileNetV3-small x0.5 for lines, two bidirectional LSTMs of 48, CTC over 97 signs."""

    def __init__(self) -> None:
        super().__init__()
        c, parts = 8, [Conv(3, 8, 3, 2, act="hardswish")]
        for row in SMALL_FOR_LINES:
            parts.append(Residual(c, row, 0.5, squeeze=True))
            c = eights(row[2] * 0.5)
        self.body = nn.Sequential(*parts, Conv(c, 288, act="hardswish"), nn.MaxPool2D(2, 2))
        self.rnn = nn.LSTM(288, 48, num_layers=2, direction="bidirect")
        self.fc = nn.Linear(96, 97)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = paddle.transpose(paddle.squeeze(self.body(x), 2), [0, 2, 1])
        return F.softmax(self.fc(self.rnn(y)[0]), -1)


class Mixer(nn.Layer):
    """SVTR's block: attention over all places, then a small perceptron."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.norms = nn.LayerList([nn.LayerNorm(dim, epsilon=1e-5) for _ in range(2)])
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        each = self.dim // self.heads
        qkv = self.qkv(self.norms[0](x)).reshape([0, -1, 3, self.heads, each])
        q, k, v = qkv.transpose([2, 0, 3, 1, 4]).unbind(0)
        weights = F.softmax(paddle.matmul(q * each**-0.5, k.transpose([0, 1, 3, 2])))
        x = x + self.proj(paddle.matmul(weights, v).transpose([0, 2, 1, 3]).reshape([0, -1, self.dim]))
        return x + self.down(F.swish(self.up(self.norms[1](x))))


class SVTR(nn.Layer):
    """PP-OCRv3's recogniser: MobileNetV1Enhance x0.5, two mixers of 120, CTC over 6625 signs."""

    def __init__(self) -> None:
        super().__init__()
        c, parts = 16, [Conv(3, 16, 3, 2, act="hardswish")]
        for k, out, stride, excite in LINES:
            parts.append(Separable(c, out // 2, k, stride, excite))
            c = out // 2
        self.body = nn.Sequential(*parts, nn.AvgPool2D(2, 2))
        self.narrow = nn.Sequential(Conv(c, c // 8, 3, act="swish"), Conv(c // 8, 120, act="swish"))
        self.mixers, self.norm = nn.Sequential(Mixer(120, 8), Mixer(120, 8)), nn.LayerNorm(120, epsilon=1e-6)
        self.wide = Conv(120, c, act="swish")
        self.join = nn.Sequential(Conv(2 * c, c // 8, 3, act="swish"), Conv(c // 8, 64, act="swish"))
        self.fc = nn.Linear(64, 6625)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        h = self.body(x)
        y = self.narrow(h)
        height, width = y.shape[2:]
        z = self.norm(self.mixers(y.flatten(2).transpose([0, 2, 1])))
        z = z.reshape([0, height, width, 120]).transpose([0, 3, 1, 2])
        z = self.join(paddle.concat([h, self.wide(z)], 1))
        return F.softmax(self.fc(paddle.squeeze(z, 2).transpose([0, 2, 1])), -1)


class CSP(nn.Layer):
    """PicoDet's cross-stage layer with one depthwise block."""

    def __init__(self, c: int, out: int) -> None:
        super().__init__()
        half = out // 2
        self.main, self.short = Conv(c, half, act="hardswish"), Conv(c, half, act="hardswish")
        self.block = nn.Sequential(Conv(half, half, act="hardswish"), Separable(half, half, 5, 1, False))
        self.last = Conv(out, out, act="hardswish")

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.last(paddle.concat([self.block(self.main(x)), self.short(x)], 1))


class PicoDet(nn.Layer):
    """PicoDet-S but for its last boxes: LCNet x0.75, CSP-PAN of 96, four levels; 80 classes, 32 numbers a box."""

    def __init__(self) -> None:
        super().__init__()
        self.body, n = LCNet(0.75), 96
        self.inputs = nn.LayerList([Conv(c, n, act="hardswish") for c in (96, 192, 384)])
        self.down_merge = nn.LayerList([CSP(2 * n, n) for _ in range(2)])
        self.downs = nn.LayerList([Separable(n, n, 5, 2, False) for _ in range(2)])
        self.up_merge = nn.LayerList([CSP(2 * n, n) for _ in range(2)])
        self.far = nn.LayerList([Separable(n, n, 5, 2, False) for _ in range(2)])
        self.towers = nn.LayerList([
            nn.Sequential(Separable(n, n, 5, 1, False), Separable(n, n, 5, 1, False), Squeeze(n)) for _ in range(4)
        ])  # fmt: skip
        self.classes = nn.LayerList([nn.Conv2D(n, 80, 1) for _ in range(4)])
        self.boxes = nn.LayerList([nn.Conv2D(n, 32, 1) for _ in range(4)])

    def levels(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        near, middle, deep = (conv(t) for conv, t in zip(self.inputs, self.body.features(x)))
        middle2 = self.down_merge[0](paddle.concat([F.interpolate(deep, scale_factor=2), middle], 1))
        near2 = self.down_merge[1](paddle.concat([F.interpolate(middle2, scale_factor=2), near], 1))
        middle3 = self.up_merge[0](paddle.concat([self.downs[0](near2), middle2], 1))
        deep3 = self.up_merge[1](paddle.concat([self.downs[1](middle3), deep], 1))
        return [near2, middle3, deep3, self.far[0](deep) + self.far[1](deep3)]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        found = []
        for level, tower, classes, boxes in zip(self.levels(x), self.towers, self.classes, self.boxes):
            y = tower(level)
            found.append(paddle.concat([F.sigmoid(classes(y)), boxes(y)], 1).flatten(2).transpose([0, 2, 1]))
        return paddle.concat(found, 1)


@dataclass(frozen=True)
class Net:
    """One network: how it is made, the sizes of its input, and its name for people."""

    make: Callable[[], nn.Layer]
    shape: Shape
    title: str


NETS = {
    "mobilenet_v2": Net(paddle.vision.models.mobilenet_v2, (1, 3, 224, 224), "MobileNetV2, 224²"),
    "mobilenet_v3_small": Net(paddle.vision.models.mobilenet_v3_small, (1, 3, 224, 224), "MobileNetV3-small, 224²"),
    "pplcnet_x1_0": Net(Classifier, (1, 3, 224, 224), "PP-LCNet x1.0, 224²"),
    "db_256": Net(Detector, (1, 3, 256, 256), "PP-OCR text detector (DB), 256²"),
    "db_320": Net(Detector, (1, 3, 320, 320), "PP-OCR text detector (DB), 320²"),
    "db_640": Net(Detector, (1, 3, 640, 640), "PP-OCR text detector (DB), 640²"),
    "crnn": Net(CRNN, (1, 3, 32, 320), "PP-OCR recogniser (CRNN), 32×320"),
    "svtr": Net(SVTR, (1, 3, 48, 320), "PP-OCR recogniser (SVTR), 48×320"),
    "picodet_s_192": Net(PicoDet, (1, 3, 192, 192), "PicoDet-S, 192²"),
}


def build(net: Net) -> nn.Layer:
    """The network in its state of inference, the same weights every time."""
    paddle.seed(7)
    layer = net.make()
    layer.train()
    small = (4, 3, *(min(side, 128) for side in net.shape[2:]))
    for seed in range(NOISY_RUNS):
        layer(paddle.to_tensor(noise(small, seed)))
    layer.eval()
    return layer


def noise(shape: Shape, seed: int) -> np.ndarray:
    """Normal noise, float32."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
