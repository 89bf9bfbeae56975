"""What the comparison with other runtimes makes of its figures, without running any of them."""

import asyncio
import base64
import importlib
import json
import sys
import time

import numpy as np
import pytest

from benchmarks.peers import table, tf_models
from benchmarks.peers.gpu import cut
from benchmarks.peers.link import Link
from benchmarks.peers.measure import settled

MARKED = "before\n<!-- peers -->\nstale\n<!-- end of peers -->\nafter\n"
NETS = {"mobilenet_v2": {"title": "MobileNetV2"}, "crnn": {"title": "CRNN"}}


def figures(ms: float) -> dict:
    return {"cpu_ms": ms, "wall_ms": ms, "spread": 0.02, "error": 1e-6}


def turn(own: float, ort: float, litert: float) -> dict:
    unable = {"failed": "no such op | here"}
    return {"inpage": figures(own), "ort": figures(ort), "litert": figures(litert), "tfjs": unable}


def test_the_worst_run_counts_and_a_missed_aim_is_bold(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(MARKED)
    turns = [turn(10, 30, 20), turn(12, 30, 18), turn(11, 30, 20)]
    table.write_table({"mobilenet_v2 1": {"turns": turns}}, NETS, readme)
    text = readme.read_text()
    row = next(line for line in text.splitlines() if line.startswith("| MobileNetV2"))
    assert "| 11.00 ± 2 % | 30.00 ± 2 % | – | 20.00 ± 2 % |" in row
    assert "| **0.40** | **0.67** | 0.67 |" in row
    assert "- TF.js cannot run MobileNetV2: no such op / here" in text
    assert text.startswith("before\n") and text.endswith("after\n") and "stale" not in text and "CRNN" not in text


def test_a_readme_without_markers_is_refused(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("nothing\n")
    with pytest.raises(ValueError, match="has no lines <!-- peers -->"):
        table.write_table({}, NETS, readme)


def test_a_number_added_to_a_convolution_is_no_bias(tmp_path):
    def text(*names: str) -> list[str]:
        return [base64.b64encode(name.encode()).decode() for name in names]

    def conv(name: str, bias: str) -> dict:
        attr = {"T": {"type": "DT_FLOAT"}, "padding": {"s": "x"}, "fused_ops": {"list": {"s": text("BiasAdd")}}}
        return {"name": name, "op": "_FusedConv2D", "input": ["x", "w", bias], "attr": attr}

    weights = [{"name": "three", "shape": []}, {"name": "bias", "shape": [8]}]
    path = tmp_path / "model.json"
    nodes = {"node": [conv("a", "three"), conv("b", "bias")]}
    path.write_text(json.dumps({"modelTopology": nodes, "weightsManifest": [{"weights": weights}]}))
    tf_models.free_scalars(path)
    made = {node["name"]: node for node in json.loads(path.read_text())["modelTopology"]["node"]}
    assert made["a"]["op"] == "AddV2" and made["a"]["input"] == ["a/plain", "three"]
    assert made["a/plain"]["op"] == "Conv2D" and "fused_ops" not in made["a/plain"]["attr"]
    assert made["b"] == conv("b", "bias")


def test_cut_weights_keep_four_bits():
    numbers = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    short = cut(numbers)
    assert np.abs(short / numbers - 1).max() < 2**-4
    assert not (short.view(np.uint32) & 0x7FFFF).any()


def test_a_slow_link_is_slow_and_loses_nothing():
    sent = bytes(range(256)) * 400

    async def fetch() -> tuple[bytes, float]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(sent)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        link = Link(server.sockets[0].getsockname()[1], bits_per_s=4e6, round_trip_s=0.04)
        front = await asyncio.start_server(link.accept, "127.0.0.1", 0)
        start = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", front.sockets[0].getsockname()[1])
        writer.write(b"please\n")
        got = await reader.read(-1)
        writer.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(others, timeout=5)  # both directions end with their connection
        front.close()
        server.close()
        return got, time.monotonic() - start

    got, seconds = asyncio.run(fetch())
    assert got == sent
    assert seconds > 0.9 * (len(sent) * 8 / 4e6 + 0.04)


def test_engines_are_looked_at_until_their_ratio_is_known_and_clear_of_its_aim():
    peer = [20.0] * 12
    steady = [10 + 0.1 * (i % 3) for i in range(12)]
    assert settled(steady, peer, aim=0.6)
    assert not settled(steady[:5], peer[:5], aim=0.6), "too few looks"
    assert not settled(steady, peer, aim=0.506), "on which side of its aim?"
    assert not settled([10 + 2 * (i % 4) for i in range(12)], peer, aim=2.0), "not known well"
    assert settled([*steady[:11], 40], peer, aim=0.6), "one look that something else held up"


def test_all_benchmarks_end_with_the_first_step_that_fails(monkeypatch, capfd):
    steps = importlib.import_module("benchmarks.__main__")
    said = [steps.Step(name, "", ["-c", f"print('{name}'); raise SystemExit({code})"])
            for name, code in (("good", 0), ("bad", 3), ("never", 0))]  # fmt: skip
    monkeypatch.setattr(steps, "STEPS", said)
    monkeypatch.setattr(sys, "argv", ["bench"])
    assert steps.main() == 3
    shown = capfd.readouterr()
    assert "good\n" in shown.out and "bad\n" in shown.out and "never\n" not in shown.out
    assert "bad FAILED with exit code 3" in shown.err


def test_short_runs_leave_the_readme_alone():
    steps = importlib.import_module("benchmarks.__main__")
    written = [step for step in steps.STEPS if steps.INTO in step.command]
    assert written and all(str(steps.FEW) in step.line(few=True) for step in written)
    assert all(str(steps.HERE / "README.md") in step.line(few=False) for step in written)
