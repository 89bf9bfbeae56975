"""TensorRT as clients of the server see it: progress, batches, a full queue, a deadline."""

import threading
from pathlib import Path

from flask import Flask
from serving_helpers import json_request, mean_model, noise, write_bundle
from tensorrt_helpers import built, until

from webapp import create_app


def app_of(models_dir: Path, tmp_path: Path, **settings):
    return create_app({"models": [str(models_dir)], "trt_cache": str(tmp_path / "engines"), "scan_s": 0,
                       "rate_per_s": 0, **settings})  # fmt: skip


def answers_at_once(app: Flask, count: int) -> list[int]:
    """Statuses of requests that are sent together."""
    codes: list[int] = []

    def ask() -> None:
        codes.append(app.test_client().post("/v2/models/mean/infer", json=json_request(noise())).status_code)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return codes


def test_progress_and_batches_are_seen_from_outside(gpu, models_dir: Path, tmp_path: Path, options):
    gpu("FAKE_TRT_BUILD_S", "1")
    gpu("FAKE_TRT_RUN_MS", "20,0")
    write_bundle(models_dir / "mean", mean_model(3))
    app = app_of(models_dir, tmp_path, threads=64, batch_wait_ms=200)
    client, serving = app.test_client(), app.extensions["inpage_serving"]
    serving.start(0)
    assert serving.scanned.wait(20)
    seen, states = set(), []

    def swapped() -> bool:
        state = client.get("/v2/models/mean").json["states"][0]
        states.append(state)
        seen.add(state.get("building", {}).get("stage"))
        assert client.post("/v2/models/mean/infer", json=json_request(noise())).status_code == 200
        return state["engine"] == "tensorrt"

    until(swapped)
    assert "building" in seen and states[0]["engine"] == "onnx" and "building" not in states[-1]
    assert client.get("/v2/models/mean").json["platform"] == "tensorrt_plan"
    before = client.get("/api/status").json["batches"]["mean"]["count"]
    codes = answers_at_once(app, 16)
    assert codes == [200] * 16
    assert 1 <= client.get("/api/status").json["batches"]["mean"]["count"] - before <= 8, "sixteen requests"
    assert 'inpage_batch_rows_count{model="mean"}' in client.get("/metrics").text
    serving.stop()


def test_who_asks_how_the_server_is_finds_a_thread(gpu, models_dir: Path, tmp_path: Path, options):
    write_bundle(models_dir / "mean", mean_model(3))
    app = app_of(models_dir, tmp_path, threads=16, runs=1, queue=8)  # 16 - 1 - 8 - 4 = 3 at the GPU
    serving = app.extensions["inpage_serving"]
    built(serving)
    gpu("FAKE_TRT_RUN_MS", "600,0")
    codes = answers_at_once(app, 8)
    assert sorted(codes) == [200] * 3 + [429] * 5
    assert app.test_client().post("/v2/models/mean/infer", json=json_request(noise())).status_code == 200
    serving.stop()


def test_the_gpu_s_queue_and_deadline_answer_as_the_gate_s_do(gpu, models_dir: Path, tmp_path: Path, options):
    write_bundle(models_dir / "mean", mean_model(3))
    app = app_of(models_dir, tmp_path, threads=64, batch_rows=1, batch_queue=1, deadline_ms=700)
    serving = app.extensions["inpage_serving"]
    built(serving)
    gpu("FAKE_TRT_RUN_MS", "400,0")
    answers = []

    def ask() -> None:
        answers.append(app.test_client().post("/v2/models/mean/infer", json=json_request(noise())))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    codes = sorted(answer.status_code for answer in answers)
    assert set(codes) <= {200, 429, 504} and 429 in codes and 200 in codes, codes
    assert all("Retry-After" in found.headers for found in answers if found.status_code == 429)
    serving.stop()
