"""Requests that wait for a core run together: whose rows are whose, who waits, who fails, who is too late."""

import threading
import time
from collections import deque
from pathlib import Path

import numpy as np
import pytest

from webapp.bundle import Bundle
from webapp.engines import RunError
from webapp.engines.together import MOST_ROWS, Ask, Together, joined, room_for, rows_are_free
from webapp.gate import Full, Late


class Slow:
    """Doubles, when it is let; remembers what it ran. A row of nine fails its whole run."""

    platform, batches, broken = "test", False, ""

    def __init__(self) -> None:
        self.runs: list[tuple[int, ...]] = []
        self.open = threading.Event()
        self.started = threading.Semaphore(0)

    def run(self, feeds: dict, timeout_s: float) -> dict:
        self.runs.append(feeds["x"].shape)
        self.started.release()
        assert self.open.wait(20)
        if (feeds["x"] == 9).any():
            raise RunError("nine")
        return {"y": feeds["x"] * 2}

    def close(self) -> None:
        self.runs.clear()


class Crowd:
    """Requests in threads, and what came of each."""

    def __init__(self, engine: Together) -> None:
        self.engine, self.results, self.threads = engine, {}, []

    def ask(self, value: float, rows: int = 1, width: int = 4, timeout_s: float = 20) -> None:
        def work(i: int = len(self.threads)) -> None:
            try:
                self.results[i] = self.engine.run({"x": np.full((rows, width), value, np.float32)}, timeout_s)["y"]
            except (RunError, Late, Full) as error:
                self.results[i] = error

        self.threads.append(threading.Thread(target=work))
        self.threads[-1].start()

    def wait_until_waiting(self, count: int) -> None:
        until = time.monotonic() + 10
        while len(self.engine.waiting) < count:
            assert time.monotonic() < until
            time.sleep(0.002)

    def end(self, slow: Slow) -> dict:
        slow.open.set()
        for thread in self.threads:
            thread.join(20)
        return self.results


def busy(runs: int = 1, queue: int = 24, seen: list | None = None) -> tuple[Slow, Crowd]:
    """An engine that is busy with one request of each run it may have."""
    slow = Slow()
    watch = (seen if seen is not None else []).append
    crowd = Crowd(Together(slow, runs=runs, queue=queue, watch=watch))
    for _ in range(runs):
        crowd.ask(1)
        assert slow.started.acquire(timeout=10)
    return slow, crowd


def test_an_idle_engine_runs_at_once_and_alone():
    slow = Slow()
    slow.open.set()
    engine = Together(slow, runs=2, queue=4)
    assert engine.run({"x": np.ones((1, 4), np.float32)}, 1)["y"][0, 0] == 2
    assert slow.runs == [(1, 4)] and engine.running == 0


def test_what_waits_runs_together_and_each_gets_its_own_rows():
    seen: list[int] = []
    slow, crowd = busy(seen=seen)
    for i, rows in enumerate([1, 2, 1]):
        crowd.ask(10 + i, rows)
        crowd.wait_until_waiting(i + 1)
    results = crowd.end(slow)
    assert slow.runs == [(1, 4), (4, 4)] and seen == [1, 4]
    for i, rows in enumerate([1, 2, 1], 1):
        assert results[i].shape == (rows, 4) and (results[i] == 2 * (9 + i)).all()
    assert crowd.engine.running == 0 and not crowd.engine.waiting


def test_other_shapes_and_what_no_longer_fits_run_later():
    slow, crowd = busy()
    for i, (rows, width) in enumerate([(1, 4), (1, 5), (MOST_ROWS, 4), (1, 4)]):
        crowd.ask(i, rows, width)
        crowd.wait_until_waiting(i + 1)
    results = crowd.end(slow)
    assert slow.runs == [(1, 4), (2, 4), (1, 5), (MOST_ROWS, 4)]
    assert [results[i].shape for i in range(1, 5)] == [(1, 4), (1, 5), (MOST_ROWS, 4), (1, 4)]


def test_as_many_run_at_a_time_as_may():
    slow, crowd = busy(runs=2)
    crowd.ask(5)
    crowd.wait_until_waiting(1)
    assert len(slow.runs) == 2
    crowd.end(slow)
    assert len(slow.runs) == 3


def test_one_that_fails_does_not_take_others_along():
    slow, crowd = busy()
    for i, value in enumerate([3, 9, 4]):
        crowd.ask(value)
        crowd.wait_until_waiting(i + 1)
    results = crowd.end(slow)
    assert isinstance(results[2], RunError)
    assert results[1][0, 0] == 6 and results[3][0, 0] == 8


def test_a_full_queue_and_a_time_that_ran_out():
    slow, crowd = busy(queue=1)
    crowd.ask(3, timeout_s=0.05)
    crowd.wait_until_waiting(1)
    crowd.ask(4)
    crowd.threads[2].join(10)
    assert isinstance(crowd.results[2], Full) and crowd.results[2].retry_s >= 1
    crowd.threads[1].join(10)
    assert isinstance(crowd.results[1], Late)
    assert crowd.end(slow)[0][0, 0] == 2
    assert slow.runs == [(1, 4)], "what came too late is not run"


def test_who_could_not_be_done_in_time_is_refused_at_once():
    slow, crowd = busy()
    crowd.engine.usual.note(10.0)
    crowd.ask(3, timeout_s=15)
    crowd.threads[1].join(10)
    assert isinstance(crowd.results[1], Full) and crowd.results[1].retry_s == 10
    with pytest.raises(Full):
        crowd.engine.refuse(time.monotonic() + 15)
    crowd.engine.refuse(time.monotonic() + 25)
    crowd.ask(4, timeout_s=25)
    crowd.wait_until_waiting(1)
    assert crowd.end(slow)[2][0, 0] == 8


def test_whose_time_ran_out_while_it_waited_is_not_run_though_its_thread_sleeps():
    slow = Slow()
    engine = Together(slow, runs=1, queue=9)
    now = time.monotonic()
    late, fine = Ask({"x": np.ones((1, 4))}, now - 1), Ask({"x": np.ones((1, 4))}, now + 60)
    engine.running, engine.waiting = 1, deque([late, fine])
    assert engine.following() == (fine, [late]) and isinstance(late.error, Late) and fine.leads
    engine.waiting = deque([late, fine])
    assert engine.company(Ask({"x": np.ones((1, 4))}, now + 60), now) == [fine] and list(engine.waiting) == [late]
    engine.running, engine.waiting = 1, deque([late])
    assert engine.following() == (None, [late]) and engine.running == 0
    engine.running = 1
    engine.lead(late)
    assert isinstance(late.error, Late) and not slow.runs and engine.running == 0


class Passing(Slow):
    """Gives back what it got, in the memory in which it got it."""

    def run(self, feeds: dict, timeout_s: float) -> dict:
        super().run(feeds, timeout_s)
        return {"y": feeds["x"]}


def test_results_stay_when_the_memory_is_used_again():
    slow = Passing()
    crowd = Crowd(Together(slow, runs=1, queue=24))
    crowd.ask(1)
    assert slow.started.acquire(timeout=10)
    for turn in range(2):
        for i in range(3):
            crowd.ask(10 * turn + i, width=1001)
            crowd.wait_until_waiting(i + 1)
        slow.open.set()
        for thread in crowd.threads:
            thread.join(10)
        slow.open.clear()
        crowd.ask(1)
        assert slow.started.acquire(timeout=10)
    results = crowd.end(slow)
    assert (3, 1001) in slow.runs and len(crowd.engine.rooms.kept) == 1
    for turn, first in ((0, 1), (1, 5)):
        assert [results[first + i][0, 0] for i in range(3)] == [10 * turn + i for i in range(3)]


def test_two_inputs_of_other_types_share_one_room():
    one = Ask({"a": np.arange(6, dtype=np.uint8).reshape(2, 3), "b": np.ones((2, 2))}, 0)
    two = Ask({"a": np.full((1, 3), 9, np.uint8), "b": np.full((1, 2), 5.0)}, 0)
    found = joined([one, two], np.empty(room_for([one, two]), np.uint8))
    np.testing.assert_array_equal(found["a"], [[0, 1, 2], [3, 4, 5], [9, 9, 9]])
    np.testing.assert_array_equal(found["b"], [[1, 1], [1, 1], [5, 5]])
    assert found["b"].ctypes.data % 64 == 0


def test_what_runs_and_waits_is_told():
    seen: list[tuple[int, int]] = []
    slow = Slow()
    crowd = Crowd(Together(slow, runs=1, queue=9, depth=lambda running, waiting: seen.append((running, waiting))))
    crowd.ask(1)
    assert slow.started.acquire(timeout=10)
    crowd.ask(2)
    crowd.wait_until_waiting(1)
    crowd.end(slow)
    assert seen == [(1, 0), (1, 1), (1, 0), (0, 0)]


def test_many_threads_each_get_their_own():
    slow = Slow()
    slow.open.set()
    engine = Together(slow, runs=2, queue=100)
    wrong: list[int] = []

    def work(i: int) -> None:
        for k in range(60):
            value = float(i * 1000 + k)
            found = engine.run({"x": np.full((1 + k % 3, 4), value, np.float32)}, 20)["y"]
            if found.shape[0] != 1 + k % 3 or not (found == 2 * value).all():
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(10, 22)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and engine.running == 0 and max(shape[0] for shape in slow.runs) <= MOST_ROWS


def bundle(inputs: list, outputs: list) -> Bundle:
    """One that declares these shapes."""

    def entries(shapes: list) -> list[dict]:
        return [{"name": f"t{i}", "shape": shape, "dtype": "float32"} for i, shape in enumerate(shapes)]

    return Bundle("m", Path("m"), inputs=entries(inputs), outputs=entries(outputs))


@pytest.mark.parametrize(
    ("inputs", "outputs", "free"),
    [
        ([["n", 3, 8, 8]], [["n", 10]], True),
        ([["n", 3], ["n", 2]], [["n", 1], ["n", "?1"]], True),
        ([[1, 3]], [[1, 2]], False),
        ([["n", 3]], [["m", 2]], False),
        ([["n", 3]], [["?0", 2]], False),
        ([[]], [[]], False),
    ],
)
def test_only_models_that_count_their_rows_alike_are_run_together(inputs: list, outputs: list, free: bool):
    assert rows_are_free(bundle(inputs, outputs)) is free
