"""What the operator tells about itself: log lines (flux-compat G11) and metrics (G7)."""

from __future__ import annotations

import bisect
import json
import logging
import os
import resource
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

KIND = "OCIRepository"
CONTROLLER = "ocirepository"

# `trace` lies below what logging knows.
LEVELS = {"trace": 5, "debug": logging.DEBUG, "info": logging.INFO, "error": logging.ERROR}

QUIET = ("asyncio", "aiohttp", "kopf")
"""Libraries whose INFO lines say nothing to the people who run the operator."""


def about(namespace: str, name: str, **more: object) -> dict[str, Any]:
    """`extra=` for a log call that is about one object."""
    return {"fields": {"controllerKind": KIND, "namespace": namespace, "name": name, **more}}


class JSONLines(logging.Formatter):
    """One JSON object a line, with the fields that `flux logs` filters by."""

    def format(self, record: logging.LogRecord) -> str:
        line = _fields(record)
        return json.dumps(line, ensure_ascii=False, default=str)


class ConsoleLines(logging.Formatter):
    """The same facts for a terminal: time, level, message, `key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        line = _fields(record)
        head = f"{line.pop('ts')} {line.pop('level').upper():5} {line.pop('msg')}"
        return " ".join([head, *(f"{key}={json.dumps(value, default=str)}" for key, value in line.items())])


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    line: dict[str, Any] = {
        "level": _level(record.levelno),
        "ts": when.replace("+00:00", "Z"),
        "logger": record.name,
        "msg": record.getMessage(),
    }
    line.update(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        line["error"] = str(error) or type(error).__name__
        line["stacktrace"] = logging.Formatter().formatException(record.exc_info)
    return line


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.INFO:
        return "info"
    return "debug" if number >= logging.DEBUG else "trace"


def configure_logging(level: str, encoding: str, stream: TextIO | None = None) -> logging.Handler:
    """Sends every log line of the process to `stream` (standard error). `level` is one of LEVELS, `encoding` json
    or console. Returns the handler, so that a test can take it away again."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JSONLines() if encoding == "json" else ConsoleLines())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(LEVELS[level])
    # Libraries warn of what they read, too (an odd certificate): that is a log line like any other.
    logging.captureWarnings(capture=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(LEVELS[level], logging.WARNING))
    return handler


BUCKETS = (*(0.01 * (1800 / 0.01) ** (step / 9) for step in range(9)), 1800.0)
"""Seconds; ten exponential buckets from 0.01 to 1800 (flux-compat G7)."""

Sample = tuple[str, float]
"""A metric with its labels, as it is written, and its value."""


class _Histogram:
    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0


class Metrics:
    """Fits `ports.Gauges`: the metrics of the process in the Prometheus text format (version 0.0.4).

    Written by the loop that reconciles and read by the thread that serves them; the lock is held for a copy only,
    never while text is made.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._durations: dict[tuple[str, str], _Histogram] = {}
        self._results = dict.fromkeys(("success", "error", "stalled"), 0)
        self._gauges: dict[str, tuple[str, str, Callable[[], Iterable[Sample]]]] = {}
        self._counters: dict[str, tuple[str, dict[str, float]]] = {}
        self._started = time.time()

    def passed(self, namespace: str, name: str, seconds: float, result: str) -> None:
        """A pass took `seconds`; `result` is one word: success, error, stalled."""
        bucket = bisect.bisect_left(BUCKETS, seconds)
        with self._lock:
            histogram = self._durations.get((namespace, name))
            if histogram is None:
                histogram = self._durations[namespace, name] = _Histogram()
            histogram.counts[bucket] += 1
            histogram.total += seconds
            self._results[result] = self._results.get(result, 0) + 1

    def forget(self, namespace: str, name: str) -> None:
        """The object was deleted: its series end."""
        with self._lock:
            self._durations.pop((namespace, name), None)

    def count(self, metric: str, meaning: str, labels: Mapping[str, str] | None = None, by: float = 1) -> None:
        """Adds `by` to the counter `metric` (its name ends in _total)."""
        with self._lock:
            _, values = self._counters.setdefault(metric, (meaning, {}))
            series = metric + written_labels(labels or {})
            values[series] = values.get(series, 0) + by

    def gauge(self, metric: str, meaning: str, read: Callable[[], float], labels: Mapping[str, str]) -> None:
        """`read` is called at every scrape, in the thread that serves."""
        series = metric + written_labels(labels)
        self._gauges[metric] = (meaning, "gauge", lambda: [(series, read())])

    def render(self) -> str:
        """The page behind /metrics."""
        with self._lock:
            durations = [(key, list(one.counts), one.total) for key, one in self._durations.items()]
            results = dict(self._results)
            counters = [(metric, meaning, list(values.items())) for metric, (meaning, values) in self._counters.items()]
        lines: list[str] = []
        lines += _rendered_durations(durations)
        total = "controller_runtime_reconcile_total"
        counted = [(f'{total}{{controller="{CONTROLLER}",result="{word}"}}', n) for word, n in results.items()]
        lines += _rendered(total, "Passes by result.", "counter", counted)
        failed = "controller_runtime_reconcile_errors_total"
        labels = written_labels({"controller": CONTROLLER})
        lines += _rendered(failed, "Passes that failed.", "counter", [(failed + labels, results["error"])])
        for metric, meaning, values in counters:
            lines += _rendered(metric, meaning, "counter", values)
        for metric, (meaning, kind, read) in list(self._gauges.items()):
            lines += _rendered(metric, meaning, kind, read())
        lines += _process_lines(self._started)
        return "\n".join([*lines, ""])


def written_labels(labels: Mapping[str, str]) -> str:
    """`{a="b"}` as Prometheus reads it, "" for none."""
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return repr(int(value)) if value == int(value) else repr(value)


def _rendered(metric: str, meaning: str, kind: str, samples: Iterable[Sample]) -> list[str]:
    head = [f"# HELP {metric} {meaning}", f"# TYPE {metric} {kind}"]
    return head + [f"{series} {_number(value)}" for series, value in samples]


def _rendered_durations(durations: list[tuple[tuple[str, str], list[int], float]]) -> list[str]:
    metric = "gotk_reconcile_duration_seconds"
    lines = [f"# HELP {metric} The duration in seconds of a pass over an object.", f"# TYPE {metric} histogram"]
    bounds = [f',le="{_number(bound)}"}} ' for bound in BUCKETS] + [',le="+Inf"} ']
    for (namespace, name), counts, total in durations:
        labels = f'{{kind="{KIND}",name="{_escaped(name)}",namespace="{_escaped(namespace)}"'
        bucket, below = f"{metric}_bucket{labels}", 0
        for bound, count in zip(bounds, counts, strict=True):
            below += count
            lines.append(f"{bucket}{bound}{below}")
        lines.append(f"{metric}_sum{labels}}} {total!r}")
        lines.append(f"{metric}_count{labels}}} {below}")
    return lines


def _process_lines(started: float) -> list[str]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    facts: list[tuple[str, str, str, float]] = [
        ("process_cpu_seconds_total", "CPU seconds, user and system.", "counter", usage.ru_utime + usage.ru_stime),
        ("process_start_time_seconds", "Start of the process, in Unix seconds.", "gauge", started),
    ]
    statm = Path("/proc/self/statm")
    if statm.exists():
        resident = int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        facts.append(("process_resident_memory_bytes", "Resident memory in bytes.", "gauge", resident))
    return [
        line for metric, meaning, kind, value in facts for line in _rendered(metric, meaning, kind, [(metric, value)])
    ]
