"""The tables of benchmarks/README.md from what was measured, between its markers."""

import statistics
from pathlib import Path
from typing import Any

README = Path(__file__).parents[1] / "README.md"
PEERS = {"ort": "ONNX Runtime Web", "tfjs": "TF.js", "litert": "LiteRT.js"}
AIMS = {"mobilenet_v2": (0.38, 0.63), "mobilenet_v3_small": (0.30, 0.58), "db": (0.45, 0.60)}
OTHERS = (0.50, 0.75)
STRICT_AIM = 0.55
Turn = dict[str, Any]


def aims_of(net: str) -> tuple[float, float]:
    """At most so much of ONNX Runtime Web's time, and of LiteRT.js's or the fastest peer's."""
    return AIMS.get(net) or (AIMS["db"] if net.startswith("db_") else OTHERS)


def replace(readme: Path, name: str, lines: list[str]) -> None:
    """Puts lines between <!-- NAME --> and <!-- end of NAME -->. Raises ValueError where a marker is missing."""
    text = readme.read_text(encoding="utf-8")
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if start not in text or end not in text:
        raise ValueError(f"{readme} has no lines {start} and {end}")
    head, rest = text.split(start)
    readme.write_text(head + start + "\n" + "\n".join(lines) + "\n" + end + rest.split(end)[1], encoding="utf-8")


def medians(turns: list[Turn], label: str, key: str) -> float | None:
    """The median over the runs; None where the engine cannot."""
    found = [turn[label][key] for turn in turns if key in turn.get(label, {})]
    return statistics.median(found) if found else None


def ratios(turns: list[Turn], own: str, peers: list[str], key: str) -> list[float]:
    """For each run: own time over that of the fastest of these peers."""
    found = []
    for turn in turns:
        rivals = [turn[peer][key] for peer in peers if key in turn.get(peer, {})]
        if rivals and key in turn.get(own, {}):
            found.append(turn[own][key] / min(rivals))
    return found


def cell(value: float | None, spread: float | None = None) -> str:
    return "–" if value is None else f"{value:.2f}" + (f" ± {100 * spread:.0f} %" if spread is not None else "")


def worst(values: list[float], aim: float | None = None) -> str:
    """The worst of the runs, and whether it is above the aim."""
    if not values:
        return "–"
    text = f"{max(values):.2f}"
    return f"**{text}**" if aim is not None and max(values) > aim else text


def speed_rows(results: dict[str, Any], nets: dict[str, Any], threads: int) -> list[str]:
    """A row for each net that was measured with so many threads."""
    key, rows = ("cpu_ms" if threads == 1 else "wall_ms"), []
    for net, meta in nets.items():
        turns = results.get(f"{net} {threads}", {}).get("turns")
        if not turns:
            continue
        own, others = cell(medians(turns, "inpage", key), medians(turns, "inpage", "spread")), []
        for peer in PEERS:
            value = medians(turns, peer, key)
            others.append(cell(value, None if value is None else medians(turns, peer, "spread")))
        to_ort, to_best = aims_of(net) if threads == 1 else (None, None)
        named = ["litert"] if net in AIMS or net.startswith("db_") else list(PEERS)
        ends = [worst(ratios(turns, "inpage", ["ort"], key), to_ort), worst(ratios(turns, "inpage", ["litert"], key),
                to_best if named == ["litert"] else None), worst(ratios(turns, "inpage", list(PEERS), key),
                to_best if named != ["litert"] else None)]  # fmt: skip
        if threads == 1:
            ends.append(worst(ratios(turns, "inpage strict", ["ort"], key), STRICT_AIM))
            errors = [max((turn[e]["error"] for turn in turns if "error" in turn.get(e, {})), default=None)
                      for e in ("inpage", *PEERS)]  # fmt: skip
            ends.append(" / ".join("–" if e is None else f"{e:.0e}" for e in errors))
        rows.append(f"| {meta['title']} | {own} | {' | '.join(others)} | {' | '.join(ends)} |")
    return rows


def failures(results: dict[str, Any], nets: dict[str, Any]) -> list[str]:
    """Which peer cannot run which net, and why; each once."""
    found: dict[tuple[str, str], list[str]] = {}
    for key, result in results.items():
        net = key.rsplit(" ", 1)[0]
        for label, entry in result["turns"][-1].items():
            if "failed" in entry and net in nets:
                reason = entry["failed"].replace("|", "/").strip()[:180]
                titles = found.setdefault((PEERS.get(label, label), reason), [])
                if nets[net]["title"] not in titles:
                    titles.append(nets[net]["title"])
    return [f"- {who} cannot run {', '.join(titles)}: {reason}" for (who, reason), titles in sorted(found.items())]


def write_table(results: dict[str, Any], nets: dict[str, Any], readme: Path) -> None:
    """Both tables and what is missing from them."""
    peers = " | ".join(PEERS.values())
    lines = [
        "One thread, milliseconds of CPU time a run (median, ± half of the middle half of the wall",
        "times); ratios and errors are the worst of the runs, in bold where an aim is missed:", "",
        f"| net | here | {peers} | to ORT | to LiteRT | to the fastest | strict build to ORT "
        "| error: here / ORT / TF.js / LiteRT |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
        *speed_rows(results, nets, 1),
    ]  # fmt: skip
    for threads in sorted({int(key.rsplit(" ", 1)[1]) for key in results} - {1}):
        lines += [
            "", f"{threads} threads, milliseconds by the clock:", "",
            f"| net | here | {peers} | to ORT | to LiteRT | to the fastest |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
            *speed_rows(results, nets, threads),
        ]  # fmt: skip
    if missing := failures(results, nets):
        lines += ["", *missing]
    replace(readme, "peers", lines)


def write_first(found: dict[str, list[dict[str, Any]]], title: str, readme: Path) -> None:
    """First results: medians, their ratio to the fastest peer's, bytes."""
    names = {"inpage": "here, float16 weights", "inpage page": "the same without a worker"} | PEERS
    middle = {
        key: {engine: statistics.median(one[key] for one in ones) for engine, ones in found.items()}
        for key in ("cold_ms", "warm_ms")
    }
    lines = [
        f"{title}, milliseconds from the navigation to the first result (median of {len(found['inpage'])}, from … to):",
        "",
        "| engine | empty cache, 20 Mbit/s + 40 ms | warm cache | runtime KB | model KB |", "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for engine, ones in found.items():
        cells = []
        for key in ("cold_ms", "warm_ms"):
            values = [one[key] for one in ones]
            cells.append(f"{statistics.median(values):.0f} ({min(values):.0f} … {max(values):.0f})")
        sizes = [f"{ones[-1]['bytes'][kind] / 1000:.0f}" for kind in ("runtime", "model")]
        lines.append(f"| {names[engine]} | {' | '.join(cells + sizes)} |")
    shares = [each["inpage"] / min(each[peer] for peer in PEERS if peer in each) for each in middle.values()]
    ends = f"{shares[0]:.2f} with an empty cache (aim 0.5), {shares[1]:.2f} with a warm one (aim 0.6)"
    lines += ["", f"To the fastest peer: {ends}."]
    replace(readme, "first result", lines)
