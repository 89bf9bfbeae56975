"""Rows that lie side by side: each to one request at a time, given out round and round, and run as they lie."""

import threading
import time

import numpy as np
import pytest

from webapp.engines.rows import Rows, side_by_side
from webapp.engines.together import Ask, Together, as_they_lie

FLOAT = np.dtype(np.float32)
KIND = ("x", FLOAT, (1, 3))


def test_rows_are_given_out_in_order_round_and_round():
    rows = Rows(4, 1, 1 << 20)
    places = [rows.place(KIND) for _ in range(4)]
    assert [place.row for place in places] == [0, 1, 2, 3] and rows.place(KIND) is None, "there are no more"
    assert places[0].array.shape == (1, 3) and places[0].memory.ctypes.data % 64 == 0
    for k in (0, 2):
        rows.give_back(places[k])
    assert [rows.place(KIND).row, rows.place(KIND).row] == [0, 2], "the slow one between them is passed over"
    assert rows.place(KIND) is None and rows.out == 4


def test_another_kind_comes_when_the_rows_of_the_last_one_are_back():
    rows, other = Rows(2, 1, 1 << 20), ("x", FLOAT, (1, 5))
    place = rows.place(KIND)
    assert rows.place(other) is None
    rows.give_back(place)
    assert rows.place(other).array.shape == (1, 5)


@pytest.mark.parametrize("shape", [(), (2, 3), (0, 3), (1, 1 << 20)])
def test_only_small_single_rows_have_a_place(shape: tuple[int, ...]):
    assert Rows(16, 8, 1 << 20).place(("x", FLOAT, shape)) is None


def test_there_are_fewer_large_rows():
    rows = Rows(16, 2, 100)
    assert len(rows.place(KIND).memory) == 8
    assert Rows(16, 9, 100).place(KIND) is None, "too few to be of use"


def test_what_lies_side_by_side_is_not_copied():
    rows = Rows(8, 1, 1 << 20)
    places = [rows.place(KIND) for _ in range(5)]
    for k, place in enumerate(places):
        place.array[:] = k
    found = side_by_side(places[1:4])
    assert np.shares_memory(found, places[0].memory) and found[:, 0].tolist() == [1, 2, 3]
    assert side_by_side([places[0], places[2]]) is None, "there is one between them"
    asks = [Ask({"x": place.array}, 0.0, place) for place in places]
    assert as_they_lie(asks[:2])["x"].shape == (2, 3)
    assert as_they_lie([asks[0], Ask({"x": np.ones((1, 3), np.float32)}, 0.0)]) is None


class Doubling:
    platform, batches, broken = "test", False, ""

    def __init__(self) -> None:
        self.rows, self.lock = 0, threading.Lock()

    def run(self, feeds: dict, timeout_s: float) -> dict:
        with self.lock:
            self.rows += len(feeds["x"])
        return {"y": feeds["x"] * 2}

    def close(self) -> None:
        self.rows = 0


def test_many_threads_each_get_their_own():
    engine = Together(Doubling(), runs=2, queue=40)
    wrong: list[float] = []

    def ask(value: float) -> np.ndarray:
        place = engine.place(KIND)
        array = np.empty((1, 3), np.float32) if place is None else place.array
        array[:] = value
        try:
            return engine.ask({"x": array}, time.monotonic() + 60, place)[0]["y"]
        finally:
            if place is not None:
                engine.give_back(place)

    def work(i: int) -> None:
        wrong.extend(i * 1000 + k for k in range(200) if not (ask(i * 1000 + k) == 2 * (i * 1000 + k)).all())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and engine.engine.rows == 16 * 200
    assert engine.shared.out == 0 and engine.running == 0
