"""`converter push` against the server as it runs: the new version answers within two seconds, no request is lost."""

import subprocess
import sys
import time
from pathlib import Path

from serving_helpers import mean_model, running_server, write_bundle
from test_serve_process import Load, get_json

from converter import publish, signature

WITHIN_S = 2.0


def bundle(folder: Path, factor: float, version: str) -> Path:
    write_bundle(folder, mean_model(factor), version=version)
    signature.sign(folder)
    return folder


def test_a_pushed_version_is_served_within_two_seconds_and_nothing_is_lost(tmp_path: Path, repo: Path):
    models = tmp_path / "models"
    publish.push(bundle(tmp_path / "first", 1, "1.0.0"), str(models))
    second = bundle(tmp_path / "second", 3, "1.1.0")
    with running_server(tmp_path, repo, scan_s=1) as server:
        load = Load(server.port)
        time.sleep(0.5)
        try:
            command = [sys.executable, "-m", "converter", "push", str(second), str(models)]
            done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=True)
            assert "version 2" in done.stdout
            pushed = time.monotonic()
            while 3.0 not in load.values and time.monotonic() < pushed + 20:
                time.sleep(0.01)
            took = time.monotonic() - pushed
            time.sleep(0.3)
        finally:
            seen = load.stop()
        assert get_json(server.port, "/v2/models/mean")["versions"][-1] == "2"
    assert took <= WITHIN_S
    assert load.values == {1.0, 3.0} and set(seen) == {"200"} and seen["200"] > 20
    assert [entry["number"] for entry in publish.audit(models / "mean")] == [1, 2]
