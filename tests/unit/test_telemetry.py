"""Log lines and metrics."""

from __future__ import annotations

import io
import itertools
import json
import logging
import re
import threading
import warnings
from typing import TYPE_CHECKING

import pytest

from ocisource.telemetry import Metrics, about, configure_logging
from ocisource.telemetry.logs import QUIET, ConsoleLines
from ocisource.telemetry.metrics import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    names = [root, *(logging.getLogger(name) for name in QUIET)]
    levels = [one.level for one in names]
    stream = io.StringIO()
    handler = configure_logging("info", "json", stream)
    yield stream
    root.removeHandler(handler)
    logging.captureWarnings(False)
    for one, level in zip(names, levels, strict=True):
        one.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_log_line_has_the_fields_that_flux_logs_filters_by(stream: io.StringIO) -> None:
    """G11"""
    logging.getLogger("ocisource.controller").info("stored artifact", extra=about("apps", "podinfo", revision="6.1.6"))
    (line,) = lines(stream)
    assert line["level"] == "info"
    assert line["msg"] == "stored artifact"
    assert line["controllerKind"] == "OCIRepository"
    assert (line["controller"], line["controllerGroup"]) == ("ocirepository", "source.toolkit.fluxcd.io")
    assert stream.getvalue().startswith('{"level":"info","ts":"'), "some alerts are made of the text"
    assert (line["namespace"], line["name"], line["revision"]) == ("apps", "podinfo", "6.1.6")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line["ts"]))
    assert "error" not in line


def test_a_warning_of_a_library_is_a_log_line(stream: io.StringIO) -> None:
    """Text on standard error that is no JSON would break who reads it; a stranger's certificate can bring it about."""
    logging.captureWarnings(False)
    with warnings.catch_warnings():  # and within it, since pytest makes errors of warnings
        warnings.simplefilter("always")
        again = configure_logging("info", "json", io.StringIO())
        warnings.warn("an odd certificate", UserWarning, stacklevel=1)
        logging.captureWarnings(False)
    logging.getLogger().removeHandler(again)
    (line,) = lines(stream)
    assert "UserWarning: an odd certificate" in str(line["msg"])


def test_an_exception_is_told_in_error_on_one_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("ocisource").exception("it failed", extra=about("ns", "a"))
    (line,) = lines(stream)
    assert line["level"] == "error"
    assert line["error"] == "two\nlines"
    assert "Traceback" in str(line["stacktrace"])


def test_an_exception_without_text_is_named(stream: io.StringIO) -> None:
    try:
        raise TimeoutError
    except TimeoutError:
        logging.getLogger("ocisource").exception("it failed")
    assert lines(stream)[0]["error"] == "TimeoutError"


def test_the_level_is_obeyed_and_libraries_are_kept_quiet(stream: io.StringIO) -> None:
    logging.getLogger("ocisource").debug("hidden")
    logging.getLogger("kopf.objects").info("Handler succeeded.")
    logging.getLogger("kopf").warning("shown")
    assert [line["msg"] for line in lines(stream)] == ["shown"]


def test_the_console_form_is_for_people() -> None:
    record = logging.makeLogRecord({"msg": "stored", "levelno": logging.INFO, "fields": {"name": "a b"}})
    assert ConsoleLines().format(record).endswith('INFO  stored logger=null name="a b"')


def sample(page: str, series: str) -> float:
    found = [line for line in page.splitlines() if line.startswith(series + " ")]
    assert len(found) == 1, series
    return float(found[0].rsplit(" ", 1)[1])


def test_the_duration_of_passes_is_a_histogram_of_the_object() -> None:
    """G7: kind, name, namespace; ten exponential buckets from 0.01 to 1800."""
    metrics = Metrics()
    for seconds in (0.005, 0.02, 5000):
        metrics.passed("apps", "podinfo", seconds, "success")
    page = metrics.render()
    labels = 'kind="OCIRepository",name="podinfo",namespace="apps"'
    bucket = f"gotk_reconcile_duration_seconds_bucket{{{labels},le="
    assert sample(page, bucket + '"0.01"}') == 1
    assert sample(page, bucket + '"1799.9999999999986"}') == 2
    assert sample(page, bucket + '"+Inf"}') == 3
    assert sample(page, f"gotk_reconcile_duration_seconds_count{{{labels}}}") == 3
    assert sample(page, f"gotk_reconcile_duration_seconds_sum{{{labels}}}") == pytest.approx(5000.025)
    assert page.count(bucket) == 11
    assert len(BUCKETS) == 10
    ratios = [after / before for before, after in itertools.pairwise(BUCKETS)]
    assert ratios == pytest.approx([ratios[0]] * 9)


def test_the_bounds_of_buckets_are_written_as_go_writes_them() -> None:
    """They are labels. Those of the original's page, which computes 1e-8 · 10ⁿ with an error in the last digit."""
    page = Metrics().render()
    bounds = re.findall(r'^workqueue_work_duration_seconds_bucket\{.*le="(.+)"\}', page, re.MULTILINE)
    small = ["1e-08", "1e-07", "1e-06", "9.999999999999999e-06", "9.999999999999999e-05"]
    assert bounds == [*small, "0.001", "0.01", "0.1", "1", "10", "100", "1000", "+Inf"]


def test_results_are_counted_by_the_words_of_go() -> None:
    """G7: a pass that stalls returns no error there, and nothing follows it."""
    metrics = Metrics()
    for result in ("error", "stalled", "success", "requeue_after", "requeue_after"):
        metrics.passed("ns", "a", 0.3, result)
    page = metrics.render()
    total = 'controller_runtime_reconcile_total{controller="ocirepository",result='
    assert [sample(page, f'{total}"{word}"}}') for word in ("error", "success", "requeue_after")] == [1, 2, 2]
    assert sample(page, 'controller_runtime_reconcile_errors_total{controller="ocirepository"}') == 1
    assert sample(page, 'controller_runtime_terminal_reconcile_errors_total{controller="ocirepository"}') == 1
    bucket = 'controller_runtime_reconcile_time_seconds_bucket{controller="ocirepository",le='
    assert [sample(page, f'{bucket}"{bound}"}}') for bound in ("0.25", "0.3", "60")] == [0, 5, 5]
    assert page.count(bucket) == 40 + 1


def test_the_queue_is_measured_under_the_names_of_go() -> None:
    """G7"""
    metrics = Metrics()
    metrics.added()
    metrics.waited(0.5)
    metrics.worked(2)
    metrics.delayed()
    page = metrics.render()
    labels = '{name="ocirepository",controller="ocirepository"'
    assert sample(page, f"workqueue_adds_total{labels}}}") == 1
    assert sample(page, f"workqueue_retries_total{labels}}}") == 1
    waits, works = "workqueue_queue_duration_seconds", "workqueue_work_duration_seconds"
    assert [sample(page, f'{waits}_bucket{labels},le="{bound}"}}') for bound in ("0.1", "1")] == [0, 1]
    assert [sample(page, f'{works}_bucket{labels},le="{bound}"}}') for bound in ("1", "10")] == [0, 1]
    assert f'{waits}_bucket{labels},le="1e-08"}} 0\n' in page
    assert sample(page, f"{works}_sum{labels}}}") == 2


def test_series_of_a_deleted_object_end() -> None:
    metrics = Metrics()
    metrics.passed("ns", "a", 1, "success")
    metrics.passed("ns", "b", 1, "success")
    metrics.forget("ns", "a")
    page = metrics.render()
    assert 'name="a"' not in page
    assert 'name="b"' in page


def test_gauges_are_read_when_the_page_is_made() -> None:
    metrics = Metrics()
    depth = [1]
    metrics.gauge("workqueue_depth", "Keys that wait.", lambda: depth[0], {"name": "ocirepository"})
    depth[0] = 7
    assert sample(metrics.render(), 'workqueue_depth{name="ocirepository"}') == 7


def test_counters_add_up_by_labels() -> None:
    metrics = Metrics()
    metrics.count("requests_total", "Requests.", {"code": "200"})
    metrics.count("requests_total", "Requests.", {"code": "200"}, by=2)
    metrics.count("requests_total", "Requests.", {"code": 'a"b\\c\n'})
    page = metrics.render()
    assert sample(page, 'requests_total{code="200"}') == 3
    assert 'requests_total{code="a\\"b\\\\c\\n"} 1' in page


def test_the_process_tells_its_cpu_and_memory() -> None:
    page = Metrics().render()
    assert sample(page, "process_cpu_seconds_total") > 0
    assert sample(page, "process_virtual_memory_bytes") > sample(page, "process_resident_memory_bytes") > 1e6
    assert 3 <= sample(page, "process_open_fds") < sample(page, "process_max_fds")


def test_every_line_of_the_page_parses() -> None:
    metrics = Metrics()
    metrics.passed("ns", "a", 0.1, "success")
    metrics.gauge("depth", "Depth.", lambda: 0.5, {})
    page = metrics.render()
    assert page.endswith("\n")
    form = re.compile(r'# (HELP|TYPE) \w+ .+|\w+(\{\w+="([^"\\]|\\.)*"(,\w+="([^"\\]|\\.)*")*\})? -?[0-9.e+-]+')
    assert [line for line in page.splitlines() if not form.fullmatch(line)] == []


def test_the_page_can_be_made_while_passes_end() -> None:
    """The servers' thread reads while the loop writes."""
    metrics = Metrics()
    pages: list[str] = []
    reader = threading.Thread(target=lambda: pages.extend(metrics.render() for _ in range(20)))
    reader.start()
    for number in range(2000):
        metrics.passed("ns", str(number % 300), 0.1, "success")
        metrics.forget("ns", str((number + 150) % 300))
    reader.join()
    assert len(pages) == 20
