"""The same nets in this runtime and in its peers, interleaved in one Chromium; the table of benchmarks/README.md.

    python -m benchmarks.peers [--net NAME]... [--threads 1,2] [--repeats 3] [--rounds 36] [--kept] [--table]

With one thread engines are looked at until the ratios are known to 4 % and lie clear of their aims, at most in so many
rounds; with several, in all of them.

Results gather in benchmarks/.cache/peers.json, newest of each net; --table only writes them into the README.
--kept takes the nets as they were made last. --into names another file with such a table; its results gather in a file
of their own.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.peers.measure import Aims, compare
from benchmarks.peers.prepare import CACHE, MODELS, NETS, all_names, prepare
from benchmarks.peers.site import serving
from benchmarks.peers.table import README, STRICT_AIM, aims_of, write_table
from tests.conftest import CHROMIUM_FLAGS, chromium_path

STRICT = ("mobilenet_v2", "mobilenet_v3_small", "pplcnet_x1_0", "db_320", "svtr", "crnn")


def wishes(net: str, threads: int) -> list[tuple[str, dict[str, str]]]:
    """The engines to compare: label and query of the page."""
    both = {"net": net, "threads": str(threads)}
    found = [("inpage", {"engine": "inpage"})]
    if threads == 1 and net in STRICT:
        found.append(("inpage strict", {"engine": "inpage", "strict": "1"}))
    found += [("ort", {"engine": "ort"}), ("tfjs", {"engine": "tfjs"}), ("litert", {"engine": "litert"})]
    return [(label, both | wish) for label, wish in found]


def aims(net: str, threads: int) -> Aims:
    """What decides how often engines are looked at; times by the clock have no aims, and TF.js is never the fastest."""
    if threads > 1:
        return {}
    to_ort, to_others = aims_of(net)
    return {("inpage", "ort"): to_ort, ("inpage", "litert"): to_others, ("inpage strict", "ort"): STRICT_AIM}


def known_failure(net: str, engine: str) -> str:
    """Why a peer has no form of this net; empty where it has one."""
    part = {"tfjs": "tfjs", "litert": "tflite"}.get(engine)
    file = NETS / net / f"{part}.failed"
    return file.read_text().splitlines()[0] if part and file.is_file() else ""


def results_of(table: Path) -> Path:
    """Where the results of a table gather: short runs with a table of their own stay out of the README's."""
    return CACHE / ("peers.json" if table == README.resolve() else f"peers.{table.stem}.json")


def load_results(kept: Path) -> dict[str, Any]:
    """What was measured so far, by "NET THREADS"."""
    return json.loads(kept.read_text()) if kept.is_file() else {}


def run(names: list[str], threads: list[int], repeats: int, rounds: int, kept: Path) -> None:
    """Measures, and keeps what was found after each net."""
    flags = [*CHROMIUM_FLAGS, "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
             "--disable-backgrounding-occluded-windows"]  # fmt: skip
    with serving(MODELS) as site, sync_playwright() as playwright:
        for name in names:
            for count in threads:
                asked = wishes(name, count)
                reasons = {label: known_failure(name, wish["engine"]) for label, wish in asked}
                missing = {label: {"failed": reason} for label, reason in reasons.items() if reason}
                able = [(label, wish) for label, wish in asked if label not in missing]
                turns = []
                for _ in range(repeats):
                    browser = playwright.chromium.launch(executable_path=chromium_path(), args=flags)
                    turns.append(compare(browser, site, able, rounds, aims(name, count)) | missing)
                    browser.close()
                    report(name, count, turns[-1])
                    if "failed" in turns[-1]["inpage"]:
                        raise SystemExit(f"this runtime could not run {name} with {count} threads")
                results = load_results(kept)
                stamp = {"when": time.strftime("%Y-%m-%d"), "load": os.getloadavg()[0]}
                results[f"{name} {count}"] = stamp | {"turns": turns}
                kept.write_text(json.dumps(results, indent=1))


def report(name: str, threads: int, turn: dict[str, Any]) -> None:
    """One run, for people."""
    kind = "cpu_ms" if threads == 1 else "wall_ms"
    own = turn["inpage"].get(kind)
    for label, found in turn.items():
        if "failed" in found:
            print(f"{name:20} {threads} {label:14} cannot: {found['failed'][:160]}", flush=True)
            continue
        ratio = f"{own / found[kind]:.3f}" if own else "–"
        clock = f"by the clock {found['wall_ms']:.2f} ± {100 * found['spread']:.0f} %, best {found['best_ms']:.2f}"
        print(f"{name:20} {threads} {label:14} {found[kind]:8.2f} ms ({kind[:-3]}; {clock}) ours/this {ratio} "
              f"error {found['error']:.1e}, {found['looks']} looks", flush=True)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", action="append", help="default: all of them")
    parser.add_argument("--threads", default=f"1,{os.cpu_count()}")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=36)
    parser.add_argument("--kept", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--into", type=Path, default=README, help="whose table is written")
    given = parser.parse_args()
    kept = results_of(given.into.resolve())
    if not given.table:
        names = given.net or all_names()
        for left in set(names) - set(all_names()):
            parser.error(f"there is no net {left!r}; there are {', '.join(all_names())}")
        if not given.kept:
            prepare(names)
        run(names, [int(n) for n in dict.fromkeys(given.threads.split(","))], given.repeats, given.rounds, kept)
    files = {name: NETS / name / "net.json" for name in all_names()}
    known = {name: json.loads(file.read_text()) for name, file in files.items() if file.is_file()}
    write_table(load_results(kept), known, given.into)
    return 0


if __name__ == "__main__":
    sys.exit(main())
