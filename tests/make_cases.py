"""Make tests/cases/<family>.json from Paddle itself: python tests/make_cases.py [FAMILY …]

Needs paddlepaddle. Each file is a list of cases: an operator in its canonical form with complete attributes, inputs,
and what Paddle computes. `const` names the slots that a backend gets as weights, the others are fed.
`tol` is the allowed |error| / max(1, range of the expected values).
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from case_lists import FAMILIES  # noqa: E402
from case_lists.case import Case, tensor  # noqa: E402
from case_lists.paddle_ops import expected  # noqa: E402

from converter.graph import Node  # noqa: E402
from converter.ops import complete  # noqa: E402


def record(case: Case) -> dict[str, Any]:
    """The case with complete attributes and Paddle's answer, ready for JSON."""
    node = Node(case.op, {slot: [slot] * len(arrays) for slot, arrays in case.inputs.items()}, {"Out": ["out"]},
                dict(case.attrs), case.name)
    complete(node)
    case.attrs = node.attrs
    try:
        outputs = expected(case)
    except Exception as error:
        error.add_note(f"in case {case.name} {node.attrs}")
        raise
    return {
        "name": case.name, "op": case.op,
        "inputs": {slot: [tensor(a) for a in arrays] for slot, arrays in case.inputs.items()},
        "const": case.const, "attrs": node.attrs, "outputs": {"Out": [tensor(a) for a in outputs]}, "tol": case.tol,
    }


def main(wanted: list[str]) -> None:
    for family in FAMILIES:
        if wanted and family not in wanted:
            continue
        cases = importlib.import_module(f"case_lists.{family}").CASES
        names = [case.name for case in cases]
        if len(set(names)) != len(names):
            raise ValueError(f"{family}: case names {sorted({n for n in names if names.count(n) > 1})} repeat")
        lines = [json.dumps(record(case), separators=(",", ":"), allow_nan=False) for case in cases]
        path = HERE / "cases" / f"{family}.json"
        path.write_text("[\n" + ",\n".join(lines) + "\n]\n")
        print(f"{family}: {len(cases)} cases, {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
