"""What helper threads are worth: the same plan with one, two and more threads, in turns of ten runs, in a worker.

    python benchmarks/wasm_threads.py [--threads 1,2] [--seconds 8] [--adaptive] [--busy 1]
                                      [--bundle DIR --shape 1,3,320,320]

Means something only while the cores are free; the ratio of the best runs forgives some noise. --adaptive leaves it to
the runtime whether to call helpers, as pages do: then several threads should never be slower than one. --busy: so many
other processes compute all the time. In a virtual machine two cores may share a cache or not, and change that within
seconds: turns are told apart by how long a word takes from one to the other (near, far, or busy with other work). Of
those a row of its own tells the turns in which both cores were free: before and after, both computed in registers at
once, at no less than 0.95 of the best speed seen.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from playwright.sync_api import sync_playwright  # noqa: E402
from wasm_kernels import models, peak_wasm  # noqa: E402

from tests.conftest import CHROMIUM_FLAGS  # noqa: E402
from tests.runtime.browser_kit import running  # noqa: E402

RUN = """(args) => new Promise((resolve, reject) => {
  const worker = new Worker('/bench/driver.js', { type: 'module' });
  worker.onmessage = ({ data }) => { worker.terminate(); resolve(data); };
  worker.onerror = (event) => reject(new Error(event.message));
  worker.postMessage(args);
})"""


def main() -> int:
    """Prints a row for each model and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", default="1,2", help="the numbers to compare")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--adaptive", action="store_true")
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--shape", default="1,3,224,224")
    args = parser.parse_args()
    threads = [int(n) for n in args.threads.split(",")]
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome-stable")
    with tempfile.TemporaryDirectory(prefix="wasm-threads-") as name, sync_playwright() as playwright:
        nets = list(models(args, Path(name)))
        files = {label: {p.name: p.read_bytes() for p in path.iterdir() if p.is_file()} for label, path, _ in nets}
        files["bench"] = {"driver.js": (HERE / "wasm_threads.js").read_bytes(), "peak.wasm": peak_wasm(Path(name))}
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        with running(files) as site:
            page = browser.new_page()
            page.goto(site.url + "/")
            for label, _, shape in nets:
                others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(args.busy)]
                order = {"bundle": f"{site.url}/{label}/", "shape": shape, "threads": threads}
                try:
                    found = page.evaluate(RUN, order | {"seconds": args.seconds, "adaptive": args.adaptive})
                finally:
                    for other in others:
                        other.kill()
                for row in found:
                    first = next(other for other in found if other["place"] == row["place"])
                    ratios = " ".join(f"{k} {row[k]:.2f} ms ({row[k] / first[k]:.2f} x)" for k in ("best", "median"))
                    print(f"{label}, cores {row['place']}, {row['threads']} threads: {ratios} p99 {row['p99']:.2f} ms, "
                          f"{row['runs']} runs, {row['helped']} parts by helpers", flush=True)  # fmt: skip
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
