"""Many runs of one model in Chromium, in a worker as pages have it: memory must not grow, and no run take much longer.

    python benchmarks/endurance.py [--runs 100000] [--bundle static/models/face_head] [--shape 1,3,112,112] [--here]

After a tenth of the runs the kernels' memory may not grow at all. After half of them, when all code has been optimised,
what is left on the heaps of page and worker (the browser's own objects and buffers included) when garbage is collected
may grow by 16 KB at most; fewer than 100 000 runs do not settle that. Resident memory is shown only.

The spread of times says something on a quiet machine only, and the longer one looks, the more of it is the host's
changing speed: it is given of all runs, of tenths and of a thousand runs at a time. Two other things tell how quiet the
machine is: after each tenth ONNX Runtime runs the bundle's model.onnx on one thread, without any browser; and between
the runs, a fifth as many, the same page does the same without this runtime: a loop of plain arithmetic that takes as
long, in as many workers at once as a run may have threads, which get and give back as many bytes. --here: one thread,
the page's own.
"""

import argparse
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO)]

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402

from tests.conftest import CHROMIUM_FLAGS  # noqa: E402
from tests.runtime.browser_kit import running  # noqa: E402

LIMIT_KB, ENOUGH_RUNS = 16, 100_000
TENTHS = 10
TURN, WINDOW = 100, 1000
LOAD = """async ({ bundle, shape, worker, runs, TURN, WINDOW }) => {
  const { load } = await import('/static/runtime/index.js'), { ask, work } = await import('/bare/page.js');
  const model = await load(bundle, { worker }), size = shape.reduce((p, q) => p * q, 1);
  const feeds = { [model.inputs[0].name]: { data: Float32Array.from({ length: size }, Math.sin), shape } };
  const run = () => model.run(feeds);
  const threads = worker ? Math.min(navigator.hardwareConcurrency, 4) : 1;
  const buffers = Array.from({ length: threads }, () => new ArrayBuffer(4 * Math.ceil(size / threads)));
  let turns = 1000;
  const share = async (buffer, i) => { buffers[i] = (await ask(i, { turns, buffer })).buffer; };
  const bare = worker ? () => Promise.all(buffers.map(share)) : async () => work(turns);
  const timed = async (call, times_ms, from, to) => {
    for (let i = 0; i < 5; i++) await call(); // what a change of threads costs is nobody's
    for (let i = from; i < to; i++) {
      const start_ms = performance.now();
      await call();
      times_ms[i] = performance.now() - start_ms;
    }
    return times_ms;
  };
  const tail = (times_ms) => {
    times_ms.sort();
    const at = (share) => times_ms[Math.min(times_ms.length - 1, Math.floor(times_ms.length * share))];
    return { median: at(0.5), p99: at(0.99), worst: at(1) };
  };
  globalThis.held = () => model.memory().bytes;
  globalThis.match = async () => { // the loop becomes as long as a run
    const few = async (call) => tail(await timed(call, new Float32Array(200), 0, 200)).median;
    const wanted_ms = await few(run);
    for (let i = 0; i < 3; i++) turns = Math.ceil(turns * wanted_ms / Math.max(await few(bare), 0.01));
  };
  const all_ms = new Float32Array(runs), all_bare_ms = new Float32Array(runs / 5);
  let done = 0;
  globalThis.go = async (count) => {
    const from = done, windows = [];
    for (const end = done + count; done < end; done += TURN) {
      await timed(run, all_ms, done, done + TURN);
      await timed(bare, all_bare_ms, done / 5, (done + TURN) / 5);
    }
    for (let i = from; i < done; i += WINDOW) windows.push(tail(all_ms.slice(i, Math.min(i + WINDOW, done))));
    return { ...tail(all_ms.slice(from, done)), windows, bare: tail(all_bare_ms.slice(from / 5, done / 5)) };
  };
  globalThis.whole = () => ({ ours: tail(all_ms.slice()), bare: tail(all_bare_ms.slice()) });
}"""
BARE = {
    "work.js": b"""let sum = 1;
export function work(turns) {
  for (let i = 0; i < turns; i++) sum += Math.sqrt(sum + i);
  return sum;
}""",
    "worker.js": b"""import { work } from './work.js';
onmessage = ({ data: { turns, buffer } }) => postMessage({ sum: work(turns), buffer }, [buffer]);""",
    "page.js": b"""export { work } from './work.js';
const workers = [];
export const ask = (place, question) => new Promise((done, fail) => {
  const worker = workers[place] ??= new Worker('/bare/worker.js', { type: 'module' });
  worker.onmessage = ({ data }) => done(data);
  worker.onerror = () => fail(new Error('the bare worker broke off'));
  worker.postMessage(question, [question.buffer]);
});""",
}
HEAPS = ("usedSize", "embedderHeapUsedSize", "backingStorageSize")


class Native:
    """The same net in ONNX Runtime, in this process: what the machine does to any program's times."""

    def __init__(self, bundle: Path, shape: list[int]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        file = str(bundle / "model.onnx")
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        values = np.sin(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)
        self.feeds = {self.session.get_inputs()[0].name: values}

    def tail(self, runs: int) -> float:
        """p99 over the median of so many runs."""
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            self.session.run(None, self.feeds)
            times.append(time.perf_counter() - start)
        return float(np.quantile(times, 0.99) / np.median(times))


def resident_mb(browser: Browser) -> float:
    """Resident memory of the largest renderer: the page's, its worker included."""
    found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    sizes = []
    for process in found:
        status = Path(f"/proc/{process['id']}/status")
        if process["type"] == "renderer" and status.exists():
            sizes.append(int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1]) / 1024)
    return max(sizes)


class Heaps:
    """The heaps of a page and of its worker, as the browser's debugger knows them."""

    def __init__(self, page: Page) -> None:
        self.page, self.asked = page, 0
        self.workers: list[str] = []
        self.answers: dict[int, dict[str, Any]] = {}
        self.debugger = page.context.new_cdp_session(page)
        self.debugger.on("Target.attachedToTarget", lambda event: self.workers.append(event["sessionId"]))
        self.debugger.on("Target.receivedMessageFromTarget", self.receive)
        attach = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": False}
        self.debugger.send("Target.setAutoAttach", attach)  # to the page's own workers; helpers are the worker's

    def receive(self, event: dict[str, Any]) -> None:
        """What a worker answers."""
        answer = json.loads(event["message"])
        if "id" in answer:
            self.answers[answer["id"]] = answer

    def ask(self, worker: str, method: str) -> dict[str, Any]:
        """One question to a worker's debugger."""
        self.asked += 1
        message = json.dumps({"id": self.asked, "method": method})
        self.debugger.send("Target.sendMessageToTarget", {"sessionId": worker, "message": message})
        while self.asked not in self.answers:
            self.page.wait_for_timeout(10)
        return self.answers.pop(self.asked)["result"]

    def kilobytes(self) -> float:
        """What is left of all of them when garbage is collected."""
        self.debugger.send("HeapProfiler.collectGarbage")
        found = [self.debugger.send("Runtime.getHeapUsage")]
        for worker in self.workers:
            self.ask(worker, "HeapProfiler.collectGarbage")
            found.append(self.ask(worker, "Runtime.getHeapUsage"))
        return sum(heap[part] for heap in found for part in HEAPS) / 1024


def ratio(tail: dict[str, float]) -> float:
    """p99 over the median."""
    return tail["p99"] / tail["median"]


def endure(browser: Browser, page: Page, native: Native, runs: int) -> list[dict[str, Any]]:
    """One row for each tenth of the runs."""
    rows, heaps = [], Heaps(page)
    for tenth in range(1, TENTHS + 1):
        row = page.evaluate("(runs) => go(runs)", runs // TENTHS)
        row |= {"heap_kb": heaps.kilobytes(), "resident_mb": resident_mb(browser), "bytes": page.evaluate("held()")}
        row |= {"tail": ratio(row), "bare": ratio(row["bare"]), "native": native.tail(max(20, runs // TENTHS // 5))}
        rows.append(row)
        print(f"{tenth * runs // TENTHS:>9} runs: median {row['median']:.2f} ms, p99 {row['p99']:.2f} "
              f"({row['tail']:.2f} x, without us {row['bare']:.2f}, ONNX Runtime {row['native']:.2f}), "
              f"worst {row['worst']:.1f}; heaps {row['heap_kb']:.0f} KB, "
              f"resident {row['resident_mb']:.1f} MB, kernels {row['bytes'] / 2**20:.1f} MB", flush=True)  # fmt: skip
    return rows


def main() -> int:
    """Exit code 1 where memory grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--bundle", type=Path, default=REPO / "static" / "models" / "face_head")
    parser.add_argument("--shape", default="1,3,112,112", help="of its first input")
    parser.add_argument("--here", action="store_true", help="on the page's thread, which computes alone")
    args = parser.parse_args()
    shape = [int(size) for size in args.shape.split(",")]
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome-stable")
    files = {"bundle": {path.name: path.read_bytes() for path in args.bundle.iterdir() if path.is_file()}, "bare": BARE}
    with running(files) as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page()
        page.goto(site.url + "/")
        runs = max(1, args.runs // TENTHS // TURN) * TENTHS * TURN
        wish = {"bundle": f"{site.url}/bundle/", "shape": shape, "worker": not args.here, "runs": runs}
        page.evaluate(LOAD, wish | {"TURN": TURN, "WINDOW": WINDOW})
        page.evaluate("match()")
        rows = endure(browser, page, Native(args.bundle, shape), runs)
        whole = page.evaluate("whole()")
        browser.close()
    return verdict(rows, whole, runs)


def spread(name: str, found: list[float]) -> str:
    """The middle of some ratios, and the ends."""
    return f"{name} {np.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def verdict(rows: list[dict[str, Any]], whole: dict[str, dict[str, float]], runs: int) -> int:
    """Prints what all runs together show; 1 where memory grew."""
    grown_kb = rows[-1]["heap_kb"] - rows[TENTHS // 2 - 1]["heap_kb"]
    kernels = rows[-1]["bytes"] - rows[0]["bytes"]
    print(f"grown: heaps {grown_kb:.1f} KB (limit {LIMIT_KB}), kernels {kernels} bytes")
    print(f"p99 / median: of all runs {ratio(whole['ours']):.2f}, without us {ratio(whole['bare']):.2f}")
    columns = {key: [row[key] for row in rows] for key in ("tail", "bare", "native")}
    windows = [ratio(window) for row in rows for window in row["windows"]]
    print("; ".join([spread(f"by {min(WINDOW, runs // TENTHS)} runs", windows), spread("by tenths", columns["tail"]),
                     spread("without us", columns["bare"]), spread("ONNX Runtime", columns["native"])]))  # fmt: skip
    return int((runs >= ENOUGH_RUNS and grown_kb > LIMIT_KB) or kernels > 0)


if __name__ == "__main__":
    sys.exit(main())
