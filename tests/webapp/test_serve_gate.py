"""Turns and tokens: so many at a time, first come first served, an end to the queue, one bucket per client."""

import multiprocessing
import threading
import time

import pytest

from webapp.gate import Full, Gate, Late, Usual
from webapp.shared import SLOTS, Shared


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


def wait_until(condition, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.002)


def test_so_many_at_a_time_and_first_come_first_served():
    gate, order, most, running, lock = Gate(2, 20), [], [], [], threading.Lock()
    doors = [threading.Event() for _ in range(8)]

    def work(k: int) -> None:
        with gate.enter(soon()):
            with lock:
                order.append(k)
                running.append(k)
                most.append(len(running))
            doors[k].wait(5)
            with lock:
                running.remove(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for k, thread in enumerate(threads):
        thread.start()
        wait_until(lambda k=k: gate.running + len(gate.waiting) == k + 1)
    for door in doors:
        door.set()
        time.sleep(0.01)
    for thread in threads:
        thread.join(5)
    assert order == sorted(order) and max(most) == 2
    assert gate.running == 0 and not gate.waiting


def test_a_full_queue_is_said_at_once():
    gate = Gate(1, 0)
    with gate.enter(soon()):
        began = time.monotonic()
        with pytest.raises(Full) as full, gate.enter(soon()):
            pytest.fail("it ran beside the other")
        assert full.value.retry_s >= 1 and time.monotonic() - began < 0.5
    with gate.enter(soon()):
        assert gate.running == 1


def test_who_waits_too_long_does_not_run_and_leaves_no_hole():
    gate = Gate(1, 5)
    with gate.enter(soon()):
        with pytest.raises(Late), gate.enter(soon(0.05)):
            pytest.fail("it ran")
        assert not gate.waiting
    with gate.enter(soon()):
        assert gate.running == 1
    assert gate.running == 0


def test_who_could_not_be_done_in_time_is_refused_at_once():
    gate = Gate(1, 5)
    gate.usual.note(10.0)  # what runs take here
    with gate.enter(soon(1)):  # nothing is before it, so it may try
        began = time.monotonic()
        with pytest.raises(Full) as full, gate.enter(soon(15)):
            pytest.fail("it ran beside the other")
        assert full.value.retry_s == 10 and time.monotonic() - began < 5 and not gate.waiting
        with pytest.raises(Full):
            gate.refuse(soon(15))
        gate.refuse(soon(25))  # ten seconds until it starts, and ten that it takes
    gate.refuse(soon(1))


def test_nobody_is_refused_for_a_guess():
    gate = Gate(1, 5)
    with gate.enter(soon()):
        gate.refuse(soon(0.001))


def test_how_long_runs_take_follows_what_is_seen():
    usual = Usual()
    usual.note(1.0)
    assert usual.seconds == 1.0
    for _ in range(60):
        usual.note(3.0)
    assert usual.seconds == pytest.approx(3.0, abs=0.01)


def test_a_time_that_is_up_already():
    with pytest.raises(Late), Gate(1, 1).enter(time.monotonic() - 1):
        pytest.fail("it ran")


def test_a_failing_run_gives_its_turn_back():
    gate = Gate(1, 1)
    with pytest.raises(ZeroDivisionError), gate.enter(soon()):
        raise ZeroDivisionError
    assert gate.running == 0


def test_many_threads_with_short_times_lose_no_turn():
    gate, ran = Gate(3, 10), []

    def work(k: int) -> None:
        for j in range(40):
            try:
                with gate.enter(soon(0.001 * ((k + j) % 5))):
                    ran.append(gate.running)
                    time.sleep(0.0005)
            except (Full, Late):
                continue

    threads = [threading.Thread(target=work, args=(k,)) for k in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert ran and max(ran) <= 3
    assert gate.running == 0 and not gate.waiting


def test_a_bucket_fills_again(tmp_path):
    shared = Shared(tmp_path)
    waits = [shared.take("one", 2.0, 3, now=100.0) for _ in range(4)]
    assert waits == [0, 0, 0, 0.5]
    assert shared.take("two", 2.0, 3, now=100.0) == 0
    assert shared.take("one", 2.0, 3, now=100.5) == 0
    assert shared.take("one", 2.0, 3, now=100.5) == pytest.approx(0.5)
    assert [shared.take("one", 2.0, 3, now=200.0) for _ in range(4)][:3] == [0, 0, 0]
    shared.close()


def test_more_clients_than_places(tmp_path):
    shared = Shared(None)
    assert all(shared.take(f"client {k}", 1.0, 1, now=float(k)) == 0 for k in range(SLOTS + 2000))
    assert shared.take(f"client {SLOTS + 1999}", 1.0, 1, now=float(SLOTS + 1999)) > 0


def take_many(folder, times: int, queue) -> None:
    shared = Shared(folder)
    queue.put(sum(shared.take("one", 1e-6, 100) == 0 for _ in range(times)))


def test_processes_share_a_bucket(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=take_many, args=(tmp_path, 80, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    allowed = sum(queue.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join(30)
    assert allowed == 100


def test_stopping_is_seen_by_all(tmp_path):
    one, two = Shared(tmp_path), Shared(tmp_path)
    assert not two.stopping and one.started == two.started > 0
    one.stop()
    assert two.stopping and two.started == one.started
    one.close()
    two.close()
