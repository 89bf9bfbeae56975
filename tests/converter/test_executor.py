"""Graphs computed many times in one process: the same numbers as the oracle, and errors that say what happened."""

import numpy as np
import pytest

from converter.errors import ConvertError
from converter.executor import Executor, Runtime
from converter.graph.text import parse
from converter.ops import complete, evaluate


def net(factor: float):
    graph = parse("x: float32[N,3] = input\nk: int64[N,3] = input\na: float32[N,3] = relu(X=x)\n"
                  f"y: float32[N,3] = scale(X=a, scale={factor})\nz: int64[N,3] = assign(X=k)\nreturn y, z\n")
    for node in graph.nodes:
        complete(node)
    return graph


FEEDS = {"x": np.arange(-3, 3, dtype=np.float32).reshape(2, 3), "k": np.array([[2**40, 1, 2]] * 2, np.int64)}


def test_any_value_can_be_asked_for_again_and_again():
    graph = net(2.5)
    with Executor(graph, ["a", "z", "y"]) as run:
        for rows in (2, 1, 2):
            feeds = {name: array[:rows] for name, array in FEEDS.items()}
            found, wanted = run(feeds), evaluate(graph, feeds)
            assert list(found) == ["a", "z", "y"] and found["z"].dtype == np.int64
            assert np.array_equal(found["y"], wanted["y"]) and np.array_equal(found["z"], wanted["z"])
            assert np.array_equal(found["a"], np.maximum(feeds["x"], 0))


def test_models_follow_one_another_in_one_process():
    with Runtime() as runtime:
        number = runtime.process.pid
        for factor in (2.0, 3.0, 4.0):
            with Executor(net(factor), ["y"], runtime) as run:
                assert run(FEEDS)["y"].max() == 2 * factor
        assert runtime.process.pid == number and runtime.process.poll() is None
    assert runtime.process is None


def test_without_node_numpy_computes(monkeypatch):
    monkeypatch.setattr("converter.executor.web_problem", lambda: "Node is not installed")
    with Executor(net(2.0), ["y"]) as run:
        assert run(FEEDS)["y"].max() == 4


def test_what_the_runtime_refuses_is_said():
    with Executor(net(2.0), ["y"]) as run, pytest.raises(ConvertError, match="the runtime says"):
        run({"x": FEEDS["x"], "k": FEEDS["x"]})


def test_a_runtime_that_ends_is_told_from_an_answer():
    with Executor(net(2.0), ["y"]) as run:
        run.runtime.process.kill()
        run.runtime.process.wait()
        with pytest.raises(ConvertError, match="ended"):
            run(FEEDS)


def test_after_an_error_the_next_question_is_refused_too():
    """It waited forever for an answer once."""
    with Runtime() as runtime:
        with pytest.raises(ConvertError, match="the runtime says"):
            runtime.ask({"bundle": "/nothing/here"}, {})
        with pytest.raises(ConvertError, match="the runtime ended without an answer"):
            runtime.ask({"bundle": "/nothing/here"}, {})
