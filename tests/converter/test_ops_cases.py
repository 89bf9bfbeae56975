"""The numpy oracle against what Paddle itself computed (tests/cases, made by make_cases.py)."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from converter.graph import Node
from converter.ops import REGISTRY, evaluate_node
from converter.ops.spec import BLOCK
from tests.case_lists import FAMILIES

NOT_OPS = {"preprocess"}
FILES = sorted(p for p in (Path(__file__).parent.parent / "cases").glob("*.json") if p.stem not in NOT_OPS)
CASES = [case for path in FILES for case in json.loads(path.read_text())]


def test_every_case_of_the_lists_has_been_made():
    assert [path.stem for path in FILES] == FAMILIES
    for path in FILES:
        asked = [case.name for case in importlib.import_module(f"tests.case_lists.{path.stem}").CASES]
        assert [case["name"] for case in json.loads(path.read_text())] == asked


def array(tensor: dict) -> np.ndarray:
    return np.array([float(v) if isinstance(v, str) else v for v in tensor["data"]],
                    tensor["dtype"]).reshape(tensor["shape"])


def outputs_of(case: dict) -> list[np.ndarray]:
    arrays, inputs = {}, {}
    for slot, tensors in case["inputs"].items():
        inputs[slot] = [f"{slot}.{i}" for i in range(len(tensors))]
        arrays.update(zip(inputs[slot], map(array, tensors), strict=True))
    names = [f"out.{i}" for i in range(len(case["outputs"]["Out"]))]
    made = evaluate_node(Node(case["op"], inputs, {"Out": names}, case["attrs"]), arrays)
    return [made[name] for name in names]


def error_of(got: np.ndarray, want: np.ndarray) -> float:
    """Worst |error| / max(1, range of the expected); elements that are not finite must be the same."""
    assert np.array_equal(got[~np.isfinite(want)], want[~np.isfinite(want)], equal_nan=True)
    finite = np.isfinite(want)
    if not finite.any():
        return 0.0
    got, want = got[finite], want[finite]
    if want.dtype.kind != "f":
        return float(np.count_nonzero(got != want))
    spread = max(1.0, float(want.max()) - float(want.min()))
    return float(np.abs(got.astype(np.float64) - want).max()) / spread


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_oracle_matches_paddle(case):
    for got, tensor in zip(outputs_of(case), case["outputs"]["Out"], strict=True):
        want = array(tensor)
        assert got.shape == want.shape
        assert got.dtype == want.dtype
        assert error_of(got, want) <= case["tol"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case_is_canonical(case):
    spec = REGISTRY[case["op"]]
    assert set(case["attrs"]) == set(spec.attrs)
    assert set(case["inputs"]) <= set(spec.inputs)
    assert set(case["const"]) <= set(case["inputs"])


def test_every_operator_has_a_case():
    """Control flow, whose attributes are graphs, is tested in test_control."""
    plain = {type for type, spec in REGISTRY.items() if BLOCK not in spec.attrs.values()}
    assert sorted(plain - {case["op"] for case in CASES}) == []
