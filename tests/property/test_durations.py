"""What must hold for any duration (Go's time package, flux-compat B11, B12)."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from ocisource.domain.durations import backoff, go_format, jittered, parse
from ocisource.domain.errors import InvalidDuration

RULES = settings(deadline=None, max_examples=100)

# Up to 2**53 nanoseconds, 104 days, a float of seconds tells every nanosecond from the next; beyond, whole seconds.
SECONDS = st.integers(-(2**52), 2**52).map(lambda ns: ns / 10**9) | st.integers(-(2**33), 2**33).map(float)
NOISE = st.text(alphabet=st.sampled_from("0123456789.-+nsuµmh d"), max_size=20) | st.text()


class TestText:
    """What is printed MUST be read as the same duration; what is not a duration MUST be refused with the one error."""

    @RULES
    @given(SECONDS)
    def test_a_printed_duration_is_read_as_the_same(self, seconds: float):
        assert parse(go_format(seconds)) == seconds

    @RULES
    @given(NOISE)
    def test_any_text_is_a_duration_or_refused(self, text: str):
        with contextlib.suppress(InvalidDuration):
            assert go_format(parse(text))

    @RULES
    @given(SECONDS)
    def test_printing_is_settled_after_one_reading(self, seconds: float):
        text = go_format(seconds)
        assert go_format(parse(text)) == text


class TestWaits:
    """An interval MUST stay within its jitter; backoff MUST never shrink nor pass its cap."""

    @RULES
    @given(st.floats(0, 1e6), st.floats(0, 100), st.floats(0, 1))
    def test_jitter_stays_within_its_percentage(self, seconds: float, percent: float, uniform: float):
        spread = seconds * percent / 100
        assert seconds - spread - 1e-6 <= jittered(seconds, percent, uniform) <= seconds + spread + 1e-6

    @RULES
    @given(st.integers(0, 10**9), st.floats(0.001, 100), st.floats(0.001, 1e6))
    def test_backoff_grows_up_to_its_cap(self, failures: int, first: float, last: float):
        wait = backoff(failures, first, last)
        assert min(first, last) <= wait <= last
        assert wait <= backoff(failures + 1, first, last)
