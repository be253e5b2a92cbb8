"""What of a ServiceAccount counts (flux-compat E2, E6)."""

from __future__ import annotations

from ocisource.domain.accounts import ServiceAccount, parse_account


def test_pull_secrets_keep_their_order_and_annotations_are_texts() -> None:
    account = parse_account(
        {
            "metadata": {"namespace": "team", "name": "puller", "annotations": {"eks.amazonaws.com/role-arn": "arn"}},
            "imagePullSecrets": [{"name": "b"}, {"name": "a"}],
        }
    )

    assert account == ServiceAccount("team", "puller", ("b", "a"), {"eks.amazonaws.com/role-arn": "arn"})
    assert str(account) == "team/puller"


def test_an_entry_without_a_name_is_no_secret() -> None:
    """As kubelet has it: the API server lets such entries pass."""
    found = parse_account({"metadata": {"name": "a"}, "imagePullSecrets": [{}, {"name": ""}, {"name": "x"}]})
    assert found.pull_secrets == ("x",)


def test_a_bare_service_account_brings_nothing() -> None:
    assert parse_account({"metadata": {"name": "a"}}) == ServiceAccount("default", "a")
