"""A short run of the fuzzer, always the same; the long one: python -m tests.fuzz.fuzz_readers --seconds 3600."""

import json
import os
import random

import pytest

from tests.fuzz import fuzz_readers
from tests.fuzz.fuzz_readers import Sandbox, damaged, fuzz, report
from tests.fuzz.mutate import change_json, change_program
from tests.fuzz.seeds import seeds

SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
EXECUTIONS = 10_000


def test_damaged_models_are_converted_or_refused(tmp_path):
    tally = fuzz(SECONDS, EXECUTIONS, seed=2026, keep=tmp_path)
    assert not tally.failures, report(tally)
    assert tally.executions > 100 and 0 < tally.accepted < tally.executions, report(tally)


def test_an_execution_is_the_same_every_time():
    made = seeds(real=False)
    assert [damaged(made, 1, number) for number in range(50)] == [damaged(made, 1, number) for number in range(50)]
    assert len({str(damaged(made, 1, number)) for number in range(50)}) == 50


def test_changes_keep_the_grammar():
    """Most damage to JSON and protobuf must get past their parsers, else nothing behind them is tried."""
    made = {seed.name: seed for seed in seeds(real=False)}
    text, program = made["pir"].files["inference.json"], made["legacy"].files["inference.pdmodel"]
    assert all(isinstance(json.loads(change_json(text, random.Random(i))), (dict, list)) for i in range(100))
    assert len({change_program(program, random.Random(i)) for i in range(100)}) > 50


@pytest.mark.parametrize("harm, expected", [
    (lambda path: open("/etc/hostname").close(), "Strayed open"),  # noqa: SIM115
    (lambda path: os.listdir("/"), "Strayed os.listdir"),
    (lambda path: os.system("true"), "Strayed os.system"),
    (lambda path: {}["key"], "KeyError"),
    (lambda path: bytearray(1 << 40), "MemoryError"),
])  # fmt: skip
def test_the_harness_sees_harm(tmp_path, monkeypatch, harm, expected):
    """A fuzzer that cannot fail finds nothing: each property is broken on purpose once."""
    found = seeds(real=False)[0]
    monkeypatch.setattr(fuzz_readers, "convert", lambda source, out, verify: harm(source))
    sandbox = Sandbox(tmp_path, 1 << 28)
    accepted, wrong = sandbox.attempt(found.files)
    assert not accepted and wrong.startswith(expected), wrong


def test_the_harness_sees_what_takes_too_long(tmp_path, monkeypatch):
    def forever(source, out, verify):
        while True:
            pass

    monkeypatch.setattr(fuzz_readers, "convert", forever)
    monkeypatch.setattr(fuzz_readers, "LIMIT_S", 0.2)
    assert Sandbox(tmp_path, 1 << 28).attempt(seeds(real=False)[0].files)[1].startswith("TooLong")
