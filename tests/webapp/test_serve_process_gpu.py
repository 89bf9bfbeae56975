"""The server with a GPU as it runs: several processes build once, batches stop and die as single requests do."""

import os
import signal
from pathlib import Path

import pytest
from serving_helpers import Server, mean_model, running_server, write_bundle
from test_serve_process import BODY, HEADERS, INFER, LOST, Load, ask, get_json, ready, until


@pytest.fixture
def folder(tmp_path: Path, gpu) -> Path:
    write_bundle(tmp_path / "models" / "mean" / "1", mean_model(1))
    gpu("FAKE_TRT_RUN_MS", "10,0.1")
    gpu("FAKE_TRT_LOG", str(tmp_path / "builds"))
    return tmp_path


def settings(folder: Path, **more) -> dict:
    return {"trt_cache": folder / "engines", "scan_s": 1, "engines": "tensorrt,onnx", **more}


def engines(port: int) -> set[str]:
    """What the version runs on, over the processes."""
    text = ask(port, "GET", "/metrics")[2].decode()
    return {line.split('engine="')[1].split('"')[0] + line[-4:] for line in text.splitlines()
            if line.startswith("inpage_engine{") and 'model="mean"' in line and not line.endswith(" 0.0")}  # fmt: skip


def swaps(server: Server, model: str = "mean") -> list[dict]:
    """What the processes logged when the model came to run on the GPU."""
    found = [line for line in server.lines() if line["message"].startswith("model ready on tensorrt")]
    return [line for line in found if line["model"] == model]


def assert_built_once(folder: Path) -> None:
    """No model was built twice, the embedded ones included."""
    built = (folder / "builds").read_text().split()
    assert built and len(set(built)) == len(built)


def test_two_processes_answer_build_once_and_swap(folder: Path, repo: Path, gpu):
    gpu("FAKE_TRT_BUILD_S", "2")
    with running_server(folder, repo, **settings(folder, workers=2, drain_s=0)) as server:
        until(lambda: ready(server))
        load = Load(server.port, 4)
        load.wait(20)
        until(lambda: engines(server.port) == {"tensorrt 2.0"}, 90)
        load.wait(20)
        seen = load.stop()
        assert set(seen) == {"200"}, seen
        assert load.values == {1.0}
        assert len(swaps(server)) == 2
        status = get_json(server.port, "/api/status")
        assert status["batches"]["mean"]["count"] > 0
        assert_built_once(folder)


def test_stopping_under_load_loses_no_batch(folder: Path, repo: Path):
    with running_server(folder, repo, **settings(folder, drain_s=3)) as server:
        until(lambda: ready(server))
        until(lambda: engines(server.port) == {"tensorrt 1.0"}, 90)
        load = Load(server.port, 8)
        load.wait(100)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not ready(server), 5)
        load.wait(20)
        seen = load.stop()
        server.process.wait(timeout=30)
        assert server.process.returncode == 0
    assert set(seen) == {"200"} and seen["200"] > 120, seen


def test_a_killed_process_loses_only_what_was_in_it(folder: Path, repo: Path):
    with running_server(folder, repo, **settings(folder, workers=2, drain_s=0)) as server:
        until(lambda: ready(server))
        until(lambda: engines(server.port) == {"tensorrt 2.0"}, 90)
        clients = 6
        load = Load(server.port, clients)
        load.wait(60)
        victim = swaps(server)[0]["process"]
        os.kill(victim, signal.SIGKILL)
        load.wait(60)
        until(lambda: engines(server.port) == {"tensorrt 2.0"}, 90)
        seen = load.stop()
        lost = sum(count for what, count in seen.items() if what.startswith(LOST))
        assert lost <= clients and set(seen) - {"200"} <= {w for w in seen if w.startswith(LOST)}, seen


def test_a_process_killed_while_building_loses_no_build(folder: Path, repo: Path, gpu):
    gpu("FAKE_TRT_BUILD_S", "4")
    with running_server(folder, repo, **settings(folder, drain_s=0)) as server:
        until(lambda: ready(server))

        def building() -> bool:
            return get_json(server.port, "/v2/models/mean")["states"][0].get("building", {}).get("stage") == "building"

        until(building)
        victim = next(line["process"] for line in server.lines() if line["message"].startswith("model ready on onnx"))
        os.kill(victim, signal.SIGKILL)
        until(lambda: engines(server.port) == {"tensorrt 1.0"}, 90)
        assert ask(server.port, "POST", INFER, BODY, HEADERS)[0] == 200
        assert len(swaps(server)) == 1
        assert_built_once(folder)
