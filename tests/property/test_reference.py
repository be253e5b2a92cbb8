"""What must hold for any URL and any digest (flux-compat D2, D4)."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from ocisource.domain.errors import InvalidDigest, InvalidReference
from ocisource.domain.reference import check_digest, parse_url

RULES = settings(deadline=None, max_examples=100)

PIECES = [
    "a",
    "lib",
    "docker.io",
    "h.io",
    "localhost",
    ":",
    "5000",
    "/",
    "/",
    "@",
    "%41",
    "[::1]",
    "[",
    "]",
    "A",
    "é",
    " ",
]
NAMES = st.lists(st.sampled_from(PIECES), max_size=6).map("".join) | st.text()
DIGITS = st.text(alphabet="0123456789abcdef", min_size=64, max_size=64)


class TestUrl:
    """A URL MUST name a repository or be refused; what it names MUST be normalised."""

    @RULES
    @given(NAMES)
    def test_any_text_names_a_repository_or_is_refused(self, name: str):
        with contextlib.suppress(InvalidReference):
            repository = parse_url(f"oci://{name}")
            assert repository.registry not in {"", "docker.io"}
            assert not set(repository.path) - set("abcdefghijklmnopqrstuvwxyz0123456789_-./")
            assert not set(repository.registry) & set("/@?#%\\ ")

    @RULES
    @given(NAMES)
    def test_a_normalised_name_names_the_same_repository(self, name: str):
        with contextlib.suppress(InvalidReference):
            repository = parse_url(f"oci://{name}")
            if len(repository.path) <= 255:  # "library/" may have made it longer
                assert parse_url(f"oci://{repository}") == repository


class TestDigest:
    """A digest MUST be sha256 with 64 lower-case hex digits."""

    @RULES
    @given(DIGITS)
    def test_every_such_digest_is_taken(self, digits: str):
        assert check_digest(f"sha256:{digits}") == f"sha256:{digits}"

    @RULES
    @given(st.text() | DIGITS | st.builds(str.__add__, st.just("sha256:"), st.text()))
    def test_no_other_text_is(self, text: str):
        with contextlib.suppress(InvalidDigest):
            assert check_digest(text) == text
            algorithm, digits = text.split(":")
            assert algorithm == "sha256"
            assert len(bytes.fromhex(digits)) == 32
            assert digits == digits.lower()
