"""Many runs of one model in Chromium, in a worker as in a page: memory must not grow, and no run may take much longer.

    python benchmarks/endurance.py [--runs 100000] [--bundle static/models/document_corners] [--shape 1,3,256,256]

After a tenth of the runs, everything that is ever set aside has been; from there on to the end the kernels' memory may
not grow at all, and the renderer's resident memory, whose garbage comes and goes, by 8 MB from the lowest of the first
half to the lowest of the second.
The spread of times says something on a quiet machine only.
"""

import argparse
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO)]

from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402

from tests.conftest import CHROMIUM_FLAGS  # noqa: E402
from tests.runtime.browser_kit import running  # noqa: E402

LIMIT_MB = 8
TENTHS = 10
LOAD = """async ({ bundle, shape }) => {
  const { load } = await import('/static/runtime/index.js');
  const model = await load(bundle), data = Float32Array.from({ length: shape.reduce((p, q) => p * q, 1) }, Math.sin);
  const feeds = { [model.inputs[0].name]: { data, shape } };
  globalThis.go = async (runs) => {
    const times_ms = new Float32Array(runs);
    for (let i = 0; i < runs; i++) {
      const start_ms = performance.now();
      await model.run(feeds);
      times_ms[i] = performance.now() - start_ms;
    }
    times_ms.sort();
    const at = (share) => times_ms[Math.min(runs - 1, Math.floor(runs * share))];
    globalThis.gc();
    return { median: at(0.5), p99: at(0.99), worst: at(1), bytes: model.memory().bytes };
  };
}"""


def resident_mb(browser: Browser) -> float:
    """Resident memory of the largest renderer: the page's, its worker included."""
    found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    sizes = []
    for process in found:
        status = Path(f"/proc/{process['id']}/status")
        if process["type"] == "renderer" and status.exists():
            sizes.append(int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1]) / 1024)
    return max(sizes)


def endure(browser: Browser, page: Page, runs: int) -> list[dict[str, Any]]:
    """One row for each tenth of the runs."""
    rows = []
    for tenth in range(1, TENTHS + 1):
        row = page.evaluate("(runs) => go(runs)", runs // TENTHS) | {"resident_mb": resident_mb(browser)}
        rows.append(row)
        print(f"{tenth * runs // TENTHS:>9} runs: median {row['median']:.2f} ms, p99 {row['p99']:.2f}, "
              f"worst {row['worst']:.1f}; resident {row['resident_mb']:.1f} MB, kernels {row['bytes'] / 2**20:.1f} MB",
              flush=True)  # fmt: skip
    return rows


def main() -> int:
    """Exit code 1 where memory grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--bundle", type=Path, default=REPO / "static" / "models" / "document_corners")
    parser.add_argument("--shape", default="1,3,256,256", help="of its first input")
    args = parser.parse_args()
    shape = [int(size) for size in args.shape.split(",")]
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome-stable")
    files = {"bundle": {path.name: path.read_bytes() for path in args.bundle.iterdir() if path.is_file()}}
    with running(files) as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*CHROMIUM_FLAGS, "--js-flags=--expose-gc"])
        page = browser.new_page()
        page.goto(site.url + "/")
        page.evaluate(LOAD, {"bundle": f"{site.url}/bundle/", "shape": shape})
        rows = endure(browser, page, max(args.runs, TENTHS))
        browser.close()
    first, second = (min(row["resident_mb"] for row in half) for half in (rows[: TENTHS // 2], rows[TENTHS // 2 :]))
    grown, wasm = second - first, rows[-1]["bytes"] - rows[0]["bytes"]
    print(f"grown by {grown:.1f} MB (limit {LIMIT_MB}), kernels by {wasm} bytes; "
          f"p99 / median {max(row['p99'] / row['median'] for row in rows):.2f} at worst")  # fmt: skip
    return int(grown > LIMIT_MB or wasm > 0)


if __name__ == "__main__":
    sys.exit(main())
