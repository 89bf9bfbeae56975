"""Time and memory of conversion over the model's size: weights from 10 to 500 MB, operators from 100 to 10 000.

    python benchmarks/convert_scaling.py [--quick]

Every conversion runs in a process of its own; memory is that process's peak, interpreter and libraries included.
CPU seconds (Node's included, where a bundle is verified) hold on a busy machine too.
Convolutions with batch norms are the dearest weights to convert (all are rewritten, in float64), so these rows show
the conversion alone; fully connected layers are cheap to run, so these are verified too, in the real runtime.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO), str(REPO / "tests" / "converter")]

from programs import Pir  # noqa: E402

_CHILD = """
import json, os, sys, time
from pathlib import Path
from converter import convert
start, before = time.perf_counter(), sum(os.times()[:2])
report = convert(sys.argv[1], sys.argv[2], verify=sys.argv[3] == "verify")
status = Path("/proc/self/status").read_text()
peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
used = os.times()
cpu = used.user + used.system + used.children_user + used.children_system - before
print(json.dumps([time.perf_counter() - start, cpu, peak, sum(report.before.values())]))
"""
_CONV = {"strides": [1, 1], "paddings": [1, 1], "padding_algorithm": "EXPLICIT", "dilations": [1, 1], "groups": 1,
         "data_format": "NCHW"}
_NORM = {"epsilon": 1e-5, "data_format": "NCHW", "is_test": True, "momentum": 0.9, "use_global_stats": False,
         "trainable_statistics": False}


def convolutions(megabytes: int, folder: Path) -> Path:
    """Convolutions 512 → 512, 3×3 (9.4 MB each), with batch norm and relu."""
    p, size = Pir(), [1, 512, 8, 8]
    w = np.random.default_rng(0).standard_normal((512, 512, 3, 3)).astype(np.float32) * 0.02
    x = p.data("x", size)
    for i in range(max(1, round(megabytes * 1e6 / w.nbytes))):
        x = p.op("conv2d", [x, p.param(f"w{i:03}", w)], size, **_CONV)
        stats = [p.param(f"{name}{i:03}", np.ones(512, np.float32)) for name in ("mean", "var", "scale", "bias")]
        x = p.op("relu", [p.op("batch_norm", [x, *stats], size, **_NORM)], size)
    p.fetch(x)
    return p.save(folder)


def layers(megabytes: int, folder: Path) -> Path:
    """Fully connected 1024 → 1024 (4.2 MB each), with bias and relu."""
    p, size = Pir(), [-1, 1024]
    w = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32) * 0.04
    x = p.data("x", size)
    for i in range(max(1, round(megabytes * 1e6 / w.nbytes))):
        x = p.op("matmul", [x, p.param(f"w{i:03}", w)], size, transpose_x=False, transpose_y=False)
        x = p.op("relu", [p.op("add", [x, p.param(f"b{i:03}", np.ones(1024, np.float32))], size)], size)
    p.fetch(x)
    return p.save(folder)


def operators(count: int, folder: Path) -> Path:
    """Small 1×1 convolutions, each with relu and a residual sum."""
    p, rng, size = Pir(), np.random.default_rng(0), [1, 8, 8, 8]
    x = p.data("x", size)
    for i in range(count // 3):
        w = p.param(f"w{i:04}", rng.standard_normal((8, 8, 1, 1)).astype(np.float32) * 0.1)
        y = p.op("relu", [p.op("conv2d", [x, w], size, **_CONV | {"paddings": [0, 0]})], size)
        x = p.op("add", [y, x], size)
    p.fetch(x)
    return p.save(folder)


def mobilenet(_: int, folder: Path) -> Path:
    """MobileNetV2, exported by the Paddle that is installed."""
    import paddle

    net = paddle.vision.models.mobilenet_v2()
    net.eval()
    spec = [paddle.static.InputSpec([None, 3, 224, 224], "float32", name="image")]
    paddle.jit.save(net, str(folder / "inference"), input_spec=spec)
    return folder


def measure(build: Callable[[int, Path], Path], amount: int, verify: bool) -> tuple[float, float, float, int, float]:
    """(seconds, seconds of CPU, peak MB, operators, MB of files) of one conversion."""
    with tempfile.TemporaryDirectory(prefix="inpage-scaling-") as work:
        model = build(amount, Path(work) / "model")
        size = sum(file.stat().st_size for file in model.iterdir()) / 1e6
        done = subprocess.run([sys.executable, "-c", _CHILD, str(model), str(Path(work) / "out"),
                               "verify" if verify else "plain"], cwd=REPO, capture_output=True, text=True, check=True)
        seconds, cpu, peak, count = json.loads(done.stdout.splitlines()[-1])
        return seconds, cpu, peak, count, size


def main() -> None:
    quick = "--quick" in sys.argv
    rows: list[tuple[str, Callable[[int, Path], Path], list[int], bool]] = [
        ("MobileNetV2, Paddle's own export, verified", mobilenet, [0], True),
        ("convolutions", convolutions, [10, 50] if quick else [10, 50, 100, 250, 500], False),
        ("fully connected, verified", layers, [10, 50] if quick else [10, 50, 100, 250, 500], True),
        ("operators", operators, [100, 1000] if quick else [100, 1000, 3000, 10000], False),
    ]
    print("| model | files, MB | operators | seconds | CPU s | CPU ms per MB | CPU ms per operator | peak MB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for title, build, amounts, verify in rows:
        for amount in amounts:
            seconds, cpu, peak, count, size = measure(build, amount, verify)
            print(f"| {title} | {size:.1f} | {count} | {seconds:.2f} | {cpu:.2f} | {1000 * cpu / size:.1f} | "
                  f"{1000 * cpu / count:.2f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
