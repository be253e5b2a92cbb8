"""Patterns of `matchOIDCIdentity` (signatures.md rule 5). What they match is held in test_keyless.py."""

from __future__ import annotations

import time

import pytest

from ocisource.domain.errors import TrustError
from ocisource.domain.source import OIDCIdentity
from ocisource.trust.identity import read_identities


@pytest.mark.parametrize(
    ("identities", "words"),
    [
        ([("", "x")], "spec.verify.matchOIDCIdentity[0].issuer is empty; write '.*' to accept any"),
        ([("x", "y"), ("x", "")], "spec.verify.matchOIDCIdentity[1].subject is empty; write '.*' to accept any"),
        ([("(", "x")], "spec.verify.matchOIDCIdentity[0].issuer: error parsing regexp: missing closing ): `(`"),
        ([("x", "a(?=b)")], "spec.verify.matchOIDCIdentity[0].subject: error parsing regexp: "),
        ([("x" * 4097, "x")], "spec.verify.matchOIDCIdentity[0].issuer is longer than 4096 characters"),
        ([("x", "y")] * 65, "spec.verify.matchOIDCIdentity has more than 64 entries; join some with |"),
    ],
)
def test_a_bad_entry_is_named_by_its_field(identities, words):
    with pytest.raises(TrustError) as caught:
        read_identities([OIDCIdentity(*one) for one in identities])
    assert str(caught.value).startswith(words)


def test_as_many_and_as_long_as_allowed_are_read():
    assert len(read_identities([OIDCIdentity("x" * 4096, "y")] * 64).matchers) == 64


def test_a_pattern_cannot_be_made_to_hang():
    """Linear time: the text would take a backtracking matcher ages."""
    identities = read_identities([OIDCIdentity("(a+)+$", "(a|a)*b$")])
    started = time.process_time()
    with pytest.raises(Exception, match="none of the expected identities"):
        identities.match("a" * 50_000 + "!", ["a" * 50_000])
    assert time.process_time() - started < 1


def test_any_name_of_the_certificate_may_match():
    identities = read_identities([OIDCIdentity("^i$", "^two$")])
    assert identities.match("i", ["one", "two"]) == "two"
