"""From the navigation to the first result of MobileNetV3-small: empty cache on a slow link, warm cache on none.

    python -m benchmarks.peers.first [--net mobilenet_v3_small] [--repeats 5] [--engines inpage,tfjs,ort,litert]

Cold: a new profile, 20 Mbit/s and 40 ms (link.py). Warm: the third visit of a profile, in a new browser process, on
loopback. The browser is up and has shown a page of the site before the clock starts. Everybody's files come from the
product's own server, and engines are visited in turns. Here weights are float16, the peers' are float32.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Playwright, sync_playwright

from benchmarks.peers.link import slow_link
from benchmarks.peers.prepare import CACHE, MODELS, NETS, prepare
from benchmarks.peers.site import serving, visited
from benchmarks.peers.table import README, write_first
from tests.conftest import CHROMIUM_FLAGS, chromium_path

RESULTS = CACHE / "first.json"
SETTLE_MS = 1200  # the browser writes what it compiled some time after
ENGINES = ("inpage", "inpage page", "tfjs", "ort", "litert")


def visit(playwright: Playwright, site: str, profile: str, wish: dict[str, str], settle: bool) -> dict[str, Any]:
    """One navigation; what the page found, and the requests it made."""
    browser = playwright.chromium
    context = browser.launch_persistent_context(profile, executable_path=chromium_path(), args=CHROMIUM_FLAGS)
    try:
        page = context.pages[0] if context.pages else context.new_page()
        page.goto(f"{site}/bench/pages/empty.html")
        page.wait_for_timeout(300)
        # No script of ours comes into the page meanwhile: Playwright's alone takes some ten milliseconds.
        with page.expect_console_message(lambda said: said.text.startswith("found "), timeout=120_000) as told:
            page.goto(f"{site}/bench/pages/run.html?{urlencode(wish)}", wait_until="commit")
        found = json.loads(told.value.text.removeprefix("found "))
        if "failed" in found:
            raise RuntimeError(f"{wish}: {found['failed']}")
        if settle:
            page.evaluate("bench(40)")  # until the optimising compiler is done, whose code browsers keep
            page.wait_for_timeout(SETTLE_MS)
        return found
    finally:
        context.close()


def measure(playwright: Playwright, fast: str, slow: str, engine: str, net: str, shape: list[int]) -> dict[str, Any]:
    """Cold and warm of one engine, once."""
    kind, _, thread = engine.partition(" ")
    wish = {"engine": kind, "net": net, "first": ",".join(map(str, shape))}
    if kind == "inpage":
        wish |= {"bundle": f"{net}_half", "threads": "1" if thread else ""}
    with tempfile.TemporaryDirectory(prefix="first-") as profile:
        cold = visit(playwright, slow, profile, wish, settle=False)
    with tempfile.TemporaryDirectory(prefix="first-") as profile:
        for _ in range(2):
            visit(playwright, fast, profile, wish, settle=True)
        warm = visit(playwright, fast, profile, wish, settle=False)
    return {"cold_ms": cold["first_ms"], "warm_ms": warm["first_ms"]} | {k: cold[k] for k in ("bytes", "requests")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="mobilenet_v3_small")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--kept", action="store_true", help="take the nets as they were made last")
    parser.add_argument("--engines", default=",".join(ENGINES), help="page: without a worker")
    parser.add_argument("--into", type=Path, default=README, help="whose table is written")
    given = parser.parse_args()
    engines = given.engines.split(",")
    if not given.kept:
        prepare([given.net])
    net = json.loads((NETS / given.net / "net.json").read_text())
    found: dict[str, list[dict[str, Any]]] = {engine: [] for engine in engines}
    with serving(MODELS) as fast, slow_link(int(fast.rsplit(":", 1)[1])) as slow, sync_playwright() as playwright:
        visited(fast, f"{given.net}_half")
        for _ in range(given.repeats):
            for engine in engines:
                one = measure(playwright, fast, slow, engine, given.net, net["shape"])
                found[engine].append(one)
                sizes = ", ".join(f"{kind} {count / 1000:.0f} KB" for kind, count in one["bytes"].items())
                print(f"{engine:11} cold {one['cold_ms']:6.0f} ms, warm {one['warm_ms']:5.0f} ms, {sizes}", flush=True)
            RESULTS.write_text(json.dumps({"net": given.net, "found": found}, indent=1))
            write_first(found, net["title"], given.into)
    for key in ("cold_ms", "warm_ms"):
        own = statistics.median(one[key] for one in found["inpage"])
        for engine in engines:
            print(key, engine, f"{own / statistics.median(one[key] for one in found[engine]):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
