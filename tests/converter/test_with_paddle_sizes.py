"""What Paddle exports with open sizes, run at several of them in the real runtime and compared with Paddle."""

import json
import warnings

import numpy as np
import pytest

from converter import convert, with_paddle
from converter.convert import optimise
from converter.executor import Executor, Runtime
from converter.ops import evaluate
from converter.passes import relax
from converter.read import read
from converter.verify import compare, verify

pytestmark = pytest.mark.filterwarnings("ignore")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import paddle
    import paddle.nn.functional as F

ROWS, PICTURE, TEXT = [None, None, 2, 4], [None, 3, None, None], [None, None]
A, B = ("a", ROWS, "float32"), ("b", ROWS, "float32")


class Call(paddle.nn.Layer):
    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, paddle.nn.LayerList(layers)

    def forward(self, a, b=None, c=None):
        return self.function(*(given for given in (a, b, c) if given is not None), *self.layers)


def einsum(equation):
    return lambda a, b: paddle.einsum(equation, a, b)


def last_state(text, lengths, table, cell):
    """As text classifiers do: lengths are int64, and what lies behind them is not read."""
    _, state = cell(table(text), sequence_length=lengths)
    return state[0] if isinstance(state, tuple) else state


def texts(*shape):
    return np.random.default_rng(3).integers(0, 9, shape)


# Function, its layers, inputs, and the feeds: shapes, or arrays.
CASES = {
    "einsum_attention": (einsum("bthd,bshd->bhts"), [], [A, B], [[(1, 3, 2, 4), (1, 5, 2, 4)],
                                                                  [(2, 4, 2, 4), (2, 2, 2, 4)]]),
    "einsum_several_summed": (einsum("bthd,bshd->bts"), [], [A, B], [[(2, 3, 2, 4), (2, 5, 2, 4)]]),
    "einsum_several_columns": (einsum("athd,bshd->tasb"), [], [A, B], [[(2, 3, 2, 4), (3, 5, 2, 4)]]),
    "einsum_one_number": (einsum("bthd,bthd->"), [], [A, B], [[(2, 3, 2, 4), (2, 3, 2, 4)]]),
    "einsum_outer": (einsum("bthd,bshe->bhts"), [], [A, B], [[(2, 3, 2, 4), (2, 5, 2, 4)]]),
    "einsum_product": (einsum("bthd,bthd->dhtb"), [], [A, B], [[(2, 3, 2, 4), (2, 3, 2, 4)]]),
    "einsum_ellipsis": (lambda a, b: paddle.einsum("...hd,...kd->...hk", a, b), [], [A, B],
                        [[(2, 3, 2, 4), (2, 3, 2, 4)]]),
    "einsum_of_one": (lambda a: paddle.einsum("bthd->dbt", a), [], [A], [[(2, 3, 2, 4)]]),
    "masked": (lambda a, m: paddle.masked_fill(a, m, -10.0), [], [A, ("m", [None, None, 1, 1], "bool")],
               [[(2, 3, 2, 4), np.array([[[[True]]] * 3, [[[False]]] * 3])]]),
    "pool_to_the_size_of_another": (lambda a, b: F.adaptive_avg_pool2d(a, paddle.shape(b)[2:]) + b, [],
                                    [("a", PICTURE, "float32"), ("b", PICTURE, "float32")],
                                    [[(1, 3, 8, 9), (1, 3, 4, 3)], [(2, 3, 10, 7), (2, 3, 3, 5)]]),
    "norm_without_weights": (lambda a, norm: norm(a), [paddle.nn.BatchNorm2D(3, weight_attr=False, bias_attr=False)],
                             [("a", PICTURE, "float32")], [[(2, 3, 4, 5)]]),
    "a_number_alone": (lambda a, k: a * k, [], [A, ("k", [], "float32")], [[(1, 2, 2, 4), np.array(0.5)]]),
    "text_lengths": (last_state, [paddle.nn.Embedding(9, 4), paddle.nn.LSTM(4, 3, direction="bidirect")],
                     [("text", TEXT, "int64"), ("lengths", [None], "int64")],
                     [[texts(1, 5), np.array([4])], [texts(3, 7), np.array([7, 1, 3])]]),
}  # fmt: skip


@pytest.fixture(scope="module")
def runtime():
    with Runtime() as runtime:
        yield runtime


def feed(info, given):
    name, _, dtype = info
    made = given if isinstance(given, np.ndarray) else np.random.default_rng(len(name)).standard_normal(given)
    return made.astype(dtype)


@pytest.mark.parametrize("name", CASES)
def test_any_size_gives_what_paddle_gives(name, runtime):
    function, layers, inputs, feeds = CASES[name]
    net = Call(function, *layers)
    net.eval()
    spec = [paddle.static.InputSpec(shape, dtype, name=title) for title, shape, dtype in inputs]
    with with_paddle.exported(net, spec) as folder:
        graph = optimise(relax.run(read(folder)), "web")
    with Executor(graph, graph.outputs, runtime) as run:
        for given in feeds:
            arrays = [feed(info, one) for info, one in zip(inputs, given, strict=True)]
            expected = dict(zip(graph.outputs, [net(*map(paddle.to_tensor, arrays)).numpy()], strict=True))
            named = {title: array for (title, _, _), array in zip(inputs, arrays, strict=True)}
            for engine, outputs in (("web", run(named)), ("numpy", evaluate(graph, named))):
                assert [check for check in compare(outputs, expected, engine, 1e-5) if not check.passed] == []


def test_whole_numbers_that_are_known_can_be_results(runtime):
    """As detectors with a fixed batch end: how many boxes there are is known."""
    net = Call(lambda a: (a + 1, paddle.full([1], 6, "int32"), paddle.full([2], 7, "int64") * 2))
    with with_paddle.exported(net, [paddle.static.InputSpec(ROWS, "float32", "a")]) as folder:
        graph = optimise(relax.run(read(folder)), "web")
    with Executor(graph, graph.outputs, runtime) as run:
        made = list(run({"a": np.zeros((1, 1, 2, 4), np.float32)}).values())
    assert [(part.dtype.name, part.tolist()) for part in made[1:]] == [("int32", [6]), ("int64", [14, 14])]


def test_a_model_without_weights_is_compared_with_paddle(tmp_path):
    net = Call(lambda a: a * 2 + 1)
    paddle.jit.save(net, str(tmp_path / "saved" / "inference"),
                    input_spec=[paddle.static.InputSpec(ROWS, "float32", "a")])
    assert not (tmp_path / "saved" / "inference.pdiparams").exists()
    convert(tmp_path / "saved", tmp_path / "b", verify=False)
    checks, notes = verify(tmp_path / "b", tmp_path / "saved")
    assert notes[0] == "compared with Paddle" and all(check.error < 1e-6 for check in checks)
    assert json.loads((tmp_path / "b" / "model.json").read_text())["chunkNum"] == 0
