"""What is counted, for Prometheus and for the status page. Right under several processes.

prometheus-client chooses where it keeps numbers when it is imported: so it is imported when the first app is made,
after the folder that all processes share was named.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BUCKETS_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
STAGES = ("queue", "decode", "preprocess", "infer", "encode", "total")


class Metrics:
    """The counters of one app. `folder`: shared by all processes; None keeps them in this one."""

    def __init__(self, folder: Path | None) -> None:
        if folder is not None:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        import prometheus_client as client
        from prometheus_client import values

        if folder is not None and not values.ValueClass._multiprocess:
            raise RuntimeError("prometheus_client was imported before the folder of the counters was known")
        self.client, self.folder = client, folder
        self.registry = own = client.CollectorRegistry()
        self.requests = client.Counter("inpage_requests", "Requests.", ["route", "model", "status"], registry=own)
        self.rejects = client.Counter("inpage_rejects", "Requests that were turned away.", ["reason"], registry=own)
        self.stages = client.Histogram(
            "inpage_stage_seconds", "Time per stage.", ["stage", "model"], buckets=BUCKETS_S, registry=own
        )
        self.batches = client.Histogram(
            "inpage_batch_rows", "Rows that ran together.", ["model"], buckets=BUCKETS_ROWS, registry=own
        )
        self.running = client.Gauge("inpage_running", "Running now.", multiprocess_mode="livesum", registry=own)
        self.waiting = client.Gauge("inpage_queue_depth", "Waiting now.", multiprocess_mode="livesum", registry=own)
        self.processes = client.Gauge("inpage_processes", "Processes.", multiprocess_mode="livesum", registry=own)
        self.engine = client.Gauge(
            "inpage_engine", "Processes in which the version runs on this engine.", ["model", "version", "engine"],
            multiprocess_mode="livesum", registry=own,
        )  # fmt: skip
        self.processes.set(1)
        self.children: dict[tuple, Any] = {}  # looking a label up costs more than counting
        self.depths: dict[object, tuple[int, int]] = {}
        self.told = [0, 0]
        self.shown: set[tuple[str, str, str]] = set()

    def batch(self, model: str, rows: int) -> None:
        """What an engine that batches reports."""
        self.batches.labels(model).observe(rows)

    def depth(self, who: object, running: int, waiting: int) -> None:
        """What a queue reports, often: it is written down for other processes by `show`, not here."""
        if running or waiting:
            self.depths[who] = running, waiting
        else:
            self.depths.pop(who, None)

    def show(self) -> None:
        """Write down the present state of all queues of this process."""
        now = list(self.depths.values())
        for gauge, k in ((self.running, 0), (self.waiting, 1)):
            count = sum(pair[k] for pair in now)
            if count != self.told[k]:
                gauge.set(count)
                self.told[k] = count

    def engines(self, now: set[tuple[str, str, str]]) -> None:
        """Which (model, version, engine) answer in this process."""
        for labels in self.shown - now:
            self.engine.labels(*labels).set(0)
        for labels in now:
            self.engine.labels(*labels).set(1)
        self.shown |= now

    def count(self, route: str, model: str, status: int, stages: Mapping[str, float]) -> None:
        """A request was answered; the seconds that its stages took."""
        of = self.children
        requests = of.get((route, model, status))
        if requests is None:
            requests = of[route, model, status] = self.requests.labels(route, model, str(status))
        requests.inc()
        for name, seconds in stages.items():
            stage = of.get((name, model))
            if stage is None:
                stage = of[name, model] = self.stages.labels(name, model)
            stage.observe(seconds)

    def collected(self) -> Any:
        """A registry to read: of this process, or the sum over all."""
        self.show()
        if self.folder is None:
            return self.registry
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self.client.CollectorRegistry()
        MultiProcessCollector(registry, path=str(self.folder))
        return registry

    def text(self) -> tuple[bytes, str]:
        """The page that Prometheus reads, and its content type."""
        return self.client.generate_latest(self.collected()), self.client.CONTENT_TYPE_LATEST

    def summary(self) -> dict[str, Any]:
        """The same for people: totals, and per stage the median and the 95th percentile in milliseconds."""
        requests: dict[str, float] = {}
        rejects: dict[str, float] = {}
        gauges = {"inpage_running": 0.0, "inpage_queue_depth": 0.0, "inpage_processes": 0.0}
        stages: dict[str, dict[float, float]] = {}
        batches: dict[str, dict[str, float]] = {}
        for metric in self.collected().collect():
            for sample in metric.samples:
                if sample.name == "inpage_requests_total":
                    add(requests, sample.labels["status"], sample.value)
                elif sample.name == "inpage_rejects_total":
                    add(rejects, sample.labels["reason"], sample.value)
                elif sample.name == "inpage_stage_seconds_bucket":
                    add(stages.setdefault(sample.labels["stage"], {}), float(sample.labels["le"]), sample.value)
                elif sample.name in ("inpage_batch_rows_count", "inpage_batch_rows_sum"):
                    add(batches.setdefault(sample.labels["model"], {}), sample.name.rsplit("_", 1)[1], sample.value)
                elif sample.name in gauges:
                    gauges[sample.name] += sample.value
        return {
            "requests": {status: int(count) for status, count in sorted(requests.items())},
            "rejects": {reason: int(count) for reason, count in sorted(rejects.items())},
            "running": int(gauges["inpage_running"]),
            "waiting": int(gauges["inpage_queue_depth"]),
            "processes": int(gauges["inpage_processes"]),
            "batches": {
                name: {"count": int(found["count"]), "meanRows": round(found["sum"] / max(1, found["count"]), 2)}
                for name, found in batches.items()
            },
            "stages": {name: percentiles(stages[name]) for name in STAGES if name in stages},
        }


class timed:  # noqa: N801  (used as a statement)
    """`with timed(name, into):` adds the seconds that the inside takes, whatever comes of it."""

    __slots__ = ("began", "into", "name")

    def __init__(self, name: str, into: dict[str, float]) -> None:
        self.name, self.into = name, into

    def __enter__(self) -> None:
        self.began = perf_counter()

    def __exit__(self, *problem: object) -> None:
        self.into[self.name] = self.into.get(self.name, 0.0) + perf_counter() - self.began


def add(totals: dict[Any, float], key: Any, value: float) -> None:
    """Sum up by key."""
    totals[key] = totals.get(key, 0.0) + value


def quantile(buckets: dict[float, float], share: float) -> float:
    """The value below which `share` of what was counted lies, in seconds: straight within a bucket."""
    bounds = sorted(buckets)
    wanted, below, low = share * buckets[bounds[-1]], 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            if bound == float("inf"):
                return low
            return low + (bound - low) * (wanted - below) / max(buckets[bound] - below, 1e-12)
        below, low = buckets[bound], bound
    return low


def percentiles(buckets: dict[float, float]) -> dict[str, float]:
    """Count, median and 95th percentile; times in milliseconds."""
    count = buckets[float("inf")]
    if not count:
        return {"count": 0, "p50Ms": 0.0, "p95Ms": 0.0}
    return {
        "count": int(count),
        "p50Ms": round(quantile(buckets, 0.5) * 1000, 2),
        "p95Ms": round(quantile(buckets, 0.95) * 1000, 2),
    }


def forget_process(pid: int, folder: str) -> None:
    """A process ended: what it showed as its present state is gone, what it counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid, folder)
