"""Which objects the change of a Secret or a ServiceAccount reaches (flux-compat J4)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocisource.domain.secretindex import Named, SecretIndex, named_by

APP, OTHER = ("team", "app"), ("team", "other")


def obj(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "team", "name": "app"}, "spec": {"url": "oci://x/y", **spec}}


def secrets(*names: str) -> Named:
    return Named(frozenset(names))


def test_every_field_that_names_something_counts() -> None:
    """A5"""
    verify = {"provider": "cosign", "secretRef": {"name": "keys"}, "trustedRootSecretRef": {"name": "root"}}
    found = named_by(
        obj(
            secretRef={"name": "pull"},
            certSecretRef={"name": "ca"},
            proxySecretRef={"name": "proxy"},
            verify=verify,
            serviceAccountName="puller",
        )
    )

    assert found == Named(frozenset({"pull", "ca", "proxy", "keys", "root"}), "puller")


@pytest.mark.parametrize(
    "unusual",
    [{}, {"spec": None}, {"spec": []}, obj(), obj(secretRef=None, verify=None), obj(secretRef={}), obj(verify="x")],
    ids=str,
)
def test_an_object_without_such_fields_names_nothing(unusual: dict[str, Any]) -> None:
    assert named_by(unusual) == Named()


def test_an_object_of_any_shape_can_be_read() -> None:
    """A4: spec is not required."""
    found = named_by(obj(secretRef={"name": 5}, proxySecretRef={"name": "proxy"}, serviceAccountName=5))
    assert found == secrets("proxy")


@pytest.mark.parametrize(
    ("spec", "account"),
    [
        ({"provider": "aws"}, "tenant"),
        ({"provider": "aws", "serviceAccountName": "own"}, "own"),
        ({"provider": "generic"}, ""),
        ({}, ""),
    ],
)
def test_the_default_account_stands_for_objects_that_ask_a_cloud_and_name_none(
    spec: dict[str, Any], account: str
) -> None:
    """E6, G8"""
    assert named_by(obj(**spec), "tenant").account == account


def test_a_secret_reaches_the_objects_of_its_namespace_that_name_it() -> None:
    index = SecretIndex()
    index.put(("team", "b"), secrets("keys"))
    index.put(("team", "a"), secrets("keys", "pull"))
    index.put(("other", "a"), secrets("keys"))

    assert index.users("team", "keys") == (("team", "a"), ("team", "b"))
    assert index.users("team", "pull") == (("team", "a"),)
    assert index.users("other", "pull") == ()


def test_a_service_account_reaches_the_objects_of_its_namespace_that_name_it() -> None:
    index = SecretIndex()
    index.put(OTHER, Named(account="puller"))
    index.put(APP, Named(account="puller"))
    index.put(("elsewhere", "app"), Named(account="puller"))

    assert index.bearers("team", "puller") == (APP, OTHER)
    assert index.bearers("team", "nobody") == ()


def test_a_secret_reaches_the_objects_whose_service_account_brings_it_once() -> None:
    index = SecretIndex()
    index.put(APP, Named(account="puller"))
    index.put(OTHER, Named(frozenset({"pull"}), "puller"))
    index.learn("team", "puller", frozenset({"pull", "more"}))

    assert index.users("team", "pull") == (APP, OTHER)
    assert index.users("team", "more") == (APP, OTHER)
    assert index.users("elsewhere", "pull") == ()


def test_what_a_service_account_no_longer_brings_reaches_nobody() -> None:
    index = SecretIndex()
    index.put(APP, Named(account="puller"))
    index.learn("team", "puller", frozenset({"old"}))
    index.learn("team", "puller", frozenset({"new"}))

    assert index.users("team", "old") == ()
    assert index.users("team", "new") == (APP,)


def test_an_object_that_comes_back_unchanged_keeps_what_its_service_account_brings() -> None:
    """Each write of the status comes back as an event."""
    index = SecretIndex()
    index.put(APP, Named(account="puller"))
    index.learn("team", "puller", frozenset({"pull"}))
    index.put(APP, Named(account="puller"))
    assert index.users("team", "pull") == (APP,)

    index.put(APP, Named(frozenset({"keys"}), "puller"))
    assert index.users("team", "pull") == (APP,)


def test_what_a_service_account_brings_reaches_those_that_still_name_it() -> None:
    """It is forgotten with the last of them."""
    index = SecretIndex()
    index.put(APP, Named(account="puller"))
    index.put(OTHER, Named(account="puller"))
    index.learn("team", "puller", frozenset({"pull"}))
    index.drop(APP)
    assert index.users("team", "pull") == (OTHER,)

    index.drop(OTHER)
    index.put(APP, Named(account="puller"))
    assert index.users("team", "pull") == ()


def test_an_object_that_names_another_secret_leaves_the_one_before() -> None:
    index = SecretIndex()
    index.put(APP, secrets("old", "kept"))
    index.put(APP, secrets("kept", "new"))
    assert [index.users("team", name) for name in ("old", "kept", "new")] == [(), (APP,), (APP,)]


def test_of_what_nobody_knows_nothing_is_kept() -> None:
    """An object that was never there goes; a ServiceAccount is read for an object that is gone by then."""
    index = SecretIndex()
    index.drop(APP)
    index.learn("team", "puller", frozenset({"pull"}))
    index.put(APP, Named(account="puller"))
    assert index.users("team", "pull") == ()


names = st.frozensets(st.sampled_from(["s1", "s2", "s3"]))
keys = st.tuples(st.sampled_from(["ns1", "ns2"]), st.sampled_from(["a", "b", "c"]))
accounts = st.tuples(st.sampled_from(["ns1", "ns2"]), st.sampled_from(["sa1", "sa2"]))
steps = st.one_of(
    st.tuples(st.just("put"), keys, st.builds(Named, names, st.sampled_from(["", "sa1", "sa2"]))),
    st.tuples(st.just("drop"), keys, st.none()),
    st.tuples(st.just("learn"), accounts, names),
)


@given(st.lists(steps))
def test_the_index_says_what_the_objects_say_now(history: list[tuple[str, tuple[str, str], Any]]) -> None:
    """Whatever was put, dropped and learnt, in whatever order; and nothing is kept of what is gone."""
    index, objects = SecretIndex(), dict[tuple[str, str], Named]()
    brought: dict[tuple[str, str], frozenset[str]] = {}
    for what, key, value in history:
        if what == "put":
            index.put(key, value)
            objects[key] = value
        elif what == "drop":
            index.drop(key)
            objects.pop(key, None)
        else:
            index.learn(*key, value)
            brought[key] = value
        borne = {(key[0], named.account) for key, named in objects.items() if named.account}
        brought = {account: value for account, value in brought.items() if account in borne}  # the others are forgotten

    def uses(key: tuple[str, str], name: str) -> bool:
        named = objects[key]
        return name in named.secrets or name in brought.get((key[0], named.account), ())

    for namespace in ("ns1", "ns2"):
        for name in ("s1", "s2", "s3"):
            users = sorted(key for key in objects if key[0] == namespace and uses(key, name))
            assert index.users(namespace, name) == tuple(users)
        for name in ("sa1", "sa2"):
            bearers = sorted(key for key, named in objects.items() if (key[0], named.account) == (namespace, name))
            assert index.bearers(namespace, name) == tuple(bearers)
    assert len(index._by_secret) == len({(key[0], name) for key, named in objects.items() for name in named.secrets})
    assert len(index._brings) == len({(account[0], name) for account, value in brought.items() for name in value})
    assert len(index._brought) == len([value for value in brought.values() if value])
