"""Go's durations (`10m0s`), and the two waits that a pass can end with: the interval with its jitter, and backoff.

Seconds are floats everywhere in this program; only here are they text.
"""

from __future__ import annotations

import re

from ocisource.domain.errors import InvalidDuration

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter: Go takes both
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_SECOND = _NANOSECONDS["s"]
_LONGEST = 2**63  # nanoseconds, exclusive: Go counts them in a signed 64-bit number, about 292 years
_DIGITS = 20  # more digits than this before the point are too long in any unit, after it they are less than 1 ns

_PART = re.compile(r"([0-9]*)(?:(\.)([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")


def parse(text: str) -> float:
    """Seconds of a Go duration: `300ms`, `1h30m`, `1.5h`, `-10s`, `0`.

    Takes all that Go's time.ParseDuration takes. The fields of an OCIRepository take less (no sign, no `ns`;
    flux-compat A5): whoever parses one holds it against the schema's pattern first. Raises InvalidDuration.
    """
    unsigned = text[1:] if text[:1] in ("-", "+") else text
    if unsigned == "0":
        return 0.0
    total, position = 0, 0
    while position < len(unsigned):
        part = _PART.match(unsigned, position)
        if part is None or not (part[1] or part[3]):
            raise _not_a_duration(text)
        total += _nanoseconds(part[1], part[3] or "", _NANOSECONDS[part[4]])
        position = part.end()
        if total >= _LONGEST:
            raise InvalidDuration(f'duration "{text}" is too long: the longest is about 292 years')
    if not position:
        raise _not_a_duration(text)
    seconds = total / _SECOND
    return -seconds if text[0] == "-" else seconds


def _nanoseconds(whole: str, fraction: str, unit: int) -> int:
    significant = whole.lstrip("0")
    if len(significant) > _DIGITS:
        return _LONGEST
    digits = fraction[:_DIGITS]
    scale: int = 10 ** len(digits)
    return int(significant or "0") * unit + int(digits or "0") * unit // scale


def _not_a_duration(text: str) -> InvalidDuration:
    return InvalidDuration(f'"{text}" is not a duration: write numbers with units (ms, s, m, h), such as 30s or 1h30m')


def go_format(seconds: float) -> str:
    """The text Go prints for a duration: `10m0s`, `1.5s`, `750ms`, `0s`. Rounds to nanoseconds."""
    whole = int(seconds)
    # The whole seconds are exact; only the rest goes through a multiplication that rounds.
    nanoseconds = whole * _SECOND + round((seconds - whole) * _SECOND)
    sign = "-" if nanoseconds < 0 else ""
    nanoseconds = abs(nanoseconds)
    if nanoseconds < _SECOND:
        return sign + _below_a_second(nanoseconds)
    minutes, rest = divmod(nanoseconds, 60 * _SECOND)
    text = f"{_decimal(rest, _SECOND)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{minutes}m{text}"
        if hours:
            text = f"{hours}h{text}"
    return sign + text


def _below_a_second(nanoseconds: int) -> str:
    if not nanoseconds:
        return "0s"
    unit = "ns" if nanoseconds < 1_000 else "µs" if nanoseconds < 1_000_000 else "ms"
    return f"{_decimal(nanoseconds, _NANOSECONDS[unit])}{unit}"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0")


def jittered(seconds: float, percent: float, uniform: float) -> float:
    """The interval spread by up to `percent` either way, so that objects made together drift apart (flux-compat
    B12). `uniform` is a random number in [0, 1]; who calls draws it."""
    return seconds * (1 + percent / 100 * (2 * uniform - 1))


def backoff(failures: int, first: float, last: float) -> float:
    """Seconds to wait after `failures` passes that failed in a row, counted from 1: `first` doubled each time,
    never more than `last` (flux-compat B11)."""
    doublings = min(max(failures - 1, 0), 64)  # enough to pass any `last`, and no float overflows
    return min(first * float(2**doublings), last)
