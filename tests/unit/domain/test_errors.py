"""What a failure carries besides its text, for whoever handles it."""

from __future__ import annotations

import pytest

from ocisource.domain.errors import AccountMissing, RegistryError, SecretMissing, StoreError, quoted


def test_a_missing_secret_is_told_in_the_words_of_the_api_server_and_says_which() -> None:
    """C4: the corridor wraps the text, and asks which one it was."""
    missing = SecretMissing("team", "pull")
    assert str(missing) == 'secrets "pull" not found'
    assert (missing.namespace, missing.name) == ("team", "pull")


def test_a_missing_service_account_is_told_with_its_namespace() -> None:
    assert str(AccountMissing("team", "app")) == "serviceaccount 'team/app' not found"


def test_a_disk_that_refused_gives_the_condition_its_reason() -> None:
    """C17."""
    refused = StoreError("ArchiveOperationFailed", "no space left")
    assert (refused.reason, str(refused)) == ("ArchiveOperationFailed", "no space left")


def test_a_registry_that_did_not_answer_has_no_status() -> None:
    assert RegistryError("no answer").status is None
    assert RegistryError("denied", 401).status == 401


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("../evil", r'"../evil"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        ("\x00\x1f\x7f", r'"\x00\x1f\x7f"'),
        ("ünï 日本 😀", '"ünï 日本 😀"'),
        ("\x80\xa0\u2028\ufeff", r'"\u0080\u00a0\u2028\ufeff"'),
        ("\U000e0001", r'"\U000e0001"'),
        (b"\xff\xfea".decode("utf-8", "surrogateescape"), r'"\xff\xfea"'),
    ],
)
def test_a_text_is_quoted_as_go_quotes_it(text: str, shown: str) -> None:
    """The right-hand sides are those of fmt.Sprintf("%q")."""
    assert quoted(text) == shown
