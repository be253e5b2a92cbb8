"""Digests of stored files (flux-compat F9)."""

from __future__ import annotations

import pytest

from ocisource.storage.digests import Digester, problem


@pytest.mark.parametrize(
    ("algorithm", "of_nothing"),
    [
        ("sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("sha1", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        # The first vector of the official test_vectors.json of BLAKE3.
        ("blake3", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
    ],
)
def test_a_digest_is_the_one_that_its_standard_names_for_no_bytes(algorithm: str, of_nothing: str) -> None:
    digester = Digester(algorithm)
    digester.update(b"")
    assert str(digester) == f"{algorithm}:{of_nothing}"
    assert problem(str(digester)) is None
