"""What a failure carries besides its text, for whoever handles it."""

from __future__ import annotations

from ocisource.domain.errors import AccountMissing, RegistryError, SecretMissing, StoreError


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
