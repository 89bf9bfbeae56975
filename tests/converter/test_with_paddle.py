"""Against Paddle itself: a Layer converts, and programs that Paddle writes read as Paddle runs them."""

import warnings

import numpy as np
import pytest

from converter import ConvertError, convert, with_paddle
from converter.ops import evaluate
from converter.read import read
from converter.verify import compare, verify

pytestmark = pytest.mark.filterwarnings("ignore")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import paddle
    import paddle.nn.functional as F

SPEC = [paddle.static.InputSpec([None, 4, None, None], "float32", name="x")]

# What exporters write for common calls; x is [1, 4, 6, 10].
CALLS = {
    "clip": lambda x: paddle.clip(x, -float("inf"), 0.5),
    "power": lambda x: paddle.exp(x) ** 2.5,
    "scalar_arithmetic": lambda x: (2 * x + 1) / 3 - 4,
    "resize_to_size": lambda x: F.interpolate(x, size=[8, 9], mode="bilinear"),
    "resize_to_the_size_of_another": lambda x: F.interpolate(x[:, :, ::2], size=paddle.shape(x)[2:], mode="nearest"),
    "resize_by_factor": lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
    "means": lambda x: x.mean([2, 3], keepdim=True) + x.mean(),
    "sum_max_prod": lambda x: x.sum(1) + x.max(1) + x.prod(1),
    "arg_max": lambda x: paddle.argmax(x, 1),
    "pad": lambda x: F.pad(x, [1, 2, 3, 0], mode="reflect"),
    "gather": lambda x: paddle.gather(x, paddle.to_tensor([2, 0]), axis=1),
    "slices": lambda x: x[:, 1:3, ::2, -1],
    "tile_and_expand": lambda x: paddle.expand(paddle.tile(x, [1, 2, 1, 1]), [1, 8, -1, -1]),
    "reshape_by_shape": lambda x: x.reshape([paddle.shape(x)[0], 2, -1]),
    "fill_by_shape": lambda x: paddle.zeros([paddle.shape(x)[0], 3]) + 1,
    "pools": lambda x: F.adaptive_avg_pool2d(x, 3) + F.adaptive_max_pool2d(x, 3),
    "max_pool_with_index": lambda x: F.max_pool2d(x, 2, return_mask=True)[0],
    "unbind": lambda x: paddle.unbind(x, 1)[1],
    "chunks": lambda x: paddle.concat(paddle.split(x, [1, -1], 1)[::-1], 1),
    "squeezes": lambda x: paddle.squeeze(x.mean([2, 3], keepdim=True), [2, 3]).unsqueeze(0),
    "matrices": lambda x: paddle.bmm(x[0], x[0].transpose([0, 2, 1])),
    "average_pool": lambda x: F.avg_pool2d(x, 3, 1, 1),
    "dropout": lambda x: F.dropout(x, 0.5, training=False),
    "activations": lambda x: F.relu6(x) + F.hardswish(x) + F.swish(x) + F.elu(x) + F.leaky_relu(x) + F.hardtanh(x),
    "gated": lambda x: F.glu(x, 1),
    "flatten_softmax": lambda x: F.log_softmax(paddle.flatten(x, 1)),
    "comparison": lambda x: paddle.cast(paddle.logical_not(x > 0), "int32"),
    "add_n": lambda x: paddle.add_n([x, x, x]),
    "stack": lambda x: paddle.stack([x, x], 1),
    "index_select": lambda x: paddle.index_select(x, paddle.to_tensor([1, 3]), 1),
}


class Call(paddle.nn.Layer):
    """One function as a Layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("name", CALLS)
def test_what_paddle_exports_is_read_as_paddle_runs_it(name):
    with with_paddle.exported(Call(CALLS[name]), SPEC) as folder:
        graph = read(folder)
        x = np.random.default_rng(0).standard_normal((1, 4, 6, 10)).astype(np.float32)
        found = evaluate(graph, {"x": x})
    expected = {graph.outputs[0]: Call(CALLS[name])(paddle.to_tensor(x)).numpy()}
    assert all(check.passed for check in compare(found, expected, "numpy", 1e-5)), name


class Net(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.conv = paddle.nn.Conv2D(4, 8, 3, padding=1)
        self.norm = paddle.nn.BatchNorm2D(8)
        self.up = paddle.nn.Conv2DTranspose(8, 3, 2, stride=2)

    def forward(self, x):
        return paddle.nn.functional.sigmoid(self.up(F.relu(self.norm(self.conv(x)))))


def test_a_layer_converts_and_is_verified_with_paddle(tmp_path):
    net = Net()
    report = convert(net, tmp_path / "b", input_spec=SPEC, input_shapes={"x": (1, 4, 12, 20)})
    assert report.worst.passed and net.training and (tmp_path / "b" / "model.json").is_file()
    net.eval()
    paddle.jit.save(net, str(tmp_path / "saved" / "inference"), input_spec=SPEC)
    checks, notes = verify(tmp_path / "b", tmp_path / "saved", input_shapes={"x": (2, 4, 8, 8)})
    assert notes[0] == "compared with Paddle" and all(check.error < 1e-4 for check in checks)


@pytest.mark.parametrize("source, spec, message", [
    (Net(), None, "a Layer needs its input_spec"),
    (42, SPEC, "expected a path or a paddle.nn.Layer, got int"),
    (Call(lambda x: x.no_such_method()), SPEC, "Paddle cannot export this Layer"),
])  # fmt: skip
def test_layers_that_cannot_be_exported(tmp_path, source, spec, message):
    with pytest.raises(ConvertError, match=message):
        convert(source, tmp_path / "b", input_spec=spec)
    assert list(tmp_path.iterdir()) == []
