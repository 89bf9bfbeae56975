"""Random operators on the WASM backend against the numpy oracle, which other tests hold to Paddle."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_cases import OPERATORS as REAL
from random_cases import Draw
from random_int8 import INT8

from converter.errors import ConvertError
from converter.graph import Node
from converter.ops import REGISTRY, complete, evaluate_node
from tests.case_lists.case import tensor

HERE = Path(__file__).resolve().parent
OPERATORS = REAL | INT8
TOLERANCE = 1e-5
"""Of the range, or of 1 where that is more: whole numbers are exact."""
TWO_OUTPUTS = {"argsort": 2, "top_k_v2": 2}


@pytest.fixture(scope="module")
def node() -> Iterator[subprocess.Popen]:
    """A process that checks a case per line."""
    with subprocess.Popen(["node", str(HERE / "check_cases.js")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, env={**os.environ, "PYTHON": sys.executable}) as process:
        yield process
        process.stdin.close()


def case_of(type: str, draw: Draw) -> dict | None:
    """A case with the oracle's answer; None: the operator does not take what was drawn."""
    inputs, attrs, const = OPERATORS[type](draw)
    names = {slot: [f"{slot}.{i}" for i in range(len(arrays))] for slot, arrays in inputs.items()}
    count = TWO_OUTPUTS.get(type, 1 + len(inputs["PreState"]) if type == "rnn" else 1)
    made = Node(type, names, {"Out": [f"out.{i}" for i in range(count)]}, attrs, type)
    complete(made)
    arrays = {name: array for slot in inputs for name, array in zip(names[slot], inputs[slot], strict=True)}
    try:
        found = evaluate_node(made, arrays)
    except ConvertError:
        return None
    return {"name": type, "op": type, "inputs": {slot: [tensor(a) for a in given] for slot, given in inputs.items()},
            "const": const, "attrs": made.attrs, "outputs": {"Out": [tensor(np.asarray(a)) for a in found.values()]},
            "tol": TOLERANCE}


@pytest.mark.parametrize("type", OPERATORS)
def test_backend_matches_oracle(type, node):
    assert type in REGISTRY

    @settings(max_examples=150 if type == "conv2d_int8" else 25, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data):
        case = case_of(type, Draw(data))
        assume(case)
        node.stdin.write(json.dumps(case) + "\n")
        node.stdin.flush()
        answer = json.loads(node.stdout.readline())
        assert "error" not in answer, (answer["error"], case["attrs"],
                                       {slot: [(t["dtype"], t["shape"]) for t in ts] for slot, ts in
                                        case["inputs"].items()})
    check()
