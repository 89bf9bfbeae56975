"""Requests put together: everyone gets the own rows back, within the own time, and nobody waits for nothing."""

import threading
import time
from collections import Counter

import numpy as np
import pytest

from webapp.batcher import Batcher
from webapp.gate import Full, Late


class Memory:
    """Room for one run of y = 2 * x."""

    def __init__(self) -> None:
        self.rows: dict[int, np.ndarray] = {}
        self.results = np.zeros((0, 0))

    def write(self, row, feeds):
        if feeds["x"][0, 0] == 666:
            raise ValueError("these rows cannot be copied")
        for k, values in enumerate(feeds["x"]):
            assert row + k not in self.rows, "two requests have the same row"
            self.rows[row + k] = values.copy()

    def read(self):
        return {"y": self.results.copy()}


class Doubling:
    """An engine that takes `run_s` for however many rows."""

    def __init__(self, sets: int = 3, run_s: float = 0.01, max_rows: int = 8) -> None:
        self.buffers, self.run_s, self.max_rows = [Memory() for _ in range(sets)], run_s, max_rows
        self.runs: list[int] = []
        self.shapes: list[tuple] = []
        self.problem: Exception | None = None
        self.may_go = threading.Event()
        self.may_go.set()
        self.turns = threading.Lock()

    def execute(self, memory, shapes):
        assert self.may_go.wait(20)
        with self.turns:  # a GPU does one after the other
            time.sleep(self.run_s)
        rows = shapes["x"][0]
        self.runs.append(rows)
        self.shapes.append(shapes["x"])
        if self.problem:
            memory.rows.clear()
            raise self.problem
        memory.results = np.zeros(shapes["x"])
        for row, values in memory.rows.items():
            memory.results[row] = 2 * values
        assert len(memory.rows) <= rows
        memory.rows = {}


def ask(batcher: Batcher, value: float, rows: int = 1, width: int = 3, seconds: float = 20.0) -> np.ndarray:
    return batcher.run({"x": np.full((rows, width), value)}, time.monotonic() + seconds)["y"]


def together(count: int, work) -> list:
    """`work(k)` in so many threads at once; results or exceptions, in order."""
    found: list = [None] * count

    def go(k: int) -> None:
        try:
            found[k] = work(k)
        except Exception as error:
            found[k] = error

    threads = [threading.Thread(target=go, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive(), "someone waits for ever"
    return found


def test_everyone_gets_the_own_rows_back():
    engine = Doubling()
    sizes: Counter[int] = Counter()
    batcher = Batcher(engine, max_wait_s=0.005, watch=lambda rows, waited_s: sizes.update([rows]))

    def client(k: int) -> int:
        for turn in range(15):
            rows = 1 + (k + turn) % 3
            found = ask(batcher, k * 1000 + turn, rows)
            assert found.shape == (rows, 3) and (found == 2 * (k * 1000 + turn)).all()
        return k

    assert together(24, client) == list(range(24))
    assert max(sizes) <= 8 and sum(sizes.values()) < 24 * 15 / 3, sizes
    assert sum(size * times for size, times in sizes.items()) == sum(engine.runs)
    assert len(batcher.free) == 3 and not batcher.open and not batcher.waiting


def test_batching_pays_where_a_run_costs_the_same_for_many_rows():
    rates = {}
    for most in (1, 8):
        batcher, began = Batcher(Doubling(run_s=0.004), max_rows=most), time.monotonic()
        together(16, lambda k, b=batcher: [ask(b, k) for _ in range(10)])
        rates[most] = 160 / (time.monotonic() - began)
    assert rates[8] > 3 * rates[1], rates


def test_one_alone_waits_no_longer_than_it_has_to():
    batcher = Batcher(Doubling(run_s=0), max_wait_s=0.05)
    began = time.monotonic()
    ask(batcher, 1)
    assert 0.05 <= time.monotonic() - began < 2


def test_a_full_batch_does_not_wait():
    batcher = Batcher(Doubling(run_s=0, max_rows=2), max_wait_s=30)
    began = time.monotonic()
    assert [found[0, 0] for found in together(2, lambda k: ask(batcher, k))] == [0, 2]
    ask(batcher, 7, rows=2)
    assert time.monotonic() - began < 5


def test_more_rows_than_fit_are_cut():
    engine = Doubling(max_rows=4)
    rows = np.arange(30.0).reshape(10, 3)
    found = Batcher(engine).run({"x": rows}, time.monotonic() + 20)["y"]
    np.testing.assert_array_equal(found, 2 * rows)
    assert engine.runs == [4, 4, 2]


def test_only_equal_shapes_share_a_run():
    engine = Doubling()
    batcher = Batcher(engine, max_wait_s=0.02)
    found = together(12, lambda k: ask(batcher, k, width=2 + k % 3))
    assert [part.shape[1] for part in found] == [2 + k % 3 for k in range(12)]
    assert all((part == 2 * k).all() for k, part in enumerate(found))
    assert {shape[1] for shape in engine.shapes} == {2, 3, 4}


def blocked(sets: int = 2, queue: int = 2) -> tuple[Doubling, Batcher, list[threading.Thread]]:
    """An engine that stands still with all its memory in use: full batches that run, and nothing free."""
    engine = Doubling(sets=sets, max_rows=1)
    engine.may_go.clear()
    batcher = Batcher(engine, queue=queue)
    threads = [threading.Thread(target=ask, args=(batcher, k)) for k in range(sets)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 10
    while batcher.free and time.monotonic() < end:
        time.sleep(0.002)
    assert not batcher.free
    return engine, batcher, threads


def test_the_queue_has_an_end():
    engine, batcher, threads = blocked(queue=2)
    late = [threading.Thread(target=ask, args=(batcher, 9)) for _ in range(2)]
    for thread in late:
        thread.start()
    end = time.monotonic() + 10
    while len(batcher.waiting) < 2 and time.monotonic() < end:
        time.sleep(0.002)
    with pytest.raises(Full) as full:
        ask(batcher, 5)
    assert full.value.retry_s >= 1
    engine.may_go.set()
    for thread in threads + late:
        thread.join(20)
    assert engine.runs == [1] * 4 and len(batcher.free) == 2


def test_who_waited_too_long_is_not_run():
    engine, batcher, threads = blocked()
    for seconds in (0.0, 0.05):
        with pytest.raises(Late):
            ask(batcher, 5, seconds=seconds)
    engine.may_go.set()
    for thread in threads:
        thread.join(20)
    assert engine.runs == [1, 1] and not batcher.waiting
    assert ask(batcher, 5)[0, 0] == 10


def test_a_failed_run_fails_for_all_of_its_batch_and_for_no_other():
    engine = Doubling(max_rows=4)
    batcher = Batcher(engine, max_wait_s=0.05)
    engine.problem = RuntimeError("the GPU is gone")
    found = together(4, lambda k: ask(batcher, k))
    assert all(isinstance(error, RuntimeError) for error in found)
    engine.problem = None
    assert [part[0, 0] for part in together(4, lambda k: ask(batcher, k))] == [0, 2, 4, 6]
    assert len(batcher.free) == 3


def test_rows_that_cannot_be_copied_fail_alone():
    batcher = Batcher(Doubling(max_rows=4), max_wait_s=0.05)
    found = together(4, lambda k: ask(batcher, 666 if k == 2 else k))
    assert isinstance(found[2], ValueError)
    assert [found[k][0, 0] for k in (0, 1, 3)] == [0, 2, 6]


def test_while_one_batch_runs_the_next_is_filled():
    engine = Doubling(sets=3, run_s=0, max_rows=8)
    engine.may_go.clear()
    batcher = Batcher(engine, max_wait_s=0)
    first = [threading.Thread(target=ask, args=(batcher, k)) for k in range(2)]  # one runs, one is ready to follow
    for thread in first:
        thread.start()
        time.sleep(0.05)
    others = [threading.Thread(target=ask, args=(batcher, k)) for k in range(5)]
    for thread in others:
        thread.start()
    end = time.monotonic() + 10
    while sum(batch.rows for batch in batcher.open.values()) < 5 and time.monotonic() < end:
        time.sleep(0.002)
    engine.may_go.set()
    for thread in first + others:
        thread.join(20)
    assert sorted(engine.runs) == [1, 1, 5]
