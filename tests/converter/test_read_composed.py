"""Operators that become several: read from Paddle 2 programs, against what Paddle computed (composed_cases.json)."""

import json
from pathlib import Path

import pytest
from programs import Legacy
from test_ops_cases import array, error_of

from converter.convert import optimise
from converter.ops import evaluate
from converter.read import read

CASES = json.loads((Path(__file__).parent / "composed_cases.json").read_text())
TOLERANCE = 1e-5


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_it_computes_what_paddle_computes(case, tmp_path):
    p, feeds, wanted = Legacy(), {}, array(case["output"])
    for slot, tensor in case["inputs"].items():
        data = array(tensor)
        if slot in case["const"]:
            p.param(slot, data)
        else:
            p.feed(slot, data.shape, str(data.dtype))
            feeds[slot] = data
    p.var("out", wanted.shape, str(wanted.dtype))
    p.op(case["op"], {slot: [slot] for slot in case["inputs"]}, {case["slot"]: ["out"]}, **case["attrs"])
    p.fetch("out")
    graph = read(p.save(tmp_path))
    for _ in range(2):
        found = evaluate(graph, feeds)["out"]
        assert found.shape == wanted.shape and found.dtype == wanted.dtype
        assert error_of(found, wanted) <= TOLERANCE
        graph = optimise(graph, "web")
