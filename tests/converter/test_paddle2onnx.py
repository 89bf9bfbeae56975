"""The road through paddle2onnx: the repair of what it drops, its process, and when it is taken."""

import json
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path

import pytest
from programs import Pir

from converter import convert, targets, with_paddle, with_paddle2onnx
from converter.errors import ConvertError
from converter.paddle2onnx_child import repair
from converter.targets import Options
from converter.write.onnx import Cannot

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import paddle
    import paddle.nn.functional as F

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def no_web(monkeypatch):
    monkeypatch.setattr("converter.verify.web_problem", lambda: "Node is not installed")


# What Paddle 3.3 stores as float64 and paddle2onnx 2.1 then drops.
DROPPED = {
    "leaky_relu": lambda x: F.leaky_relu(x, 0.3),
    "pad3d": lambda x: F.pad(x.unsqueeze(2), [1, 1, 2, 0, 0, 0], value=0.7, data_format="NCDHW"),
    "group_norm": lambda x: F.group_norm(x, 2, epsilon=0.05),
    "nearest_interp": lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
}


class Net(paddle.nn.Layer):
    """Functions of one input, each an output."""

    def __init__(self, *functions):
        super().__init__()
        self.functions = functions

    def forward(self, x):
        return [function(x) for function in self.functions]


@pytest.fixture
def saved():
    """Save functions as Paddle 3 does; the folder goes when the test ends."""
    spec = [paddle.static.InputSpec([None, 4, None, None], "float32", name="x")]
    with ExitStack() as stack:
        yield lambda *functions: stack.enter_context(with_paddle.exported(Net(*functions), spec))


def attributes(program, name: str) -> str:
    """The text of the attributes of every operator of that name."""
    ops = program["program"]["regions"][0]["blocks"][0]["ops"]
    return " ".join(json.dumps(op["A"]) for op in ops if op["#"] == f"1.{name}")


@pytest.mark.parametrize("name", DROPPED)
def test_the_four_dropped_attributes_are_repaired(saved, name):
    program = json.loads((saved(DROPPED[name]) / "inference.json").read_text())
    wide = attributes(program, name).count("0.a_f64")
    others = json.dumps(program).count("0.a_f64") - wide
    assert wide > 0 and repair(program) == wide
    assert attributes(program, name).count("0.a_f32") == wide and "0.a_f64" not in attributes(program, name)
    assert json.dumps(program).count("0.a_f64") == others


def test_with_the_four_attributes_the_numbers_are_right_on_every_road(saved, tmp_path):
    """paddle2onnx too, where it is installed; the model's own file is left alone."""
    folder = saved(*DROPPED.values())
    before = (folder / "inference.json").read_bytes()
    for road in ("graph", "paddle2onnx")[: 1 if with_paddle2onnx.problem() else 2]:
        report = to_onnx(folder, tmp_path / road, onnx_road=road, tolerance=1e-5)
        assert sum(check.passed for check in report.checks if check.engine == "onnx") == 4
    assert (folder / "inference.json").read_bytes() == before


def test_numbers_of_full_are_left_alone():
    full = {"#": "1.full", "A": [{"N": "value", "AT": {"#": "0.a_f64", "D": 2.0}}]}
    assert repair({"ops": [full]}) == 0 and full["A"][0]["AT"]["#"] == "0.a_f64"
    inner = {"#": "1.leaky_relu_", "A": [{"N": "negative_slope", "AT": {"#": "0.a_f64", "D": 0.1}}]}
    assert repair({"regions": [{"#": "r", "blocks": [{"ops": [full, inner]}]}]}) == 1


def to_onnx(model, out, *, tolerance=None, precision="float32", **options):
    return convert(model, out, targets=("web", "onnx"), options=Options(**options), tolerance=tolerance,
                   precision=precision)  # fmt: skip


def program_of(folder: Path, make) -> Path:
    p = Pir()
    p.fetch(make(p, p.data("x", [-1, 4, -1, -1])))
    return p.save(folder / "net")


def leaky_relu(p, x):
    return p.op("leaky_relu", [x], [-1, 4, -1, -1], negative_slope=0.3)


def child(tmp_path: Path, body: str) -> str:
    """A stand-in for the Python that has paddle2onnx."""
    script = tmp_path / "python"
    arguments = "child, program, params, out, opset = sys.argv[1:]"
    script.write_text(f"#!{sys.executable}\nimport sys, shutil\n{arguments}\n{body}\n")
    script.chmod(0o755)
    return str(script)


def cumprod(p, x):
    return p.op("cumprod", [x], [-1, 4, -1, -1], dim=1, exclusive=False, reverse=False)


def test_it_is_asked_where_our_writer_lacks_an_operator(tmp_path):
    python = child(tmp_path, "sys.exit('RuntimeError: Failed, cumprod is not supported')")
    with pytest.raises(Cannot, match=r"(?s)cumprod has no form in ONNX.*paddle2onnx cannot.*cumprod is not supported"):
        to_onnx(program_of(tmp_path, cumprod), tmp_path / "b", paddle2onnx=python)
    with pytest.raises(Cannot) as caught:
        to_onnx(program_of(tmp_path, cumprod), tmp_path / "b", onnx_road="graph")
    assert "paddle2onnx" not in str(caught.value) and not (tmp_path / "b").exists()


def test_what_it_writes_is_held_to_the_numbers(tmp_path):
    """A stand-in that hands out the file of another model: its outputs are named, its answers refused."""
    convert(program_of(tmp_path / "other", leaky_relu), tmp_path / "other" / "b", targets=("web", "onnx"))
    wrong = tmp_path / "other" / "b" / "model.onnx"
    python = child(tmp_path, f"shutil.copyfile({str(wrong)!r}, out)")
    with pytest.raises(ConvertError, match=r"does not compute what the model computes(?s:.*)onnx"):
        to_onnx(program_of(tmp_path, cumprod), tmp_path / "b", paddle2onnx=python)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("python, said", [("no-such-python", "there is no Python at no-such-python"),
                                          (None, "paddle2onnx not installed")])  # fmt: skip
def test_a_missing_tool_is_one_sentence(tmp_path, monkeypatch, python, said):
    monkeypatch.setattr(with_paddle2onnx.importlib.util, "find_spec", lambda name: None if "2" in name else object())
    with pytest.raises(ConvertError, match=f"paddle2onnx cannot run: {said}"):
        to_onnx(program_of(tmp_path, leaky_relu), tmp_path / "b", onnx_road="paddle2onnx", paddle2onnx=python)


def test_packages_go_through_our_program(tmp_path):
    """What paddle2onnx cannot read is written for it: it gets a .pdmodel, not the package."""
    graph_bundle = tmp_path / "first"
    convert(program_of(tmp_path, leaky_relu), graph_bundle, targets=("web", "onnx"))
    seen = tmp_path / "seen"
    python = child(tmp_path, f"open({str(seen)!r}, 'w').write(program + ' ' + params)\n"
                             f"shutil.copyfile({str(graph_bundle / 'model.onnx')!r}, out)")  # fmt: skip
    to_onnx(graph_bundle, tmp_path / "second", onnx_road="paddle2onnx", paddle2onnx=python)
    program, params = seen.read_text().split()
    assert program.endswith("model.pdmodel") and params.endswith("model.pdiparams") and not Path(program).exists()


def test_it_writes_float32_only(tmp_path):
    with pytest.raises(ConvertError, match="paddle2onnx writes float32, not float16"):
        convert(program_of(tmp_path, leaky_relu), tmp_path / "b", targets=("web", "onnx"), precision="float16",
                options=Options(onnx_road="paddle2onnx"))  # fmt: skip
    assert targets.ROADS[0] == "auto"
