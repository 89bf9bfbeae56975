"""Engines in tabs of one browser, visited in turns: milliseconds a run, by the clock and of the processor.

Interleaved in chunks of a quarter of a second, so that whatever slows the machine slows everybody. With one thread the
CPU time of the tab's process is what a run takes on a free core, even where others use the machine; with several
threads it counts their waiting too, and only the clock says something.
"""

import math
import os
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, Error, Page

CHUNK_MS = 250
WARM_MS = 1000
LOAD_MS = 60_000
ATTEMPTS = 8
LEAST_ROUNDS = 6  # fewer do not tell how far apart they are
KNOWN = 0.04  # how well a ratio is to be known, as a share of it
CLEAR = 3  # times its error that it is to be from its aim
SPIN = "() => { let x = 1; for (let i = 0; i < 5e7; i++) x += Math.sqrt(x + i); return x }"  # some 100 ms

Aims = dict[tuple[str, str], float]
"""Of the ratios of CPU times, by the labels of both engines."""


@dataclass
class Tab:
    """One engine with one net, ready. runs: of each chunk; times_ms by the clock; cpu_ms: means of chunks."""

    label: str
    page: Page
    found: dict[str, Any]
    process: int
    runs: int = 1
    times_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def cpu_ms(process: int) -> float:
    """What all threads of a process have used of the processor so far."""
    total = 0
    for stat in Path(f"/proc/{process}/task").glob("*/schedstat"):
        try:
            total += int(stat.read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread that has ended since; its time is lost for both readings of a difference
    return total / 1e6


def renderers() -> dict[int, float]:
    """Every renderer process that this one has started, by the time its main thread has used."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            renders = entry.name.isdigit() and b"--type=renderer" in (entry / "cmdline").read_bytes()
            if renders and is_ours(int(entry.name)):
                found[int(entry.name)] = int((entry / "schedstat").read_text().split()[0]) / 1e6
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended
    return found


def is_ours(process: int) -> bool:
    """Whether this process is among its ancestors."""
    while process > 1:
        if process == os.getpid():
            return True
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def process_of(page: Page) -> int:
    """The renderer that works while the page does, and no other nearly as much. RuntimeError where none stands out."""
    for _ in range(ATTEMPTS):
        before = renderers()
        page.evaluate(SPIN)
        grown = {process: used - before.get(process, used) for process, used in renderers().items()}
        first, *others = sorted(grown, key=lambda process: -grown[process])
        if grown[first] > 20 and all(grown[first] > 4 * grown[other] for other in others):
            return first
    raise RuntimeError("no renderer process could be told to be the page's")


def open_tab(browser: Browser, site: str, label: str, wish: dict[str, str]) -> Tab | str:
    """The tab once its first result is there; or why there is none."""
    page = browser.new_page()
    page.goto(f"{site}/bench/pages/run.html?{urlencode(wish | {'check': '1'})}")
    try:
        page.wait_for_function("globalThis.found", timeout=LOAD_MS)
    except Error as error:
        page.close()
        return f"no answer ({str(error).splitlines()[0]})"
    found = page.evaluate("found")
    if "failed" in found:
        page.close()
        return str(found["failed"]).splitlines()[0]
    return Tab(label, page, found, process_of(page))


def warm(tab: Tab) -> None:
    """Until the optimising compiler has had its turn; then the size of a chunk is known."""
    tab.page.bring_to_front()
    spent, times = 0.0, []
    while spent < WARM_MS or len(times) < 4:
        times += tab.page.evaluate("bench(2)")
        spent = sum(times)
    tab.runs = max(2, round(CHUNK_MS / statistics.median(times[len(times) // 2 :])))


def visit(tab: Tab) -> None:
    """One chunk."""
    tab.page.bring_to_front()
    tab.page.evaluate("bench(1)")
    before = cpu_ms(tab.process)
    tab.times_ms += tab.page.evaluate("(n) => bench(n)", tab.runs)
    tab.cpu_ms.append((cpu_ms(tab.process) - before) / tab.runs)


def summary(tab: Tab) -> dict[str, Any]:
    """Figures of one tab. spread: half of the middle half, as a share of the median."""
    low, middle, high = statistics.quantiles(tab.times_ms, n=4)
    return {
        "wall_ms": middle, "spread": (high - low) / 2 / middle, "cpu_ms": statistics.median(tab.cpu_ms),
        "best_ms": min(tab.times_ms), "runs": len(tab.times_ms), "looks": len(tab.cpu_ms), "error": tab.found["error"],
        "first_run_ms": tab.found["first_run_ms"], "bytes": tab.found["bytes"], "note": tab.found["note"],
    }  # fmt: skip


def settled(own_ms: list[float], other_ms: list[float], aim: float) -> bool:
    """Whether the ratio of two engines, looked at in turns, is known, and on which side of its aim it lies."""
    ratios = [own / other for own, other in zip(own_ms, other_ms, strict=True)]
    if len(ratios) < LEAST_ROUNDS:
        return False
    low, middle, high = statistics.quantiles(ratios, n=4)
    error = 0.93 * (high - low) / math.sqrt(len(ratios))  # of a median, where ratios lie as a bell
    return error < KNOWN * middle and abs(middle - aim) > CLEAR * error


def compare(
    browser: Browser, site: str, wishes: Iterable[tuple[str, dict[str, str]]], rounds: int, aims: Aims | None = None
) -> dict[str, Any]:
    """One interleaved run: by label, the figures, or {"failed": reason}. With aims it ends once all are settled."""
    tabs, results = [], {}
    for label, wish in wishes:
        tab = open_tab(browser, site, label, wish)
        if isinstance(tab, str):
            results[label] = {"failed": tab}
        else:
            tabs.append(tab)
    try:
        for tab in tabs:
            warm(tab)
        known = {tab.label: tab.cpu_ms for tab in tabs}
        asked = [(*pair, aim) for pair, aim in (aims or {}).items() if {*pair} <= {*known}]
        pairs = [(known[own], known[other], aim) for own, other, aim in asked]
        for _ in range(rounds):
            for tab in tabs:
                visit(tab)
            if pairs and all(settled(*pair) for pair in pairs):
                break
        return results | {tab.label: summary(tab) for tab in tabs}
    finally:
        for tab in tabs:
            tab.page.close()
