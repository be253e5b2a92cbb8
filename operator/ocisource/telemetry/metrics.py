"""Metrics (flux-compat G7), in the Prometheus text format (version 0.0.4)."""

from __future__ import annotations

import bisect
import operator
import os
import resource
import threading
import time
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from ocisource.domain.source import KIND
from ocisource.telemetry.logs import CONTROLLER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

BUCKETS = (
    *(0.01, 0.038363583488692544, 0.1471764538093883, 0.5646216173286169, 2.166090855590701, 8.309900738254731),
    *(31.879757075478317, 122.30217221643493, 469.19495946736544, 1799.9999999999986),
)
"""Seconds; ten exponential buckets from 0.01 to 1800 (flux-compat G7). Here and below bounds are what Go computes, to
the last digit: they are labels, and series are to go on when controllers are swapped."""

QUEUE_BUCKETS = tuple(accumulate([1e-8, *[10.0] * 11], operator.mul))
"""Seconds; those that work queues in Go have."""

PASS_BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    *(1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0),
    *(40.0, 50.0, 60.0),
)
"""Seconds; those that controllers in Go have."""

QUEUE = {"name": CONTROLLER, "controller": CONTROLLER}

Sample = tuple[str, float]
"""A metric with its labels, as it is written, and its value."""


class _Histogram:
    """`labels` are those of all its samples, as they are written but for the braces."""

    __slots__ = ("bounds", "counts", "labels", "total")

    def __init__(self, bounds: tuple[float, ...], labels: str) -> None:
        self.bounds = bounds
        self.labels = labels
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value

    def copy(self) -> _Histogram:
        twin = _Histogram(self.bounds, self.labels)
        twin.counts, twin.total = list(self.counts), self.total
        return twin

    def samples(self, metric: str) -> list[str]:
        head, below, lines = f"{metric}_bucket{{{self.labels}", 0, []
        for tail, count in zip(_tails(self.bounds), self.counts, strict=True):
            below += count
            lines.append(f"{head}{tail}{below}")
        lines.append(f"{metric}_sum{{{self.labels}}} {self.total!r}")
        lines.append(f"{metric}_count{{{self.labels}}} {below}")
        return lines


@cache
def _tails(bounds: tuple[float, ...]) -> tuple[str, ...]:
    """The ends of a bucket's samples but for the number."""
    return (*(f',le="{_number(bound)}"}} ' for bound in bounds), ',le="+Inf"} ')


class Metrics:
    """Fits `ports.Gauges` and the work queue's `Meter`: the metrics of the process in the Prometheus text format
    (version 0.0.4).

    Written by the loop that reconciles and read by the thread that serves them; the lock is held for a copy only,
    never while text is made.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._durations: dict[tuple[str, str], _Histogram] = {}
        self._passes = _Histogram(PASS_BUCKETS, _inner({"controller": CONTROLLER}))
        self._waits = _Histogram(QUEUE_BUCKETS, _inner(QUEUE))
        self._works = _Histogram(QUEUE_BUCKETS, _inner(QUEUE))
        self._results = dict.fromkeys(("success", "requeue_after", "error", "stalled"), 0)
        self._added = self._delayed = 0
        self._gauges: dict[str, tuple[str, str, Callable[[], Iterable[Sample]]]] = {}
        self._counters: dict[str, tuple[str, dict[str, float]]] = {}
        self._started = time.time()

    def passed(self, namespace: str, name: str, seconds: float, result: str) -> None:
        """A pass took `seconds`; `result` is one word: success, requeue_after (success, and the next one is planned),
        error, stalled."""
        with self._lock:
            histogram = self._durations.get((namespace, name))
            if histogram is None:
                labels = _inner({"kind": KIND, "name": name, "namespace": namespace})
                histogram = self._durations[namespace, name] = _Histogram(BUCKETS, labels)
            histogram.observe(seconds)
            self._passes.observe(seconds)
            self._results[result] += 1

    def forget(self, namespace: str, name: str) -> None:
        """The object was deleted: its series end."""
        with self._lock:
            self._durations.pop((namespace, name), None)

    def added(self) -> None:
        """A key waits for its turn."""
        self._added += 1

    def waited(self, seconds: float) -> None:
        """A key waited that long for its turn."""
        with self._lock:
            self._waits.observe(seconds)

    def worked(self, seconds: float) -> None:
        """The work on a key took that long."""
        with self._lock:
            self._works.observe(seconds)

    def delayed(self) -> None:
        """A key comes back after a while."""
        self._delayed += 1

    def count(self, metric: str, meaning: str, labels: Mapping[str, str] | None = None, by: float = 1) -> None:
        """Adds `by` to the counter `metric` (its name ends in _total)."""
        with self._lock:
            _, values = self._counters.setdefault(metric, (meaning, {}))
            series = metric + written_labels(labels or {})
            values[series] = values.get(series, 0) + by

    def gauge(self, metric: str, meaning: str, read: Callable[[], float], labels: Mapping[str, str]) -> None:
        """`read` is called at every scrape, in the thread that serves. What only grows is named as a counter."""
        series = metric + written_labels(labels)
        kind = "counter" if metric.endswith("_total") else "gauge"
        self._gauges[metric] = (meaning, kind, lambda: [(series, read())])

    def render(self) -> str:
        """The page behind /metrics."""
        with self._lock:
            durations = [one.copy() for one in self._durations.values()]
            passes, waits, works = self._passes.copy(), self._waits.copy(), self._works.copy()
            results = dict(self._results)
            counters = [(metric, meaning, list(values.items())) for metric, (meaning, values) in self._counters.items()]
        lines = _histograms("gotk_reconcile_duration_seconds", "Seconds of a pass over an object.", durations)
        lines += _histograms("controller_runtime_reconcile_time_seconds", "Seconds of a pass.", [passes])
        lines += _rendered_results(results)
        lines += _histograms("workqueue_queue_duration_seconds", "Seconds that an object waited for its turn.", [waits])
        lines += _histograms("workqueue_work_duration_seconds", "Seconds of the work on an object.", [works])
        queue = written_labels(QUEUE)
        adds, retries = "workqueue_adds_total", "workqueue_retries_total"
        lines += _rendered(adds, "Objects that were to wait for their turn.", "counter", [(adds + queue, self._added)])
        told = "Objects that were to come back after a while: retries and intervals."
        lines += _rendered(retries, told, "counter", [(retries + queue, self._delayed)])
        for metric, meaning, values in counters:
            lines += _rendered(metric, meaning, "counter", values)
        for metric, (meaning, kind, read) in list(self._gauges.items()):
            lines += _rendered(metric, meaning, kind, read())
        lines += _process_lines(self._started)
        return "\n".join([*lines, ""])


def _rendered_results(results: Mapping[str, int]) -> list[str]:
    """Under the names of controllers in Go, to which a pass that stalls is a success after which nothing follows, or
    an error that is final."""
    prefix, labels = "controller_runtime_", {"controller": CONTROLLER}
    total = prefix + "reconcile_total"
    words = {**results, "success": results["success"] + results["stalled"]}
    del words["stalled"]
    counted = [(total + written_labels({**labels, "result": word}), number) for word, number in words.items()]
    lines = _rendered(total, "Passes by result.", "counter", counted)
    errors = (
        ("reconcile_errors_total", "Passes that failed and are made again.", results["error"]),
        ("terminal_reconcile_errors_total", "Passes that failed, where only a change helps.", results["stalled"]),
    )
    for name, meaning, number in errors:
        series = prefix + name + written_labels(labels)
        lines += _rendered(prefix + name, meaning, "counter", [(series, number)])
    return lines


def written_labels(labels: Mapping[str, str]) -> str:
    """`{a="b"}` as Prometheus reads it, "" for none."""
    if not labels:
        return ""
    return "{" + _inner(labels) + "}"


def _inner(labels: Mapping[str, str]) -> str:
    return ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return repr(int(value)) if value == int(value) else repr(value)


def _rendered(metric: str, meaning: str, kind: str, samples: Iterable[Sample]) -> list[str]:
    head = [f"# HELP {metric} {meaning}", f"# TYPE {metric} {kind}"]
    return head + [f"{series} {_number(value)}" for series, value in samples]


def _histograms(metric: str, meaning: str, histograms: Iterable[_Histogram]) -> list[str]:
    lines = [f"# HELP {metric} {meaning}", f"# TYPE {metric} histogram"]
    for one in histograms:
        lines += one.samples(metric)
    return lines


def _process_lines(started: float) -> list[str]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    facts: list[tuple[str, str, str, float]] = [
        ("process_cpu_seconds_total", "CPU seconds, user and system.", "counter", usage.ru_utime + usage.ru_stime),
        ("process_start_time_seconds", "Start of the process, in Unix seconds.", "gauge", started),
    ]
    process = Path("/proc/self")
    if process.exists():
        size, resident = (int(pages) for pages in (process / "statm").read_text().split()[:2])
        page, opened = os.sysconf("SC_PAGE_SIZE"), sum(1 for _ in (process / "fd").iterdir())
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        facts += [
            ("process_resident_memory_bytes", "Resident memory in bytes.", "gauge", resident * page),
            ("process_virtual_memory_bytes", "Virtual memory in bytes.", "gauge", size * page),
            ("process_open_fds", "Files and connections that are open.", "gauge", opened),
            ("process_max_fds", "How many of them may be open.", "gauge", most),
        ]
    return [
        line for metric, meaning, kind, value in facts for line in _rendered(metric, meaning, kind, [(metric, value)])
    ]
