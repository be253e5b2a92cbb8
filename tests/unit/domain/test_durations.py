"""Durations as Go reads and prints them, jitter and backoff (flux-compat A5, B11, B12)."""

from __future__ import annotations

import pytest

from ocisource.domain import durations
from ocisource.domain.errors import InvalidDuration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", 600),
        ("60s", 60),
        ("1h30m", 5400),
        ("1h30m5s750ms", 5405.75),
        ("0s", 0),
        ("0", 0),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("1.s", 1),
        ("1ns", 1e-9),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("1μs", 1e-6),
        ("-10s", -10),
        ("+10s", 10),
        ("-0", 0),
        ("1m1m", 120),
        ("000000000000000000000000000001s", 1),
        ("0.3333333333333333333333333h", 1199.999999999),
        ("0." + "3" * 5000 + "h", 1199.999999999),
        ("2562047h47m16.854775807s", 9223372036.854775807),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, seconds: float):
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "-", "10", "s", ".s", ".", "1d", "1 s", " 1s", "1s ", "1s\n", "--1s", "1S", "1e3s", "0x1s", "\u0661s", "s1"],
)
def test_a_text_that_is_no_duration_is_refused_with_an_example(text: str):
    with pytest.raises(InvalidDuration, match=r"is not a duration: write numbers with units .* such as 30s or 1h30m$"):
        durations.parse(text)


@pytest.mark.parametrize("text", ["2562047h47m16.854775808s", "9999999999h", "1s" * 9 + "9" * 5000 + "s"])
def test_a_duration_longer_than_go_can_count_is_refused(text: str):
    with pytest.raises(InvalidDuration, match="is too long: the longest is about 292 years"):
        durations.parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        # Go's time.Duration.String
        (600, "10m0s"),
        (60, "1m0s"),
        (5, "5s"),
        (0, "0s"),
        (3600, "1h0m0s"),
        (5405.75, "1h30m5.75s"),
        (0.75, "750ms"),
        (1.5, "1.5s"),
        (0.0015, "1.5ms"),
        (1e-6, "1µs"),
        (1.1e-6, "1.1µs"),
        (1e-9, "1ns"),
        (-90, "-1m30s"),
        (-0.5, "-500ms"),
        (59.9999999999, "1m0s"),
        (360000, "100h0m0s"),
        (9223372036, "2562047h47m16s"),
    ],
)
def test_a_duration_is_printed_as_go_prints_it(seconds: float, text: str):
    assert durations.go_format(seconds) == text


@pytest.mark.parametrize(("uniform", "seconds"), [(0.0, 285), (0.5, 300), (1.0, 315)])
def test_jitter_spreads_the_interval_by_its_percentage_either_way(uniform: float, seconds: float):
    """B12: from 0.95 to 1.05 times the interval."""
    assert durations.jittered(300, 5, uniform) == pytest.approx(seconds)


def test_no_jitter_is_the_interval():
    assert durations.jittered(300, 0, 1.0) == 300


def test_backoff_doubles_from_the_first_failure_up_to_the_longest_wait():
    """B11: 750 ms · 2ⁿ, at most 15 min."""
    waits = [durations.backoff(failures, 0.75, 900) for failures in range(1, 13)]
    assert waits == [0.75, 1.5, 3, 6, 12, 24, 48, 96, 192, 384, 768, 900]
    assert durations.backoff(10**6, 0.75, 900) == 900
    assert durations.backoff(0, 0.75, 900) == 0.75
