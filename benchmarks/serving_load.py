"""The server under load: gunicorn against the bare ONNX Runtime loop, then ten times more than it can take.

    python benchmarks/serving_load.py [--seconds 20] [--rounds 3] [--overload-minutes 10] [--skip throughput|overload]
        [--models FOLDER]

Throughput: MobileNetV3-small (random weights, 224 x 224), 24 clients that keep their connections and send tensors in
binary, each the next one when its answer is there; the server in one process, and in one for each core. Bare: a loop
that does nothing but run the same model, on two cores in both ways: one thread whose runs use both (ONNX Runtime's own
default, which spins), or two whose runs use one each. "Fed" are two such loops that take every input from one of the
same clients (serving_fed.py): what the numbers' way through sockets costs by itself. All are measured in turns. The
clients run on the same two cores and are made to cost little (see serving_clients.py); what they do cost is taken from
the server's throughput and not given back. "others" is what everything else on the machine took of the two cores
meanwhile: rows where that is more than a little say nothing.

Overload: ten times as many requests a second as the server can answer, from many connections, for some minutes. Every
request must be answered (200, 429 or 504), the accepted ones within twice the deadline, and memory must stay as it is.
"""

import argparse
import gc
import json
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))

from benchmarks.serving_clients import Crowd, Seen  # noqa: E402

NAME = "mobilenet_v3_small"
SHAPE = (1, 3, 224, 224)
CLIENTS, CORES = 24, 2
CONNECTIONS = 10 * CLIENTS  # of the overload
DEADLINE_MS = 1000
START_S = 120
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
TICKS = os.sysconf("SC_CLK_TCK")


def make_model(folder: Path) -> None:
    """The network as Paddle defines it, random weights, converted for pages and for the server."""
    code = (
        "import sys, paddle; from converter import convert; paddle.seed(7);"
        "net = paddle.vision.models.mobilenet_v3_small(); net.eval();"
        "spec = [paddle.static.InputSpec([None, 3, 224, 224], 'float32', 'image')];"
        "convert(net, sys.argv[1], input_spec=spec, targets=('web', 'onnx'), verify=False)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(folder / NAME)], cwd=REPO, check=True)


# ---- the server ----


class Server:
    """gunicorn in processes of its own; what they take of CPU and memory."""

    def __init__(self, process: subprocess.Popen, port: int) -> None:
        self.process, self.port = process, port

    def processes(self) -> list[int]:
        """The parent and its workers."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, found)]

    def cpu_s(self) -> float:
        """CPU seconds so far, the kernel's for it included."""
        total = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def settle(self) -> None:
        """Wait until it has done what it does once: load the models, compress the static files."""
        until, before = time.monotonic() + START_S, -1.0
        while (now := self.cpu_s()) - before > 0.02:
            if time.monotonic() > until:
                raise RuntimeError("the server does not come to rest")
            before = now
            time.sleep(1)

    def memory_mb(self) -> float:
        """Resident memory of all processes."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.processes())
        return pages * PAGE_KB / 1024


@contextmanager
def serving(folder: Path, **settings: object) -> Iterator[Server]:
    """`python -m webapp` over the models in `folder`."""
    log = folder.parent / f"server.{time.monotonic_ns()}.log"
    modules = os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH", "")]))
    environment = {
        **os.environ, "PYTHONPATH": modules, "PYTHONUNBUFFERED": "1", "INPAGE_MODELS": str(folder),
        "INPAGE_PORT": "0", "INPAGE_RATE_PER_S": "0", "INPAGE_ENGINES": "onnx", "INPAGE_DRAIN_S": "0",
        **{f"INPAGE_{name.upper()}": str(value) for name, value in settings.items()},
    }  # fmt: skip
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "-m", "webapp"], env=environment, cwd=folder.parent, stdout=out,
                                   stderr=subprocess.STDOUT)  # fmt: skip
    try:
        until = time.monotonic() + START_S
        while not (found := re.search(r"Paddle InPage is at http://[\d.]+:(\d+)/", log.read_text())):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the server did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        server = Server(process, int(found.group(1)))
        server.settle()
        yield server
    finally:
        for _ in range(2):  # the second one skips the wait for balancers
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                time.sleep(0.3)
        process.wait(timeout=60)


# ---- clients ----


def request_bytes(port: int) -> bytes:
    """One inference request, whole."""
    blob = np.random.default_rng(1).normal(0, 1, SHAPE).astype(np.float32).tobytes()
    entry = {"name": "image", "datatype": "FP32", "shape": SHAPE, "parameters": {"binary_data_size": len(blob)}}
    text = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    head = [
        f"POST /v2/models/{NAME}/infer HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(text) + len(blob)}",
        "Content-Type: application/octet-stream", f"Inference-Header-Content-Length: {len(text)}", "", "",
    ]  # fmt: skip
    return "\r\n".join(head).encode() + text + blob


# ---- throughput ----


@dataclass(frozen=True)
class Row:
    """Answers or runs a second, CPU milliseconds of one (the kernel's included), the clients', and of all cores: what
    others took, and what nobody did.
    """

    rate: float
    cpu_ms: float
    client_ms: float = 0.0
    others: float = 0.0
    nobody: float = 0.0


def machine() -> tuple[float, float]:
    """CPU seconds that anybody, and that nobody had of this machine so far."""
    fields = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / TICKS, idle / TICKS


def bare_loop(session, seconds: float, threads_count: int) -> Row:
    """Runs of so many threads."""
    name, array = session.get_inputs()[0].name, np.random.default_rng(1).normal(0, 1, SHAPE).astype(np.float32)
    until, counts = time.perf_counter() + seconds, [0] * threads_count

    def loop(i: int) -> None:
        while time.perf_counter() < until:
            session.run(None, {name: array})
            counts[i] += 1

    before, began, (busy, idle) = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter(), machine()
    threads = [threading.Thread(target=loop, args=(i,)) for i in range(threads_count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after, took = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - began
    cpu, (busy_now, idle_now) = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, machine()
    whole = max(0.01, busy_now - busy + idle_now - idle)
    others = max(0.0, busy_now - busy - cpu) / whole
    return Row(sum(counts) / took, 1000 * cpu / sum(counts), 0.0, others, (idle_now - idle) / whole)


def through_server(server: Server, crowd: Crowd, seconds: float, statuses: Counter[int]) -> Row:
    """Ask for so long; adds to `statuses`."""
    before, (busy, idle), began = server.cpu_s(), machine(), time.perf_counter()
    seen = crowd.run(seconds)
    took, cpu, (busy_now, idle_now) = time.perf_counter() - began, server.cpu_s() - before, machine()
    statuses.update(seen.statuses)
    good, whole = max(1, seen.statuses[200]), max(0.01, busy_now - busy + idle_now - idle)
    others = max(0.0, busy_now - busy - cpu - seen.cpu_s) / whole
    return Row(good / took, 1000 * cpu / good, 1000 * seen.cpu_s / good, others, (idle_now - idle) / whole)


@contextmanager
def fed(model: Path, length: int) -> Iterator[Server]:
    """The bare loops, fed by clients."""
    command = [sys.executable, REPO / "benchmarks/serving_fed.py", model, length, "x".join(map(str, SHAPE)), CORES]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Server(process, int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()


def throughput(folder: Path, seconds: float, rounds: int) -> bool:
    """Print the comparison; False when the server answered anything but 200."""
    import onnxruntime

    from webapp.engines.onnx import session_options

    model = folder / NAME / "model.onnx"
    both = onnxruntime.SessionOptions()
    both.intra_op_num_threads = CORES
    bare = {
        f"bare, 1 thread, {CORES} cores a run": (onnxruntime.InferenceSession(model, both), 1),
        f"bare, {CORES} threads, 1 core a run": (onnxruntime.InferenceSession(model, session_options(onnxruntime)),
                                                 CORES),
    }  # fmt: skip
    rows: dict[str, list[Row]] = {name: [] for name in bare}
    statuses: Counter[int] = Counter()
    with ExitStack() as stack:
        request = request_bytes(0)
        servers = {
            "fed, the same with every input from a client": stack.enter_context(fed(model, len(request))),
            "gunicorn, 1 process": stack.enter_context(serving(folder, runs=CORES)),
            f"gunicorn, {CORES} processes": stack.enter_context(serving(folder, workers=CORES, runs=1)),
        }
        crowds = {name: Crowd(server.port, request, CLIENTS) for name, server in servers.items()}
        for name, server in servers.items():
            through_server(server, crowds[name], 2, Counter())
        for _ in range(rounds):
            for name, (session, count) in bare.items():
                bare_loop(session, 0.5, count)
                rows[name].append(bare_loop(session, seconds / 2, count))
            for name, server in servers.items():
                rows.setdefault(name, []).append(through_server(server, crowds[name], seconds, statuses))
            print("  " + ", ".join(f"{found[-1].rate:.0f}/s" for found in rows.values()), dict(statuses), flush=True)
        for crowd in crowds.values():
            crowd.close()
    compare(rows, list(bare))
    return set(statuses) == {200}


def compare(rows: dict[str, list[Row]], bare: list[str]) -> None:
    """Print medians, and the median of each round's ratio: what else a machine does changes from round to round."""
    print(f"\n{'':46} {'a second':>8} {'CPU ms':>7} {'clients':>7}  {'to own way':>10} {'to 2 loops':>10} "
          f"{'others':>6} {'nobody':>6}")  # fmt: skip
    for name, found in rows.items():
        rate, cpu_ms, client_ms, others, nobody = (statistics.median(one) for one in zip(*map(astuple, found),
                                                                                          strict=True))
        ratios = [statistics.median(mine.rate / one.rate for mine, one in zip(found, rows[other], strict=True))
                  for other in bare]  # fmt: skip
        print(f"{name:46} {rate:8.0f} {cpu_ms:7.2f} {client_ms:7.2f}  {ratios[0]:10.2f} {ratios[1]:10.2f} "
              f"{others:6.0%} {nobody:6.0%}")  # fmt: skip


# ---- overload ----


def overload(folder: Path, minutes: float) -> bool:
    """Ten times what the server can take; False when something was lost, late or grew."""
    with serving(folder, workers=CORES, runs=1, deadline_ms=DEADLINE_MS) as server:
        request = request_bytes(server.port)
        crowd = Crowd(server.port, request, CLIENTS)
        capacity = through_server(server, crowd, 5, Counter()).rate
        crowd.close()
        crowd = Crowd(server.port, request, CONNECTIONS)
        memory: list[float] = []
        ended = threading.Event()

        def look() -> None:
            first = min(30.0, 6 * minutes)
            while not ended.wait(max(2.0, 3 * minutes) if memory else first):
                memory.append(server.memory_mb())

        looking = threading.Thread(target=look)
        looking.start()
        seen = crowd.run(60 * minutes, 10 * capacity)
        ended.set()
        looking.join()
        crowd.close()
    return report(capacity, seen, memory)


def report(capacity: float, seen: Seen, memory: list[float]) -> bool:
    """The overload's figures, and whether they are as they must be."""
    asked, accepted, took = sum(seen.statuses.values()), sorted(seen.accepted_s), seen.took_s
    p99_ms = 1000 * accepted[int(0.99 * (len(accepted) - 1))] if accepted else float("nan")
    half = max(1, len(memory) // 2)
    early, late = statistics.median(memory[:half]), statistics.median(memory[half:] or memory)
    print(f"\noverload: {took / 60:.1f} min, {asked} requests of {CONNECTIONS} connections")
    print(f"  asked {asked / took:.0f}/s, wanted {10 * capacity:.0f}/s, capacity {capacity:.0f}/s")
    print(f"  answers: {dict(sorted(seen.statuses.items()))}; accepted {len(accepted) / took:.0f}/s")
    median_ms = 1000 * statistics.median(accepted or [0])
    print(f"  accepted: median {median_ms:.0f} ms, p99 {p99_ms:.0f} ms; the deadline is {DEADLINE_MS} ms")
    print(f"  memory: {memory[0]:.0f} MB first, {early:.0f} MB in the first half, {late:.0f} MB in the second")
    fine = set(seen.statuses) <= {200, 429, 504} and p99_ms <= 2 * DEADLINE_MS and late <= 1.03 * early + 2
    print("  every request answered, in time, memory flat" if fine else "  NOT as it must be")
    return fine


def main() -> int:
    """1 when something was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--overload-minutes", type=float, default=1)
    parser.add_argument("--skip", choices=["throughput", "overload"])
    parser.add_argument("--models", type=Path, help=f"a folder with {NAME}, where there is no Paddle to make it")
    arguments = parser.parse_args()
    gc.disable()  # of this process: the clients allocate nothing that goes in circles
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "models"
        if arguments.models:
            shutil.copytree(arguments.models, folder)
        else:
            folder.mkdir()
            make_model(folder)
        fine = True
        if arguments.skip != "throughput":
            fine = throughput(folder, arguments.seconds, arguments.rounds) and fine
        if arguments.skip != "overload":
            fine = overload(folder, arguments.overload_minutes) and fine
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
