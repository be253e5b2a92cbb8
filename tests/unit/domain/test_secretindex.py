"""Which objects a Secret's change reaches (flux-compat J4)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocisource.domain.secretindex import SecretIndex, secret_names


def obj(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "team", "name": "app"}, "spec": {"url": "oci://x/y", **spec}}


def test_every_field_that_names_a_secret_counts() -> None:
    """A5: also those that only a later version honours."""
    verify = {"provider": "cosign", "secretRef": {"name": "keys"}, "trustedRootSecretRef": {"name": "root"}}
    found = secret_names(
        obj(
            secretRef={"name": "pull"},
            certSecretRef={"name": "ca"},
            proxySecretRef={"name": "proxy"},
            verify=verify,
            serviceAccountName="no-secret",
        )
    )

    assert found == {"pull", "ca", "proxy", "keys", "root"}


@pytest.mark.parametrize(
    "unusual",
    [{}, {"spec": None}, {"spec": []}, obj(), obj(secretRef=None, verify=None), obj(secretRef={}), obj(verify="x")],
    ids=str,
)
def test_an_object_without_such_fields_names_none(unusual: dict[str, Any]) -> None:
    assert secret_names(unusual) == frozenset()


def test_an_object_of_any_shape_can_be_read() -> None:
    """A4: spec is not required."""
    assert secret_names(obj(secretRef={"name": 5}, proxySecretRef={"name": "proxy"})) == {"proxy"}


def test_a_secret_reaches_the_objects_of_its_namespace_that_name_it() -> None:
    index = SecretIndex()
    index.put(("team", "b"), frozenset({"keys"}))
    index.put(("team", "a"), frozenset({"keys", "pull"}))
    index.put(("other", "a"), frozenset({"keys"}))

    assert index.users("team", "keys") == (("team", "a"), ("team", "b"))
    assert index.users("team", "pull") == (("team", "a"),)
    assert index.users("other", "pull") == ()


names = st.frozensets(st.sampled_from(["s1", "s2", "s3"]))
keys = st.tuples(st.sampled_from(["ns1", "ns2"]), st.sampled_from(["a", "b", "c"]))


@given(st.lists(st.tuples(keys, st.none() | names)))
def test_the_index_says_what_the_objects_say_now(history: list[tuple[tuple[str, str], frozenset[str] | None]]) -> None:
    """Whatever was put and dropped, in whatever order; and nothing is kept of what is gone."""
    index, objects = SecretIndex(), dict[tuple[str, str], frozenset[str]]()
    for key, named in history:
        if named is None:
            index.drop(key)
            objects.pop(key, None)
        else:
            index.put(key, named)
            objects[key] = named

    for namespace in ("ns1", "ns2"):
        for name in ("s1", "s2", "s3"):
            users = sorted(key for key, named in objects.items() if key[0] == namespace and name in named)
            assert index.users(namespace, name) == tuple(users)
    assert len(index._users) == len({(key[0], name) for key, named in objects.items() for name in named})
