"""OCIRepositories and Secrets as the API server has them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocisource.cluster.api import TokenBucket
from ocisource.cluster.errors import ApiError
from ocisource.cluster.objects import Objects, merge_patch
from ocisource.cluster.secrets import ClusterSecrets
from ocisource.domain.errors import ClusterError, Conflict, SecretError, SecretMissing

from .conftest import Answer, FakeServer

if TYPE_CHECKING:
    from ocisource.cluster.api import KubeAPI

BASE = "/apis/source.toolkit.fluxcd.io/v1"
APP = f"{BASE}/namespaces/ns/ocirepositories/app"


def obj(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "ns", "name": "app", "resourceVersion": "7", **metadata}, "status": {"a": 1}}


def apply(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, as its pseudocode has it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply(result.get(key), value)
    return result


values = st.recursive(
    st.integers(0, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


@given(documents, documents)
def test_a_merge_patch_makes_the_new_of_the_old(old: dict[str, Any], new: dict[str, Any]) -> None:
    """RFC 7386"""
    assert apply(old, merge_patch(old, new)) == new


@given(documents)
def test_equal_documents_need_no_patch(document: dict[str, Any]) -> None:
    assert merge_patch(document, document) == {}


def test_a_patch_holds_only_what_changed_and_nulls_what_went() -> None:
    old = {"artifact": {"digest": "a", "size": 1}, "url": "u", "conditions": [1, 2]}
    new = {"artifact": {"digest": "b", "size": 1}, "conditions": [1, 3]}
    assert merge_patch(old, new) == {"artifact": {"digest": "b"}, "url": None, "conditions": [1, 3]}


async def test_a_status_is_written_with_the_version_that_was_read(api: KubeAPI, server: FakeServer) -> None:
    """B19"""
    server.answer("PATCH", f"{APP}/status", Answer(body={"metadata": {"resourceVersion": "8"}}))
    written = await Objects(api).patch_status(obj(), {"b": 2})
    assert written["metadata"]["resourceVersion"] == "8"
    (request,) = server.requests
    assert request.body == {"metadata": {"resourceVersion": "7"}, "status": {"a": None, "b": 2}}
    assert request.query == {"fieldManager": "source-controller"}


async def test_objects_statuses_and_secrets_do_not_wait_for_each_other(api: KubeAPI, server: FakeServer) -> None:
    """G8: each of them has the whole pace, as in the original each kind of object has."""

    async def forever(_: float) -> None:
        await asyncio.Event().wait()

    paced = api.paced_by(TokenBucket(1, 1, sleep=forever))
    objects, secrets = Objects(paced), ClusterSecrets(paced)
    server.answer("GET", APP, Answer())
    server.answer("PATCH", f"{APP}/status", Answer())
    server.answer("GET", SECRET, Answer())
    await objects.get("ns", "app")
    late = asyncio.create_task(objects.get("ns", "app"))
    await objects.patch_status(obj(), {"b": 2})
    await secrets.secret("ns", "keys")
    assert [request.path for request in server.requests] == [APP, f"{APP}/status", SECRET]
    late.cancel()


async def test_a_status_that_did_not_change_is_not_written(api: KubeAPI, server: FakeServer) -> None:
    assert await Objects(api).patch_status(obj(), {"a": 1}) == obj()
    assert server.requests == []


async def test_the_finalizer_is_added_beside_others_and_once(api: KubeAPI, server: FakeServer) -> None:
    server.answer("PATCH", APP, Answer(body=obj()))
    await Objects(api).add_finalizer(obj(finalizers=["x"]))
    (request,) = server.requests
    assert request.body == {"metadata": {"resourceVersion": "7", "finalizers": ["x", "finalizers.fluxcd.io"]}}
    await Objects(api).add_finalizer(obj(finalizers=["finalizers.fluxcd.io"]))
    assert len(server.requests) == 1


async def test_the_finalizer_is_taken_away_and_others_stay(api: KubeAPI, server: FakeServer) -> None:
    server.answer("PATCH", APP, Answer(body=obj()))
    await Objects(api).remove_finalizer(obj(finalizers=["finalizers.fluxcd.io"]))
    await Objects(api).remove_finalizer(obj(finalizers=["x", "finalizers.fluxcd.io"]))
    await Objects(api).remove_finalizer(obj(finalizers=["x"]))
    assert [request.body["metadata"]["finalizers"] for request in server.requests] == [None, ["x"]]


async def test_an_object_that_is_gone_needs_no_finalizer_removed(api: KubeAPI) -> None:
    """B20: a 404 on the trailing patch is ignored."""
    await Objects(api).remove_finalizer(obj(finalizers=["finalizers.fluxcd.io"]))
    assert await Objects(api).get("ns", "app") is None


async def test_who_was_overtaken_gets_conflict(api: KubeAPI, server: FakeServer) -> None:
    server.answer("PATCH", f"{APP}/status", Answer(409, {"reason": "Conflict", "message": "modified"}))
    with pytest.raises(Conflict):
        await Objects(api).patch_status(obj(), {})


def page(*names: str, onward: str = "") -> Answer:
    items = [{"metadata": {"namespace": "ns", "name": name}} for name in names]
    return Answer(body={"metadata": {"continue": onward}, "items": items})


async def test_names_are_listed_page_by_page_without_contents(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", f"{BASE}/ocirepositories", page("a", "b", onward="token"), page("c"))
    assert await Objects(api, selector="shard=1").keys() == {("ns", "a"), ("ns", "b"), ("ns", "c")}
    first, second = server.requests
    assert first.query == {"limit": "500", "labelSelector": "shard=1"}
    assert second.query["continue"] == "token"
    assert "as=PartialObjectMetadataList" in first.headers["Accept"]


async def test_names_of_other_shards_are_listed_on_request(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", f"{BASE}/ocirepositories", page("a"))
    assert await Objects(api, selector="shard=1").keys(everybodys=True) == {("ns", "a")}
    assert server.requests[0].query == {"limit": "500"}


async def test_one_namespace_is_listed_where_only_that_is_watched(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", f"{BASE}/namespaces/apps/ocirepositories", page("a"))
    assert await Objects(api, "apps").keys() == {("ns", "a")}


async def test_a_list_that_breaks_off_is_an_error_and_not_half_a_list(api: KubeAPI, server: FakeServer) -> None:
    """Whatever is not listed may be swept away."""
    server.answer("GET", f"{BASE}/ocirepositories", page("a", onward="t"), Answer(410, {"reason": "Expired"}))
    with pytest.raises(ApiError):
        await Objects(api).keys()


@pytest.mark.parametrize("answer", [Answer(404), Answer(body={"resources": [{"name": "gitrepositories"}]})])
async def test_a_missing_crd_is_told_with_the_command(api: KubeAPI, server: FakeServer, answer: Answer) -> None:
    server.answer("GET", BASE, answer)
    with pytest.raises(ClusterError, match=r"ocirepositories.*kubectl apply -f crds/"):
        await Objects(api).require_crd()


async def test_a_crd_whose_objects_may_be_listed_is_enough(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", BASE, Answer(body={"resources": [{"name": "ocirepositories"}]}))
    server.answer("GET", f"{BASE}/ocirepositories", page("a"))
    await Objects(api).require_crd()
    assert server.requests[-1].query == {"limit": "1"}


async def test_objects_that_may_not_be_listed_are_told_with_the_rule(api: KubeAPI, server: FakeServer) -> None:
    """The watch would try for a minute before it ends."""
    server.answer("GET", BASE, Answer(body={"resources": [{"name": "ocirepositories"}]}))
    server.answer("GET", f"{BASE}/ocirepositories", Answer(403, {"message": "no"}))
    with pytest.raises(ClusterError, match=r"grant .*ocirepositories.*list"):
        await Objects(api).require_crd()


SECRET = "/api/v1/namespaces/ns/secrets/keys"


async def test_a_secret_is_decoded_and_read_anew_each_time(api: KubeAPI, server: FakeServer) -> None:
    """B1"""
    server.answer("GET", SECRET, Answer(body={"type": "t", "data": {"a": "eA=="}}), Answer(body={"data": None}))
    secrets = ClusterSecrets(api)
    assert await secrets.secret("ns", "keys") == ("t", {"a": b"x"})
    assert await secrets.secret("ns", "keys") == ("Opaque", {})


async def test_who_asks_while_a_secret_is_read_gets_that_answer(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", SECRET, Answer(body={"data": {"a": "eA=="}}))
    secrets = ClusterSecrets(api)
    answers = await asyncio.gather(*(secrets.secret("ns", "keys") for _ in range(10)))
    assert answers == [("Opaque", {"a": b"x"})] * 10
    assert len(server.requests) == 1


async def test_who_asks_after_a_secret_changed_does_not_get_an_answer_from_before(
    api: KubeAPI, server: FakeServer
) -> None:
    """J4: the answer that is under way may be the old one."""
    server.answer("GET", SECRET, Answer(body={"data": {"a": "eA=="}}), Answer(body={"data": {"a": "eQ=="}}))
    secrets = ClusterSecrets(api)
    before = asyncio.create_task(secrets.secret("ns", "keys"))
    while not server.requests:
        await asyncio.sleep(0)
    secrets.changed("ns", "keys")
    assert await secrets.secret("ns", "keys") == ("Opaque", {"a": b"y"})
    assert await before == ("Opaque", {"a": b"x"})


async def test_a_missing_secret_is_told_in_the_words_that_clients_know(api: KubeAPI) -> None:
    """C4, H3"""
    with pytest.raises(SecretMissing) as caught:
        await ClusterSecrets(api).secret("ns", "keys")
    assert str(caught.value) == 'secrets "keys" not found'


async def test_a_forbidden_secret_names_the_rule(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", SECRET, Answer(403, {"reason": "Forbidden", "message": "no"}))
    with pytest.raises(SecretError, match=r"^no; grant .*'secrets'"):
        await ClusterSecrets(api).secret("ns", "keys")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../../kube-system/secrets/keys", "may not contain '/'"),
        ("..", "may not be '..'"),
        (".", "may not be '.'"),
        ("%2e%2e/keys", "may not contain '/' may not contain '%'"),
    ],
)
async def test_the_name_of_a_secret_leads_to_no_other_namespace(
    api: KubeAPI, server: FakeServer, name: str, problem: str
) -> None:
    """Nor is anybody asked; the words are client-go's, which the original passes on (C4)."""
    with pytest.raises(SecretError) as caught:
        await ClusterSecrets(api).secret("ns", name)
    assert str(caught.value) == f'invalid resource name "{name}": [{problem}]'
    assert server.requests == []


@pytest.mark.parametrize("name", ["keys?watch=1", "keys#part", "a b"])
async def test_the_name_of_a_secret_asks_for_nothing_else(api: KubeAPI, server: FakeServer, name: str) -> None:
    server.answer("GET", SECRET, Answer(body={"data": {"a": "eA=="}}))
    with pytest.raises(SecretMissing):
        await ClusterSecrets(api).secret("ns", name)


async def test_a_value_that_is_not_base64_names_its_key(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", SECRET, Answer(body={"data": {"cosign.pub": "%%"}}))
    with pytest.raises(SecretError, match=r"'cosign\.pub' is not base64"):
        await ClusterSecrets(api).secret("ns", "keys")
